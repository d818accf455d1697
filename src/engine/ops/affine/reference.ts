/** The affine matrix, the displacement field, and their gradients, as the formulas in affine.ts say. 3x3 matrices are rows of 9. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

type Matrix = readonly number[];
type Size = { readonly size: readonly [number, number, number] };

const product = (a: Matrix, b: Matrix): number[] =>
  a.map((_, i) => {
    const [row, column] = [i - (i % 3), i % 3];
    return a[row] * b[column] + a[row + 1] * b[column + 3] + a[row + 2] * b[column + 6];
  });
const transpose = (a: Matrix): number[] => a.map((_, i) => a[(i % 3) * 3 + Math.floor(i / 3)]);
/** Sum of the products of corresponding elements: how a gradient meets a partial derivative. */
const inner = (a: Matrix, b: Matrix): number => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** Rotations about x, y, z from cosine, sine and the diagonal's fixed element: (cos, sin, 1), or (-sin, cos, 0) for the derivative. */
const ROTATIONS: readonly ((c: number, s: number, one: number) => Matrix)[] = [
  (c, s, one) => [one, 0, 0, 0, c, -s, 0, s, c],
  (c, s, one) => [c, 0, s, 0, one, 0, -s, 0, c],
  (c, s, one) => [c, -s, 0, s, c, 0, 0, 0, one],
];
/** Where the shears xy, xz, yx, yz, zx, zy stand in H. */
const SHEAR_PLACES = [3, 6, 1, 7, 2, 5];

/** Rz Ry Rx; with `derived`, the derivative by that angle. */
function rotationMatrix(angles: Float64Array, derived?: number): number[] {
  const [x, y, z] = ROTATIONS.map((rotation, axis) => {
    const [c, s] = [Math.cos(angles[axis]), Math.sin(angles[axis])];
    return axis === derived ? rotation(-s, c, 0) : rotation(c, s, 1);
  });
  return product(product(z, y), x);
}

const diagonal = ([a, b, c]: ArrayLike<number> & Iterable<number>): number[] => [a, 0, 0, 0, b, 0, 0, 0, c];

function shearMatrix(shears: Float64Array): number[] {
  const matrix = diagonal([1, 1, 1]);
  SHEAR_PLACES.forEach((place, i) => {
    matrix[place] = Math.tan(shears[i]);
  });
  return matrix;
}

export const affineMatrix: ReferenceKernel<undefined> = ({
  inputs: [rotation, scale, translation, shear],
  out,
  shape: [batch],
}) => {
  for (let n = 0; n < batch; n++) {
    const rotated = rotationMatrix(rotation.subarray(3 * n));
    const a = product(product(rotated, diagonal(scale.subarray(3 * n))), shearMatrix(shear.subarray(6 * n)));
    const t = translation.subarray(3 * n);
    for (let row = 0; row < 3; row++) {
      const [ax, ay, az] = a.slice(3 * row);
      out.set([ax, ay, az, ax * t[0] + ay * t[1] + az * t[2]], 12 * n + 4 * row);
    }
  }
};

export const affineMatrixGradient: ReferenceKernel<{ readonly of: 0 | 1 | 2 | 3 }> = ({ inputs, out, attributes: { of } }) => {
  const [rotation, scale, translation, shear, dMatrix] = inputs;
  for (let n = 0; n < rotation.length / 3; n++) {
    const rotated = rotationMatrix(rotation.subarray(3 * n));
    const scaled = diagonal(scale.subarray(3 * n));
    const sheared = shearMatrix(shear.subarray(6 * n));
    const t = translation.subarray(3 * n);
    const d = dMatrix.subarray(12 * n, 12 * n + 12);
    // matrix = [A | A t], so dA gets a part from the last column.
    const dA = diagonal([0, 0, 0]).map((_, i) => d[i + Math.floor(i / 3)] + d[4 * Math.floor(i / 3) + 3] * t[i % 3]);
    const gradients = [
      () => [0, 1, 2].map((axis) => inner(dA, product(product(rotationMatrix(rotation.subarray(3 * n), axis), scaled), sheared))),
      () => [0, 1, 2].map((axis) => product(product(transpose(rotated), dA), transpose(sheared))[4 * axis]),
      () => {
        const a = product(product(rotated, scaled), sheared);
        return [0, 1, 2].map((axis) => a[axis] * d[3] + a[axis + 3] * d[7] + a[axis + 6] * d[11]);
      },
      () => {
        const dSheared = product(transpose(product(rotated, scaled)), dA);
        return SHEAR_PLACES.map((place, i) => dSheared[place] / Math.cos(shear[6 * n + i]) ** 2);
      },
    ];
    out.set(gradients[of](), n * (out.length / (rotation.length / 3)));
  }
};

/** Calls `visit` for each voxel: its sample, the flat index of its z component (y, x follow `voxels` apart), and p - c as (x, y, z). */
function forEachVoxel(
  [batch, , depth, height, width]: Shape,
  visit: (n: number, at: number, centred: [number, number, number]) => void,
): void {
  const voxels = depth * height * width;
  for (let n = 0; n < batch; n++)
    for (let z = 0, p = 0; z < depth; z++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++, p++) {
          visit(n, 3 * n * voxels + p, [x - (width - 1) / 2, y - (height - 1) / 2, z - (depth - 1) / 2]);
        }
}

/** The components z, y, x of a field at a voxel, as (x, y, z); zeros where there is no field. */
const vectorAt = (field: Float64Array | undefined, at: number, voxels: number): [number, number, number] =>
  field ? [field[at + 2 * voxels], field[at + voxels], field[at]] : [0, 0, 0];

export const affineDisplacement: ReferenceKernel<Size> = ({ inputs: [matrix, flow], out, shape }) => {
  const voxels = out.length / shape[0] / 3;
  forEachVoxel(shape, (n, at, centred) => {
    const moved = vectorAt(flow, at, voxels);
    for (let row = 0; row < 3; row++) {
      const m = matrix.subarray(12 * n + 4 * row);
      let sum = m[3] - centred[row];
      for (let k = 0; k < 3; k++) sum += m[k] * (centred[k] + moved[k]);
      out[at + (2 - row) * voxels] = sum;
    }
  });
};

export const affineDisplacementMatrixGradient: ReferenceKernel<Size> = ({ inputs: [dOut, flow], inputShapes: [shape], out }) => {
  const voxels = dOut.length / shape[0] / 3;
  forEachVoxel(shape, (n, at, centred) => {
    const d = vectorAt(dOut, at, voxels);
    const moved = vectorAt(flow, at, voxels);
    for (let row = 0; row < 3; row++) {
      for (let k = 0; k < 3; k++) out[12 * n + 4 * row + k] += d[row] * (centred[k] + moved[k]);
      out[12 * n + 4 * row + 3] += d[row];
    }
  });
};

export const affineDisplacementFlowGradient: ReferenceKernel<Size> = ({ inputs: [matrix, dOut], out, shape }) => {
  const voxels = out.length / shape[0] / 3;
  forEachVoxel(shape, (n, at) => {
    const d = vectorAt(dOut, at, voxels);
    const m = matrix.subarray(12 * n);
    for (let k = 0; k < 3; k++) out[at + (2 - k) * voxels] = m[k] * d[0] + m[4 + k] * d[1] + m[8 + k] * d[2];
  });
};
