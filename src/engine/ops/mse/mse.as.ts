/** Mean squared error, on either layout as it lies: halo and padding add zeros. */
import { Address, shareStart, Tensor } from "../../backends/cpu/common.as";
import { chunkAt, chunkBytes, chunksOf, lanesSum, promoteHigh, squaredDifferences } from "../../backends/cpu/flat.as";

@unmanaged
class MseArguments {
  a: Tensor;
  b: Tensor;
  /** One f64 a chunk. */
  partial: Address;
}
export function mse(args: MseArguments, share: i32, shares: i32): void {
  const a = args.a;
  const b = args.b;
  const partial = args.partial;
  const perSample = chunksOf(a);
  const last = shareStart(a.n * perSample, share + 1, shares);
  for (let unit = shareStart(a.n * perSample, share, shares); unit < last; unit++) {
    const sum = squaredDifferences(chunkAt(a, unit, perSample), chunkAt(b, unit, perSample), <i32>(chunkBytes(a, unit, perSample) >> 2));
    store<f64>(partial + (<usize>unit << 3), sum);
  }
}

@unmanaged
class MseGradientArguments {
  a: Tensor;
  b: Tensor;
  /** A scalar. */
  dOut: Address;
  out: Tensor;
  elements: i32;
}
export function mseGradient(args: MseGradientArguments, share: i32, shares: i32): void {
  const a = args.a;
  const b = args.b;
  const out = args.out;
  const factor = f32x4.splat(<f32>((2 * <f64>load<f32>(args.dOut)) / <f64>args.elements));
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    let left = chunkAt(a, unit, perSample);
    let right = chunkAt(b, unit, perSample);
    let to = chunkAt(out, unit, perSample);
    const end = to + chunkBytes(out, unit, perSample);
    for (; to + 16 <= end; to += 16) {
      v128.store(to, f32x4.mul(factor, f32x4.sub(v128.load(left), v128.load(right))));
      left += 16;
      right += 16;
    }
    for (; to < end; to += 4) {
      v128.store32_lane(to, f32x4.mul(factor, f32x4.sub(v128.load32_zero(left), v128.load32_zero(right))), 0);
      left += 4;
      right += 4;
    }
  }
}

@unmanaged
class MaskedSquaresArguments {
  a: Tensor;
  b: Tensor;
  mask: Tensor;
  /** One f64 a chunk. */
  partial: Address;
}
/** Each chunk's sum of mask (a - b)^2. */
export function maskedSquares(args: MaskedSquaresArguments, share: i32, shares: i32): void {
  const a = args.a;
  const perSample = chunksOf(a);
  const last = shareStart(a.n * perSample, share + 1, shares);
  for (let unit = shareStart(a.n * perSample, share, shares); unit < last; unit++) {
    let left = chunkAt(a, unit, perSample);
    let right = chunkAt(args.b, unit, perSample);
    let weight = chunkAt(args.mask, unit, perSample);
    const end = left + chunkBytes(a, unit, perSample);
    let low = f64x2.splat(0);
    let high = f64x2.splat(0);
    for (; left + 16 <= end; left += 16) {
      const difference = f32x4.sub(v128.load(left), v128.load(right));
      const weights = v128.load(weight);
      const d0 = f64x2.promote_low_f32x4(difference);
      const d1 = promoteHigh(difference);
      low = f64x2.add(low, f64x2.mul(f64x2.promote_low_f32x4(weights), f64x2.mul(d0, d0)));
      high = f64x2.add(high, f64x2.mul(promoteHigh(weights), f64x2.mul(d1, d1)));
      right += 16;
      weight += 16;
    }
    let sum = lanesSum(f64x2.add(low, high));
    for (; left < end; left += 4) {
      const difference = <f64>(load<f32>(left) - load<f32>(right));
      sum += <f64>load<f32>(weight) * (difference * difference);
      right += 4;
      weight += 4;
    }
    store<f64>(args.partial + (<usize>unit << 3), sum);
  }
}

/** The sum of one sample's chunks, from one f64 a chunk. */
function sampleSum(partial: usize, n: i32, perSample: i32): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < perSample; i++) sum += load<f64>(partial + (<usize>(n * perSample + i) << 3));
  return sum;
}

@unmanaged
class MaskedMseArguments {
  /** For its shape. */
  x: Tensor;
  /** What `maskedSquares` wrote. */
  squares: Address;
  /** The sums of the mask's chunks. */
  weights: Address;
  /** A scalar. */
  out: Address;
}
export function maskedMse(args: MaskedMseArguments, share: i32, shares: i32): void {
  const batch = args.x.n;
  const perSample = chunksOf(args.x);
  let sum: f64 = 0;
  for (let n = 0; n < batch; n++) {
    const weight = sampleSum(args.weights, n, perSample);
    if (weight > 0) sum += sampleSum(args.squares, n, perSample) / weight;
  }
  store<f32>(args.out, <f32>(sum / <f64>batch));
}

@unmanaged
class MaskedMseGradientArguments {
  a: Tensor;
  b: Tensor;
  mask: Tensor;
  /** The sums of the mask's chunks. */
  weights: Address;
  /** A scalar. */
  dOut: Address;
  out: Tensor;
}
export function maskedMseGradient(args: MaskedMseGradientArguments, share: i32, shares: i32): void {
  const out = args.out;
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    const weight = sampleSum(args.weights, unit / perSample, perSample);
    const factor = f32x4.splat(weight > 0 ? <f32>((2 * <f64>load<f32>(args.dOut)) / (<f64>out.n * weight)) : 0);
    let left = chunkAt(args.a, unit, perSample);
    let right = chunkAt(args.b, unit, perSample);
    let mask = chunkAt(args.mask, unit, perSample);
    let to = chunkAt(out, unit, perSample);
    const end = to + chunkBytes(out, unit, perSample);
    for (; to + 16 <= end; to += 16) {
      const difference = f32x4.sub(v128.load(left), v128.load(right));
      v128.store(to, f32x4.mul(f32x4.mul(factor, v128.load(mask)), difference));
      left += 16;
      right += 16;
      mask += 16;
    }
    for (; to < end; to += 4) {
      const difference = f32x4.sub(v128.load32_zero(left), v128.load32_zero(right));
      v128.store32_lane(to, f32x4.mul(f32x4.mul(factor, v128.load32_zero(mask)), difference), 0);
      left += 4;
      right += 4;
      mask += 4;
    }
  }
}
