/**
 * Tensors as runs of floats, whatever their layout: for work that treats every element alike and leaves zeros zeros, so that a blocked
 * tensor's halo and padding channels may be worked on like the rest. Both tensors of a pair must have one layout.
 *
 * A sample is cut into chunks of a fixed length; chunks are the units of work and of partial sums.
 */
import { Address, blockPitch, Tensor } from "./common.as";
import { CHUNK_FLOATS } from "./constants";

/** Floats of one sample as it lies in memory. */
export function sampleFloats(t: Tensor): i32 {
  return t.blocks ? <i32>((<usize>t.blocks * blockPitch(t)) >> 2) : t.c * t.d * t.h * t.w;
}
/** Chunks of one sample. */
export function chunksOf(t: Tensor): i32 {
  return (sampleFloats(t) + CHUNK_FLOATS - 1) / CHUNK_FLOATS;
}
/** Address of a chunk, counted over all samples. */
@inline
export function chunkAt(t: Tensor, unit: i32, perSample: i32): usize {
  return t.data + <usize>(unit / perSample) * t.batchStride + (<usize>(unit % perSample) * <usize>CHUNK_FLOATS << 2);
}
/** Bytes of a chunk. */
@inline
export function chunkBytes(t: Tensor, unit: i32, perSample: i32): usize {
  return <usize>min(CHUNK_FLOATS, sampleFloats(t) - (unit % perSample) * CHUNK_FLOATS) << 2;
}

/** a[0] + a[1] of two doubles. */
@inline
export function lanesSum(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}
/** The upper two floats as doubles. */
@inline
export function promoteHigh(v: v128): v128 {
  return f64x2.promote_low_f32x4(i64x2.shuffle(v, v, 1, 0));
}

/** Sum of (a - b)^2 over `count` floats in a row, in double precision. */
export function squaredDifferences(a: usize, b: usize, count: i32): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const difference = f32x4.sub(v128.load(a), v128.load(b));
    const d0 = f64x2.promote_low_f32x4(difference);
    const d1 = promoteHigh(difference);
    low = f64x2.add(low, f64x2.mul(d0, d0));
    high = f64x2.add(high, f64x2.mul(d1, d1));
    a += 16;
    b += 16;
  }
  let sum = lanesSum(f64x2.add(low, high));
  for (; i < count; i++) {
    const difference = <f64>(load<f32>(a) - load<f32>(b));
    sum += difference * difference;
    a += 4;
    b += 4;
  }
  return sum;
}

@unmanaged
class FinishSumArguments {
  /** As f64. */
  partial: Address;
  count: i32;
  /** A scalar. */
  out: Address;
  divisor: i32;
}
/** Adds partial sums in order, and divides. */
export function finishSum(args: FinishSumArguments, share: i32, shares: i32): void {
  const partial = args.partial;
  const count = args.count;
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += load<f64>(partial + (<usize>i << 3));
  store<f32>(args.out, <f32>(sum / <f64>args.divisor));
}
