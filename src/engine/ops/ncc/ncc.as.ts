/**
 * Local NCC and its gradient, as the formulas in ncc.ts say, in double precision. Window sums run axis by axis, z first: sums over z of
 * some rows wait in a ring for the sums over y, which make one line for the sums over x. So no volume of sums is stored.
 *
 * Every sum is added up anew from its own window: a running sum would carry the rounding error of a bright region into a dark one,
 * and the variance floor would take it for contrast. Sums run in the reference's order. Two voxels at once.
 */
import { Address, plainRow, shareStart, Tensor } from "../../backends/cpu/common.as";
import { EPSILON, GRADIENT_FIELDS, lineBytes, MASKED_FIELDS, paddedWidth, unitBytes, VARIANCE_FLOOR, WINDOW_FIELDS } from "./constants";

/** Two floats as doubles; the second is 0 if `single`. */
@inline
function pair(from: usize, single: bool): v128 {
  return f64x2.promote_low_f32x4(single ? v128.load32_zero(from) : v128.load64_zero(from));
}

/** Sums over z of a row of the fields: a, b and the mask (0: none) are the rows' first plane, to is [field][x]. */
function productSums(a: usize, b: usize, mask: usize, planes: i32, plane: usize, width: i32, to: usize): void {
  const pitch = <usize>paddedWidth(width) << 3;
  for (let x = 0; x < width; x += 2) {
    const single = x + 1 == width;
    let atA = a + (<usize>x << 2);
    let atB = b + (<usize>x << 2);
    let sumA = f64x2.splat(0);
    let sumB = f64x2.splat(0);
    let sumAA = f64x2.splat(0);
    let sumBB = f64x2.splat(0);
    let sumAB = f64x2.splat(0);
    let sumMask = f64x2.splat(0);
    let atMask = mask + (<usize>x << 2);
    for (let k = 0; k < planes; k++) {
      let valueA = pair(atA, single);
      let valueB = pair(atB, single);
      if (mask) {
        const inside = pair(atMask, single);
        valueA = f64x2.mul(valueA, inside);
        valueB = f64x2.mul(valueB, inside);
        sumMask = f64x2.add(sumMask, inside);
        atMask += plane;
      }
      sumA = f64x2.add(sumA, valueA);
      sumB = f64x2.add(sumB, valueB);
      sumAA = f64x2.add(sumAA, f64x2.mul(valueA, valueA));
      sumBB = f64x2.add(sumBB, f64x2.mul(valueB, valueB));
      sumAB = f64x2.add(sumAB, f64x2.mul(valueA, valueB));
      atA += plane;
      atB += plane;
    }
    let out = to + (<usize>x << 3);
    v128.store(out, sumA);
    out += pitch;
    v128.store(out, sumB);
    out += pitch;
    v128.store(out, sumAA);
    out += pitch;
    v128.store(out, sumBB);
    out += pitch;
    v128.store(out, sumAB);
    if (mask) v128.store(out + pitch, sumMask);
  }
}

/**
 * Sums of rows of doubles, `step` apart: `before` rows from `head`, then `after` rows from `tail` (a ring is read in two runs, so that no
 * step needs a remainder). Four pairs at once: the addresses cost as much as the additions.
 */
function rowSums(head: usize, before: i32, tail: usize, after: i32, step: usize, bytes: usize, to: usize): void {
  let i: usize = 0;
  for (; i + 64 <= bytes; i += 64) {
    let s0 = f64x2.splat(0);
    let s1 = f64x2.splat(0);
    let s2 = f64x2.splat(0);
    let s3 = f64x2.splat(0);
    let at = head + i;
    for (let k = 0; k < before + after; k++) {
      if (k == before) at = tail + i;
      s0 = f64x2.add(s0, v128.load(at));
      s1 = f64x2.add(s1, v128.load(at, 16));
      s2 = f64x2.add(s2, v128.load(at, 32));
      s3 = f64x2.add(s3, v128.load(at, 48));
      at += step;
    }
    v128.store(to + i, s0);
    v128.store(to + i, s1, 16);
    v128.store(to + i, s2, 32);
    v128.store(to + i, s3, 48);
  }
  for (; i < bytes; i += 16) {
    let sum = f64x2.splat(0);
    let at = head + i;
    for (let k = 0; k < before + after; k++) {
      if (k == before) at = tail + i;
      sum = f64x2.add(sum, v128.load(at));
      at += step;
    }
    v128.store(to + i, sum);
  }
}

/** Sums over y: the ring's rows first .. last, in that order, into the lines' middle. */
function ringSums(ring: usize, lines: usize, first: i32, last: i32, width: i32, window: i32, fields: i32): void {
  const pitch = <usize>paddedWidth(width) << 3;
  const slot = <usize>fields * pitch;
  const line = <usize>lineBytes(width, window);
  const middle = <usize>(window >> 1) << 3;
  const start = first % window;
  const before = min(last - first + 1, window - start);
  const after = last - first + 1 - before;
  for (let field = 0; field < fields; field++) {
    const tail = ring + <usize>field * pitch;
    rowSums(tail + <usize>start * slot, before, tail, after, slot, pitch, lines + <usize>field * line + middle);
  }
}

/** Sum over x of the window of a line that starts at `at`, for two voxels; the window is odd. */
@inline
function windowSum(at: usize, window: i32): v128 {
  let sum = v128.load(at);
  for (let k = 1; k < window; k += 2) {
    sum = f64x2.add(f64x2.add(sum, v128.load(at, 8)), v128.load(at, 16));
    at += 16;
  }
  return sum;
}

/** sum of squares - (sum)^2 / n, or 0 where that is rounding error alone. */
@inline
function variance(sum: v128, squares: v128, n: v128): v128 {
  const difference = f64x2.sub(squares, f64x2.div(f64x2.mul(sum, sum), n));
  return v128.and(difference, f64x2.gt(difference, f64x2.mul(f64x2.splat(VARIANCE_FLOOR), squares)));
}

@unmanaged
class NccWindowsArguments {
  a: Tensor;
  b: Tensor;
  /** `unitBytes` for each unit. */
  scratch: Address;
  result: Address;
  window: i32;
  firstSample: i32;
  samples: i32;
  gradient: i32;
  mask: Tensor | null;
}
/**
 * args: a, b, scratch of the units, result, window, first sample, samples, gradient, mask (or 0).
 * gradient 0: result is partial sums [n][z][2] as f64, of c over a plane and of the windows that count. 1: it is the fields [z][field][y][x] as f64 of that one sample.
 */
export function nccWindows(args: NccWindowsArguments, share: i32, shares: i32): void {
  const a = args.a;
  const b = args.b;
  const scratch = args.scratch;
  const result = args.result;
  const window = args.window;
  const firstSample = args.firstSample;
  const samples = args.samples;
  const gradient = args.gradient;
  const half = window >> 1;
  const width = a.w;
  const pitch = <usize>paddedWidth(width) << 3;
  const line = <usize>lineBytes(width, window);
  const plane = <usize>(a.h * a.w) << 2;
  const mask = args.mask;
  const fieldCount = mask ? MASKED_FIELDS : WINDOW_FIELDS;
  const one = f64x2.splat(1);
  let n = f64x2.splat(<f64>window * <f64>window * <f64>window);
  const units = samples * a.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const sample = firstSample + unit / a.d;
    const z = unit % a.d;
    const fromZ = max(0, z - half);
    const planes = min(a.d - 1, z + half) - fromZ + 1;
    const ring = scratch + <usize>unit * <usize>unitBytes(width, window, fieldCount);
    const lines = ring + <usize>(window * fieldCount) * pitch;
    memory.fill(lines, 0, <usize>fieldCount * line);
    let ready = 0;
    let total: f64 = 0;
    let counted: f64 = 0;
    for (let y = 0; y < a.h; y++) {
      const lastRow = min(a.h - 1, y + half);
      for (; ready <= lastRow; ready++) {
        const slot = ring + <usize>((ready % window) * fieldCount) * pitch;
        const maskRow = mask ? plainRow(mask, sample, 0, fromZ, ready) : 0;
        productSums(plainRow(a, sample, 0, fromZ, ready), plainRow(b, sample, 0, fromZ, ready), maskRow, planes, plane, width, slot);
      }
      ringSums(ring, lines, max(0, y - half), lastRow, width, window, fieldCount);
      const centre = mask ? plainRow(mask, sample, 0, z, y) : 0;
      const out = result + <usize>((z * GRADIENT_FIELDS * a.h) + y) * pitch;
      const field = <usize>a.h * pitch;
      let sum = f64x2.splat(0);
      for (let x = 0; x < width; x += 2) {
        const at = lines + (<usize>x << 3);
        let weight = one;
        if (mask) {
          n = f64x2.max(windowSum(at + 5 * line, window), one);
          weight = pair(centre + (<usize>x << 2), x + 1 == width);
        }
        const sumA = windowSum(at, window);
        const sumB = windowSum(at + line, window);
        const varianceA = variance(sumA, windowSum(at + 2 * line, window), n);
        const varianceB = variance(sumB, windowSum(at + 3 * line, window), n);
        const both = v128.and(f64x2.gt(varianceA, f64x2.splat(0)), f64x2.gt(varianceB, f64x2.splat(0)));
        const difference = f64x2.sub(windowSum(at + 4 * line, window), f64x2.div(f64x2.mul(sumA, sumB), n));
        const cross = f64x2.mul(v128.and(difference, both), weight);
        const q = f64x2.add(f64x2.mul(varianceA, varianceB), f64x2.splat(EPSILON));
        if (gradient) {
          const ratio = f64x2.div(cross, q);
          const u = f64x2.add(ratio, ratio);
          const v = f64x2.mul(f64x2.mul(ratio, ratio), varianceB);
          const means = f64x2.div(f64x2.sub(f64x2.mul(u, sumB), f64x2.mul(f64x2.add(v, v), sumA)), n);
          const to = out + (<usize>x << 3);
          v128.store(to, u);
          v128.store(to + field, v);
          v128.store(to + 2 * field, means);
        } else {
          const c = f64x2.min(f64x2.div(f64x2.mul(cross, cross), q), f64x2.splat(1));
          if (x + 1 < width) {
            sum = f64x2.add(sum, c);
            counted += f64x2.extract_lane(weight, 0) + f64x2.extract_lane(weight, 1);
          } else {
            total += f64x2.extract_lane(c, 0);
            counted += f64x2.extract_lane(weight, 0);
          }
        }
      }
      total += f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
      if (gradient && (width & 1)) {
        // what is beyond the last voxel must not enter sums over x
        const beyond = out + (<usize>width << 3);
        store<f64>(beyond, 0);
        store<f64>(beyond + field, 0);
        store<f64>(beyond + 2 * field, 0);
      }
    }
    if (!gradient) {
      store<f64>(result + (<usize>unit << 4), total);
      store<f64>(result + (<usize>unit << 4), counted, 8);
    }
  }
}

@unmanaged
class NccLossArguments {
  /** What `nccWindows` wrote. */
  partial: Address;
  count: i32;
  /** A scalar. */
  out: Address;
}
export function nccLoss(args: NccLossArguments, share: i32, shares: i32): void {
  const partial = args.partial;
  const count = args.count;
  let sum: f64 = 0;
  let counted: f64 = 0;
  for (let i = 0; i < count; i++) {
    sum += load<f64>(partial + (<usize>i << 4));
    counted += load<f64>(partial + (<usize>i << 4), 8);
  }
  store<f32>(args.out, <f32>max<f64>(0, 1 - sum / max<f64>(1, counted)));
}

@unmanaged
class NccCountArguments {
  /** For its shape. */
  a: Tensor;
  mask: Tensor | null;
  /** As f64. */
  count: Address;
}
/** How many windows the mean runs over. */
export function nccCount(args: NccCountArguments, share: i32, shares: i32): void {
  const a = args.a;
  const voxels = a.d * a.h * a.w;
  let sum: f64 = 0;
  const mask = args.mask;
  if (mask) {
    for (let n = 0; n < a.n; n++) {
      const from = plainRow(mask, n, 0, 0, 0);
      for (let i = 0; i < voxels; i++) sum += <f64>load<f32>(from + (<usize>i << 2));
    }
  } else {
    sum = <f64>a.n * <f64>voxels;
  }
  store<f64>(args.count, max<f64>(1, sum));
}

@unmanaged
class NccGradientArguments {
  a: Tensor;
  b: Tensor;
  /** A scalar. */
  dOut: Address;
  /** Of that sample: see `nccWindows`. */
  fields: Address;
  /** `unitBytes` for each plane. */
  scratch: Address;
  dA: Tensor;
  window: i32;
  sample: i32;
  mask: Tensor | null;
  /** What `nccCount` wrote. */
  count: Address;
}
export function nccGradient(args: NccGradientArguments, share: i32, shares: i32): void {
  const a = args.a;
  const b = args.b;
  const fields = args.fields;
  const scratch = args.scratch;
  const dA = args.dA;
  const window = args.window;
  const sample = args.sample;
  const half = window >> 1;
  const width = a.w;
  const pitch = <usize>paddedWidth(width) << 3;
  const line = <usize>lineBytes(width, window);
  const plane = <usize>(GRADIENT_FIELDS * a.h) * pitch;
  const mask = args.mask;
  const factor = f64x2.splat(-(<f64>load<f32>(args.dOut)) / load<f64>(args.count));
  const last = shareStart(a.d, share + 1, shares);
  for (let z = shareStart(a.d, share, shares); z < last; z++) {
    const fromZ = max(0, z - half);
    const planes = min(a.d - 1, z + half) - fromZ + 1;
    const ring = scratch + <usize>z * <usize>unitBytes(width, window, GRADIENT_FIELDS);
    const lines = ring + <usize>(window * GRADIENT_FIELDS) * pitch;
    memory.fill(lines, 0, <usize>GRADIENT_FIELDS * line);
    let ready = 0;
    for (let y = 0; y < a.h; y++) {
      const lastRow = min(a.h - 1, y + half);
      for (; ready <= lastRow; ready++) {
        for (let field = 0; field < GRADIENT_FIELDS; field++) {
          const from = fields + <usize>fromZ * plane + <usize>(field * a.h + ready) * pitch;
          rowSums(from, planes, 0, 0, plane, pitch, ring + <usize>((ready % window) * GRADIENT_FIELDS + field) * pitch);
        }
      }
      ringSums(ring, lines, max(0, y - half), lastRow, width, window, GRADIENT_FIELDS);
      const rowA = plainRow(a, sample, 0, z, y);
      const rowB = plainRow(b, sample, 0, z, y);
      const out = plainRow(dA, sample, 0, z, y);
      const centre = mask ? plainRow(mask, sample, 0, z, y) : 0;
      for (let x = 0; x < width; x += 2) {
        const single = x + 1 == width;
        const at = lines + (<usize>x << 3);
        const i = <usize>x << 2;
        const valueA = pair(rowA + i, single);
        const left = f64x2.mul(pair(rowB + i, single), windowSum(at, window));
        const right = f64x2.mul(f64x2.add(valueA, valueA), windowSum(at + line, window));
        let sum = f64x2.sub(f64x2.sub(left, right), windowSum(at + 2 * line, window));
        if (mask) sum = f64x2.mul(sum, pair(centre + i, single));
        const value = f32x4.demote_f64x2_zero(f64x2.mul(factor, sum));
        if (single) v128.store32_lane(out + i, value, 0);
        else v128.store64_lane(out + i, value, 0);
      }
    }
  }
}
