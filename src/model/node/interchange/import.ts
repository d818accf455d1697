/** Foreign weights become a model folder: which network they are is told by names and shapes, and every value is checked. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RunError, UsageError } from '../../../common/errors.ts';
import { version } from '../../../common/version.ts';
import { isFile, writeNewFolder } from '../../../platform/node/files.ts';
import type { Architecture } from '../../architecture.ts';
import { CONFIG_FILE, type ModelConfiguration, parseModelConfiguration, preprocessingOf } from '../../configuration.ts';
import { parameterTable } from '../../parameters.ts';
import type { NamedTensor } from '../../safetensors.ts';
import { readDocument } from '../documents.ts';
import { writeModel } from '../model-folder.ts';
import { isFirstTensor, type Matched, matchNetwork } from './match.ts';
import { FOLDER_FILES, findWeights, openWeights } from './open.ts';
import type { StoredWeights } from './stored.ts';

export interface ImportCall {
  /** A file of weights, the index of several, or a folder that holds either. */
  readonly file: string;
  /** The model folder to make. */
  readonly out: string;
  /** What the network was trained on, if the user says so. */
  readonly modality?: 'ct' | 'mr' | undefined;
}

export interface ImportReport extends Pick<Matched, 'width' | 'prefix' | 'unetAlone' | 'missingHeads' | 'unknown'> {
  /** The file that was read. */
  readonly file: string;
  /** 'PyTorch (zip)', 'PyTorch (before 1.6)', 'safetensors'; 'safetensors, 2 files'. */
  readonly format: string;
  readonly heads: Architecture['heads'];
  /** Tensors that were taken, and the numbers in them. */
  readonly matched: number;
  readonly parameters: number;
  /** The types that the values came in. */
  readonly dtypes: readonly string[];
  readonly preprocessing: ModelConfiguration['preprocessing'];
  /** Objects beside the tensors, by the name of their class or function: how many. Nothing of them was run. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

/** Types in which weights are stored; whole numbers in a parameter's place are a mistake. */
const FLOATS: readonly string[] = ['F64', 'F32', 'F16', 'BF16'];

/** What a pickle calls to do harm; a checkpoint has no use for any of it. */
const ATTACKS =
  /^((os|posix|nt|subprocess|pty|socket|runpy|importlib|shutil|webbrowser|ctypes|code)\.|(builtins|__builtin__)\.(eval|exec|execfile|compile|open|__import__)$)/;

/** The configuration beside the file if it is one of ours; a config.json of another library says nothing that we know. */
async function configurationBeside(file: string): Promise<ModelConfiguration | undefined> {
  const path = join(dirname(file), CONFIG_FILE);
  if (!FOLDER_FILES.some((name) => name === basename(file)) || !(await isFile(path))) return undefined;
  const document = await readDocument(path);
  const { format } = (document ?? {}) as { format?: unknown };
  return format === 'gvsl-model' ? parseModelConfiguration(document, path) : undefined;
}

const describe = ({ channels, heads, inputChannels = 1 }: ModelConfiguration['architecture']): string => {
  const standing = Object.entries(heads)
    .filter(([, value]) => value !== false && value !== undefined)
    .map(([name, value]) => {
      if (typeof value !== 'object') return value === true ? name : `${name} ${value}`;
      return `${name} ${value.kind} ${value.outputs}${value.predictor === false ? ' without predictor' : ''}`;
    });
  return `${inputChannels === 1 ? '' : `${inputChannels} input channels, `}${channels.join('-')} with ${standing.sort().join(', ') || 'no heads'}`;
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
      throw new RunError(`${source}: ${names.get(name)} holds ${stored.dtype}; expected floating point (${FLOATS.join(', ')})`);
    dtypes.add(stored.dtype);
    const data = await stored.read();
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new RunError(
        `${source}: ${names.get(name)} holds ${data[bad]} at index ${bad}: a damaged file, or diverged training; use an earlier checkpoint`,
      );
    parameters.push({ name, shape, data });
  }
  return { parameters, dtypes: [...dtypes] };
}

/**
 * Reads weights and writes a model folder.
 * @throws RunError naming file and reason if they cannot be read, or are no network of ours; UsageError if `out` is taken or the modality contradicts
 */
export async function importWeights({ file: path, out, modality }: ImportCall): Promise<ImportReport> {
  const taken = await stat(out).catch(() => undefined);
  if (taken && (!taken.isDirectory() || (await readdir(out)).length > 0))
    throw new UsageError(`\`out\` ${out}: exists already; choose a folder that does not exist`);
  const file = await findWeights(path);
  const weights = await openWeights(file, isFirstTensor);
  try {
    const matched = matchNetwork(weights.tensors, file, weights.refused);
    const { width, architecture, prefix, unetAlone, missingHeads, unknown } = matched;
    const { widths, heads, ...more } = architecture;
    const network = {
      width,
      channels: widths.slice(0, 5),
      heads,
      ...(more.inputChannels !== undefined && { inputChannels: more.inputChannels }),
    };
    const known = await configurationBeside(file);
    if (known && describe(known.architecture) !== describe(network))
      throw new RunError(
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
          ...(prepared.channels && { channels: [...prepared.channels] }),
        },
      }),
    };
    const suspicious = [...weights.opaque.keys()].filter((name) => ATTACKS.test(name));
    const { parameters, dtypes } = await readParameters(weights, matched, file);
    await writeNewFolder(out, (folder) => writeModel(folder, configuration, parameters));
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
      skipped: Object.fromEntries(weights.opaque),
      warnings: [
        ...weights.warnings,
        ...matched.warnings,
        ...(suspicious.length > 0
          ? [
              `the file names ${suspicious.join(', ')}, which no checkpoint needs: it may be an attack on PyTorch. None of it was executed`,
            ]
          : []),
        ...(preprocessing ? [] : ['its preprocessing is unknown: commands that read images will need `modality`']),
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
