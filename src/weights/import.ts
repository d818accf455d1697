/** Foreign weights become a model folder: which network they are is told by names and shapes, and every value is checked. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { UsageError, WorkError } from '../errors/errors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import type { Architecture } from '../model/architecture.ts';
import { parameterTable } from '../model/parameters.ts';
import { writeFolderAtomic } from '../node/files.ts';
import { openRandomAccess } from '../node/random-access.ts';
import { openSafetensors } from '../node/safetensors.ts';
import {
  CONFIG_FILE,
  MODEL_FILE,
  type ModelConfiguration,
  modelConfigurationSchema,
  preprocessingOf,
} from '../training/model-configuration.ts';
import { readJson, resolveModel, writeModel } from '../training/model-folder.ts';
import { version } from '../version.ts';
import { type Matched, matchNetwork } from './match.ts';
import { openPyTorch } from './pytorch.ts';
import type { StoredTensor, StoredWeights } from './stored.ts';

export interface ImportCall {
  /** A file of weights, or a folder that holds one. */
  readonly file: string;
  /** The model folder to make. */
  readonly out: string;
  /** What the network was trained on, if the user says so. */
  readonly modality?: 'ct' | 'mr' | undefined;
}

export interface ImportReport extends Pick<Matched, 'width' | 'prefix' | 'unetAlone' | 'missingHeads' | 'unknown'> {
  /** The file that was read. */
  readonly file: string;
  /** 'PyTorch (zip)', 'PyTorch (before 1.6)', 'safetensors'. */
  readonly format: string;
  readonly heads: Architecture['heads'];
  /** Tensors that were taken, and the numbers in them. */
  readonly matched: number;
  readonly parameters: number;
  /** The types that the values came in. */
  readonly dtypes: readonly string[];
  readonly preprocessing: ModelConfiguration['preprocessing'];
  readonly remarks: readonly string[];
}

/** What Hugging Face's libraries call a file of torch.save. */
const PYTORCH_FILE = 'pytorch_model.bin';
/** Types in which weights are stored; whole numbers in a parameter's place are a mistake. */
const FLOATS: readonly string[] = ['F64', 'F32', 'F16', 'BF16'];

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (status) => status.isFile(),
    () => false,
  );

/** The file of weights that a path means: itself, a folder's, or a run's best state. */
async function findFile(path: string): Promise<string> {
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) return path;
  for (const name of [MODEL_FILE, PYTORCH_FILE]) if (await isFile(join(path, name))) return join(path, name);
  return join(await resolveModel(path), MODEL_FILE);
}

async function openWeights(path: string): Promise<StoredWeights> {
  const file = await openRandomAccess(path, 'a file of weights (.pth or .safetensors)');
  const start = await file.read(0, Math.min(file.sizeBytes, 32));
  await file.close();
  if (new TextDecoder().decode(start).startsWith('version https://git-lfs'))
    throw new WorkError(`${path}: a Git LFS pointer, not the file that it stands for; fetch that with 'git lfs pull'`);
  // A safetensors file starts with the length of its JSON header, whatever its name is.
  if (start[8] !== 0x7b && !path.endsWith('.safetensors')) return openPyTorch(path);
  const opened = await openSafetensors(path);
  const tensors = new Map<string, StoredTensor>(
    [...opened.tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape, read: () => opened.read(name) }]),
  );
  return { format: 'safetensors', tensors, close: opened.close };
}

/** The configuration beside the file if it is one of ours; a config.json of another library says nothing that we know. */
async function configurationBeside(file: string): Promise<ModelConfiguration | undefined> {
  const path = join(dirname(file), CONFIG_FILE);
  if (![MODEL_FILE, PYTORCH_FILE].includes(basename(file)) || !(await isFile(path))) return undefined;
  const { format } = await readJson(path, z.looseObject({ format: z.unknown().optional() }));
  return format === 'gvsl-model' ? readJson(path, modelConfigurationSchema) : undefined;
}

const describe = ({ channels, heads }: ModelConfiguration['architecture']): string => {
  const standing = Object.entries(heads)
    .filter(([, value]) => value !== false && value !== undefined)
    .map(([name, value]) => (value === true ? name : `${name} ${value}`));
  return `${channels.join('-')} with ${standing.sort().join(', ') || 'no heads'}`;
};

async function readParameters(
  weights: StoredWeights,
  { architecture, names }: Matched,
  source: string,
): Promise<{ parameters: NamedTensor[]; dtypes: string[] }> {
  const parameters: NamedTensor[] = [];
  const dtypes = new Set<string>();
  for (const { name, shape } of parameterTable(architecture).parameters) {
    const stored = weights.tensors.get(names.get(name)!)!;
    if (!FLOATS.includes(stored.dtype))
      throw new WorkError(`${source}: ${names.get(name)} holds ${stored.dtype}; expected floating point (${FLOATS.join(', ')})`);
    dtypes.add(stored.dtype);
    const data = await stored.read();
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new WorkError(
        `${source}: ${names.get(name)} holds ${data[bad]} at index ${bad}: a damaged file, or training that diverged; take an earlier checkpoint`,
      );
    parameters.push({ name, shape, data });
  }
  return { parameters, dtypes: [...dtypes] };
}

/**
 * Reads weights and writes a model folder.
 * @throws WorkError naming file and reason if they cannot be read, or are no network of ours; UsageError if `out` is taken or the modality contradicts
 */
export async function importWeights({ file: path, out, modality }: ImportCall): Promise<ImportReport> {
  const taken = await stat(out).catch(() => undefined);
  if (taken && (!taken.isDirectory() || (await readdir(out)).length > 0))
    throw new UsageError(`--out ${out}: exists already; name a folder that does not`);
  const file = await findFile(path);
  const weights = await openWeights(file);
  try {
    const matched = matchNetwork(weights.tensors, file);
    const { width, architecture, prefix, unetAlone, missingHeads, unknown } = matched;
    const network = { width, channels: architecture.widths.slice(0, 5), heads: architecture.heads };
    const known = await configurationBeside(file);
    if (known && describe(known.architecture) !== describe(network))
      throw new WorkError(
        `${dirname(file)}: ${CONFIG_FILE} describes ${describe(known.architecture)}, ${basename(file)} is ${describe(network)}; were they copied together?`,
      );
    const prepared = modality && preprocessingOf(known ?? unknownConfiguration(network), file, modality);
    const configuration: ModelConfiguration = {
      ...(known ?? unknownConfiguration(network)),
      ...(prepared && {
        preprocessing: {
          modality: prepared.modality,
          spacingMm: [prepared.spacingMm[0], prepared.spacingMm[1], prepared.spacingMm[2]],
          intensity: prepared.intensity,
          crop: prepared.crop,
        },
      }),
    };
    const { parameters, dtypes } = await readParameters(weights, matched, file);
    await writeFolderAtomic(out, (folder) => writeModel(folder, configuration, parameters));
    const { preprocessing } = configuration;
    return {
      file,
      format: weights.format,
      width,
      heads: architecture.heads,
      matched: parameters.length,
      parameters: parameters.reduce((sum, { data }) => sum + data.length, 0),
      prefix,
      unetAlone,
      missingHeads,
      unknown,
      dtypes,
      preprocessing,
      remarks: [
        ...(preprocessing
          ? []
          : ['how its training images were prepared is not known: commands that read images will ask for --modality']),
        ...(dtypes.some((dtype) => dtype === 'F64') ? ['double precision was rounded to 32-bit floats'] : []),
      ],
    };
  } finally {
    await weights.close();
  }
}

/** What can be said of a network that came without a configuration of ours. */
const unknownConfiguration = (architecture: ModelConfiguration['architecture']): ModelConfiguration => ({
  format: 'gvsl-model',
  formatVersion: 1,
  architecture,
  preprocessing: null,
  task: null,
  pretraining: null,
  training: null,
  seed: 0,
  step: 0,
  versions: { gvsl: version },
});
