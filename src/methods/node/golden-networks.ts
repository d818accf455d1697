/** Which network a golden file is of, by its metadata `method`, and its inputs as the program takes them. */
import { RunError } from '../../common/errors.ts';
import { formatShape, type Program, type Shape, sameShape } from '../../engine/graph.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { ALL_HEADS, type Architecture, GROUP_CHANNELS, type Heads, NO_HEADS, type Projection } from '../../model/architecture.ts';
import type { SafetensorsFile } from '../../model/node/safetensors.ts';
import type { ParameterTable } from '../../model/parameters.ts';
import { classificationProgram } from '../classification/program.ts';
import { contrastiveProgram } from '../contrastive/program.ts';
import { PAPER_LOSS, trainingProgram } from '../gvsl/program.ts';
import type { MethodProgramOptions } from '../method-program.ts';
import { restorationProgram } from '../restoration/program.ts';

/** A golden file that is open. */
export interface GoldenFile {
  readonly path: string;
  readonly file: SafetensorsFile;
}

/** The step that a golden is of. */
export interface GoldenNetwork {
  /** Its `gradient` takes the batch at once and gives everything that is compared. */
  program(lossScaling: boolean): { program: Program; table: ParameterTable };
  readonly inputs: Readonly<Record<string, Float32Array>>;
  /** Outputs of `gradient` that the file does not hold. */
  readonly unstored?: readonly string[];
  /** Another step that files hold instead of that of `program`, and what is to be said then. */
  readonly deviation?: { program(lossScaling: boolean): { program: Program; table: ParameterTable }; readonly text: string };
  /** Of BYOL: the share of itself that the target network keeps after each step. */
  readonly tau?: number;
}

/** A number above 0 from the metadata; with `multipleOf`, a whole one. @throws RunError naming the key */
export function metadataNumber({ path, file }: GoldenFile, key: string, multipleOf?: number): number {
  const value = Number(file.metadata[key]);
  if (value > 0 && value < Number.POSITIVE_INFINITY && (multipleOf === undefined || value % multipleOf === 0)) return value;
  const expected = multipleOf === undefined ? 'a number above 0' : `a multiple of ${multipleOf} above 0`;
  throw new RunError(`${path}: the metadata's '${key}' must be ${expected}, got '${file.metadata[key] ?? 'nothing'}'`);
}

/** @throws RunError naming the tensor if it is not there, or of another shape */
export function checkTensor({ path, file }: GoldenFile, name: string, shape: Shape): void {
  const stored = file.tensors.get(name)?.shape;
  if (!stored || !sameShape(stored, shape))
    throw new RunError(`${path}: ${name} must be ${formatShape(shape)}, got ${stored ? formatShape(stored) : 'nothing'}`);
}

/** @throws RunError naming the tensor if it is not there, or of another shape */
export async function readTensor(golden: GoldenFile, name: string, shape: Shape): Promise<Float32Array> {
  checkTensor(golden, name, shape);
  return golden.file.read(name);
}

function widthsOf({ path, file }: GoldenFile): readonly number[] {
  let widths: unknown;
  try {
    widths = JSON.parse(file.metadata.widths ?? 'null');
  } catch {
    widths = undefined;
  }
  const fine =
    Array.isArray(widths) &&
    widths.length === 9 &&
    widths.every((width) => Number.isInteger(width) && width > 0 && width % 8 === 0);
  if (!fine)
    throw new RunError(
      `${path}: the metadata's 'widths' must be nine multiples of 8, got '${file.metadata.widths ?? 'nothing'}'`,
    );
  return widths as number[];
}

/** The shape (N, 1, D, H, W) of an input, from which the step's sizes follow. */
function volumeShape({ path, file }: GoldenFile, name: string): { shape: Shape; samples: number; size: Zyx } {
  const shape = file.tensors.get(name)?.shape;
  if (shape?.length !== 5 || shape[1] !== 1 || shape.includes(0))
    throw new RunError(
      `${path}: not a golden file: ${name} must be (N, 1, D, H, W), got ${shape ? formatShape(shape) : 'nothing'}`,
    );
  return { shape, samples: shape[0], size: [shape[2], shape[3], shape[4]] };
}

/** The network of a method of pre-training other than GVSL: its matching heads are left out, so their widths say nothing. */
function methodOptions(golden: GoldenFile, heads: Heads, view = 'input.view'): { shape: Shape; options: MethodProgramOptions } {
  const { shape, samples, size } = volumeShape(golden, view);
  const architecture: Architecture = {
    widths: widthsOf(golden),
    affineHidden: GROUP_CHANNELS,
    flowHidden: GROUP_CHANNELS,
    heads,
  };
  return { shape, options: { architecture, size, samples, batch: samples } };
}

async function gvslNetwork(golden: GoldenFile): Promise<GoldenNetwork> {
  const { shape, samples, size } = volumeShape(golden, 'input.fixed');
  const architecture: Architecture = {
    widths: widthsOf(golden),
    affineHidden: metadataNumber(golden, 'f_hidden', GROUP_CHANNELS),
    flowHidden: metadataNumber(golden, 's_hidden', GROUP_CHANNELS),
    heads: ALL_HEADS,
  };
  const options = { architecture, loss: PAPER_LOSS, size, samples, batch: samples };
  return {
    program: (lossScaling) => trainingProgram({ ...options, lossScaling }, true),
    inputs: {
      movingView: await readTensor(golden, 'input.moving_view', shape),
      fixed: await readTensor(golden, 'input.fixed', shape),
      moving: await readTensor(golden, 'input.moving', shape),
    },
  };
}

async function restorationNetwork(golden: GoldenFile): Promise<GoldenNetwork> {
  const { shape, options } = methodOptions(golden, { ...NO_HEADS, restoration: true });
  return {
    program: (lossScaling) => restorationProgram({ ...options, masked: true, lossScaling }, true),
    inputs: {
      view: await readTensor(golden, 'input.view', shape),
      target: await readTensor(golden, 'input.target', shape),
      mask: await readTensor(golden, 'input.mask', shape),
    },
    unstored: ['loss.mse'],
  };
}

async function classificationNetwork(golden: GoldenFile): Promise<GoldenNetwork> {
  const classes = metadataNumber(golden, 'classes', 1);
  const { shape, options } = methodOptions(golden, { ...NO_HEADS, classification: classes });
  const indices = await readTensor(golden, 'input.class', [shape[0]]);
  const oneHot = new Float32Array(indices.length * classes);
  indices.forEach((index, sample) => {
    if (!(Number.isInteger(index) && index >= 0 && index < classes))
      throw new RunError(`${golden.path}: input.class must hold whole numbers from 0 to ${classes - 1}, got ${index}`);
    oneHot[sample * classes + index] = 1;
  });
  return {
    program: (lossScaling) => classificationProgram({ ...options, lossScaling }, true),
    inputs: { view: await readTensor(golden, 'input.view', shape), class: oneHot },
    unstored: ['loss.crossEntropy'],
  };
}

/** The length of a parameter's first axis. @throws RunError if it is not there */
function rowsOf({ path, file }: GoldenFile, name: string): number {
  const rows = file.tensors.get(name)?.shape[0];
  if (rows === undefined) throw new RunError(`${path}: not a golden file: ${name} is missing`);
  return rows;
}

/** @param last the projector's last layer @param unstored what the file does not hold of the outputs */
const contrastiveNetwork =
  (kind: Projection['kind'], last: string, unstored: readonly string[]) =>
  async (golden: GoldenFile): Promise<GoldenNetwork> => {
    const projection = { kind, outputs: rowsOf(golden, `param.projector.${last}.weight`) };
    const { shape, options } = methodOptions(golden, { ...NO_HEADS, projection }, 'input.view1');
    const temperature = kind === 'simclr' ? { temperature: metadataNumber(golden, 'temperature') } : {};
    const made = { ...options, ...temperature, judgedSamples: options.samples ?? 1 };
    return {
      program: (lossScaling) => contrastiveProgram({ ...made, lossScaling }),
      inputs: {
        view1: await readTensor(golden, 'input.view1', shape),
        view2: await readTensor(golden, 'input.view2', shape),
      },
      unstored,
      ...(kind === 'byol' && {
        tau: metadataNumber(golden, 'tau'),
        deviation: {
          program: (lossScaling: boolean) => contrastiveProgram({ ...made, targetEncoder: 'online', lossScaling }),
          text: 'this is no step of BYOL: the target projector stands on the encoder that is trained, not on its own (what a copied PyTorch module computes whose forward calls the original); compared with that',
        },
      }),
    };
  };

/** By the metadata's `method`; files of GVSL may leave it out. */
const NETWORKS: Readonly<Record<string, (golden: GoldenFile) => Promise<GoldenNetwork>>> = {
  gvsl: gvslNetwork,
  restore: restorationNetwork,
  classify: classificationNetwork,
  simclr: contrastiveNetwork('simclr', '2', ['loss.ntXent']),
  simsiam: contrastiveNetwork('simsiam', '3', ['loss.negativeCosine']),
  byol: contrastiveNetwork('byol', '3', ['loss.distance', 'out.z']),
};

/** Methods whose goldens can be replayed. */
export const GOLDEN_METHODS: readonly string[] = Object.keys(NETWORKS);

/** @throws RunError if the file is no golden, or of a method that is not known */
export function networkOf(golden: GoldenFile): Promise<GoldenNetwork> {
  const method = golden.file.metadata.method ?? 'gvsl';
  if (!Object.hasOwn(NETWORKS, method))
    throw new RunError(
      `${golden.path}: golden file of the method '${method}'; this version replays those of ${GOLDEN_METHODS.join(', ')}`,
    );
  return NETWORKS[method](golden);
}
