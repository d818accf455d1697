/** What a study's trainings would be refused for once the cohort is known: said before the first of them, which may be hours before the last. */
import type { Cohort } from '../cohort/cohort.ts';
import { UsageError } from '../common/errors.ts';
import { refuseInside } from '../platform/node/guard.ts';
import { pretrainFacts } from '../training/node/pretraining-facts.ts';
import { readInitialModel, SCRATCH_WIDTH } from '../training/node/start.ts';
import { splitForTask } from '../training/node/task/split.ts';
import { taskOf } from '../training/node/task/task.ts';
import type { Study } from './configuration.ts';
import { SCRATCH } from './methods.ts';
import { plannedPretraining } from './pretraining.ts';
import { configurationOf, runsOf } from './runs.ts';

/** @throws UsageError naming what no training can be made with */
export async function requireTrainable(study: Study, cohort: Cohort, out: string): Promise<void> {
  for (const folder of [study.cohort, study.pretraining.cohort])
    if (folder !== null) await refuseInside(out, folder, 'the cohort');
  const runs = runsOf(study);
  // splits and classes are the same for every method
  for (const run of runs.filter(({ method }) => method === study.methods[0])) {
    const configuration = configurationOf(study, run, SCRATCH);
    const { folds, fold } = configuration.data;
    if (folds > 1 && fold === 'all')
      throw new UsageError(
        `transfer (${run.mode}): data.folds ${folds}: each training of a study is of one split: set data.fold to the number of a fold, or leave folds out`,
      );
    await taskOf(cohort, configuration);
    const { test } = await splitForTask(cohort, configuration);
    if (test.length === 0)
      throw new UsageError('the study has no test subjects: set transfer.configuration.data.test, or a split with test subjects');
  }
  const widths = new Map(runs.map((run) => [run.mode, configurationOf(study, run, SCRATCH).model.width]));
  const pretrained = study.methods.filter((method) => method !== SCRATCH);
  const widthOf = new Map<string, number>();
  for (const name of pretrained) {
    const given = study.pretraining.models[name];
    if (given !== undefined) {
      for (const width of new Set(widths.values())) widthOf.set(name, (await readInitialModel(given, width)).width);
      continue;
    }
    const { chosen, configuration } = await plannedPretraining(study, name);
    const { cohort: unlabelled, training } = await pretrainFacts(
      study.pretraining.cohort ?? study.cohort,
      configuration,
      chosen.method,
    );
    chosen.method.check?.(configuration, unlabelled.subjects, training);
    for (const [mode, width] of widths)
      if (width !== 'auto' && width !== configuration.model.width)
        throw new UsageError(
          `transfer (${mode}): model.width ${width}: ${name} is pre-trained with width ${configuration.model.width}: give both the same`,
        );
    widthOf.set(name, configuration.model.width);
  }
  // a network from scratch has no model to take its width from: it would be compared with others of another size
  const [own, ...others] = new Set(widthOf.values());
  if (!study.methods.includes(SCRATCH) || own === undefined || [own, ...others].includes(SCRATCH_WIDTH)) return;
  for (const [mode, width] of widths)
    if (width === 'auto')
      throw new UsageError(
        `transfer (${mode}): model.width auto: ${SCRATCH} would have width ${SCRATCH_WIDTH}, but ${pretrained[0]} is pre-trained with width ${own}: set transfer.configuration.model.width to ${own}`,
      );
}
