/**
 * The affine matrix, its displacement field, and their gradients, as the formulas in affine.ts say. The matrix is a few numbers in double
 * precision in one piece; fields are rows of 4 voxels at once; sums over a field run in double precision, by plane, planes added in order.
 */
import { Address, plainRow, shareStart, Tensor, threadScratch } from "../../backends/cpu/common.as";

// 3x3 matrices of doubles, rows first, in thread scratch.
const MATRIX: usize = 72;

@inline
function at(matrix: usize, row: i32, column: i32): usize {
  return matrix + (<usize>(row * 3 + column) << 3);
}
@inline
function get(matrix: usize, row: i32, column: i32): f64 {
  return load<f64>(at(matrix, row, column));
}
/** Value i of sample n of a small plain tensor. */
@inline
function valueAt(t: Tensor, n: i32, i: i32): usize {
  return t.data + <usize>n * t.batchStride + (<usize>i << 2);
}

function multiplyMatrices(a: usize, b: usize, out: usize): void {
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) {
      store<f64>(at(out, i, j), get(a, i, 0) * get(b, 0, j) + get(a, i, 1) * get(b, 1, j) + get(a, i, 2) * get(b, 2, j));
    }
  }
}

/** Rotation by an angle about an axis; `derived`: its derivative by the angle. */
function axisRotation(axis: i32, angle: f64, derived: bool, out: usize): void {
  const cosine = derived ? -Math.sin(angle) : Math.cos(angle);
  const sine = derived ? Math.cos(angle) : Math.sin(angle);
  const p = (axis + 1) % 3;
  const q = (axis + 2) % 3;
  memory.fill(out, 0, MATRIX);
  store<f64>(at(out, axis, axis), derived ? 0 : 1);
  store<f64>(at(out, p, p), cosine);
  store<f64>(at(out, q, q), cosine);
  store<f64>(at(out, p, q), -sine);
  store<f64>(at(out, q, p), sine);
}

/** Rz Ry Rx of a sample; `derived`: its derivative by the angle of that axis, or -1. `spare` is memory for two matrices. */
function rotationMatrix(rotation: Tensor, n: i32, derived: i32, out: usize, spare: usize): void {
  axisRotation(2, load<f32>(valueAt(rotation, n, 2)), derived == 2, out);
  for (let axis = 1; axis >= 0; axis--) {
    axisRotation(axis, load<f32>(valueAt(rotation, n, axis)), derived == axis, spare);
    multiplyMatrices(out, spare, spare + MATRIX);
    memory.copy(out, spare + MATRIX, MATRIX);
  }
}

/** matrix S: every column times its scale. */
function scaleColumns(matrix: usize, scale: Tensor, n: i32): void {
  for (let i = 0; i < 9; i++) {
    const place = matrix + (<usize>i << 3);
    store<f64>(place, load<f64>(place) * load<f32>(valueAt(scale, n, i % 3)));
  }
}

/** Where shear i of xy, xz, yx, yz, zx, zy stands in H: 3, 6, 1, 7, 2, 5. */
@inline
function shearPlace(i: i32): i32 {
  return (0x527163 >> (4 * i)) & 7;
}

function shearMatrix(shear: Tensor, n: i32, out: usize): void {
  for (let i = 0; i < 9; i++) store<f64>(out + (<usize>i << 3), i % 4 == 0 ? 1 : 0);
  for (let i = 0; i < 6; i++) store<f64>(out + (<usize>shearPlace(i) << 3), Math.tan(load<f32>(valueAt(shear, n, i))));
}

@unmanaged
class AffineMatrixArguments {
  rotation: Tensor;
  scale: Tensor;
  translation: Tensor;
  shear: Tensor;
  /** (N, 3, 4). */
  out: Tensor;
}
export function affineMatrix(args: AffineMatrixArguments, share: i32, shares: i32): void {
  const rotation = args.rotation;
  const translation = args.translation;
  const out = args.out;
  const scaled = threadScratch;
  const sheared = scaled + MATRIX;
  const a = sheared + MATRIX; // two matrices long while the rotation is made
  for (let n = 0; n < out.n; n++) {
    rotationMatrix(rotation, n, -1, scaled, a);
    scaleColumns(scaled, args.scale, n);
    shearMatrix(args.shear, n, sheared);
    multiplyMatrices(scaled, sheared, a);
    for (let i = 0; i < 3; i++) {
      let moved: f64 = 0;
      for (let k = 0; k < 3; k++) {
        store<f32>(valueAt(out, n, 4 * i + k), <f32>get(a, i, k));
        moved += get(a, i, k) * load<f32>(valueAt(translation, n, k));
      }
      store<f32>(valueAt(out, n, 4 * i + 3), <f32>moved);
    }
  }
}

@unmanaged
class AffineMatrixGradientArguments {
  rotation: Tensor;
  scale: Tensor;
  translation: Tensor;
  shear: Tensor;
  dMatrix: Tensor;
  out: Tensor;
  /** Which input `out` is the gradient of: 0 to 3. */
  of: i32;
}
export function affineMatrixGradient(args: AffineMatrixGradientArguments, share: i32, shares: i32): void {
  const rotation = args.rotation;
  const scale = args.scale;
  const translation = args.translation;
  const shear = args.shear;
  const dMatrix = args.dMatrix;
  const out = args.out;
  const which = args.of;
  const scaled = threadScratch;
  const sheared = scaled + MATRIX;
  const dA = sheared + MATRIX;
  const derived = dA + MATRIX;
  const spare = derived + MATRIX;
  for (let n = 0; n < out.n; n++) {
    rotationMatrix(rotation, n, -1, scaled, spare);
    scaleColumns(scaled, scale, n);
    shearMatrix(shear, n, sheared);
    // the matrix is [A | A t], so dA has a part from the last column
    for (let i = 0; i < 3; i++) {
      for (let k = 0; k < 3; k++) {
        const own = <f64>load<f32>(valueAt(dMatrix, n, 4 * i + k));
        const moved = <f64>load<f32>(valueAt(dMatrix, n, 4 * i + 3)) * load<f32>(valueAt(translation, n, k));
        store<f64>(at(dA, i, k), own + moved);
      }
    }
    if (which == 0) {
      for (let axis = 0; axis < 3; axis++) {
        rotationMatrix(rotation, n, axis, derived, spare);
        scaleColumns(derived, scale, n);
        multiplyMatrices(derived, sheared, spare);
        let sum: f64 = 0;
        for (let i: usize = 0; i < MATRIX; i += 8) sum += load<f64>(dA + i) * load<f64>(spare + i);
        store<f32>(valueAt(out, n, axis), <f32>sum);
      }
    } else if (which == 1) {
      // A = R S H: d scale_k is the k-th diagonal element of R^T dA H^T
      rotationMatrix(rotation, n, -1, derived, spare);
      for (let k = 0; k < 3; k++) {
        let sum: f64 = 0;
        for (let i = 0; i < 3; i++) {
          for (let j = 0; j < 3; j++) sum += get(derived, i, k) * get(dA, i, j) * get(sheared, k, j);
        }
        store<f32>(valueAt(out, n, k), <f32>sum);
      }
    } else if (which == 2) {
      multiplyMatrices(scaled, sheared, derived);
      for (let k = 0; k < 3; k++) {
        let sum: f64 = 0;
        for (let i = 0; i < 3; i++) sum += get(derived, i, k) * load<f32>(valueAt(dMatrix, n, 4 * i + 3));
        store<f32>(valueAt(out, n, k), <f32>sum);
      }
    } else {
      for (let s = 0; s < 6; s++) {
        const row = shearPlace(s) / 3;
        const column = shearPlace(s) % 3;
        let sum: f64 = 0;
        for (let i = 0; i < 3; i++) sum += get(scaled, i, row) * get(dA, i, column);
        const cosine = Math.cos(load<f32>(valueAt(shear, n, s)));
        store<f32>(valueAt(out, n, s), <f32>(sum / (cosine * cosine)));
      }
    }
  }
}

@unmanaged
class AffineDisplacementArguments {
  /** (N, 3, 4). */
  matrix: Tensor;
  flow: Tensor | null;
  /** (N, 3, D, H, W). */
  out: Tensor;
}
/** out = (A - I) (p - c) + A flow + A t: exactly zero for the identity. */
export function affineDisplacement(args: AffineDisplacementArguments, share: i32, shares: i32): void {
  const matrix = args.matrix;
  const flow = args.flow;
  const out = args.out;
  const units = out.n * out.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / out.d;
    const z = unit % out.d;
    for (let y = 0; y < out.h; y++) {
      const flowX = flow ? plainRow(flow, n, 2, z, y) : 0;
      const flowY = flow ? plainRow(flow, n, 1, z, y) : 0;
      const flowZ = flow ? plainRow(flow, n, 0, z, y) : 0;
      for (let row = 0; row < 3; row++) {
        const mx = load<f32>(valueAt(matrix, n, 4 * row));
        const my = load<f32>(valueAt(matrix, n, 4 * row + 1));
        const mz = load<f32>(valueAt(matrix, n, 4 * row + 2));
        // of the row's first voxel; from one voxel to the next
        const first =
          (<f64>mx - (row == 0 ? 1 : 0)) * (0.5 - 0.5 * <f64>out.w) +
          (<f64>my - (row == 1 ? 1 : 0)) * (<f64>y - 0.5 * <f64>(out.h - 1)) +
          (<f64>mz - (row == 2 ? 1 : 0)) * (<f64>z - 0.5 * <f64>(out.d - 1)) +
          <f64>load<f32>(valueAt(matrix, n, 4 * row + 3));
        const step = <f64>mx - (row == 0 ? 1 : 0);
        const to = plainRow(out, n, 2 - row, z, y);
        let x = 0;
        let places = f32x4(0, 1, 2, 3);
        for (; x + 4 <= out.w; x += 4) {
          const i = <usize>x << 2;
          let value = f32x4.add(f32x4.mul(places, f32x4.splat(<f32>step)), f32x4.splat(<f32>first));
          if (flow) {
            value = f32x4.add(value, f32x4.mul(f32x4.splat(mx), v128.load(flowX + i)));
            value = f32x4.add(value, f32x4.mul(f32x4.splat(my), v128.load(flowY + i)));
            value = f32x4.add(value, f32x4.mul(f32x4.splat(mz), v128.load(flowZ + i)));
          }
          v128.store(to + i, value);
          places = f32x4.add(places, f32x4.splat(4));
        }
        for (; x < out.w; x++) {
          const i = <usize>x << 2;
          let value = <f32>x * <f32>step + <f32>first;
          if (flow) value = value + mx * load<f32>(flowX + i) + my * load<f32>(flowY + i) + mz * load<f32>(flowZ + i);
          store<f32>(to + i, value);
        }
      }
    }
  }
}

@unmanaged
class AffineDisplacementFlowGradientArguments {
  /** (N, 3, 4). */
  matrix: Tensor;
  dPsi: Tensor;
  dFlow: Tensor;
}
/** d flow = A^T d psi. */
export function affineDisplacementFlowGradient(args: AffineDisplacementFlowGradientArguments, share: i32, shares: i32): void {
  const matrix = args.matrix;
  const dPsi = args.dPsi;
  const dFlow = args.dFlow;
  const bytes = <usize>(dFlow.h * dFlow.w) << 2;
  const units = dFlow.n * dFlow.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / dFlow.d;
    const z = unit % dFlow.d;
    const dx = plainRow(dPsi, n, 2, z, 0);
    const dy = plainRow(dPsi, n, 1, z, 0);
    const dz = plainRow(dPsi, n, 0, z, 0);
    for (let k = 0; k < 3; k++) {
      const mx = load<f32>(valueAt(matrix, n, k));
      const my = load<f32>(valueAt(matrix, n, 4 + k));
      const mz = load<f32>(valueAt(matrix, n, 8 + k));
      const to = plainRow(dFlow, n, 2 - k, z, 0);
      let i: usize = 0;
      for (; i + 16 <= bytes; i += 16) {
        let value = f32x4.mul(f32x4.splat(mx), v128.load(dx + i));
        value = f32x4.add(value, f32x4.mul(f32x4.splat(my), v128.load(dy + i)));
        value = f32x4.add(value, f32x4.mul(f32x4.splat(mz), v128.load(dz + i)));
        v128.store(to + i, value);
      }
      for (; i < bytes; i += 4) store<f32>(to + i, mx * load<f32>(dx + i) + my * load<f32>(dy + i) + mz * load<f32>(dz + i));
    }
  }
}

/** Bytes of the sums of one plane: 12 doubles. */
const SUMS: usize = 96;

/** Two floats as doubles; the second is 0 if `single`. */
@inline
function pair(from: usize, single: bool): v128 {
  return f64x2.promote_low_f32x4(single ? v128.load32_zero(from) : v128.load64_zero(from));
}
@inline
function lanes(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}

@unmanaged
class AffineDisplacementMatrixSumsArguments {
  /** (N, 3, D, H, W). */
  dPsi: Tensor;
  flow: Tensor | null;
  /** [n][z][3][4] as f64. */
  partial: Address;
}
/** Sums of d matrix, by plane. */
export function affineDisplacementMatrixSums(args: AffineDisplacementMatrixSumsArguments, share: i32, shares: i32): void {
  const dPsi = args.dPsi;
  const flow = args.flow;
  const partial = args.partial;
  const units = dPsi.n * dPsi.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / dPsi.d;
    const z = unit % dPsi.d;
    const atZ = f64x2.splat(<f64>z - 0.5 * <f64>(dPsi.d - 1));
    for (let row = 0; row < 3; row++) {
      let sumX = f64x2.splat(0);
      let sumY = f64x2.splat(0);
      let sumZ = f64x2.splat(0);
      let sum = f64x2.splat(0);
      for (let y = 0; y < dPsi.h; y++) {
        const from = plainRow(dPsi, n, 2 - row, z, y);
        const flowX = flow ? plainRow(flow, n, 2, z, y) : 0;
        const flowY = flow ? plainRow(flow, n, 1, z, y) : 0;
        const flowZ = flow ? plainRow(flow, n, 0, z, y) : 0;
        const atY = f64x2.splat(<f64>y - 0.5 * <f64>(dPsi.h - 1));
        const firstX = 0.5 - 0.5 * <f64>dPsi.w;
        let atX = f64x2.add(f64x2(0, 1), f64x2.splat(firstX));
        for (let x = 0; x < dPsi.w; x += 2) {
          const single = x + 1 == dPsi.w;
          const i = <usize>x << 2;
          const d = pair(from + i, single);
          let movedX = atX;
          let movedY = atY;
          let movedZ = atZ;
          if (flow) {
            movedX = f64x2.add(movedX, pair(flowX + i, single));
            movedY = f64x2.add(movedY, pair(flowY + i, single));
            movedZ = f64x2.add(movedZ, pair(flowZ + i, single));
          }
          sumX = f64x2.add(sumX, f64x2.mul(d, movedX));
          sumY = f64x2.add(sumY, f64x2.mul(d, movedY));
          sumZ = f64x2.add(sumZ, f64x2.mul(d, movedZ));
          sum = f64x2.add(sum, d);
          atX = f64x2.add(atX, f64x2.splat(2));
        }
      }
      const out = partial + <usize>unit * SUMS + (<usize>row << 5);
      store<f64>(out, lanes(sumX));
      store<f64>(out, lanes(sumY), 8);
      store<f64>(out, lanes(sumZ), 16);
      store<f64>(out, lanes(sum), 24);
    }
  }
}

@unmanaged
class AffineDisplacementMatrixGradientArguments {
  /** What `affineDisplacementMatrixSums` wrote. */
  partial: Address;
  /** (N, 3, 4). */
  dMatrix: Tensor;
  /** Of a sample. */
  planes: i32;
}
export function affineDisplacementMatrixGradient(args: AffineDisplacementMatrixGradientArguments, share: i32, shares: i32): void {
  const partial = args.partial;
  const out = args.dMatrix;
  const planes = args.planes;
  for (let n = 0; n < out.n; n++) {
    for (let i = 0; i < 12; i++) {
      let sum: f64 = 0;
      for (let z = 0; z < planes; z++) sum += load<f64>(partial + <usize>(n * planes + z) * SUMS + (<usize>i << 3));
      store<f32>(valueAt(out, n, i), <f32>sum);
    }
  }
}
