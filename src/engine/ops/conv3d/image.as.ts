/**
 * 3x3x3 convolution of one channel, the image: in blocks of 8 channels seven eighths of the work would be zeros. The image is copied once with a
 * margin of zeros, so that a tap is an offset; then 4 voxels x 16 (or 8) output channels are summed in registers.
 */
import { address, blockedRow, fma, plainRow, shareStart, Tensor, tensor, VOXEL, word, zeroHalo } from "../../backends/cpu/common.as";

/** Floats of a padded row, of a padded plane. */
@inline
function paddedRow(t: Tensor): usize {
  return <usize>(t.w + 2);
}
@inline
function paddedPlane(t: Tensor): usize {
  return paddedRow(t) * <usize>(t.h + 2);
}
/** Address of the first tap of voxel (z, y, 0). */
@inline
function firstTap(padded: usize, t: Tensor, n: i32, z: i32, y: i32): usize {
  return padded + (((<usize>n * <usize>(t.d + 2) + <usize>z) * paddedPlane(t) + <usize>y * paddedRow(t)) << 2);
}

/** args: image (N, 1, D, H, W) plain, padded (N, D + 2, H + 2, W + 2). */
export function padImage(args: usize, thread: i32, threads: i32): void {
  const x = tensor(args, 0);
  const padded = address(args, 1);
  const planes = x.d + 2;
  const last = shareStart(x.n * planes, thread + 1, threads);
  for (let unit = shareStart(x.n * planes, thread, threads); unit < last; unit++) {
    const n = unit / planes;
    const z = unit % planes;
    const to = firstTap(padded, x, n, z, 0);
    memory.fill(to, 0, paddedPlane(x) << 2);
    if (z == 0 || z == planes - 1) continue;
    for (let y = 0; y < x.h; y++) memory.copy(to + ((<usize>(y + 1) * paddedRow(x) + 1) << 2), plainRow(x, n, 0, z - 1, y), <usize>x.w << 2);
  }
}

/** args: weight (O, 1, 27) plain, the same as [block][tap][8] with zeros for channels beyond, O. */
export function packImageWeights(args: usize, thread: i32, threads: i32): void {
  if (thread != 0) return;
  const weight = address(args, 0);
  const packed = address(args, 1);
  const channels = word(args, 2);
  const blocks = (channels + 7) >> 3;
  for (let i = 0; i < blocks * 8; i++) {
    const to = packed + <usize>((i >> 3) * 27) * VOXEL + (<usize>(i & 7) << 2);
    for (let tap = 0; tap < 27; tap++) store<f32>(to + <usize>tap * VOXEL, i < channels ? load<f32>(weight + (<usize>(i * 27 + tap) << 2)) : 0);
  }
}

/** 4 voxels x 16 channels of two blocks. `start` is the bias of both. */
function tile16(x: usize, row: usize, plane: usize, w: usize, start: usize, to: usize, toBlock: usize): void {
  let p0 = v128.load(start);
  let p1 = v128.load(start, 16);
  let p2 = v128.load(start, 32);
  let p3 = v128.load(start, 48);
  let q0 = p0;
  let q1 = p1;
  let q2 = p2;
  let q3 = p3;
  let r0 = p0;
  let r1 = p1;
  let r2 = p2;
  let r3 = p3;
  let s0 = p0;
  let s1 = p1;
  let s2 = p2;
  let s3 = p3;
  let second = w + 27 * VOXEL;
  for (let i: usize = 0; i < 9; i++) {
    let at = x + (i / 3) * plane + (i % 3) * row;
    const end = at + 12;
    while (at < end) {
      const w0 = v128.load(w);
      const w1 = v128.load(w, 16);
      const w2 = v128.load(second);
      const w3 = v128.load(second, 16);
      let v = v128.load32_splat(at);
      p0 = fma(v, w0, p0);
      p1 = fma(v, w1, p1);
      p2 = fma(v, w2, p2);
      p3 = fma(v, w3, p3);
      v = v128.load32_splat(at, 4);
      q0 = fma(v, w0, q0);
      q1 = fma(v, w1, q1);
      q2 = fma(v, w2, q2);
      q3 = fma(v, w3, q3);
      v = v128.load32_splat(at, 8);
      r0 = fma(v, w0, r0);
      r1 = fma(v, w1, r1);
      r2 = fma(v, w2, r2);
      r3 = fma(v, w3, r3);
      v = v128.load32_splat(at, 12);
      s0 = fma(v, w0, s0);
      s1 = fma(v, w1, s1);
      s2 = fma(v, w2, s2);
      s3 = fma(v, w3, s3);
      at += 4;
      w += VOXEL;
      second += VOXEL;
    }
  }
  v128.store(to, p0);
  v128.store(to, p1, 16);
  v128.store(to, q0, 32);
  v128.store(to, q1, 48);
  v128.store(to, r0, 64);
  v128.store(to, r1, 80);
  v128.store(to, s0, 96);
  v128.store(to, s1, 112);
  to += toBlock;
  v128.store(to, p2);
  v128.store(to, p3, 16);
  v128.store(to, q2, 32);
  v128.store(to, q3, 48);
  v128.store(to, r2, 64);
  v128.store(to, r3, 80);
  v128.store(to, s2, 96);
  v128.store(to, s3, 112);
}

/** 4 voxels x 8 channels. */
function tile8(x: usize, row: usize, plane: usize, w: usize, start: usize, to: usize): void {
  let p0 = v128.load(start);
  let p1 = v128.load(start, 16);
  let q0 = p0;
  let q1 = p1;
  let r0 = p0;
  let r1 = p1;
  let s0 = p0;
  let s1 = p1;
  for (let i: usize = 0; i < 9; i++) {
    let at = x + (i / 3) * plane + (i % 3) * row;
    const end = at + 12;
    while (at < end) {
      const w0 = v128.load(w);
      const w1 = v128.load(w, 16);
      let v = v128.load32_splat(at);
      p0 = fma(v, w0, p0);
      p1 = fma(v, w1, p1);
      v = v128.load32_splat(at, 4);
      q0 = fma(v, w0, q0);
      q1 = fma(v, w1, q1);
      v = v128.load32_splat(at, 8);
      r0 = fma(v, w0, r0);
      r1 = fma(v, w1, r1);
      v = v128.load32_splat(at, 12);
      s0 = fma(v, w0, s0);
      s1 = fma(v, w1, s1);
      at += 4;
      w += VOXEL;
    }
  }
  v128.store(to, p0);
  v128.store(to, p1, 16);
  v128.store(to, q0, 32);
  v128.store(to, q1, 48);
  v128.store(to, r0, 64);
  v128.store(to, r1, 80);
  v128.store(to, s0, 96);
  v128.store(to, s1, 112);
}

/** args: padded image, packed weights, bias (whole blocks), y blocked with rows of at least 4 voxels. */
export function conv3dImage(args: usize, thread: i32, threads: i32): void {
  const padded = address(args, 0);
  const weights = address(args, 1);
  const bias = address(args, 2);
  const y = tensor(args, 3);
  const row = paddedRow(y) << 2;
  const plane = paddedPlane(y) << 2;
  const blockBytes = blockedRow(y, 0, 1, 0, 0) - blockedRow(y, 0, 0, 0, 0);
  const units = y.n * y.d;
  const last = shareStart(units, thread + 1, threads);
  for (let unit = shareStart(units, thread, threads); unit < last; unit++) {
    const n = unit / y.d;
    const z = unit % y.d;
    for (let h = 0; h < y.h; h++) {
      const from = firstTap(padded, y, n, z, h);
      for (let b = 0; b < y.blocks; b++) {
        const to = blockedRow(y, n, b, z, h);
        const w = weights + <usize>(b * 27) * VOXEL;
        const start = bias + <usize>b * VOXEL;
        const pair = WIDE && b + 1 < y.blocks;
        // the last tile may overlap the one before it: computing a voxel twice is cheaper than single voxels
        for (let x = 0; x < y.w; x += 4) {
          const at = <usize>min(x, y.w - 4);
          if (pair) tile16(from + (at << 2), row, plane, w, start, to + at * VOXEL, blockBytes);
          else tile8(from + (at << 2), row, plane, w, start, to + at * VOXEL);
        }
        if (pair) b++;
      }
    }
    for (let b = 0; b < y.blocks; b++) zeroHalo(y, n, b, z);
  }
}

/** sum[3 taps along x][8] += over a row x[voxel + tap] dy[voxel][8]. */
function outerRow(x: usize, dy: usize, width: i32, sum: usize): void {
  let p0 = v128.load(sum);
  let p1 = v128.load(sum, 16);
  let q0 = v128.load(sum, 32);
  let q1 = v128.load(sum, 48);
  let r0 = v128.load(sum, 64);
  let r1 = v128.load(sum, 80);
  const end = x + (<usize>width << 2);
  while (x < end) {
    const d0 = v128.load(dy);
    const d1 = v128.load(dy, 16);
    let v = v128.load32_splat(x);
    p0 = fma(v, d0, p0);
    p1 = fma(v, d1, p1);
    v = v128.load32_splat(x, 4);
    q0 = fma(v, d0, q0);
    q1 = fma(v, d1, q1);
    v = v128.load32_splat(x, 8);
    r0 = fma(v, d0, r0);
    r1 = fma(v, d1, r1);
    x += 4;
    dy += VOXEL;
  }
  v128.store(sum, p0);
  v128.store(sum, p1, 16);
  v128.store(sum, q0, 32);
  v128.store(sum, q1, 48);
  v128.store(sum, r0, 64);
  v128.store(sum, r1, 80);
}

/** args: padded image, dy blocked, sums [plane of all samples][block][tap][8]. */
export function conv3dImageWeightGradient(args: usize, thread: i32, threads: i32): void {
  const padded = address(args, 0);
  const dy = tensor(args, 1);
  const sums = address(args, 2);
  const units = dy.n * dy.d * dy.blocks;
  const last = shareStart(units, thread + 1, threads);
  for (let unit = shareStart(units, thread, threads); unit < last; unit++) {
    const b = unit % dy.blocks;
    const z = (unit / dy.blocks) % dy.d;
    const n = unit / (dy.blocks * dy.d);
    const sum = sums + <usize>(unit * 27) * VOXEL;
    memory.fill(sum, 0, 27 * VOXEL);
    for (let h = 0; h < dy.h; h++) {
      const right = blockedRow(dy, n, b, z, h);
      for (let i = 0; i < 9; i++) outerRow(firstTap(padded, dy, n, z + i / 3, h + (i % 3)), right, dy.w, sum + <usize>(3 * i) * VOXEL);
    }
  }
}

/** args: sums [plane][block][tap][8], dweight (O, 1, 27) plain, O, planes. */
export function collectImageWeights(args: usize, thread: i32, threads: i32): void {
  const sums = address(args, 0);
  const weight = address(args, 1);
  const channels = word(args, 2);
  const planes = word(args, 3);
  const blocks = (channels + 7) >> 3;
  const last = shareStart(channels, thread + 1, threads);
  for (let c = shareStart(channels, thread, threads); c < last; c++) {
    for (let tap = 0; tap < 27; tap++) {
      const from = sums + <usize>((c >> 3) * 27 + tap) * VOXEL + (<usize>(c & 7) << 2);
      let sum: f64 = 0;
      for (let plane = 0; plane < planes; plane++) sum += <f64>load<f32>(from + <usize>(plane * blocks * 27) * VOXEL);
      store<f32>(weight + (<usize>(c * 27 + tap) << 2), <f32>sum);
    }
  }
}
