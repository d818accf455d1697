/** Which subjects of a cohort to label next: a model's features of each, pooled over the image, and a choice among them (suggestion/choose.ts). */
import { join } from 'node:path';
import type { Cohort, Subject } from '../../cohort/cohort.ts';
import { readCrop } from '../../cohort/node/crops.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { csvLine } from '../../common/csv.ts';
import { RunError, UsageError } from '../../common/errors.ts';
import type { Progress } from '../../common/progress.ts';
import { listen } from '../../engine/stoppable.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import { mapPicture } from '../../images/pictures/map-picture.ts';
import { encodePng } from '../../images/pictures/png.ts';
import { inputChannelsOf } from '../../model/architecture.ts';
import { jsonText } from '../../model/node/documents.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { guardInputs, refuseInside } from '../../platform/node/guard.ts';
import { inResults } from '../../platform/node/results.ts';
import { type OpenNetwork, windowsFor } from '../network.ts';
import { windowsOf } from '../segmentation/sliding-window.ts';
import { chooseNext, inPlane, standardised } from '../suggestion/choose.ts';
import type { Strategy } from '../suggestion/strategies.ts';
import { type ApplyCall, modelInputsOf, withNetwork } from './network.ts';

export interface SuggestCall extends Omit<ApplyCall, 'series' | 'channel' | 'modality' | 'overlap'> {
  /** Folder that `prepareCohort` made. */
  readonly cohort: string;
  /** How many subjects to suggest. */
  readonly n: number;
  /** Default: coverage. */
  readonly strategy?: Strategy;
  /** Ids of the subjects that have labels; default: those with a label map or a class. Test cases of the cohort are never suggested. */
  readonly labelled?: readonly string[];
}

export interface SuggestedSubject {
  /** From 1; the first is to be labelled first. */
  readonly rank: number;
  readonly id: string;
  /** The image file, or the folder of its DICOM series. */
  readonly source: string;
  /** How far it is from the nearest subject that is labelled or of a lower rank; 1 is the root mean square over the features' deviations. Null for the first of all. */
  readonly distance: number | null;
  /** Of how many subjects it is the nearest one that is labelled or suggested. */
  readonly standsFor: number;
}

export interface SuggestReport {
  readonly model: { readonly folder: string; readonly step: number };
  readonly strategy: Strategy;
  readonly subjects: number;
  readonly labelled: number;
  readonly suggested: readonly SuggestedSubject[];
  /** Mean distance of all subjects to the nearest labelled or suggested one; before is null where nobody is labelled. */
  readonly meanDistance: { readonly before: number | null; readonly after: number };
  readonly files: readonly string[];
}

const FILES = ['suggest.csv', 'suggest.json', 'suggest.png'] as const;

/**
 * Suggests subjects to label, and writes suggest.csv, suggest.json and suggest.png.
 * @throws UsageError for more than there are to suggest, or ids that are not in the cohort; RunError for a cohort or model that cannot be used
 */
export async function suggestSubjects(call: SuggestCall): Promise<SuggestReport> {
  const { out, n, strategy = 'coverage', overwrite = false } = call;
  if (!Number.isInteger(n) || n < 1) throw new UsageError(`\`n\` ${n}: expected a whole number from 1`);
  const cohort = await openCohort(call.cohort);
  await refuseInside(out, call.cohort, 'the cohort');
  const { subjects } = cohort;
  const known = new Set(subjects.map(({ id }) => id));
  const unknown = call.labelled?.find((id) => !known.has(id));
  if (unknown !== undefined) throw new UsageError(`\`labelled\`: there is no subject '${unknown}' in ${call.cohort}`);
  const given = call.labelled && new Set(call.labelled);
  const isLabelled = ({ id, labelCodes, class: name }: Subject): boolean =>
    given ? given.has(id) : labelCodes !== null || name !== null;
  const indices = subjects.map((_, i) => i);
  const labelled = indices.filter((i) => isLabelled(subjects[i]));
  const candidates = indices.filter((i) => !isLabelled(subjects[i]) && subjects[i].split !== 'test');
  if (n > candidates.length)
    throw new UsageError(
      `\`n\` ${n}: ${call.cohort} has ${subjects.length} subjects, of which ${candidates.length} can be suggested (${labelled.length} are labelled${subjects.some(({ split }) => split === 'test') ? ', test cases are left out' : ''})${given ? '' : '; name those that are labelled with `labelled`'}`,
    );
  return withNetwork(call, (open, progress) => {
    const { folder, configuration, preprocessing } = open.network;
    requireSamePreparation(open, cohort);
    const inputs = [{ path: call.cohort, what: 'the cohort' }];
    return modelInputsOf(call).then((ofModel) =>
      guardInputs([...inputs, ...ofModel], () =>
        inResults(out, { names: FILES, overwrite, by: 'gvsl suggest' }, async (results) => {
          progress.say(
            `${subjects.length} subjects, ${labelled.length} of them labelled; ${preprocessing.modality.toUpperCase()}; computing ${open.backend.description}`,
          );
          const features = await pooledFeatures(open, cohort, windowsFor(open, call).window, progress, call.signal);
          const points = standardised(features);
          const { chosen, meanDistance } = chooseNext(points, labelled, candidates, n, strategy);
          const suggested = chosen.map(
            ({ point, distance, standsFor }, k): SuggestedSubject => ({
              rank: k + 1,
              id: subjects[point].id,
              source: subjects[point].source,
              distance,
              standsFor,
            }),
          );
          const report: SuggestReport = {
            model: { folder, step: configuration.step },
            strategy,
            subjects: subjects.length,
            labelled: labelled.length,
            suggested,
            meanDistance,
            files: FILES,
          };
          await writeFileAtomic(
            join(out, 'suggest.csv'),
            [
              csvLine(['rank', 'subject', 'distance', 'standsFor', 'source']),
              ...suggested.map(({ rank, id, source, distance, standsFor }) =>
                csvLine([rank, id, distance === null ? null : +distance.toPrecision(6), standsFor, source]),
              ),
              '',
            ].join('\n'),
          );
          const rankOf = new Map(chosen.map(({ point }, k) => [point, k + 1]));
          const isKnown = new Set(labelled);
          const places = inPlane(points);
          const picture = mapPicture(
            places.map(([x, y], i) => {
              const rank = rankOf.get(i);
              return { x, y, kind: rank ? 2 : isKnown.has(i) ? 1 : 0, ...(rank ? { text: String(rank) } : {}) };
            }),
            [
              { name: 'not labelled', colour: [120, 120, 130], radius: 3 },
              { name: 'labelled', colour: [80, 160, 255], radius: 4 },
              { name: 'suggested', colour: [255, 150, 40], radius: 5 },
            ],
          );
          await writeFileAtomic(join(out, 'suggest.png'), encodePng(picture));
          await writeFileAtomic(
            join(out, 'suggest.json'),
            jsonText({ ...report, places: places.map(([x, y], i) => ({ id: subjects[i].id, x, y })) }),
          );
          await results.finish(FILES);
          return report;
        }),
      ),
    );
  });
}

/** @throws RunError for a cohort that was prepared otherwise than the model's */
function requireSamePreparation({ network: { folder, preprocessing } }: OpenNetwork, { folder: cohort, options }: Cohort): void {
  const differs = (['modality', 'intensity'] as const).find((key) => preprocessing[key] !== options[key]);
  const spacing = preprocessing.spacingMm.join(' x ') !== options.spacingMm.join(' x ');
  const [wanted, found] = [preprocessing, options].map(({ channels = [] }) => channels.map(({ name }) => name).join(', '));
  if (wanted !== '' && wanted !== found)
    throw new RunError(
      `${cohort}: ${found === '' ? 'has one channel' : `has the channels ${found}`}, but ${folder} takes ${wanted}`,
    );
  if (differs || spacing)
    throw new RunError(
      `${cohort}: was prepared otherwise than the images of ${folder}: ${differs ?? 'spacingMm'} ${String(options[differs ?? 'spacingMm'])}, expected ${String(preprocessing[differs ?? 'spacingMm'])}; prepare the cohort as the model's was`,
    );
}

/** Of each subject the encoder's deepest feature, averaged over the image: windows that cover it, each with equal weight. */
async function pooledFeatures(
  open: OpenNetwork,
  cohort: Cohort,
  window: Zyx,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<Float64Array[]> {
  const session = await open.session('encoder', window);
  const channels = open.network.architecture.widths[4];
  // a network of one channel, as pre-training makes them, sees the first
  const shown = inputChannelsOf(open.network.architecture) === 1 ? 0 : 'all';
  const features: Float64Array[] = [];
  progress.start(cohort.subjects.length, 'subjects');
  try {
    for (const subject of cohort.subjects) {
      const pooled = new Float64Array(channels);
      let windows = 0;
      for (const start of windowsOf({ size: toZyx(subject.geometry.size), window, overlap: 0 })) {
        await listen(signal);
        const { global } = await session.run('features', { image: await readCrop(cohort, subject, start, window, shown) });
        const places = global.length / channels;
        for (let c = 0; c < channels; c++) for (let k = 0; k < places; k++) pooled[c] += global[c * places + k] / places;
        windows++;
      }
      features.push(pooled.map((sum) => sum / windows));
      progress.advance(1, subject.id);
    }
  } finally {
    progress.stop();
  }
  return features;
}
