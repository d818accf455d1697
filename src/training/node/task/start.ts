/** Where training on a task starts: a pre-trained backbone with a new head, or random numbers. */
import { join } from 'node:path';
import type { Cohort } from '../../../cohort/cohort.ts';
import { RunError, UsageError } from '../../../common/errors.ts';
import { type Architecture, scaledArchitecture } from '../../../model/architecture.ts';
import { architectureOf, MODEL_FILE, type Task } from '../../../model/configuration.ts';
import { readModel, resolveModel } from '../../../model/node/model-folder.ts';
import { initialParameters, parameterTable, valuesOf } from '../../../model/parameters.ts';
import { sha256Of } from '../../../platform/node/files.ts';
import type { TransferConfiguration } from '../../task/configuration.ts';
import { headsOf } from './task.ts';

export interface TransferStart {
  readonly architecture: Architecture;
  readonly width: number;
  /** The flat state of a new run. */
  readonly parameters: Float32Array;
  /** What is unusual about it, for people. */
  readonly warnings: readonly string[];
}

/** The model that a training starts from, known by its bytes; null for random numbers. @throws RunError if it is not there */
export async function initialModelOf(init: string): Promise<{ readonly path: string; readonly sha256: string } | null> {
  return init === 'scratch' ? null : { path: init, sha256: await sha256Of(join(await resolveModel(init), MODEL_FILE)) };
}

/** How a cohort's preparation differs from the one that a model learned from, in words. */
function differences(
  cohort: Cohort,
  preprocessing: Awaited<ReturnType<typeof readModel>>['configuration']['preprocessing'],
): string[] {
  if (!preprocessing) return [];
  const { modality, spacingMm, intensity } = cohort.options;
  const found: string[] = [];
  if (preprocessing.modality !== modality) found.push(`it was trained on ${preprocessing.modality}, the cohort is ${modality}`);
  if (preprocessing.spacingMm.some((mm, k) => Math.abs(mm - spacingMm[k]) > 1e-3))
    found.push(`it was trained at ${preprocessing.spacingMm.join(' x ')} mm, the cohort is at ${spacingMm.join(' x ')} mm`);
  if (modality === 'mr' && preprocessing.intensity !== intensity)
    found.push(`intensities were scaled by ${preprocessing.intensity}, the cohort's by ${intensity}`);
  return found.map((difference) => `initial model: ${difference}`);
}

/**
 * The parameters that a new run starts from.
 * @throws UsageError for a width that is not the model's, RunError for a model that is missing, damaged or of another architecture
 */
export async function initialWeights(cohort: Cohort, configuration: TransferConfiguration, task: Task): Promise<TransferStart> {
  const { init, seed, model } = configuration;
  const heads = headsOf(task);
  if (init === 'scratch') {
    const width = model.width === 'auto' ? 1 : model.width;
    const architecture = scaledArchitecture(width, heads);
    return { architecture, width, parameters: initialParameters(parameterTable(architecture), seed), warnings: [] };
  }
  const folder = await resolveModel(init);
  const source = await readModel(folder);
  const { width } = source.configuration.architecture;
  architectureOf(source.configuration, folder);
  if (model.width !== 'auto' && model.width !== width)
    throw new UsageError(`\`model.width\` ${model.width}: the model ${folder} has width ${width}; omit it`);
  const architecture = scaledArchitecture(width, heads);
  const table = parameterTable(architecture);
  const parameters = initialParameters(table, seed);
  for (const parameter of table.parameters) {
    if (!parameter.name.startsWith('unet.')) continue;
    const tensor = source.parameters.get(parameter.name);
    if (tensor?.shape.join() !== parameter.shape.join())
      throw new RunError(
        `${folder}: expected ${parameter.name} [${parameter.shape.join(', ')}], found ${tensor ? `[${tensor.shape.join(', ')}]` : 'none'}: its backbone cannot be used for this task${task.kind === 'segmentation' && source.configuration.architecture.heads.classification !== undefined ? ' (a classifier has no decoder)' : ''}`,
      );
    valuesOf(parameters, parameter).set(tensor.data);
  }
  return { architecture, width, parameters, warnings: differences(cohort, source.configuration.preprocessing) };
}
