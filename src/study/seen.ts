/**
 * Whether pre-training sees who is tested on (the same image, or another scan of its patient), a weaker test than one on patients that nothing has
 * seen; and whether labels of test subjects choose the state that trainings start from, since evaluations of pre-training do so by labels where
 * there are some.
 */
import type { Cohort, Subject } from '../cohort/cohort.ts';
import type { PretrainingConfiguration } from '../methods/schema-parts.ts';
import { pretrainFacts } from '../training/node/pretraining-facts.ts';
import { splitForTask } from '../training/node/task/split.ts';
import type { Study } from './configuration.ts';
import { SCRATCH } from './methods.ts';
import { plannedPretraining } from './pretraining.ts';
import { configurationOf, runsOf } from './runs.ts';

/**
 * By what it is known who a subject is: in its cohort; by the image's content, whatever it is called; by its patient, whose name is that of the DICOM
 * header, or stands in the path of every scan.
 */
const keysOf = ({ id, content, patient, source }: Subject, folder: string): string[] => [
  `${folder}/${id}`,
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

/**
 * A line for each number of test subjects that are among the images of a study's own pre-trainings, and for each whose labels may choose their best
 * states. Models that are given are not looked into.
 * @param cohort the study's
 */
export async function seenTestSubjects(study: Study, cohort: Cohort): Promise<string[]> {
  const own = study.methods.filter((name) => name !== SCRATCH && study.pretraining.models[name] === undefined);
  const [run] = runsOf(study);
  if (own.length === 0) return [];
  const { test } = await splitForTask(cohort, configurationOf(study, run, SCRATCH));
  const folder = study.pretraining.cohort ?? study.cohort;
  const byImages = new Map<number, string[]>();
  const byLabels = new Map<number, string[]>();
  for (const name of own) {
    const { chosen, configuration } = await plannedPretraining(study, name);
    const parts = await pretrainFacts(folder, { ...configuration, init: SCRATCH }, chosen.method);
    const note = (counts: Map<number, string[]>, subjects: readonly Subject[]): void => {
      const keys = new Set(subjects.flatMap((subject) => keysOf(subject, folder)));
      const count = test.filter((subject) => keysOf(subject, study.cohort).some((key) => keys.has(key))).length;
      if (count > 0) counts.set(count, [...(counts.get(count) ?? []), name]);
    };
    note(byImages, parts.training);
    note(byLabels, choosing(configuration, parts));
  }
  const remedy = '`pretraining.configuration.data.split` leaves them out';
  return [
    ...[...byImages].map(
      ([count, names]) =>
        `warning: ${count} of ${test.length} test subjects, or other scans of their patients, are among the images for pre-training (${names.join(', ')}); ${remedy}`,
    ),
    ...[...byLabels].map(
      ([count, names]) =>
        `warning: labels of ${count} of ${test.length} test subjects, or of other scans of their patients, are among those by which pre-training chooses its best state, from which trainings start (${names.join(', ')}): their scores are too good to be of unseen subjects; ${remedy}`,
    ),
  ];
}
