/** The model that a training starts from (`init`), read from its folder. */
import { join } from 'node:path';
import { UsageError } from '../../common/errors.ts';
import { architectureOf, MODEL_FILE } from '../../model/configuration.ts';
import { readModel, resolveModel } from '../../model/node/model-folder.ts';
import { sha256Of } from '../../platform/node/files.ts';
import type { InitialModel } from '../start.ts';

/** The `init` of random numbers. */
export const SCRATCH = 'scratch';

/** The width `auto` from scratch: the paper's. */
export const SCRATCH_WIDTH = 1;

/** The model that a training starts from, known by its bytes; null for random numbers. @throws RunError if it is not there */
export async function initialModelOf(init: string = SCRATCH): Promise<{ readonly path: string; readonly sha256: string } | null> {
  return init === SCRATCH ? null : { path: init, sha256: await sha256Of(join(await resolveModel(init), MODEL_FILE)) };
}

/**
 * Reads a model to start from.
 * @param width the configuration's; `auto`: the model's
 * @throws UsageError for a width that is not the model's, RunError for a model that is missing, damaged or of another architecture
 */
export async function readInitialModel(init: string, width: number | 'auto'): Promise<InitialModel> {
  const folder = await resolveModel(init);
  const model = await readModel(folder);
  const own = model.configuration.architecture.width;
  architectureOf(model.configuration, folder);
  if (width !== 'auto' && width !== own)
    throw new UsageError(`\`model.width\` ${width}: the model ${folder} has width ${own}: set \`model.width\` to ${own}`);
  return { ...model, init, folder, width: own };
}
