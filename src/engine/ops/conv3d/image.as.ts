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

/**
 * 4 voxels x 16 channels of two blocks. Every plane of taps is summed from zero and the bias is added last, so that rounding errors grow with
 * the root of the planes, not of all terms.
 */
function tile16(x: usize, row: usize, plane: usize, w: usize, bias: usize, to: usize, toBlock: usize): void {
  let second = w + 27 * VOXEL;
  for (let kd: usize = 0; kd < 3; kd++) {
    let p0 = f32x4.splat(0);
    let p1 = p0;
    let p2 = p0;
    let p3 = p0;
    let q0 = p0;
    let q1 = p0;
    let q2 = p0;
    let q3 = p0;
    let r0 = p0;
    let r1 = p0;
    let r2 = p0;
    let r3 = p0;
    let s0 = p0;
    let s1 = p0;
    let s2 = p0;
    let s3 = p0;
    for (let kh: usize = 0; kh < 3; kh++) {
      let at = x + kd * plane + kh * row;
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
    if (kd > 0) {
      p0 = f32x4.add(v128.load(to), p0);
      p1 = f32x4.add(v128.load(to, 16), p1);
      p2 = f32x4.add(v128.load(to + toBlock), p2);
      p3 = f32x4.add(v128.load(to + toBlock, 16), p3);
      q0 = f32x4.add(v128.load(to, 32), q0);
      q1 = f32x4.add(v128.load(to, 48), q1);
      q2 = f32x4.add(v128.load(to + toBlock, 32), q2);
      q3 = f32x4.add(v128.load(to + toBlock, 48), q3);
      r0 = f32x4.add(v128.load(to, 64), r0);
      r1 = f32x4.add(v128.load(to, 80), r1);
      r2 = f32x4.add(v128.load(to + toBlock, 64), r2);
      r3 = f32x4.add(v128.load(to + toBlock, 80), r3);
      s0 = f32x4.add(v128.load(to, 96), s0);
      s1 = f32x4.add(v128.load(to, 112), s1);
      s2 = f32x4.add(v128.load(to + toBlock, 96), s2);
      s3 = f32x4.add(v128.load(to + toBlock, 112), s3);
    }
    if (kd == 2) {
      const bias0 = v128.load(bias);
      const bias1 = v128.load(bias, 16);
      const bias2 = v128.load(bias, 32);
      const bias3 = v128.load(bias, 48);
      p0 = f32x4.add(p0, bias0);
      p1 = f32x4.add(p1, bias1);
      p2 = f32x4.add(p2, bias2);
      p3 = f32x4.add(p3, bias3);
      q0 = f32x4.add(q0, bias0);
      q1 = f32x4.add(q1, bias1);
      q2 = f32x4.add(q2, bias2);
      q3 = f32x4.add(q3, bias3);
      r0 = f32x4.add(r0, bias0);
      r1 = f32x4.add(r1, bias1);
      r2 = f32x4.add(r2, bias2);
      r3 = f32x4.add(r3, bias3);
      s0 = f32x4.add(s0, bias0);
      s1 = f32x4.add(s1, bias1);
      s2 = f32x4.add(s2, bias2);
      s3 = f32x4.add(s3, bias3);
    }
    v128.store(to, p0);
    v128.store(to, p1, 16);
    v128.store(to + toBlock, p2);
    v128.store(to + toBlock, p3, 16);
    v128.store(to, q0, 32);
    v128.store(to, q1, 48);
    v128.store(to + toBlock, q2, 32);
    v128.store(to + toBlock, q3, 48);
    v128.store(to, r0, 64);
    v128.store(to, r1, 80);
    v128.store(to + toBlock, r2, 64);
    v128.store(to + toBlock, r3, 80);
    v128.store(to, s0, 96);
    v128.store(to, s1, 112);
    v128.store(to + toBlock, s2, 96);
    v128.store(to + toBlock, s3, 112);
  }
}

/** 4 voxels x 8 channels. */
function tile8(x: usize, row: usize, plane: usize, w: usize, bias: usize, to: usize): void {
  for (let kd: usize = 0; kd < 3; kd++) {
    let p0 = f32x4.splat(0);
    let p1 = p0;
    let q0 = p0;
    let q1 = p0;
    let r0 = p0;
    let r1 = p0;
    let s0 = p0;
    let s1 = p0;
    for (let kh: usize = 0; kh < 3; kh++) {
      let at = x + kd * plane + kh * row;
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
    if (kd > 0) {
      p0 = f32x4.add(v128.load(to), p0);
      p1 = f32x4.add(v128.load(to, 16), p1);
      q0 = f32x4.add(v128.load(to, 32), q0);
      q1 = f32x4.add(v128.load(to, 48), q1);
      r0 = f32x4.add(v128.load(to, 64), r0);
      r1 = f32x4.add(v128.load(to, 80), r1);
      s0 = f32x4.add(v128.load(to, 96), s0);
      s1 = f32x4.add(v128.load(to, 112), s1);
    }
    if (kd == 2) {
      const bias0 = v128.load(bias);
      const bias1 = v128.load(bias, 16);
      p0 = f32x4.add(p0, bias0);
      p1 = f32x4.add(p1, bias1);
      q0 = f32x4.add(q0, bias0);
      q1 = f32x4.add(q1, bias1);
      r0 = f32x4.add(r0, bias0);
      r1 = f32x4.add(r1, bias1);
      s0 = f32x4.add(s0, bias0);
      s1 = f32x4.add(s1, bias1);
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
        const biasAt = bias + <usize>b * VOXEL;
        const pair = WIDE && b + 1 < y.blocks;
        // the last tile may overlap the one before it: computing a voxel twice is cheaper than single voxels
        for (let x = 0; x < y.w; x += 4) {
          const at = <usize>min(x, y.w - 4);
          if (pair) tile16(from + (at << 2), row, plane, w, biasAt, to + at * VOXEL, blockBytes);
          else tile8(from + (at << 2), row, plane, w, biasAt, to + at * VOXEL);
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
