/** Whether pre-training sees who is tested on, if without labels: a weaker test than one on patients that nothing has seen. */
import type { Cohort, Subject } from '../cohort/cohort.ts';
import { pretrainFacts } from '../training/node/pretraining-facts.ts';
import { splitForTask } from '../training/node/task/split.ts';
import type { Study } from './configuration.ts';
import { SCRATCH } from './methods.ts';
import { plannedPretraining } from './pretraining.ts';
import { configurationOf, runsOf } from './runs.ts';

/** The same image is known by its content, whatever it is called. */
const keysOf = ({ id, content }: Subject, folder: string): string[] => [
  `${folder}/${id}`,
  ...(content ? [content.image.sha256] : []),
];

/**
 * A line for each of a study's own pre-trainings that trains with images of test subjects. Models that are given are not looked into.
 * @param cohort the study's
 */
export async function seenTestSubjects(study: Study, cohort: Cohort): Promise<string[]> {
  const own = study.methods.filter((name) => name !== SCRATCH && study.pretraining.models[name] === undefined);
  const [run] = runsOf(study);
  if (own.length === 0) return [];
  const { test } = await splitForTask(cohort, configurationOf(study, run, SCRATCH));
  const folder = study.pretraining.cohort ?? study.cohort;
  const counts = new Map<number, string[]>();
  for (const name of own) {
    const { chosen, configuration } = await plannedPretraining(study, name);
    const { training } = await pretrainFacts(folder, { ...configuration, init: SCRATCH }, chosen.method);
    const keys = new Set(training.flatMap((subject) => keysOf(subject, folder)));
    const count = test.filter((subject) => keysOf(subject, study.cohort).some((key) => keys.has(key))).length;
    if (count > 0) counts.set(count, [...(counts.get(count) ?? []), name]);
  }
  return [...counts].map(
    ([count, names]) =>
      `warning: ${count} of ${test.length} test subjects are among the images for pre-training (${names.join(', ')}), without their labels; \`pretraining.configuration.data.split\` leaves them out`,
  );
}
