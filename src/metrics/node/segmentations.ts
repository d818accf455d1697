/** Scoring predicted label maps against references: files are paired by case, grids are compared, every class of every case is scored. */
import { stat } from 'node:fs/promises';
import { relative } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { gridDifference, isBoxOf } from '../../cohort/label-map.ts';
import { patientsOf } from '../../cohort/node/names.ts';
import { caseName } from '../../cohort/node/table.ts';
import { groupedByPatient } from '../../cohort/patients.ts';
import { RunError, UsageError } from '../../common/errors.ts';
import { formatNames } from '../../common/format-names.ts';
import { type ProgressListener, toProgress } from '../../common/progress.ts';
import { rasGeometry } from '../../geometry/orientation.ts';
import { resampleNearest } from '../../geometry/resample.ts';
import { labelCodes } from '../../geometry/statistics.ts';
import { toZyx, type Volume } from '../../geometry/volume.ts';
import { findImages } from '../../images/node/find.ts';
import { readImage } from '../../images/node/read.ts';
import { type Failure, failureOf } from '../../platform/node/batch.ts';
import { isFile } from '../../platform/node/files.ts';
import { isInPart, type Part } from '../../platform/node/parts.ts';
import { overlapsOf, type SegmentationScores, segmentationScores } from '../segmentation.ts';
import { bootstrapMean, type Interval } from '../statistics.ts';

export interface SegmentationsCall {
  /** A file or a folder of files. */
  readonly predictions: string;
  readonly references: string;
  /** Codes to score; without them all that occur in the references or predictions, but 0. Those to ignore are left out of either. */
  readonly labels?: readonly number[];
  readonly ignore?: readonly number[];
  readonly toleranceMm: number;
  /** Leaves out cases that only one side has, instead of refusing. */
  readonly skipMissing: boolean;
  /** Scores the cases of a part alone. */
  readonly part?: Part;
  readonly progress?: ProgressListener;
}

export interface CaseScores {
  readonly case: string;
  /** Whose it is, where the reference's name or folder says so (cohort/node/names.ts). */
  readonly patient?: string;
  readonly labels: readonly ({ readonly label: number } & SegmentationScores)[];
}

/** The measures that are summarised. */
export const MEASURES = ['dice', 'jaccard', 'hd95Mm', 'surfaceDistanceMm', 'surfaceDice', 'volumeError'] as const;
export type Measure = (typeof MEASURES)[number];

/** One class over all cases. */
export interface LabelSummary {
  readonly label: number;
  /** Cases where both lack it: in no mean. */
  readonly absentFromBoth: number;
  /** Cases where one has it and the other has not: overlap 0, distances in no mean. */
  readonly missed: number;
  readonly spurious: number;
  readonly measures: Readonly<Record<Measure, Interval | null>>;
}

export interface SegmentationsReport {
  readonly kind: 'segmentation';
  readonly toleranceMm: number;
  readonly cases: readonly CaseScores[];
  /** Patients, where some have several cases: intervals are over patients then. Absent where each has one. */
  readonly patients?: number;
  readonly summary: readonly LabelSummary[];
  /** Over cases, of each case's mean over its classes. */
  readonly mean: Readonly<Record<Measure, Interval | null>>;
  readonly skipped: readonly string[];
  /** Cases that could not be scored, and files and folders that could not be read, and why; they are in no mean. */
  readonly failed: readonly Failure[];
  /** What is unusual about files that were scored, a sentence each. */
  readonly warnings: readonly string[];
}

/** What `gvsl segment` writes into folders beside its label maps. */
const BESIDE_LABELS = /(^|[\\/])(probabilities|uncertainty)[\\/]/;

/** Label maps by case; what cannot be opened or listed, into `failed`. */
async function labelFiles(path: string, what: string, failed: Failure[]): Promise<Map<string, string>> {
  const facts = await stat(path).catch(() => undefined);
  if (!facts) throw new RunError(`${what} ${path}: no such file or folder`);
  if (!facts.isDirectory()) return new Map([[caseName(path), path]]);
  const { images, refused } = await findImages(path);
  failed.push(...refused);
  const files = new Map<string, string>();
  for (const image of images) {
    if (image.kind !== 'file' || BESIDE_LABELS.test(relative(path, image.path))) continue;
    const name = caseName(image.path);
    const other = files.get(name);
    if (other !== undefined) throw new UsageError(`${what}: ${other} and ${image.path} are the same case '${name}'; remove one`);
    files.set(name, image.path);
  }
  if (files.size === 0) {
    const [first] = refused;
    throw new UsageError(
      `${what} ${path}: no label map in this folder${first ? `; not read: ${first.path}: ${first.reason}` : ''}`,
    );
  }
  return files;
}

/** Codes named in a message. */
const NAMED_CODES = 5;

/**
 * Reads a label map, as which an image is refused: that it is whole numbers says little. Labels lie in regions; those of a network that has learnt
 * little lie anywhere, but have the codes of the other side.
 * @param others the codes of the other side's label maps; null if codes are named, so that it need not look like a label map
 * @param warnings is told what is unusual about the file
 */
async function readLabels(
  path: string,
  others: (() => Promise<ReadonlySet<number>>) | null,
  warnings: string[],
): Promise<Volume> {
  const { volume, warnings: own } = await readImage(path, { single: true });
  warnings.push(...own.map((warning) => `${path}: ${warning}`));
  const { data, geometry } = volume;
  if (data instanceof Float32Array || data instanceof Float64Array) {
    const odd = data.find((value) => !Number.isInteger(value));
    if (odd !== undefined) throw new RunError(`${path}: not a label map: expected whole numbers, found ${odd}`);
  }
  if (!others || labelCodes(data, geometry.size)) return volume;
  const known = await others();
  const unknown = [...new Set<number>(data)].filter((code) => code !== 0 && !known.has(code)).sort((a, b) => a - b);
  if (unknown.length > 0)
    throw new RunError(
      `${path}: its values look like an image, not a label map, and no label map of the other side has ${formatNames(unknown.map(String), NAMED_CODES)}; if they are label codes, list them with \`labels\``,
    );
  return volume;
}

/** The codes of those files that look like label maps, read when they are asked for. */
function codesOf(paths: readonly string[]): () => Promise<ReadonlySet<number>> {
  const read = async (): Promise<ReadonlySet<number>> => {
    const codes = new Set<number>();
    for (const path of paths) {
      // what cannot be read is said where it is scored
      const volume = await readImage(path).then(
        (loaded) => loaded.volume,
        () => null,
      );
      for (const code of (volume && labelCodes(volume.data, volume.geometry.size)) ?? []) codes.add(code);
    }
    return codes;
  };
  let found: ReturnType<typeof read> | undefined;
  return () => {
    found ??= read();
    return found;
  };
}

const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
const known = (values: readonly (number | null)[]): number[] => values.filter((value) => value !== null);

/** The mean of a value over cases, those without left out, with its interval over their patients. */
const meanOver = (patients: readonly (readonly CaseScores[])[], value: (scores: CaseScores) => number | null): Interval | null =>
  bootstrapMean(patients.map((cases) => known(cases.map(value))));

/** Scores every case that both sides have; of folders, cases that cannot be scored are listed in `failed`. @throws UsageError or RunError naming the file, what was expected and what was found */
export async function scoreSegmentations(call: SegmentationsCall): Promise<SegmentationsReport> {
  const { toleranceMm, ignore = [] } = call;
  const progress = toProgress(call.progress);
  const failed: Failure[] = [];
  const predictions = await labelFiles(call.predictions, 'predictions', failed);
  const references = await labelFiles(call.references, 'references', failed);
  // two files that are named are meant for each other, whatever they are called; in folders names decide
  const pair = (await isFile(call.predictions)) && (await isFile(call.references));
  const names = pair ? [...references.keys()] : [...references.keys()].filter((name) => predictions.has(name)).sort();
  const missing = pair
    ? []
    : [
        ...[...references.keys()].filter((name) => !predictions.has(name)).map((name) => `${name}: no prediction`),
        ...[...predictions.keys()].filter((name) => !references.has(name)).map((name) => `${name}: no reference`),
      ];
  if (missing.length > 0 && !call.skipMissing)
    throw new UsageError(
      `${call.predictions} and ${call.references}: ${missing.length} cases are on one side only (${formatNames(missing, 5)}); pair them by name, or skip them with \`skipMissing\``,
    );
  if (names.length === 0) throw new UsageError(`${call.predictions} and ${call.references} have no case in common`);

  const scored = names.filter((name) => isInPart(name, call.part));
  const cases: CaseScores[] = [];
  const isWanted = (code: number): boolean => !ignore.includes(code);
  const named = call.labels?.filter(isWanted);
  const codes = new Set<number>(named);
  const warnings: string[] = [];
  const predictedPathOf = (name: string): string => (pair ? [...predictions.values()][0] : predictions.get(name)!);
  const [predictedCodes, referenceCodes] = call.labels
    ? [null, null]
    : [codesOf(names.map(predictedPathOf)), codesOf(names.map((name) => references.get(name)!))];
  const paths = [...references.values()];
  const found = patientsOf(call.references, paths);
  const patients = new Map([...references.keys()].map((name, k) => [name, found[k]]));
  progress.start(scored.length, 'cases');
  for (const name of scored) {
    const predictedPath = predictedPathOf(name);
    const referencePath = references.get(name)!;
    try {
      const predicted = await readLabels(predictedPath, referenceCodes, warnings);
      let reference = await readLabels(referencePath, predictedCodes, warnings);
      const [ofPredicted, ofReference] = [rasGeometry(predicted.geometry), rasGeometry(reference.geometry)];
      const difference = gridDifference(ofPredicted, ofReference);
      // a map that was cut to what it marks has background around it
      const isCut = difference !== '' && isBoxOf(ofReference, ofPredicted);
      if (isCut) reference = resampleNearest(reference, predicted.geometry, 0);
      else if (difference && !isBoxOf(ofPredicted, ofReference))
        throw new RunError(
          `${predictedPath}: on a different grid than its reference ${referencePath}: ${difference}; resample it to the reference`,
        );
      if (difference !== '')
        warnings.push(
          `${isCut ? referencePath : predictedPath}: covers a box of the grid of ${isCut ? predictedPath : referencePath} alone; background around it`,
        );
      // the same voxels, perhaps stored in another order of axes
      const onReference = isDeepStrictEqual(predicted.geometry, reference.geometry)
        ? predicted.data
        : resampleNearest(predicted, reference.geometry, 0).data;
      const overlaps = overlapsOf(onReference, reference.data, toZyx(reference.geometry.size));
      const wanted = named ?? [...overlaps.keys()].filter((code) => code !== 0 && isWanted(code)).sort((a, b) => a - b);
      const patient = patients.get(name);
      cases.push({
        case: name,
        ...(patient && { patient }),
        labels: wanted.map((label) => ({
          label,
          ...segmentationScores(onReference, reference.data, label, reference.geometry, toleranceMm, overlaps.get(label)),
        })),
      });
      for (const code of wanted) codes.add(code);
    } catch (error) {
      failed.push(failureOf(error, predictedPath));
    }
    progress.advance(1, name);
  }
  progress.stop();
  if (pair && failed.length > 0) throw new RunError(`${failed[0].path}: ${failed[0].reason}`);

  const byPatient = groupedByPatient(cases);
  const ordered = [...codes].sort((a, b) => a - b);
  const summary = ordered.map((label): LabelSummary => {
    const found = cases.flatMap(({ labels }) => labels.find((scores) => scores.label === label) ?? []);
    return {
      label,
      absentFromBoth: cases.length - found.filter(({ dice }) => dice !== null).length,
      missed: found.filter(({ referenceMl, predictedMl }) => referenceMl > 0 && predictedMl === 0).length,
      spurious: found.filter(({ referenceMl, predictedMl }) => referenceMl === 0 && predictedMl > 0).length,
      measures: Object.fromEntries(
        MEASURES.map((measure) => [
          measure,
          meanOver(byPatient, ({ labels }) => labels.find((scores) => scores.label === label)?.[measure] ?? null),
        ]),
      ) as Record<Measure, Interval | null>,
    };
  });
  const means = Object.fromEntries(
    MEASURES.map((measure) => [
      measure,
      meanOver(byPatient, ({ labels }) => mean(known(labels.map((scores) => scores[measure])))),
    ]),
  ) as Record<Measure, Interval | null>;
  const counts = byPatient.length < cases.length ? { patients: byPatient.length } : {};
  return { kind: 'segmentation', toleranceMm, cases, ...counts, summary, mean: means, skipped: missing, failed, warnings };
}
