/**
 * GroupNorm with LeakyReLU on the blocked layout. Statistics are summed in single precision within a row, about one of its voxels, then in
 * double precision; planes are added in order. Each backward value is a linear function of dz and x with constants per channel, so a pass is two loads and a store.
 */
import { Address, blockedRow, fma, shareStart, Tensor, threadScratch, VOXEL, zeroHalo } from "../../backends/cpu/common.as";

@unmanaged
class GroupSumsArguments {
  x: Tensor;
  /** [n][block][plane][2][8] as f64: sum and sum of squares of each channel. */
  partial: Address;
}
export function groupSums(args: GroupSumsArguments, share: i32, shares: i32): void {
  const x = args.x;
  const partial = args.partial;
  const units = x.n * x.blocks * x.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const block = unit % x.blocks;
    const z = (unit / x.blocks) % x.d;
    const n = unit / (x.d * x.blocks);
    const out = partial + (<usize>((n * x.blocks + block) * x.d + z) << 7);
    memory.fill(out, 0, 128);
    for (let y = 0; y < x.h; y++) addRowSums(blockedRow(x, n, block, z, y), x.w, out);
  }
}

/**
 * Adds sums and sums of squares of a row of voxels to 8 and 8 doubles. Within the row they are sums, in single precision, of differences from
 * the voxel in its middle, so that nothing cancels where a channel is nearly constant.
 */
function addRowSums(row: usize, voxels: i32, to: usize): void {
  const middle = row + <usize>(voxels >> 1) * VOXEL;
  const middle0 = v128.load(middle);
  const middle1 = v128.load(middle, 16);
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let squares0 = f32x4.splat(0);
  let squares1 = f32x4.splat(0);
  const end = row + <usize>voxels * VOXEL;
  for (let at = row; at < end; at += VOXEL) {
    const d0 = f32x4.sub(v128.load(at), middle0);
    const d1 = f32x4.sub(v128.load(at, 16), middle1);
    sum0 = f32x4.add(sum0, d0);
    sum1 = f32x4.add(sum1, d1);
    squares0 = fma(d0, d0, squares0);
    squares1 = fma(d1, d1, squares1);
  }
  const count = f64x2.splat(<f64>voxels);
  addMoments(sum0, squares0, middle0, count, to);
  addMoments(upper(sum0), upper(squares0), upper(middle0), count, to + 16);
  addMoments(sum1, squares1, middle1, count, to + 32);
  addMoments(upper(sum1), upper(squares1), upper(middle1), count, to + 48);
}
@inline
function upper(v: v128): v128 {
  return i64x2.shuffle(v, v, 1, 0);
}
/** Of the two lower channels: sums of d = v - middle and of d d become those of v and v v, and are added to `to` and 64 bytes on. */
@inline
function addMoments(sum: v128, squares: v128, middle: v128, count: v128, to: usize): void {
  const s = f64x2.promote_low_f32x4(sum);
  const m = f64x2.promote_low_f32x4(middle);
  const all = f64x2.mul(count, m);
  v128.store(to, f64x2.add(v128.load(to), f64x2.add(s, all)));
  const cross = f64x2.mul(m, f64x2.add(f64x2.add(s, s), all));
  v128.store(to, f64x2.add(v128.load(to, 64), f64x2.add(f64x2.promote_low_f32x4(squares), cross)), 64);
}

@unmanaged
class GroupStatisticsArguments {
  /** For its shape. */
  x: Tensor;
  /** What `groupSums` wrote. */
  partial: Address;
  /** (N, G, 2). */
  statistics: Address;
  groups: i32;
  eps: f32;
}
export function groupStatistics(args: GroupStatisticsArguments, share: i32, shares: i32): void {
  const x = args.x;
  const partial = args.partial;
  const out = args.statistics;
  const groups = args.groups;
  const eps = <f64>args.eps;
  const channels = x.c / groups;
  const count = <f64>channels * <f64>x.d * <f64>x.h * <f64>x.w;
  const units = x.n * groups;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / groups;
    let sum: f64 = 0;
    let squares: f64 = 0;
    for (let i = 0; i < channels; i++) {
      const channel = (unit % groups) * channels + i;
      for (let z = 0; z < x.d; z++) {
        const at = partial + (<usize>((n * x.blocks + (channel >> 3)) * x.d + z) << 7) + (<usize>(channel & 7) << 3);
        sum += load<f64>(at);
        squares += load<f64>(at, 64);
      }
    }
    const mean = sum / count;
    const variance = max(squares / count - mean * mean, 0);
    store<f32>(out + (<usize>unit << 3), <f32>mean);
    store<f32>(out + (<usize>unit << 3), <f32>(1 / Math.sqrt(variance + eps)), 4);
  }
}

/**
 * Writes mean, scale = gamma r, and beta of a block's channels to `to` (8 floats each), so that z = scale (x - mean) + beta; zeros for padding
 * channels, which so stay zeros. The mean is taken off first: folded into one shift it would cancel badly where a group is nearly constant.
 */
function prepareChannels(x: Tensor, statistics: usize, gamma: usize, beta: usize, groups: i32, n: i32, block: i32, to: usize): void {
  const channels = x.c / groups;
  memory.fill(to, 0, 96);
  for (let i = 0; i < min(8, x.c - block * 8); i++) {
    const channel = block * 8 + i;
    const at = statistics + (<usize>(n * groups + channel / channels) << 3);
    store<f32>(to + (<usize>i << 2), load<f32>(at));
    store<f32>(to + (<usize>i << 2), load<f32>(gamma + (<usize>channel << 2)) * load<f32>(at, 4), 32);
    store<f32>(to + (<usize>i << 2), load<f32>(beta + (<usize>channel << 2)), 64);
  }
}

/** z where z > 0, slope z elsewhere. */
@inline
function leaky(z: v128, slope: v128): v128 {
  return v128.bitselect(z, f32x4.mul(z, slope), f32x4.gt(z, f32x4.splat(0)));
}
/** dy f'(z). */
@inline
function leakyGradient(dy: v128, z: v128, slope: v128): v128 {
  return v128.bitselect(dy, f32x4.mul(dy, slope), f32x4.gt(z, f32x4.splat(0)));
}

@unmanaged
class GroupNormArguments {
  x: Tensor;
  statistics: Address;
  gamma: Address;
  beta: Address;
  y: Tensor;
  groups: i32;
  slope: f32;
}
export function groupNorm(args: GroupNormArguments, share: i32, shares: i32): void {
  const x = args.x;
  const y = args.y;
  const groups = args.groups;
  const slope = f32x4.splat(args.slope);
  const constants = threadScratch;
  const units = x.n * x.blocks * x.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const block = unit % x.blocks;
    const z = (unit / x.blocks) % x.d;
    const n = unit / (x.d * x.blocks);
    prepareChannels(x, args.statistics, args.gamma, args.beta, groups, n, block, constants);
    const mean0 = v128.load(constants);
    const mean1 = v128.load(constants, 16);
    const scale0 = v128.load(constants, 32);
    const scale1 = v128.load(constants, 48);
    const beta0 = v128.load(constants, 64);
    const beta1 = v128.load(constants, 80);
    for (let h = 0; h < x.h; h++) {
      let from = blockedRow(x, n, block, z, h);
      let to = blockedRow(y, n, block, z, h);
      for (let i = 0; i < x.w; i++) {
        v128.store(to, leaky(fma(f32x4.sub(v128.load(from), mean0), scale0, beta0), slope));
        v128.store(to, leaky(fma(f32x4.sub(v128.load(from, 16), mean1), scale1, beta1), slope), 16);
        from += VOXEL;
        to += VOXEL;
      }
    }
    zeroHalo(y, n, block, z);
  }
}

@unmanaged
class GroupNormSumsArguments {
  x: Tensor;
  statistics: Address;
  gamma: Address;
  beta: Address;
  dy: Tensor;
  /** [n][block][plane][2][8] as f64: sum of dz, sum of dz h. */
  partial: Address;
  groups: i32;
  slope: f32;
}
export function groupNormSums(args: GroupNormSumsArguments, share: i32, shares: i32): void {
  const x = args.x;
  const statistics = args.statistics;
  const dy = args.dy;
  const partial = args.partial;
  const groups = args.groups;
  const slope = f32x4.splat(args.slope);
  const channels = x.c / groups;
  const constants = threadScratch;
  const units = x.n * x.blocks * x.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const block = unit % x.blocks;
    const z = (unit / x.blocks) % x.d;
    const n = unit / (x.d * x.blocks);
    prepareChannels(x, statistics, args.gamma, args.beta, groups, n, block, constants);
    memory.fill(constants + 96, 0, 32);
    for (let i = 0; i < min(8, x.c - block * 8); i++) {
      const at = statistics + (<usize>(n * groups + (block * 8 + i) / channels) << 3);
      store<f32>(constants + (<usize>i << 2), load<f32>(at, 4), 96);
    }
    const out = partial + (<usize>((n * x.blocks + block) * x.d + z) << 7);
    for (let half: usize = 0; half < 2; half++) {
      const mean = v128.load(constants + half * 16);
      const scale = v128.load(constants + half * 16, 32);
      const beta = v128.load(constants + half * 16, 64);
      const inverse = v128.load(constants + half * 16, 96);
      let s0 = f64x2.splat(0);
      let s1 = f64x2.splat(0);
      let t0 = f64x2.splat(0);
      let t1 = f64x2.splat(0);
      for (let h = 0; h < x.h; h++) {
        let from = blockedRow(x, n, block, z, h) + half * 16;
        let right = blockedRow(dy, n, block, z, h) + half * 16;
        // a row's sum in single precision, rows in double: the error stays that of one row
        let rowSum = f32x4.splat(0);
        let rowProduct = f32x4.splat(0);
        for (let i = 0; i < x.w; i++) {
          const centred = f32x4.sub(v128.load(from), mean);
          const dz = leakyGradient(v128.load(right), fma(centred, scale, beta), slope);
          rowSum = f32x4.add(rowSum, dz);
          rowProduct = fma(dz, f32x4.mul(centred, inverse), rowProduct);
          from += VOXEL;
          right += VOXEL;
        }
        s0 = f64x2.add(s0, f64x2.promote_low_f32x4(rowSum));
        s1 = f64x2.add(s1, f64x2.promote_low_f32x4(i64x2.shuffle(rowSum, rowSum, 1, 0)));
        t0 = f64x2.add(t0, f64x2.promote_low_f32x4(rowProduct));
        t1 = f64x2.add(t1, f64x2.promote_low_f32x4(i64x2.shuffle(rowProduct, rowProduct, 1, 0)));
      }
      v128.store(out + half * 32, s0);
      v128.store(out + half * 32, s1, 16);
      v128.store(out + 64 + half * 32, t0);
      v128.store(out + 64 + half * 32, t1, 16);
    }
  }
}

@unmanaged
class CollectChannelSumsArguments {
  /** For its shape. */
  x: Tensor;
  /** What `groupNormSums` wrote. */
  partial: Address;
  /** (N, C, 2). */
  sums: Address;
}
export function collectChannelSums(args: CollectChannelSumsArguments, share: i32, shares: i32): void {
  const x = args.x;
  const partial = args.partial;
  const out = args.sums;
  const units = x.n * x.c;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / x.c;
    const channel = unit % x.c;
    let first: f64 = 0;
    let second: f64 = 0;
    for (let z = 0; z < x.d; z++) {
      const at = partial + (<usize>((n * x.blocks + (channel >> 3)) * x.d + z) << 7) + (<usize>(channel & 7) << 3);
      first += load<f64>(at);
      second += load<f64>(at, 64);
    }
    store<f32>(out + (<usize>unit << 3), <f32>first);
    store<f32>(out + (<usize>unit << 3), <f32>second, 4);
  }
}

@unmanaged
class GroupNormInputGradientArguments {
  x: Tensor;
  statistics: Address;
  gamma: Address;
  beta: Address;
  dy: Tensor;
  /** What `collectChannelSums` wrote. */
  sums: Address;
  dx: Tensor;
  groups: i32;
  slope: f32;
}
/** dx = (r gamma) dz - (r^2 T / M) (x - mean) - r S / M, S and T the group's sums of gamma dz and gamma dz h. */
export function groupNormInputGradient(args: GroupNormInputGradientArguments, share: i32, shares: i32): void {
  const x = args.x;
  const statistics = args.statistics;
  const gamma = args.gamma;
  const dy = args.dy;
  const sums = args.sums;
  const dx = args.dx;
  const groups = args.groups;
  const slope = f32x4.splat(args.slope);
  const channels = x.c / groups;
  const count = <f32>channels * <f32>x.d * <f32>x.h * <f32>x.w;
  const constants = threadScratch;
  const units = x.n * x.blocks * x.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const block = unit % x.blocks;
    const z = (unit / x.blocks) % x.d;
    const n = unit / (x.d * x.blocks);
    prepareChannels(x, statistics, gamma, args.beta, groups, n, block, constants);
    memory.fill(constants + 96, 0, 64);
    for (let i = 0; i < min(8, x.c - block * 8); i++) {
      const group = (block * 8 + i) / channels;
      const at = statistics + (<usize>(n * groups + group) << 3);
      const inverse = load<f32>(at, 4);
      let s: f32 = 0;
      let t: f32 = 0;
      for (let j = 0; j < channels; j++) {
        const channel = group * channels + j;
        const weight = load<f32>(gamma + (<usize>channel << 2));
        const from = sums + (<usize>(n * x.c + channel) << 3);
        s += weight * load<f32>(from);
        t += weight * load<f32>(from, 4);
      }
      store<f32>(constants + (<usize>i << 2), (-inverse * inverse * t) / count, 96);
      store<f32>(constants + (<usize>i << 2), (-inverse * s) / count, 128);
    }
    const mean0 = v128.load(constants);
    const mean1 = v128.load(constants, 16);
    const scale0 = v128.load(constants, 32);
    const scale1 = v128.load(constants, 48);
    const beta0 = v128.load(constants, 64);
    const beta1 = v128.load(constants, 80);
    const slopeX0 = v128.load(constants, 96);
    const slopeX1 = v128.load(constants, 112);
    const offset0 = v128.load(constants, 128);
    const offset1 = v128.load(constants, 144);
    for (let h = 0; h < x.h; h++) {
      let from = blockedRow(x, n, block, z, h);
      let right = blockedRow(dy, n, block, z, h);
      let to = blockedRow(dx, n, block, z, h);
      for (let i = 0; i < x.w; i++) {
        let centred = f32x4.sub(v128.load(from), mean0);
        let dz = leakyGradient(v128.load(right), fma(centred, scale0, beta0), slope);
        v128.store(to, fma(dz, scale0, fma(centred, slopeX0, offset0)));
        centred = f32x4.sub(v128.load(from, 16), mean1);
        dz = leakyGradient(v128.load(right, 16), fma(centred, scale1, beta1), slope);
        v128.store(to, fma(dz, scale1, fma(centred, slopeX1, offset1)), 16);
        from += VOXEL;
        right += VOXEL;
        to += VOXEL;
      }
    }
    zeroHalo(dx, n, block, z);
  }
}

@unmanaged
class SumPickArguments {
  /** (N, C, 2). */
  sums: Address;
  /** (C). */
  out: Address;
  batch: i32;
  channels: i32;
  /** 0 or 1. */
  pick: i32;
}
export function sumPick(args: SumPickArguments, share: i32, shares: i32): void {
  const sums = args.sums;
  const out = args.out;
  const batch = args.batch;
  const channels = args.channels;
  const pick = <usize>args.pick;
  for (let c = 0; c < channels; c++) {
    let sum: f32 = 0;
    for (let n = 0; n < batch; n++) sum += load<f32>(sums + (<usize>(n * channels + c) << 3) + (pick << 2));
    store<f32>(out + (<usize>c << 2), sum);
  }
}
