/**
 * Quarter turns, for rotation prediction (Gidaris et al., ICLR 2018; in 3D: Taleb et al., NeurIPS 2020): which of ten ways a cube was turned.
 * A turn is an exact permutation of the voxels. It needs a cube, and voxels that are cubes: otherwise the shape would give the answer away.
 */

import type { RandomStream } from '../../common/random.ts';
import { checkVoxels } from '../../geometry/check-voxels.ts';
import type { Zyx } from '../../geometry/volume.ts';

export interface Rotation {
  /** Null: not turned. */
  readonly axis: 'x' | 'y' | 'z' | null;
  /** Right-handed about the axis: 90 about z takes what lies along x to y. */
  readonly degrees: 0 | 90 | 180 | 270;
}

/** The classes, in the order of their numbers. */
export const ROTATIONS: readonly Rotation[] = [
  { axis: null, degrees: 0 },
  ...(['x', 'y', 'z'] as const).flatMap((axis) => ([90, 180, 270] as const).map((degrees) => ({ axis, degrees }))),
];

/** Which axis a quarter turn about an axis takes to which, counted z, y, x. */
const TURNS = { x: [1, 0], y: [0, 2], z: [2, 1] } as const;

export interface RotationPlan {
  /** Index into `ROTATIONS`. */
  readonly class: number;
}

/** Draws a class; all are equally likely. */
export const sampleRotation = (stream: RandomStream): RotationPlan => ({ class: stream.integer(0, ROTATIONS.length) });

/** The class that turns back what a class turned. */
export function inverseRotation(index: number): number {
  const { axis, degrees } = ROTATIONS[index];
  return ROTATIONS.findIndex((other) => other.axis === axis && (other.degrees + degrees) % 360 === 0);
}

/**
 * A turned copy of a cube.
 * @param image S * S * S values; not changed.
 * @throws RangeError if the sides differ, the image does not have that size, or there is no such class.
 */
export function applyRotation(image: Float32Array, sizeZyx: Zyx, plan: RotationPlan): Float32Array<ArrayBuffer> {
  const [side, height, width] = sizeZyx;
  if (height !== side || width !== side) {
    throw new RangeError(
      `applyRotation: expected a cube (its shape would give the turn away), got shape [${sizeZyx.join(', ')}]`,
    );
  }
  checkVoxels('applyRotation', image, sizeZyx);
  const rotation = ROTATIONS[plan.class];
  if (!rotation) throw new RangeError(`applyRotation: expected a class from 0 to ${ROTATIONS.length - 1}, got ${plan.class}`);
  // the value at (z, y, x) comes from the turn back of (z, y, x), whose index is offset + steps . (z, y, x)
  const last = side - 1;
  const strides = [side * side, side, 1];
  const steps = [...strides];
  let offset = 0;
  if (rotation.axis) {
    const [from, to] = TURNS[rotation.axis];
    const [alongFrom, alongTo] = [strides[from], strides[to]];
    if (rotation.degrees === 180) {
      [steps[from], steps[to]] = [-alongFrom, -alongTo];
      offset = last * (alongFrom + alongTo);
    } else if (rotation.degrees === 90) {
      [steps[from], steps[to]] = [-alongTo, alongFrom];
      offset = last * alongTo;
    } else {
      [steps[from], steps[to]] = [alongTo, -alongFrom];
      offset = last * alongFrom;
    }
  }
  const out = new Float32Array(image.length);
  for (let z = 0, voxel = 0; z < side; z++) {
    for (let y = 0; y < side; y++) {
      const row = offset + z * steps[0] + y * steps[1];
      for (let x = 0; x < side; x++, voxel++) out[voxel] = image[row + x * steps[2]];
    }
  }
  return out;
}
