/**
 * A model folder: `model.safetensors` (parameters under their published names) and `config.json` (what they are: architecture,
 * the preprocessing they expect, how they came to be). Every command that takes a model takes such a folder, or a run, and then
 * its best state.
 */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { RunError } from '../../common/errors.ts';
import { findFolder, isFile, writeFileAtomic } from '../../platform/node/files.ts';
import {
  CONFIG_FILE,
  MODEL_FILE,
  type ModelConfiguration,
  modelConfigurationSchema,
  parseModelConfiguration,
} from '../configuration.ts';
import { type NamedTensor, requireFinite } from '../safetensors.ts';
import { jsonText, readDocument, readJson } from './documents.ts';
import { readSafetensors, writeSafetensors } from './safetensors.ts';
import { shippedModel } from './shipped.ts';

/** A network's parameters and what they are. */
export interface Model {
  readonly configuration: ModelConfiguration;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
}

/** Writes a model's two files into a folder that exists, or is made. To replace a model whole, write it within `writeFolderAtomic`. */
export async function writeModel(
  folder: string,
  configuration: ModelConfiguration,
  parameters: Iterable<NamedTensor>,
  dtype: 'F32' | 'F16' = 'F32',
): Promise<void> {
  // What cannot be read back must not be written.
  const checked = modelConfigurationSchema.parse(configuration);
  // "pt" is what PyTorch's readers look for: the names and shapes are a state dict's.
  await writeSafetensors(join(folder, MODEL_FILE), parameters, { format: 'pt' }, dtype);
  await writeFileAtomic(join(folder, CONFIG_FILE), jsonText(checked));
}

/**
 * Reads a model.
 * @param folder what `resolveModel` returned
 * @throws RunError naming the file that is missing or damaged
 */
export async function readModel(folder: string): Promise<Model> {
  const path = join(folder, CONFIG_FILE);
  const configuration = parseModelConfiguration(await readDocument(path), path);
  const file = join(folder, MODEL_FILE);
  const { tensors } = await readSafetensors(file);
  requireFinite(tensors.values(), file);
  return { configuration, parameters: tensors };
}

const isModelFolder = async (folder: string): Promise<boolean> =>
  (await isFile(join(folder, MODEL_FILE))) && (await isFile(join(folder, CONFIG_FILE)));

/**
 * The model folder that a user means: the path itself, the folder of a `model.safetensors`, of a run the best state, else the
 * last, or, where that is none, the shipped model of that name. Nothing on the disk is changed, so a run may be going on.
 * @throws RunError that says what was found instead
 */
export async function resolveModel(path: string): Promise<string> {
  const given = basename(path) === MODEL_FILE && (await isFile(path)) ? dirname(path) : path;
  // RUN/last may lie ready beside its name if the run was killed while it was replaced.
  const folder = (await findFolder(given)) ?? given;
  if (await isModelFolder(folder)) return folder;
  for (const which of ['best', 'last']) {
    const state = await findFolder(join(folder, which));
    if (state !== undefined && (await isModelFolder(state))) return state;
  }
  const found = await stat(folder).then(
    (status) => (status.isDirectory() ? 'neither' : 'a file'),
    () => 'nothing',
  );
  if (found === 'a file')
    throw new RunError(
      `${path}: is a file; expected a folder with ${MODEL_FILE} and ${CONFIG_FILE}, or a run; of a file of weights (PyTorch, safetensors) \`gvsl import\` makes one`,
    );
  if (await isFile(join(folder, 'metrics.jsonl')))
    throw new RunError(`${path}: a run without a checkpoint; wait for the first one, or continue it with \`resume\``);
  // A folder of scans may well be called as the model that was trained on such; a model of which half is missing is not that.
  const half = (await isFile(join(folder, MODEL_FILE))) || (await isFile(join(folder, CONFIG_FILE)));
  const shipped = half ? undefined : await shippedModel(path);
  if (shipped) return shipped.folder;
  if (found === 'nothing')
    throw new RunError(
      `${path}: no such folder; expected a model folder, a run, or the name of a model that gvsl brings along (\`gvsl models\`)`,
    );
  throw new RunError(
    `${path}: neither a model folder (${MODEL_FILE} and ${CONFIG_FILE}) nor a run (a folder with best/ or last/)`,
  );
}

/** What lists the models of a cross-validation, in its folder (written by training/node/task/cross-validate.ts). */
export const FOLDS_FILE = 'cross-validation.json';
const foldsSchema = z.looseObject({ folds: z.array(z.looseObject({ run: z.string() })).min(1) });

/** The model folders that a user means: those of all folds of a cross-validation, else the one of `resolveModel`. */
export async function resolveModels(path: string): Promise<string[]> {
  const list = join(path, FOLDS_FILE);
  if (!(await isFile(list))) return [await resolveModel(path)];
  const { folds } = await readJson(list, foldsSchema, 256e6);
  return Promise.all(folds.map(({ run }) => resolveModel(join(path, run))));
}
