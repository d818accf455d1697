/** The affine matrix, the displacement field, and their gradients in WGSL, as the formulas in affine.ts say. */
import { flat, sumRows, volumeSizes, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';

type Size = { readonly size: readonly [number, number, number] };

/** Rotations about x, y, z; with `derived`, the derivative by that angle. WGSL matrices are columns. */
const MATRICES = `
// WGSL's own sine and cosine may be wrong by 2^-11: these are to single precision, for angles up to some thousand
fn sineAndCosine(angle: f32) -> vec2f {
  let quarter = round(angle * 0.63661977236758134);
  let x = fma(-quarter, 7.5497894158615964e-8, fma(-quarter, 1.57079625129699707, angle));
  let s = x * x;
  let sine = fma(x * s, fma(s, fma(s, fma(s, 2.7557319e-6, -1.9841270e-4), 8.3333333e-3), -0.16666667), x);
  let cosine = fma(s, fma(s, fma(s, fma(s, fma(s, -2.7557319e-7, 2.4801587e-5), -1.3888889e-3), 4.1666667e-2), -0.5), 1.0);
  let turns = u32(i32(quarter) & 3);
  let pair = select(vec2f(sine, cosine), vec2f(cosine, -sine), (turns & 1u) == 1u);
  return select(pair, -pair, turns >= 2u);
}
fn tangent(angle: f32) -> f32 {
  let pair = sineAndCosine(angle);
  return pair.x / pair.y;
}
fn about(axis: u32, angle: f32, derived: bool) -> mat3x3f {
  let pair = sineAndCosine(angle);
  let c = select(pair.y, -pair.x, derived);
  let s = select(pair.x, pair.y, derived);
  let one = select(1.0, 0.0, derived);
  if (axis == 0u) { return mat3x3f(one, 0.0, 0.0, 0.0, c, s, 0.0, -s, c); }
  if (axis == 1u) { return mat3x3f(c, 0.0, -s, 0.0, one, 0.0, s, 0.0, c); }
  return mat3x3f(c, s, 0.0, -s, c, 0.0, 0.0, 0.0, one);
}
fn rotationOf(n: u32, derived: u32) -> mat3x3f {
  return about(2u, rotation(3u * n + 2u), derived == 2u) * about(1u, rotation(3u * n + 1u), derived == 1u)
    * about(0u, rotation(3u * n), derived == 0u);
}
fn scaleOf(n: u32) -> mat3x3f {
  return mat3x3f(scale(3u * n), 0.0, 0.0, 0.0, scale(3u * n + 1u), 0.0, 0.0, 0.0, scale(3u * n + 2u));
}
fn shearOf(n: u32) -> mat3x3f {
  // rows: (1, yx, zx), (xy, 1, zy), (xz, yz, 1), of the shears xy, xz, yx, yz, zx, zy
  return mat3x3f(1.0, tangent(shear(6u * n)), tangent(shear(6u * n + 1u)), tangent(shear(6u * n + 2u)), 1.0, tangent(shear(6u * n + 3u)),
    tangent(shear(6u * n + 4u)), tangent(shear(6u * n + 5u)), 1.0);
}
fn inner(a: mat3x3f, b: mat3x3f) -> f32 { return dot(a[0], b[0]) + dot(a[1], b[1]) + dot(a[2], b[2]); }
const NONE = 9u;`;

export const affineMatrix: WebGpuKernel<undefined> = ({ inputs, out }, emitter) => {
  const [rotation, scale, translation, shear] = inputs as WebGpuTensor[];
  flat(emitter, out.shape[0], {
    name: 'affineMatrix',
    tensors: { rotation: rotation, scale: scale, translation: translation, shear: shear, out },
    helpers: MATRICES,
    code: `
  let a = rotationOf(i, NONE) * scaleOf(i) * shearOf(i);
  let t = a * vec3f(translation(3u * i), translation(3u * i + 1u), translation(3u * i + 2u));
  for (var row = 0u; row < 3u; row++) {
    for (var column = 0u; column < 3u; column++) { set_out(12u * i + 4u * row + column, a[column][row]); }
    set_out(12u * i + 4u * row + 3u, t[row]);
  }`,
  });
};

/** What each argument's gradient is, given dA (its columns) and the matrices of the sample. */
const GRADIENTS = [
  `for (var axis = 0u; axis < 3u; axis++) { set_out(3u * i + axis, inner(dA, rotationOf(i, axis) * scaleOf(i) * shearOf(i))); }`,
  `let s = transpose(rotationOf(i, NONE)) * dA * transpose(shearOf(i));
  for (var axis = 0u; axis < 3u; axis++) { set_out(3u * i + axis, s[axis][axis]); }`,
  `let s = transpose(rotationOf(i, NONE) * scaleOf(i) * shearOf(i)) * last;
  for (var axis = 0u; axis < 3u; axis++) { set_out(3u * i + axis, s[axis]); }`,
  `let s = transpose(rotationOf(i, NONE) * scaleOf(i)) * dA;
  let values = array<f32, 6>(s[0][1], s[0][2], s[1][0], s[1][2], s[2][0], s[2][1]);
  for (var k = 0u; k < 6u; k++) {
    let c = sineAndCosine(shear(6u * i + k)).y;
    set_out(6u * i + k, values[k] / (c * c));
  }`,
];

export const affineMatrixGradient: WebGpuKernel<{ readonly of: 0 | 1 | 2 | 3 }> = (
  { inputs, out, attributes: { of } },
  emitter,
) => {
  const [rotation, scale, translation, shear, dMatrix] = inputs as WebGpuTensor[];
  flat(emitter, out.shape[0], {
    name: 'affineMatrixGradient',
    tensors: { rotation: rotation, scale: scale, translation: translation, shear: shear, d: dMatrix, out },
    helpers: MATRICES,
    // the matrix is [A | A t], so dA gets a part from the last column
    code: `
  let last = vec3f(d(12u * i + 3u), d(12u * i + 7u), d(12u * i + 11u));
  var dA = mat3x3f();
  for (var column = 0u; column < 3u; column++) {
    dA[column] = vec3f(d(12u * i + column), d(12u * i + 4u + column), d(12u * i + 8u + column)) + last * translation(3u * i + column);
  }
  ${GRADIENTS[of]}`,
  });
};

/** Of the voxel `at` of sample n: p - c as (x, y, z). */
const CENTRED = `
  let centred = vec3f(f32(at % u.w), f32(at / u.w % u.h), f32(at / (u.w * u.h)))
    - vec3f(f32(u.w) - 1.0, f32(u.h) - 1.0, f32(u.d) - 1.0) / 2.0;`;
/** The vector of a field at voxel `at` of sample n, as (x, y, z). */
const vector = (field: string): string =>
  `vec3f(${field}((3u * n + 2u) * u.voxels + at), ${field}((3u * n + 1u) * u.voxels + at), ${field}(3u * n * u.voxels + at))`;
const volumeNumbers = (field: WebGpuTensor) => {
  const { d, h, w, voxels } = volumeSizes(field);
  return { d, h, w, voxels };
};

export const affineDisplacement: WebGpuKernel<Size> = ({ inputs: [matrix, flow], out }, emitter) =>
  flat(emitter, out.elements / 3, {
    name: 'affineDisplacement',
    tensors: { matrix_: matrix, ...(flow ? { flow } : {}), out },
    uints: volumeNumbers(out),
    code: `let n = i / u.voxels; let at = i % u.voxels;${CENTRED}
  let moved = centred${flow ? ` + ${vector('flow')}` : ''};
  for (var row = 0u; row < 3u; row++) {
    let m = 12u * n + 4u * row;
    set_out((3u * n + 2u - row) * u.voxels + at,
      matrix_(m) * moved.x + matrix_(m + 1u) * moved.y + matrix_(m + 2u) * moved.z + matrix_(m + 3u) - centred[row]);
  }`,
  });

export const affineDisplacementMatrixGradient: WebGpuKernel<Size> = ({ inputs: [dOut, flow], out }, emitter) =>
  sumRows(emitter, {
    name: 'affineDisplacementMatrixGradient',
    tensors: { dOut: dOut, ...(flow ? { flow } : {}), out },
    // one row of sums for each row of each sample's matrix
    rows: out.elements / 4,
    length: dOut.elements / 3 / (out.elements / 12),
    uints: volumeNumbers(dOut),
    term: `let n = row / 3u; let at = j;${CENTRED}
  let moved = centred${flow ? ` + ${vector('flow')}` : ''};
  value = dOut((3u * n + 2u - row % 3u) * u.voxels + at) * vec4f(moved, 1.0);`,
    finish: 'for (var k = 0u; k < 4u; k++) { set_out(4u * row + k, total[k]); }',
  });

export const affineDisplacementFlowGradient: WebGpuKernel<Size> = ({ inputs: [matrix, dOut], out }, emitter) =>
  flat(emitter, out.elements / 3, {
    name: 'affineDisplacementFlowGradient',
    tensors: { matrix_: matrix, dOut: dOut, out },
    uints: volumeNumbers(out),
    code: `
  let n = i / u.voxels;
  let at = i % u.voxels;
  let d = ${vector('dOut')};
  for (var k = 0u; k < 3u; k++) {
    let m = 12u * n + k;
    set_out((3u * n + 2u - k) * u.voxels + at, matrix_(m) * d.x + matrix_(m + 4u) * d.y + matrix_(m + 8u) * d.z);
  }`,
  });
