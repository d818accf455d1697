/** Sums in double precision over parts whose bounds depend on the shape alone, and the broadcasts that are their adjoints. */
import { Address, blockedRow, plainRow, shareStart, Tensor, VOXEL } from "../../backends/cpu/common.as";
import { chunkAt, chunkBytes, chunksOf, lanesSum, promoteHigh } from "../../backends/cpu/flat.as";

@unmanaged
class PlaneSumsArguments {
  x: Tensor;
  /** As f64 [n][channel][plane], channels in whole blocks if x is blocked. */
  partial: Address;
}
/** Each plane's sum. */
export function planeSums(args: PlaneSumsArguments, share: i32, shares: i32): void {
  const x = args.x;
  const partial = args.partial;
  const parts = x.blocks ? x.blocks : x.c;
  const units = x.n * parts * x.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % x.d;
    const part = (unit / x.d) % parts;
    const n = unit / (x.d * parts);
    if (x.blocks) {
      for (let half: usize = 0; half < 2; half++) {
        let low = f64x2.splat(0);
        let high = f64x2.splat(0);
        for (let y = 0; y < x.h; y++) {
          let at = blockedRow(x, n, part, z, y) + half * 16;
          for (let i = 0; i < x.w; i++) {
            const value = v128.load(at);
            low = f64x2.add(low, f64x2.promote_low_f32x4(value));
            high = f64x2.add(high, promoteHigh(value));
            at += VOXEL;
          }
        }
        const out = partial + (<usize>((n * parts + part) * 8 * x.d + z) << 3);
        const step = <usize>x.d << 3;
        store<f64>(out + (half * 4) * step, f64x2.extract_lane(low, 0));
        store<f64>(out + (half * 4 + 1) * step, f64x2.extract_lane(low, 1));
        store<f64>(out + (half * 4 + 2) * step, f64x2.extract_lane(high, 0));
        store<f64>(out + (half * 4 + 3) * step, f64x2.extract_lane(high, 1));
      }
    } else {
      let at = plainRow(x, n, part, z, 0);
      const end = at + (<usize>(x.h * x.w) << 2);
      let low = f64x2.splat(0);
      let high = f64x2.splat(0);
      for (; at + 16 <= end; at += 16) {
        const value = v128.load(at);
        low = f64x2.add(low, f64x2.promote_low_f32x4(value));
        high = f64x2.add(high, promoteHigh(value));
      }
      let sum = lanesSum(f64x2.add(low, high));
      for (; at < end; at += 4) sum += <f64>load<f32>(at);
      store<f64>(partial + (<usize>unit << 3), sum);
    }
  }
}

@unmanaged
class PlaneSumsOfArguments {
  /** For its shape. */
  x: Tensor;
  /** What `planeSums` wrote. */
  partial: Address;
  /** (C), or (N, C). */
  out: Address;
}
/** Adds planes and samples. */
export function channelSum(args: PlaneSumsOfArguments, share: i32, shares: i32): void {
  const x = args.x;
  const partial = args.partial;
  const out = args.out;
  const stored = x.blocks ? x.blocks * 8 : x.c;
  const last = shareStart(x.c, share + 1, shares);
  for (let channel = shareStart(x.c, share, shares); channel < last; channel++) {
    let sum: f64 = 0;
    for (let n = 0; n < x.n; n++) {
      for (let z = 0; z < x.d; z++) sum += load<f64>(partial + (<usize>((n * stored + channel) * x.d + z) << 3));
    }
    store<f32>(out + (<usize>channel << 2), <f32>sum);
  }
}

@unmanaged
class BatchSumArguments {
  /** (N, C). */
  x: Tensor;
  /** (C). */
  out: Address;
}
export function batchSum(args: BatchSumArguments, share: i32, shares: i32): void {
  const x = args.x;
  const out = args.out;
  const last = shareStart(x.c, share + 1, shares);
  for (let channel = shareStart(x.c, share, shares); channel < last; channel++) {
    let sum: f64 = 0;
    for (let n = 0; n < x.n; n++) sum += <f64>load<f32>(x.data + <usize>n * x.batchStride + (<usize>channel << 2));
    store<f32>(out + (<usize>channel << 2), <f32>sum);
  }
}

@unmanaged
class BatchBroadcastArguments {
  /** (C). */
  x: Address;
  /** (N, C). */
  out: Tensor;
}
export function batchBroadcast(args: BatchBroadcastArguments, share: i32, shares: i32): void {
  const out = args.out;
  const last = shareStart(out.n, share + 1, shares);
  for (let n = shareStart(out.n, share, shares); n < last; n++) {
    memory.copy(out.data + <usize>n * out.batchStride, args.x, <usize>out.c << 2);
  }
}

/** Adds planes and divides by the voxels. */
export function globalAverage(args: PlaneSumsOfArguments, share: i32, shares: i32): void {
  const x = args.x;
  const partial = args.partial;
  const out = args.out;
  const stored = x.blocks ? x.blocks * 8 : x.c;
  const voxels = <f64>x.d * <f64>x.h * <f64>x.w;
  const last = shareStart(x.n * x.c, share + 1, shares);
  for (let unit = shareStart(x.n * x.c, share, shares); unit < last; unit++) {
    const row = (unit / x.c) * stored + (unit % x.c);
    let sum: f64 = 0;
    for (let z = 0; z < x.d; z++) sum += load<f64>(partial + (<usize>(row * x.d + z) << 3));
    store<f32>(out + (<usize>unit << 2), <f32>(sum / voxels));
  }
}

@unmanaged
class SpatialBroadcastArguments {
  /** (N, C). */
  x: Tensor;
  out: Tensor;
  scale: f32;
}
/** Writes whole rows; a blocked result needs `clearPadding`. */
export function spatialBroadcast(args: SpatialBroadcastArguments, share: i32, shares: i32): void {
  const x = args.x;
  const out = args.out;
  const scale = args.scale;
  const parts = out.blocks ? out.blocks : out.c;
  const units = out.n * parts * out.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % out.d;
    const part = (unit / out.d) % parts;
    const n = unit / (out.d * parts);
    const values = x.data + <usize>n * x.batchStride;
    if (out.blocks) {
      for (let i = 0; i < 8; i++) {
        const channel = part * 8 + i;
        const value: f32 = channel < out.c ? scale * load<f32>(values + (<usize>channel << 2)) : 0;
        for (let y = 0; y < out.h; y++) {
          const row = blockedRow(out, n, part, z, y) + (<usize>i << 2);
          for (let w = 0; w < out.w; w++) store<f32>(row + <usize>w * VOXEL, value);
        }
      }
    } else {
      const value = scale * load<f32>(values + (<usize>part << 2));
      const plane = plainRow(out, n, part, z, 0);
      for (let i = 0; i < out.h * out.w; i++) store<f32>(plane + (<usize>i << 2), value);
    }
  }
}

@unmanaged
class ChunkSumsArguments {
  x: Tensor;
  /** One f64 a chunk. */
  partial: Address;
}
@inline
function chunkSums(squares: bool, args: ChunkSumsArguments, share: i32, shares: i32): void {
  const x = args.x;
  const partial = args.partial;
  const perSample = chunksOf(x);
  const last = shareStart(x.n * perSample, share + 1, shares);
  for (let unit = shareStart(x.n * perSample, share, shares); unit < last; unit++) {
    let at = chunkAt(x, unit, perSample);
    const end = at + chunkBytes(x, unit, perSample);
    let low = f64x2.splat(0);
    let high = f64x2.splat(0);
    for (; at + 16 <= end; at += 16) {
      const value = v128.load(at);
      const a = f64x2.promote_low_f32x4(value);
      const b = promoteHigh(value);
      low = f64x2.add(low, squares ? f64x2.mul(a, a) : a);
      high = f64x2.add(high, squares ? f64x2.mul(b, b) : b);
    }
    let sum = lanesSum(f64x2.add(low, high));
    for (; at < end; at += 4) {
      const value = <f64>load<f32>(at);
      sum += squares ? value * value : value;
    }
    store<f64>(partial + (<usize>unit << 3), sum);
  }
}

export function elementSums(args: ChunkSumsArguments, share: i32, shares: i32): void {
  chunkSums(false, args, share, shares);
}
export function squareSums(args: ChunkSumsArguments, share: i32, shares: i32): void {
  chunkSums(true, args, share, shares);
}

@unmanaged
class FillArguments {
  /** A scalar. */
  value: Address;
  out: Tensor;
  scale: f32;
}
/** A blocked result needs `clearPadding`. */
export function fill(args: FillArguments, share: i32, shares: i32): void {
  const out = args.out;
  const value = load<f32>(args.value) * args.scale;
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    let at = chunkAt(out, unit, perSample);
    const end = at + chunkBytes(out, unit, perSample);
    for (; at + 16 <= end; at += 16) v128.store(at, f32x4.splat(value));
    for (; at < end; at += 4) store<f32>(at, value);
  }
}
