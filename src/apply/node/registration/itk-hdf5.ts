/**
 * ITK's HDF5 form of transforms (`.h5`), as 3D Slicer and ANTs write composites of affines and displacement fields: groups `/TransformGroup/N` with
 * the datasets TransformType, TransformParameters (in old files TranformParameters) and TransformFixedParameters. Read by jsfive.
 */
import { File, type Group } from 'jsfive';
import { RunError } from '../../../common/errors.ts';
import { perEntry } from '../../../geometry/volume.ts';
import { checkedGeometry } from '../../../images/loaded-image.ts';
import { affineStep, classOf } from '../../registration/transforms/itk-parameters.ts';
import type { Transform, TransformStep } from '../../registration/transforms/transform.ts';

/** Size, origin, spacing and direction of a field's grid. */
const FIELD_FIXED = 18;

function fieldStep(parameters: ArrayLike<number>, fixed: readonly number[]): TransformStep {
  if (fixed.length !== FIELD_FIXED)
    throw new RunError(`a displacement field has ${fixed.length} fixed parameters, expected ${FIELD_FIXED}`);
  const three = (at: number) => [fixed[at], fixed[at + 1], fixed[at + 2]] as const;
  const rest = fixed.slice(9);
  const geometry = checkedGeometry({
    size: three(0),
    originMm: three(3),
    spacingMm: three(6),
    direction: perEntry([1, 0, 0, 0, 1, 0, 0, 0, 1], (_, i) => rest[i]),
  });
  const data = Float32Array.from(parameters);
  if (data.length !== 3 * geometry.size[0] * geometry.size[1] * geometry.size[2])
    throw new RunError(`a displacement field has ${data.length} values for ${geometry.size.join(' x ')} vectors`);
  if (!data.every(Number.isFinite)) throw new RunError('a displacement field holds values that are no numbers');
  return { kind: 'field', field: { geometry, data } };
}

/** Numbers or a text, as jsfive gives them. */
function valuesOf(group: Group, names: readonly string[]): ArrayLike<number | string> {
  const name = names.find((one) => group.keys.includes(one));
  if (name === undefined) throw new RunError(`a transform in it has no ${names[0]}`);
  const { value } = group.get(name);
  return typeof value === 'string' ? [value] : value;
}

function stepOf(group: Group, type: string): TransformStep {
  const numbers = (names: readonly string[]): number[] => Array.from(valuesOf(group, names), Number);
  const fixed = numbers(['TransformFixedParameters', 'TranformFixedParameters']);
  const parameters = ['TransformParameters', 'TranformParameters'];
  return classOf(type) === 'DisplacementFieldTransform'
    ? fieldStep(numbers(parameters), fixed)
    : affineStep(type, numbers(parameters), fixed);
}

/** A file's transform. Of a composite ITK applies the last part first. @throws RunError saying what is wrong */
export function parseItkHdf5(bytes: Uint8Array): Transform {
  const { buffer, byteOffset, byteLength } = bytes;
  const file = new File(new Uint8Array(buffer, byteOffset, byteLength).slice().buffer, 'transform');
  if (!file.keys.includes('TransformGroup')) throw new RunError("it has no group 'TransformGroup': not a transform of ITK");
  const all = file.get('TransformGroup');
  const parts = all.keys
    .filter((key) => /^\d+$/.test(key))
    .sort((a, b) => Number(a) - Number(b))
    .map((key) => {
      const group = all.get(key);
      return { group, type: String(valuesOf(group, ['TransformType'])[0]).replace(/\0.*$/s, '') };
    });
  if (parts.length === 0) throw new RunError('it holds no transform');
  const isComposite = classOf(parts[0].type) === 'CompositeTransform';
  if (!isComposite && parts.length > 1)
    throw new RunError(`it holds ${parts.length} transforms beside one another, expected one, or a CompositeTransform of them`);
  const steps = (isComposite ? parts.slice(1) : parts).map(({ group, type }) => stepOf(group, type));
  return steps.reverse();
}
