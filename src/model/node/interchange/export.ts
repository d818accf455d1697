/** A model for other programs: ONNX, PyTorch, safetensors, a folder for Hugging Face. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../../common/errors.ts';
import { version } from '../../../common/version.ts';
import { writeFileAtomic, writeNewFolder } from '../../../platform/node/files.ts';
import { architectureOf } from '../../configuration.ts';
import { flatTensor, namedTensors } from '../../named-parameters.ts';
import { parameterTable } from '../../parameters.ts';
import { type Model, readModel, resolveModel, writeModel } from '../model-folder.ts';
import { writeSafetensors } from '../safetensors.ts';
import { modelCard } from './model-card.ts';
import { encodeOnnx, INPUT, type NamedAxes, OPSET } from './onnx.ts';
import { type NetworkPart, takePart, usualPart } from './part.ts';
import { encodePyTorch } from './write-pytorch.ts';

/** The networks in PyTorch; it travels with a Hugging Face folder. */
export const TORCH_MODULE = fileURLToPath(new URL('../../../../scripts/gvsl_torch.py', import.meta.url));

export interface ExportCall {
  /** A model folder, or a run. */
  readonly model: string;
  /** What to write; at least one. */
  readonly onnx?: string | undefined;
  readonly pth?: string | undefined;
  readonly safetensors?: string | undefined;
  readonly huggingface?: string | undefined;
  /** Default: all that the model has; of ONNX, what the model is for. */
  readonly part?: NetworkPart | undefined;
  /** (D, H, W) of the ONNX file's input; default: any. */
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
    description: `${part} of gvsl; ${INPUT} (N, 1, D, H, W), float32, prepared as gvsl.preprocessing says`,
    metadata: onnxMetadata(configuration),
    producerVersion: version,
  });
  await writeFileAtomic(path, ...pieces);
  return { part, opset: OPSET, input, outputs };
}

async function writeHuggingFace(path: string, { configuration, parameters }: Model): Promise<void> {
  const card = modelCard(configuration, countOf({ configuration, parameters }), basename(resolve(path)));
  const module = await readFile(TORCH_MODULE);
  await writeNewFolder(path, async (folder) => {
    await writeModel(folder, configuration, parameters.values());
    await writeFileAtomic(join(folder, 'gvsl_torch.py'), module);
    await writeFileAtomic(join(folder, 'README.md'), card);
  });
}

/**
 * Writes what is asked for; files of those names are replaced, a folder must be new.
 * @throws UsageError if nothing is asked for, or what does not go together; RunError for a model that is damaged or has no such part
 */
export async function exportModel(call: ExportCall): Promise<ExportReport> {
  const { onnx, pth, safetensors, huggingface, part, size } = call;
  const files = [onnx, pth, safetensors, huggingface].filter((path) => path !== undefined);
  const twice = files.find((path, k) => files.slice(0, k).some((other) => resolve(other) === resolve(path)));
  if (twice !== undefined) throw new UsageError(`${twice}: used for two formats; choose separate files`);
  if (files.length === 0)
    throw new UsageError('no output chosen: add the file `onnx`, `pth` or `safetensors`, or the folder `huggingface`');
  if (size && onnx === undefined) throw new UsageError('`size`: only valid with the file `onnx`');
  for (const [option, path] of Object.entries({ onnx, pth, safetensors, huggingface })) {
    const taken = path === undefined ? undefined : await stat(path).catch(() => undefined);
    if (taken?.isDirectory() && (option !== 'huggingface' || (await readdir(path!)).length > 0))
      throw new UsageError(
        `\`${option}\` ${path}: ${option === 'huggingface' ? 'not empty; choose a folder that does not exist' : 'is a folder; expected a file'}`,
      );
    if (taken && !taken.isDirectory() && option === 'huggingface')
      throw new UsageError(`\`huggingface\` ${path}: is a file; expected a folder`);
  }
  const folder = await resolveModel(call.model);
  const whole = complete(await readModel(folder), folder);
  const taken = part ? takePart(whole, part, folder) : whole;
  const tensors = [...taken.parameters.values()];
  const described = onnx === undefined ? null : await writeOnnx(onnx, whole, folder, call);
  if (pth !== undefined) await writeFileAtomic(pth, ...encodePyTorch(tensors));
  if (safetensors !== undefined) await writeSafetensors(safetensors, tensors, { format: 'pt' });
  if (huggingface !== undefined) {
    // with the head of a pre-training that tells voxels apart it would pass for a segmenter
    const usual = usualPart(taken.configuration);
    const { segmentation } = taken.configuration.architecture.heads;
    const published = usual === 'backbone' && segmentation !== undefined ? takePart(taken, usual, folder) : taken;
    await writeHuggingFace(huggingface, published);
  }
  return { model: folder, part: part ?? null, parameters: countOf(taken), files, onnx: described };
}
