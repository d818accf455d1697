/** Between the flat tensor that is trained and the named tensors that files hold. */
import { RunError } from '../common/errors.ts';
import { type ParameterTable, valuesOf } from './parameters.ts';
import type { NamedTensor } from './safetensors.ts';

/** The parameters of a flat tensor by name; each is a view of it. */
export function namedTensors(table: ParameterTable, flat: Float32Array): Map<string, NamedTensor> {
  return new Map(
    table.parameters.map((parameter) => [
      parameter.name,
      { name: parameter.name, shape: parameter.shape, data: valuesOf(flat, parameter) },
    ]),
  );
}

/** The flat tensor of named ones; others than the table's are left out. @throws RunError naming the source and the first that is missing or of another shape */
export function flatTensor(table: ParameterTable, tensors: ReadonlyMap<string, NamedTensor>, source: string): Float32Array {
  const flat = new Float32Array(table.flatLength);
  for (const parameter of table.parameters) {
    const tensor = tensors.get(parameter.name);
    if (tensor?.shape.join() !== parameter.shape.join()) {
      throw new RunError(
        `${source}: expected ${parameter.name} [${parameter.shape.join(', ')}], found ${tensor ? `[${tensor.shape.join(', ')}]` : 'none'}; is it a different architecture?`,
      );
    }
    valuesOf(flat, parameter).set(tensor.data);
  }
  return flat;
}
