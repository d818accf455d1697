/**
 * Replays a golden: a file with inputs, parameters, and everything that PyTorch computed from them in double precision.
 *
 * Tensors in it: input.{moving_view,fixed,moving}, param.NAME, out.*, loss.*, grad.NAME, after.NAME (after the metadata's number of
 * Adam steps on the same inputs), loss_curve. Each is compared as a whole, ||got - want|| / ||want||, and by its worst element.
 */
import type { Backend } from '../engine/backend.ts';
import { adamStep } from '../engine/ops/adam/adam.ts';
import { WorkError } from '../errors/errors.ts';
import type { Zyx } from '../geometry/volume.ts';
import { PAPER_LOSS, STATES, trainingProgram } from '../method/gvsl.ts';
import { ALL_HEADS, type Architecture } from '../model/architecture.ts';
import { type ParameterTable, valuesOf } from '../model/parameters.ts';
import { openSafetensors, type SafetensorsFile } from '../node/safetensors.ts';

/** What a relative error may be: of outputs and losses; of gradients, and of parameters after the steps (Adam divides a gradient by its size). */
export const OUTPUT_TOLERANCE = 1e-4;
export const GRADIENT_TOLERANCE = 1e-3;

export interface Comparison {
  /** The tensor's name in the file. */
  readonly name: string;
  /** ||got - want|| / ||want||. */
  readonly relativeError: number;
  readonly tolerance: number;
  readonly passed: boolean;
  /** The element with the greatest difference. */
  readonly worst: { readonly index: readonly number[]; readonly got: number; readonly want: number };
}

export interface GoldenReport {
  readonly file: string;
  readonly backend: string;
  readonly passed: boolean;
  readonly comparisons: readonly Comparison[];
}

function compare(name: string, got: Float32Array, want: Float32Array, shape: readonly number[], tolerance: number): Comparison {
  let [squares, differences, worstAt, worstDifference] = [0, 0, 0, -1];
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs(got[i]! - want[i]!);
    differences += difference ** 2;
    squares += want[i]! ** 2;
    if (!(difference <= worstDifference)) [worstAt, worstDifference] = [i, difference];
  }
  // a tensor that is zero throughout has no relative error: then the difference itself counts
  const relativeError = Math.sqrt(squares > 0 ? differences / squares : differences);
  const index: number[] = [];
  for (let axis = shape.length - 1, rest = worstAt; axis >= 0; axis--) {
    index.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  return {
    name,
    relativeError,
    tolerance,
    passed: relativeError <= tolerance,
    worst: { index, got: got[worstAt]!, want: want[worstAt]! },
  };
}

function metadataNumber(file: SafetensorsFile, path: string, key: string): number {
  const value = Number(file.metadata[key]);
  if (!(value > 0))
    throw new WorkError(`${path}: the metadata's '${key}' must be a number above 0, got '${file.metadata[key] ?? 'nothing'}'`);
  return value;
}

function architectureOf(file: SafetensorsFile, path: string): Architecture {
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
    throw new WorkError(
      `${path}: the metadata's 'widths' must be nine multiples of 8, got '${file.metadata.widths ?? 'nothing'}'`,
    );
  return {
    widths: widths as number[],
    affineHidden: metadataNumber(file, path, 'f_hidden'),
    flowHidden: metadataNumber(file, path, 's_hidden'),
    heads: ALL_HEADS,
  };
}

/** Collects the file's parameters into one flat tensor. */
async function readParameters(file: SafetensorsFile, path: string, table: ParameterTable): Promise<Float32Array> {
  const flat = new Float32Array(table.flatLength);
  for (const parameter of table.parameters) {
    const stored = file.tensors.get(`param.${parameter.name}`);
    if (stored?.shape.join() !== parameter.shape.join()) {
      throw new WorkError(
        `${path}: param.${parameter.name} must be [${parameter.shape}], got ${stored ? `[${stored.shape}]` : 'nothing'}`,
      );
    }
    valuesOf(flat, parameter).set(await file.read(`param.${parameter.name}`));
  }
  return flat;
}

/** Computes what the golden holds on a backend, and compares. @throws WorkError if the file is no golden. */
export async function replayGolden(path: string, backend: Backend): Promise<GoldenReport> {
  const file = await openSafetensors(path);
  try {
    const shape = file.tensors.get('input.fixed')?.shape;
    if (shape?.length !== 5 || shape[1] !== 1)
      throw new WorkError(`${path}: no golden: input.fixed must be (N, 1, D, H, W), got [${shape ?? ''}]`);
    const [batch, , ...size] = shape as [number, number, number, number, number];
    const architecture = architectureOf(file, path);
    const options = { architecture, loss: PAPER_LOSS, size: size as Zyx, samples: batch, batch };
    const { program, table } = trainingProgram(options, true);
    const steps = metadataNumber(file, path, 'steps');
    const learningRate = metadataNumber(file, path, 'lr');
    const inputs = {
      movingView: await file.read('input.moving_view'),
      fixed: await file.read('input.fixed'),
      moving: await file.read('input.moving'),
    };
    const session = await backend.open(program);
    const got = new Map<string, Float32Array>();
    const named = (prefix: string, flat: Float32Array): void => {
      for (const parameter of table.parameters) got.set(`${prefix}.${parameter.name}`, valuesOf(flat, parameter));
    };
    try {
      await session.writeState(STATES.parameters, await readParameters(file, path, table));
      const curve: number[] = [];
      for (let step = 1; step <= steps; step++) {
        const outputs = await session.run('gradient', inputs, step === 1 ? undefined : ['loss.total']);
        curve.push(outputs['loss.total']![0]!);
        if (step === 1) {
          for (const [name, values] of Object.entries(outputs)) got.set(name, values);
          named('grad', await session.readState(STATES.gradients));
        }
        await session.run('update', { step: adamStep(learningRate, step) });
      }
      named('after', await session.readState(STATES.parameters));
      got.set('loss_curve', Float32Array.from(curve));
    } finally {
      await session.close();
    }
    const comparisons: Comparison[] = [];
    for (const [name, { shape: stored }] of file.tensors) {
      if (!/^(out|loss|grad|after)\.|^loss_curve$/.test(name)) continue;
      const values = got.get(name);
      if (!values) throw new WorkError(`${path}: '${name}' is nothing that this network computes`);
      const want = await file.read(name);
      if (values.length !== want.length)
        throw new WorkError(`${path}: '${name}' has ${want.length} values, the network gives ${values.length}`);
      comparisons.push(compare(name, values, want, stored, /^(grad|after)\./.test(name) ? GRADIENT_TOLERANCE : OUTPUT_TOLERANCE));
    }
    return { file: path, backend: backend.description, passed: comparisons.every(({ passed }) => passed), comparisons };
  } finally {
    await file.close();
  }
}
