/** The little vector and matrix arithmetic that the phantoms need, on plain tuples (millimetres, x, y, z). */
import type { Matrix3, Xyz } from '../geometry/volume.ts';

export const add = (a: Xyz, b: Xyz): Xyz => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Xyz, b: Xyz): Xyz => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scale = (a: Xyz, factor: number): Xyz => [a[0] * factor, a[1] * factor, a[2] * factor];
export const length = (a: Xyz): number => Math.hypot(a[0], a[1], a[2]);
export const normalise = (a: Xyz): Xyz => scale(a, 1 / length(a));
/** a + t (b - a). */
export const between = (a: Xyz, b: Xyz, t: number): Xyz => add(a, scale(subtract(b, a), t));
export const cross = (a: Xyz, b: Xyz): Xyz => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
/** The sum of `weight * vector` over the pairs. */
export const combine = (...terms: readonly (readonly [number, Xyz])[]): Xyz =>
  terms.reduce<Xyz>((sum, [weight, vector]) => add(sum, scale(vector, weight)), [0, 0, 0]);

/** m v, with m row by row. */
export const transform = (m: Matrix3, v: Xyz): Xyz => [
  m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
  m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
  m[6] * v[0] + m[7] * v[1] + m[8] * v[2],
];
export const transpose = (m: Matrix3): Matrix3 => [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];
export const fromColumns = (x: Xyz, y: Xyz, z: Xyz): Matrix3 => [x[0], y[0], z[0], x[1], y[1], z[1], x[2], y[2], z[2]];
/** a b. */
export function multiply(a: Matrix3, b: Matrix3): Matrix3 {
  const column = (k: 0 | 1 | 2): Xyz => transform(a, [b[k], b[k + 3], b[k + 6]]);
  return fromColumns(column(0), column(1), column(2));
}
/** Rz Ry Rx for angles in degrees about x, y and z. */
export function rotation(degrees: Xyz): Matrix3 {
  const [cx, cy, cz] = degrees.map((angle) => Math.cos((angle * Math.PI) / 180)) as [number, number, number];
  const [sx, sy, sz] = degrees.map((angle) => Math.sin((angle * Math.PI) / 180)) as [number, number, number];
  return multiply([cz, -sz, 0, sz, cz, 0, 0, 0, 1], multiply([cy, 0, sy, 0, 1, 0, -sy, 0, cy], [1, 0, 0, 0, cx, -sx, 0, sx, cx]));
}
