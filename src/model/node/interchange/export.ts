/** A model for other programs: files of ONNX, PyTorch, safetensors; folders for Hugging Face, nnU-Net and MONAI. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UsageError } from '../../../common/errors.ts';
import { version } from '../../../common/version.ts';
import { writeFileAtomic, writeNewFolder } from '../../../platform/node/files.ts';
import { SIZE_MULTIPLE } from '../../architecture.ts';
import { architectureOf } from '../../configuration.ts';
import { flatTensor, namedTensors } from '../../named-parameters.ts';
import { parameterTable } from '../../parameters.ts';
import { type Model, readModel, resolveModel, writeModel } from '../model-folder.ts';
import { writeSafetensors } from '../safetensors.ts';
import { cardOf, licenceLines, type ModelCard } from '../shipped.ts';
import { modelCard } from './model-card.ts';
import { writeMonai } from './monai.ts';
import { toMultiple, writeNnUnet } from './nnunet.ts';
import { encodeOnnx, INPUT, type NamedAxes, OPSET } from './onnx.ts';
import { type NetworkPart, takePart, usualPart } from './part.ts';
import { TORCH_MODULE } from './python-modules.ts';
import { encodePyTorch } from './write-pytorch.ts';

/** What can be written, each a file or a folder that must be new. */
const TARGETS = {
  onnx: 'file',
  pth: 'file',
  safetensors: 'file',
  huggingface: 'folder',
  nnunet: 'folder',
  monai: 'folder',
} as const;
export type ExportTarget = keyof typeof TARGETS;
const NAMES = Object.keys(TARGETS) as ExportTarget[];

/** By target the path to write to; at least one. */
export interface ExportCall extends Readonly<Partial<Record<ExportTarget, string | undefined>>> {
  /** A model folder, or a run. */
  readonly model: string;
  /** Default: all that the model has; of ONNX, what the model is for. */
  readonly part?: NetworkPart | undefined;
  /** (D, H, W) of the ONNX file's input (default: any), and of the patches that are recommended to nnU-Net (default: those of training). */
  readonly size?: readonly [number, number, number] | undefined;
}

export interface ExportReport {
  /** The folder that was read. */
  readonly model: string;
  /** As asked; null: all that the model has. */
  readonly part: NetworkPart | null;
  /** Numbers in the tensors that were written; of the ONNX file under `onnx`. */
  readonly parameters: number;
  readonly files: readonly string[];
  readonly onnx: {
    readonly part: NetworkPart;
    readonly opset: number;
    readonly input: NamedAxes;
    readonly outputs: readonly NamedAxes[];
  } | null;
}

/** The model with exactly the parameters of its configuration, in order and shape. */
function complete(model: Model, folder: string): Model {
  const table = parameterTable(architectureOf(model.configuration, folder));
  return { ...model, parameters: namedTensors(table, flatTensor(table, model.parameters, folder)) };
}

const countOf = ({ parameters }: Model): number => [...parameters.values()].reduce((sum, { data }) => sum + data.length, 0);

/** What a program that has the ONNX file alone must know, as JSON under names of our own. */
function onnxMetadata({ preprocessing, task }: Model['configuration']): Record<string, string> {
  return {
    ...(preprocessing ? { 'gvsl.preprocessing': JSON.stringify(preprocessing) } : {}),
    ...(task ? { 'gvsl.task': JSON.stringify(task) } : {}),
  };
}

async function writeOnnx(
  path: string,
  model: Model,
  folder: string,
  call: ExportCall,
): Promise<NonNullable<ExportReport['onnx']>> {
  const part = call.part ?? usualPart(model.configuration);
  const { configuration, parameters } = takePart(model, part, folder);
  const { pieces, input, outputs } = encodeOnnx({
    part,
    architecture: architectureOf(configuration, folder),
    parameters,
    size: call.size,
    description: `${part} of gvsl; ${INPUT} (N, ${configuration.architecture.inputChannels ?? 1}, D, H, W), float32, prepared as gvsl.preprocessing says`,
    metadata: onnxMetadata(configuration),
    producerVersion: version,
  });
  await writeFileAtomic(path, ...pieces);
  return { part, opset: OPSET, input, outputs };
}

async function writeHuggingFace(
  path: string,
  { configuration, parameters }: Model,
  shipped: ModelCard | undefined,
): Promise<void> {
  const licence = shipped && { identifier: shipped.licence, lines: licenceLines(shipped) };
  const card = modelCard(configuration, countOf({ configuration, parameters }), basename(resolve(path)), licence);
  const module = await readFile(TORCH_MODULE);
  await writeNewFolder(path, async (folder) => {
    await writeModel(folder, configuration, parameters.values());
    await writeFileAtomic(join(folder, 'gvsl_torch.py'), module);
    await writeFileAtomic(join(folder, 'README.md'), card);
  });
}

/** The paths of a call by target. @throws UsageError for what is there already, or asked for twice */
async function chosenPaths(call: ExportCall): Promise<Map<ExportTarget, string>> {
  const chosen = new Map(
    NAMES.flatMap((name): [ExportTarget, string][] => (call[name] === undefined ? [] : [[name, call[name]]])),
  );
  const paths = [...chosen.values()];
  const twice = paths.find((path, k) => paths.slice(0, k).some((other) => resolve(other) === resolve(path)));
  if (twice !== undefined) throw new UsageError(`${twice}: used for two formats; choose separate files`);
  if (chosen.size === 0) {
    const of = (kind: string): string =>
      NAMES.filter((name) => TARGETS[name] === kind)
        .map((name) => `\`${name}\``)
        .join(', ');
    throw new UsageError(`no output chosen: add a file (${of('file')}) or a folder (${of('folder')})`);
  }
  for (const [name, path] of chosen) {
    const taken = await stat(path).catch(() => undefined);
    if (taken?.isDirectory() && TARGETS[name] === 'file')
      throw new UsageError(`\`${name}\` ${path}: is a folder; expected a file`);
    if (taken?.isDirectory() && (await readdir(path)).length > 0)
      throw new UsageError(`\`${name}\` ${path}: not empty; choose a folder that does not exist`);
    if (taken && !taken.isDirectory() && TARGETS[name] === 'folder')
      throw new UsageError(`\`${name}\` ${path}: is a file; expected a folder`);
  }
  return chosen;
}

/** What is published of a model: with the head of a pre-training that tells voxels apart it would pass for a segmenter. */
function published(taken: Model, folder: string): Model {
  const usual = usualPart(taken.configuration);
  const { segmentation } = taken.configuration.architecture.heads;
  return usual === 'backbone' && segmentation !== undefined ? takePart(taken, usual, folder) : taken;
}

/**
 * Writes what is asked for; files of those names are replaced, a folder must be new.
 * @throws UsageError if nothing is asked for, or what does not go together; RunError for a model that is damaged or has no such part
 */
export async function exportModel(call: ExportCall): Promise<ExportReport> {
  const { part, size } = call;
  const chosen = await chosenPaths(call);
  if (size && !chosen.has('onnx') && !chosen.has('nnunet'))
    throw new UsageError('`size`: only valid with the file `onnx` or the folder `nnunet`');
  if (size && chosen.has('nnunet') && toMultiple(size).join() !== size.join())
    throw new UsageError(
      `\`size\` ${size.join(',')}: a patch of nnU-Net has a multiple of ${SIZE_MULTIPLE} voxels in every axis; take ${toMultiple(size).join(',')}`,
    );
  const folder = await resolveModel(call.model);
  const whole = complete(await readModel(folder), folder);
  const taken = part ? takePart(whole, part, folder) : whole;
  const shipped = await cardOf(folder);
  const licence = shipped && licenceLines(shipped);
  const tensors = [...taken.parameters.values()];
  let described: ExportReport['onnx'] = null;
  const writers: Readonly<Record<ExportTarget, (path: string) => Promise<unknown>>> = {
    onnx: async (path) => {
      described = await writeOnnx(path, whole, folder, call);
    },
    pth: (path) => writeFileAtomic(path, ...encodePyTorch(tensors)),
    safetensors: (path) => writeSafetensors(path, tensors, { format: 'pt' }),
    huggingface: (path) => writeHuggingFace(path, published(taken, folder), shipped),
    nnunet: (path) => writeNnUnet(path, taken, folder, size, licence),
    monai: (path) => writeMonai(path, taken, folder, licence),
  };
  for (const [name, path] of chosen) await writers[name](path);
  return { model: folder, part: part ?? null, parameters: countOf(taken), files: [...chosen.values()], onnx: described };
}
