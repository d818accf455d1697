/**
 * The affine of the paper's matching head, in plain numbers: rotation . scaling . shearing . translation, rotation = Rz Ry Rx.
 * The engine has the same as a differentiable operation for the affine head; this is the one that data are made with.
 */

import type { Xyz } from './volume.ts';

export interface AffineParameters {
  /** About x, y and z. */
  readonly rotationRadians: Xyz;
  readonly scale: Xyz;
  /** xy, xz, yx, yz, zx, zy: entry ab adds tan(angle) of a to b. */
  readonly shearRadians: readonly [number, number, number, number, number, number];
  readonly translationVoxels: Xyz;
}

/** Twelve numbers, row by row: a 3 x 4 matrix on (x, y, z) in voxels about the volume's centre. */
export type AffineMatrix = readonly number[];

const multiply = (a: readonly number[], b: readonly number[]): number[] =>
  Array.from({ length: 9 }, (_, i) => {
    const row = i - (i % 3);
    return a[row] * b[i % 3] + a[row + 1] * b[3 + (i % 3)] + a[row + 2] * b[6 + (i % 3)];
  });

/** The 3 x 4 matrix [A | A t]. It is the identity, exactly, for parameters that say so. */
export function affineMatrix(parameters: AffineParameters): AffineMatrix {
  const [cosX, cosY, cosZ] = parameters.rotationRadians.map(Math.cos);
  const [sinX, sinY, sinZ] = parameters.rotationRadians.map(Math.sin);
  const [scaleX, scaleY, scaleZ] = parameters.scale;
  const [xy, xz, yx, yz, zx, zy] = parameters.shearRadians.map(Math.tan);
  const [tx, ty, tz] = parameters.translationVoxels;
  const factors = [
    [cosZ, -sinZ, 0, sinZ, cosZ, 0, 0, 0, 1],
    [cosY, 0, sinY, 0, 1, 0, -sinY, 0, cosY],
    [1, 0, 0, 0, cosX, -sinX, 0, sinX, cosX],
    [scaleX, 0, 0, 0, scaleY, 0, 0, 0, scaleZ],
    [1, yx, zx, xy, 1, zy, xz, yz, 1],
  ];
  const a = factors.reduce(multiply);
  return [0, 3, 6].flatMap((row) => {
    const [x, y, z] = a.slice(row, row + 3);
    return [x, y, z, x * tx + y * ty + z * tz];
  });
}
