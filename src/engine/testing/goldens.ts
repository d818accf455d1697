/** PyTorch's answers, made by scripts/make-op-goldens.py. */
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../../model/node/safetensors.ts';
import type { Build, OperationCase, Tensor } from './case.ts';

/** Every tensor of the file by its name. */
export async function readGoldens(): Promise<ReadonlyMap<string, Tensor>> {
  const { tensors } = await readSafetensors(fileURLToPath(new URL('../../../test/goldens/ops.safetensors', import.meta.url)));
  return new Map([...tensors].map(([name, { shape, data }]) => [name, { shape, values: data }]));
}

/** A golden as a case, and what PyTorch says of it. */
export function goldenCase(
  goldens: ReadonlyMap<string, Tensor>,
  name: string,
  build: Build,
): { each: OperationCase; want: Record<string, Tensor> } {
  const part = (prefix: string): [string, Tensor][] =>
    [...goldens].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]);
  const inputs = Object.fromEntries(part(`${name}.in.`));
  const gradients = part(`${name}.grad.`);
  if (gradients.length === 0) throw new Error(`there is no golden '${name}'; make it in scripts/make-op-goldens.py`);
  return {
    each: { title: name, inputs, build, wanted: gradients.map(([key]) => key), outWeight: goldens.get(`${name}.weight`)!.values },
    want: { out: goldens.get(`${name}.out`)!, ...Object.fromEntries(gradients.map(([key, value]) => [`d ${key}`, value])) },
  };
}
