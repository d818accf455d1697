/** Where training on a task starts: a pre-trained backbone with a new head, or random numbers. */
import type { Cohort } from '../../../cohort/cohort.ts';
import { channelCount } from '../../../cohort/prepare-options.ts';
import { type Architecture, scaledArchitecture } from '../../../model/architecture.ts';
import type { Task } from '../../../model/configuration.ts';
import { parameterTable } from '../../../model/parameters.ts';
import { type Start, startFrom } from '../../start.ts';
import { headsOf } from '../../task/classes.ts';
import type { TransferConfiguration } from '../../task/configuration.ts';
import { readInitialModel, SCRATCH, SCRATCH_WIDTH } from '../start.ts';

export interface TransferStart extends Start {
  readonly architecture: Architecture;
  readonly width: number;
}

/**
 * The parameters that a new run starts from.
 * @throws UsageError for a width that is not the model's, RunError for a model that is missing, damaged or of another architecture
 */
export async function initialWeights(cohort: Cohort, configuration: TransferConfiguration, task: Task): Promise<TransferStart> {
  const { init, seed, model } = configuration;
  const initial = init === SCRATCH ? undefined : await readInitialModel(init, model.width);
  const width = initial?.width ?? (model.width === 'auto' ? SCRATCH_WIDTH : model.width);
  const architecture = scaledArchitecture(width, headsOf(task), channelCount(cohort.options));
  return { architecture, width, ...startFrom(cohort, parameterTable(architecture), seed, initial) };
}
