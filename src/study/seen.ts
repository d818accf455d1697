/** What a study says where its networks saw who is tested on (training/node/seen.ts). */
import type { Cohort } from '../cohort/cohort.ts';
import { pretrainFacts } from '../training/node/pretraining-facts.ts';
import { type Sight, seenLines, sightOfPretraining, sightsOfModel, unknownLines } from '../training/node/seen.ts';
import { splitForTask } from '../training/node/task/split.ts';
import type { Study } from './configuration.ts';
import { SCRATCH } from './methods.ts';
import { plannedPretraining } from './pretraining.ts';
import { configurationOf, runsOf } from './runs.ts';

/**
 * A line for each number of test subjects that are among the images of a study's pre-trainings, and for each whose labels may choose their best
 * states: of its own, of the models that are given, and of those that either started from.
 * @param cohort the study's
 */
export async function seenTestSubjects(study: Study, cohort: Cohort): Promise<string[]> {
  const methods = study.methods.filter((name) => name !== SCRATCH);
  const [run] = runsOf(study);
  if (methods.length === 0) return [];
  const { test } = await splitForTask(cohort, configurationOf(study, run, SCRATCH));
  const folder = study.pretraining.cohort ?? study.cohort;
  const sights: Sight[] = [];
  const unknown = new Set<string>();
  for (const name of methods) {
    let init = study.pretraining.models[name];
    if (init === undefined) {
      const { chosen, configuration } = await plannedPretraining(study, name);
      const parts = await pretrainFacts(folder, { ...configuration, init: SCRATCH }, chosen.method);
      sights.push(sightOfPretraining(name, folder, configuration, parts));
      init = configuration.init ?? SCRATCH;
    }
    const before = await sightsOfModel(init, cohort);
    sights.push(...before.sights.map((sight) => ({ ...sight, name })));
    if (before.unknown.length > 0) unknown.add(name);
  }
  return [
    ...seenLines(test, study.cohort, sights, { remedy: '`pretraining.configuration.data.split` leaves them out' }),
    ...unknownLines([...unknown]),
  ];
}
