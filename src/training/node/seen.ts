/**
 * Whether a network's own training saw who is tested on (the same image, or another scan of its patient), a weaker test than one on patients that
 * nothing has seen; and whether labels of test subjects taught it, or chose the state that trainings start from, since evaluations of pre-training
 * do so by labels where there are some.
 */
import { basename, dirname, resolve } from 'node:path';
import type { Cohort, Subject } from '../../cohort/cohort.ts';
import { fingerprintOf } from '../../cohort/node/fingerprint.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { RunError } from '../../common/errors.ts';
import type { PretrainingConfiguration } from '../../methods/schema-parts.ts';
import { resolveModel } from '../../model/node/model-folder.ts';
import { readState } from './checkpoint.ts';
import { RUN_KINDS, type RunRecord, readRunRecord } from './run-record.ts';
import { initialModelOf, SCRATCH } from './start.ts';

/** Whom a training saw. */
export interface Sight {
  /** What messages call the network. */
  readonly name: string;
  readonly kind: (typeof RUN_KINDS)[keyof typeof RUN_KINDS];
  /** Of their cohort. */
  readonly folder: string;
  readonly images: readonly Subject[];
  /** Those whose labels taught it or chose its state. */
  readonly labels: readonly Subject[];
}

/**
 * By what it is known who a subject is: in its cohort; by the image's content, whatever it is called; by its patient, whose name is that of the DICOM
 * header, or stands in the path of every scan.
 */
const keysOf = ({ id, content, patient, source }: Subject, folder: string): string[] => [
  `${resolve(folder)}/${id}`,
  ...(content ? [content.image.sha256] : []),
  ...(patient === null ? [] : [`${source.slice(0, Math.max(0, source.indexOf(patient)))}${patient}`]),
];

/** Those of a pre-training's subjects by whose labels its best state is chosen: a probe takes labels of both sides, pairs those of the held out. */
function choosing(
  configuration: PretrainingConfiguration,
  { training, heldOut }: Readonly<Record<'training' | 'heldOut', readonly Subject[]>>,
): readonly Subject[] {
  const { log, model, judgement } = configuration as PretrainingConfiguration & {
    readonly model: { readonly heads?: { readonly matching: boolean } };
    readonly judgement?: { readonly probe: boolean };
  };
  if (log.evaluateEverySteps === 0) return [];
  const hasLabels = ({ labelCodes }: Subject): boolean => labelCodes?.some((code) => code !== 0) ?? false;
  if (model.heads?.matching) return heldOut.filter((subject) => hasLabels(subject) || subject.landmarks.length > 0);
  if (!judgement?.probe) return [];
  const [fitted, scored] = [training, heldOut].map((subjects) =>
    subjects.filter((subject) => subject.split === 'train' && (hasLabels(subject) || subject.class !== null)),
  );
  return fitted.length > 0 && scored.length > 0 ? [...fitted, ...scored] : [];
}

/** What a pre-training with these subjects sees; trainings start from its best state. */
export const sightOfPretraining = (
  name: string,
  folder: string,
  configuration: PretrainingConfiguration,
  parts: Readonly<Record<'training' | 'heldOut', readonly Subject[]>>,
): Sight => ({
  name,
  kind: RUN_KINDS.pretrain,
  folder,
  images: parts.training,
  labels: choosing(configuration, parts),
});

/** The record of the run whose state a model folder is; undefined of any other model. */
async function recordOfModel(folder: string): Promise<RunRecord | undefined> {
  const [run, which] = [dirname(folder), basename(folder)];
  if (which !== 'best' && which !== 'last') return undefined;
  const record = await readRunRecord(run);
  return record?.identity !== undefined && (await readState(run, which))?.run === record.identity ? record : undefined;
}

/** The cohort of a record, if it is where it was or is the one given; undefined of one that has changed since. */
async function cohortOf({ cohort, kind, configuration }: RunRecord, given: Cohort): Promise<Cohort | undefined> {
  const withClasses = kind === RUN_KINDS.train && configuration.task === 'classification';
  const isIt = (one: Cohort): boolean => fingerprintOf(one, { withClasses }).hash === cohort.fingerprint?.hash;
  if (isIt(given)) return given;
  const there = typeof cohort.folder === 'string' ? await openCohort(cohort.folder).catch(() => undefined) : undefined;
  return there && isIt(there) ? there : undefined;
}

/**
 * Whom the training of a model saw, and those of the models that it started from; of models without a record (imported ones, copies) nothing is
 * known, and nothing is said.
 * @param cohort of the task
 * @returns `unknown`: names of models whose cohort is no longer there
 */
export async function sightsOfModel(
  init: string,
  cohort: Cohort,
): Promise<{ readonly sights: readonly Sight[]; readonly unknown: readonly string[] }> {
  const sights: Sight[] = [];
  const unknown: string[] = [];
  for (
    let next: string | undefined = init, seen = new Set<string>();
    next !== undefined && next !== SCRATCH && !seen.has(next);
  ) {
    seen.add(next);
    const name: string = next;
    next = undefined;
    // a model that is there no more, or another one by now, cannot be asked
    const folder = await resolveModel(name).catch(ignoreRunError);
    const record: RunRecord | undefined = folder === undefined ? undefined : await recordOfModel(folder);
    if (folder === undefined || !record?.split) continue;
    const of = await cohortOf(record, cohort);
    if (of) {
      const part = (which: string): Subject[] => {
        const ids = new Set(record.split?.[which]);
        return of.subjects.filter(({ id }) => ids.has(id));
      };
      const isBest = basename(folder) === 'best';
      const configuration = record.configuration as unknown as PretrainingConfiguration;
      sights.push(
        record.kind === RUN_KINDS.train
          ? {
              name,
              kind: RUN_KINDS.train,
              folder: of.folder,
              images: [],
              labels: [...part('training'), ...(isBest ? part('validation') : [])],
            }
          : {
              ...sightOfPretraining(name, of.folder, configuration, { training: part('training'), heldOut: part('heldOut') }),
              ...(!isBest && { labels: [] }),
            },
      );
    } else unknown.push(name);
    const before: RunRecord['initialModel'] = record.initialModel;
    const now = before ? await initialModelOf(before.path).catch(ignoreRunError) : undefined;
    if (before && now?.sha256 === before.sha256) next = before.path;
  }
  return { sights, unknown };
}

const ignoreRunError = (error: unknown): undefined => {
  if (!(error instanceof RunError)) throw error;
};

/**
 * A line for each number of judged subjects that are among the images that networks were pre-trained on, and for each whose labels chose their states
 * or taught them.
 * @param judged of the cohort in `folder`
 * @param who they are: 'test subjects'
 * @param remedy what leaves them out
 */
export function seenLines(
  judged: readonly Subject[],
  folder: string,
  sights: readonly Sight[],
  { who = 'test subjects', remedy }: { readonly who?: string; readonly remedy: string },
): string[] {
  const counts = {
    images: new Map<number, string[]>(),
    choosing: new Map<number, string[]>(),
    teaching: new Map<number, string[]>(),
  };
  for (const { name, kind, folder: other, images, labels } of sights) {
    const note = (map: Map<number, string[]>, subjects: readonly Subject[]): void => {
      const keys = new Set(subjects.flatMap((subject) => keysOf(subject, other)));
      const count = judged.filter((subject) => keysOf(subject, folder).some((key) => keys.has(key))).length;
      if (count > 0) map.set(count, [...new Set([...(map.get(count) ?? []), name])]);
    };
    note(counts.images, images);
    note(kind === RUN_KINDS.train ? counts.teaching : counts.choosing, labels);
  }
  const all = `of ${judged.length} ${who}`;
  const tooGood = 'their scores are too good to be of unseen subjects';
  return [
    ...[...counts.images].map(
      ([count, names]) =>
        `${count} ${all}, or other scans of their patients, are among the images for pre-training (${names.join(', ')}); ${remedy}`,
    ),
    ...[...counts.choosing].map(
      ([count, names]) =>
        `labels of ${count} ${all}, or of other scans of their patients, are among those by which pre-training chooses its best state, from which trainings start (${names.join(', ')}): ${tooGood}; ${remedy}`,
    ),
    ...[...counts.teaching].map(
      ([count, names]) =>
        `labels of ${count} ${all}, or of other scans of their patients, are among those that the initial model learnt from or was chosen by (${names.join(', ')}): ${tooGood}`,
    ),
  ];
}

/** Says that of these models it is not known. */
export const unknownLines = (names: readonly string[], who = 'test subjects'): string[] =>
  names.length === 0
    ? []
    : [
        `whether ${who} are among the subjects that the initial model was trained with is not known: the cohort that its run.json names is not there, or has changed (${names.join(', ')})`,
      ];

/** The lines of a training on a task that starts from a model. @param who 'test subjects', or 'validation subjects' where these alone are judged */
export async function seenByInitialModel(
  init: string,
  cohort: Cohort,
  judged: readonly Subject[],
  who: string,
): Promise<string[]> {
  if (init === SCRATCH || judged.length === 0) return [];
  const { sights, unknown } = await sightsOfModel(init, cohort);
  return [
    ...seenLines(judged, cohort.folder, sights, { who, remedy: '`gvsl pretrain --split` leaves them out' }),
    ...unknownLines(unknown, who),
  ];
}
