/** A model folder for tests: the narrowest network, its parameters random everywhere, also where training starts them at 0 or 1. */
import { mkdir } from 'node:fs/promises';
import { randomStream } from '../../../../common/random.ts';
import { type Heads, NO_HEADS, scaledArchitecture } from '../../../architecture.ts';
import type { ModelConfiguration } from '../../../configuration.ts';
import { namedTensors } from '../../../named-parameters.ts';
import { initialParameters, parameterTable } from '../../../parameters.ts';
import type { NamedTensor } from '../../../safetensors.ts';
import { type Model, writeModel } from '../../model-folder.ts';

export const WIDTH = 0.125;

export function tinyModel(heads: Partial<Heads> = {}, configuration: Partial<ModelConfiguration> = {}, seed = 3) {
  const architecture = scaledArchitecture(WIDTH, { ...NO_HEADS, ...heads }, configuration.preprocessing?.channels?.length);
  const table = parameterTable(architecture);
  const flat = initialParameters(table, seed);
  const stream = randomStream(seed + 1, 'tinyModel');
  for (const { offset, shape } of table.parameters) {
    const end = offset + shape.reduce((product, size) => product * size, 1);
    for (let i = offset; i < end; i++) flat[i] += stream.uniform(-0.05, 0.05);
  }
  const model: Model = {
    configuration: {
      format: 'gvsl-model',
      formatVersion: 1,
      architecture: {
        width: WIDTH,
        channels: architecture.widths.slice(0, 5),
        ...(architecture.inputChannels && { inputChannels: architecture.inputChannels }),
        heads: architecture.heads,
      },
      preprocessing: null,
      task: null,
      pretraining: null,
      training: null,
      seed: 0,
      step: 0,
      versions: { gvsl: '0' },
      ...configuration,
    },
    parameters: namedTensors(table, flat),
  };
  return { architecture, table, flat, model };
}

/** Writes it, and gives it back. */
export async function writeTinyModel(
  folder: string,
  heads: Partial<Heads> = {},
  configuration: Partial<ModelConfiguration> = {},
  seed = 3,
) {
  const made = tinyModel(heads, configuration, seed);
  await mkdir(folder, { recursive: true });
  await writeModel(folder, made.model.configuration, made.model.parameters.values());
  return made;
}

/** An image (batch, 1, D, H, W) of noise in [0, 1]. */
export function noise(size: readonly number[], batch = 1): Float32Array {
  const stream = randomStream(5, 'noise');
  return Float32Array.from({ length: size.reduce((product, n) => product * n, batch) }, () => stream.uniform(0, 1));
}

/** The greatest difference of two arrays of one length. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} and ${b.length} values`);
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
}

/** Whether two lists of tensors are the same in names, order, shapes, and every bit. */
export function sameTensors(a: Iterable<NamedTensor>, b: Iterable<NamedTensor>): boolean {
  const [left, right] = [[...a], [...b]];
  const bits = ({ data }: NamedTensor): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return (
    left.length === right.length &&
    left.every((one, i) => {
      const other = right[i];
      return one.name === other.name && one.shape.join() === other.shape.join() && bits(one).equals(bits(other));
    })
  );
}
