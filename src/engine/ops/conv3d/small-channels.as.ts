/**
 * 3x3x3 convolutions with one to three channels on one side: the image's one channel, a flow's three, a segmenter's few classes. In blocks of 8
 * channels most of the work would be zeros, so each direction has a kernel of its own. The few channels are plain, and are copied once with a margin
 * of zeros where they are read with taps.
 *
 * - few to many (forward from the image; backward to the data of a layer with few results): 4 voxels x 16 (or 8) channels in registers.
 * - many to few (forward): 3 voxels x 3 results, each a vector over 8 (or 4) input channels that is added up at the end.
 * - outer products (backward to the weights): 9 taps x 8 (or 4) channels in registers.
 */
import { Address, blockedRow, fma, OptionalAddress, plainRow, planePitch, rowPitch, shareStart, Tensor, threadScratch, VOXEL, zeroHalo } from "../../backends/cpu/common.as";

/** Floats of a padded row, of a padded plane. */
@inline
function paddedRow(t: Tensor): usize {
  return <usize>(t.w + 2);
}
@inline
function paddedPlane(t: Tensor): usize {
  return paddedRow(t) * <usize>(t.h + 2);
}
/** Bytes of a padded channel. */
@inline
function paddedChannel(t: Tensor): usize {
  return (<usize>(t.d + 2) * paddedPlane(t)) << 2;
}
/** Address of the first tap of voxel (z, y, 0) of a padded channel; `index` counts the channels of all samples. */
@inline
function firstTap(padded: usize, t: Tensor, index: i32, z: i32, y: i32): usize {
  return padded + <usize>index * paddedChannel(t) + ((<usize>z * paddedPlane(t) + <usize>y * paddedRow(t)) << 2);
}

@unmanaged
class PadSmallArguments {
  /** Plain. */
  x: Tensor;
  /** (N, C, D + 2, H + 2, W + 2). */
  padded: Address;
}
export function padSmall(args: PadSmallArguments, share: i32, shares: i32): void {
  const x = args.x;
  const padded = args.padded;
  const planes = x.d + 2;
  const units = x.n * x.c * planes;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const index = unit / planes;
    const z = unit % planes;
    const to = firstTap(padded, x, index, z, 0);
    memory.fill(to, 0, paddedPlane(x) << 2);
    if (z == 0 || z == planes - 1) continue;
    for (let y = 0; y < x.h; y++)
      memory.copy(to + ((<usize>(y + 1) * paddedRow(x) + 1) << 2), plainRow(x, index / x.c, index % x.c, z - 1, y), <usize>x.w << 2);
  }
}

// ---- few to many

@unmanaged
class PackSmallInputArguments {
  /** (O, I, 27), plain. */
  weight: Address;
  /** [block][few][kh][kd][kw][8], zeros for channels beyond. */
  packed: Address;
  channelsO: i32;
  channelsI: i32;
  /** 0: I are the few; 1: O are, and every tap is mirrored. */
  adjoint: i32;
}
export function packSmallInput(args: PackSmallInputArguments, share: i32, shares: i32): void {
  const weight = args.weight;
  const packed = args.packed;
  const channelsO = args.channelsO;
  const channelsI = args.channelsI;
  const adjoint = args.adjoint;
  const few = adjoint ? channelsO : channelsI;
  const many = adjoint ? channelsI : channelsO;
  for (let c = 0; c < ((many + 7) & ~7); c++) {
    for (let f = 0; f < few; f++) {
      const from = weight + (<usize>((adjoint ? f * channelsI + c : c * channelsI + f) * 27) << 2);
      const to = packed + <usize>(((c >> 3) * few + f) * 27) * VOXEL + (<usize>(c & 7) << 2);
      for (let place = 0; place < 27; place++) {
        const tap = 9 * ((place / 3) % 3) + 3 * (place / 9) + (place % 3);
        store<f32>(to + <usize>place * VOXEL, c < many ? load<f32>(from + (<usize>(adjoint ? 26 - tap : tap) << 2)) : 0);
      }
    }
  }
}

/** 4 voxels x 16 channels of two blocks. */
function tile16(x: usize, row: usize, plane: usize, channel: usize, few: i32, w: usize, bias: usize, to: usize, toBlock: usize): void {
  let second = w + <usize>(few * 27) * VOXEL;
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
  for (let f = 0; f < few; f++) {
    for (let kh: usize = 0; kh < 3; kh++) {
      for (let kd: usize = 0; kd < 3; kd++) {
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
    }
    x += channel;
  }
  const bias0 = v128.load(bias);
  const bias1 = v128.load(bias, 16);
  const bias2 = v128.load(bias, 32);
  const bias3 = v128.load(bias, 48);
  v128.store(to, f32x4.add(p0, bias0));
  v128.store(to, f32x4.add(p1, bias1), 16);
  v128.store(to + toBlock, f32x4.add(p2, bias2));
  v128.store(to + toBlock, f32x4.add(p3, bias3), 16);
  v128.store(to, f32x4.add(q0, bias0), 32);
  v128.store(to, f32x4.add(q1, bias1), 48);
  v128.store(to + toBlock, f32x4.add(q2, bias2), 32);
  v128.store(to + toBlock, f32x4.add(q3, bias3), 48);
  v128.store(to, f32x4.add(r0, bias0), 64);
  v128.store(to, f32x4.add(r1, bias1), 80);
  v128.store(to + toBlock, f32x4.add(r2, bias2), 64);
  v128.store(to + toBlock, f32x4.add(r3, bias3), 80);
  v128.store(to, f32x4.add(s0, bias0), 96);
  v128.store(to, f32x4.add(s1, bias1), 112);
  v128.store(to + toBlock, f32x4.add(s2, bias2), 96);
  v128.store(to + toBlock, f32x4.add(s3, bias3), 112);
}

/** 4 voxels x 8 channels. */
function tile8(x: usize, row: usize, plane: usize, channel: usize, few: i32, w: usize, bias: usize, to: usize): void {
  let p0 = f32x4.splat(0);
  let p1 = p0;
  let q0 = p0;
  let q1 = p0;
  let r0 = p0;
  let r1 = p0;
  let s0 = p0;
  let s1 = p0;
  for (let f = 0; f < few; f++) {
    for (let kh: usize = 0; kh < 3; kh++) {
      for (let kd: usize = 0; kd < 3; kd++) {
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
    }
    x += channel;
  }
  const bias0 = v128.load(bias);
  const bias1 = v128.load(bias, 16);
  v128.store(to, f32x4.add(p0, bias0));
  v128.store(to, f32x4.add(p1, bias1), 16);
  v128.store(to, f32x4.add(q0, bias0), 32);
  v128.store(to, f32x4.add(q1, bias1), 48);
  v128.store(to, f32x4.add(r0, bias0), 64);
  v128.store(to, f32x4.add(r1, bias1), 80);
  v128.store(to, f32x4.add(s0, bias0), 96);
  v128.store(to, f32x4.add(s1, bias1), 112);
}

@unmanaged
class Conv3dSmallInputArguments {
  /** What `padSmall` wrote. */
  padded: Address;
  /** What `packSmallInput` wrote. */
  weights: Address;
  /** In whole blocks. */
  bias: Address;
  /** Blocked, with rows of at least 4 voxels. */
  y: Tensor;
  few: i32;
}
export function conv3dSmallInput(args: Conv3dSmallInputArguments, share: i32, shares: i32): void {
  const padded = args.padded;
  const weights = args.weights;
  const bias = args.bias;
  const y = args.y;
  const few = args.few;
  const row = paddedRow(y) << 2;
  const plane = paddedPlane(y) << 2;
  const channel = paddedChannel(y);
  const blockBytes = blockedRow(y, 0, 1, 0, 0) - blockedRow(y, 0, 0, 0, 0);
  const units = y.n * y.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / y.d;
    const z = unit % y.d;
    for (let h = 0; h < y.h; h++) {
      const from = firstTap(padded, y, n * few, z, h);
      for (let b = 0; b < y.blocks; b++) {
        const to = blockedRow(y, n, b, z, h);
        const w = weights + <usize>(b * few * 27) * VOXEL;
        const biasAt = bias + <usize>b * VOXEL;
        const pair = WIDE && b + 1 < y.blocks;
        // the last tile may overlap the one before it: computing a voxel twice is cheaper than single voxels
        for (let x = 0; x < y.w; x += 4) {
          const at = <usize>min(x, y.w - 4);
          if (pair) tile16(from + (at << 2), row, plane, channel, few, w, biasAt, to + at * VOXEL, blockBytes);
          else tile8(from + (at << 2), row, plane, channel, few, w, biasAt, to + at * VOXEL);
        }
        if (pair) b++;
      }
    }
    for (let b = 0; b < y.blocks; b++) zeroHalo(y, n, b, z);
  }
}

// ---- many to few

@unmanaged
class PackSmallOutputArguments {
  /** (O, I, 27), plain. */
  weight: Address;
  /** [block][tap][3][8], zeros for channels beyond. */
  packed: Address;
  /** O, at most 3. */
  few: i32;
  /** I. */
  many: i32;
}
export function packSmallOutput(args: PackSmallOutputArguments, share: i32, shares: i32): void {
  const weight = args.weight;
  const packed = args.packed;
  const few = args.few;
  const many = args.many;
  for (let c = 0; c < ((many + 7) & ~7); c++) {
    for (let tap = 0; tap < 27; tap++) {
      for (let f = 0; f < 3; f++) {
        const to = packed + <usize>(((c >> 3) * 27 + tap) * 3 + f) * VOXEL + (<usize>(c & 7) << 2);
        store<f32>(to, c < many && f < few ? load<f32>(weight + (<usize>((f * many + c) * 27 + tap) << 2)) : 0);
      }
    }
  }
}

/** Bytes of the sums of 3 voxels x 3 results, each over the channels of a block (WIDE), or of half of one. */
const SUM: usize = WIDE ? 32 : 16;

/** sums[3 voxels][3 results] over all taps and channels, 8 channels apart. `x` is the first tap of block 0. */
function dots8(x: usize, row: usize, plane: usize, block: usize, blocks: i32, w: usize, sums: usize): void {
  let p0l = f32x4.splat(0);
  let p0h = p0l;
  let p1l = p0l;
  let p1h = p0l;
  let p2l = p0l;
  let p2h = p0l;
  let q0l = p0l;
  let q0h = p0l;
  let q1l = p0l;
  let q1h = p0l;
  let q2l = p0l;
  let q2h = p0l;
  let r0l = p0l;
  let r0h = p0l;
  let r1l = p0l;
  let r1h = p0l;
  let r2l = p0l;
  let r2h = p0l;
  for (let b = 0; b < blocks; b++) {
    for (let kd: usize = 0; kd < 3; kd++) {
      for (let kh: usize = 0; kh < 3; kh++) {
        let at = x + kd * plane + kh * row;
        const end = at + 3 * VOXEL;
        for (; at < end; at += VOXEL) {
          const w0l = v128.load(w);
          const w0h = v128.load(w, 16);
          const w1l = v128.load(w, 32);
          const w1h = v128.load(w, 48);
          const w2l = v128.load(w, 64);
          const w2h = v128.load(w, 80);
          let xl = v128.load(at);
          let xh = v128.load(at, 16);
          p0l = fma(xl, w0l, p0l);
          p0h = fma(xh, w0h, p0h);
          p1l = fma(xl, w1l, p1l);
          p1h = fma(xh, w1h, p1h);
          p2l = fma(xl, w2l, p2l);
          p2h = fma(xh, w2h, p2h);
          xl = v128.load(at, 32);
          xh = v128.load(at, 48);
          q0l = fma(xl, w0l, q0l);
          q0h = fma(xh, w0h, q0h);
          q1l = fma(xl, w1l, q1l);
          q1h = fma(xh, w1h, q1h);
          q2l = fma(xl, w2l, q2l);
          q2h = fma(xh, w2h, q2h);
          xl = v128.load(at, 64);
          xh = v128.load(at, 80);
          r0l = fma(xl, w0l, r0l);
          r0h = fma(xh, w0h, r0h);
          r1l = fma(xl, w1l, r1l);
          r1h = fma(xh, w1h, r1h);
          r2l = fma(xl, w2l, r2l);
          r2h = fma(xh, w2h, r2h);
          w += 3 * VOXEL;
        }
      }
    }
    x += block;
  }
  v128.store(sums, p0l);
  v128.store(sums, p0h, 16);
  v128.store(sums, p1l, 32);
  v128.store(sums, p1h, 48);
  v128.store(sums, p2l, 64);
  v128.store(sums, p2h, 80);
  v128.store(sums, q0l, 96);
  v128.store(sums, q0h, 112);
  v128.store(sums, q1l, 128);
  v128.store(sums, q1h, 144);
  v128.store(sums, q2l, 160);
  v128.store(sums, q2h, 176);
  v128.store(sums, r0l, 192);
  v128.store(sums, r0h, 208);
  v128.store(sums, r1l, 224);
  v128.store(sums, r1h, 240);
  v128.store(sums, r2l, 256);
  v128.store(sums, r2h, 272);
}

/** sums[3 voxels][3 results] over all taps and channels, 4 channels apart. `x` is the first tap of block 0. */
function dots4(x: usize, row: usize, plane: usize, block: usize, blocks: i32, w: usize, sums: usize): void {
  let p0 = f32x4.splat(0);
  let p1 = p0;
  let p2 = p0;
  let q0 = p0;
  let q1 = p0;
  let q2 = p0;
  let r0 = p0;
  let r1 = p0;
  let r2 = p0;
  for (let b = 0; b < 2 * blocks; b++) {
    for (let kd: usize = 0; kd < 3; kd++) {
      for (let kh: usize = 0; kh < 3; kh++) {
        let at = x + kd * plane + kh * row;
        const end = at + 3 * VOXEL;
        for (; at < end; at += VOXEL) {
          const w0 = v128.load(w);
          const w1 = v128.load(w, 32);
          const w2 = v128.load(w, 64);
          let x0 = v128.load(at);
          p0 = fma(x0, w0, p0);
          p1 = fma(x0, w1, p1);
          p2 = fma(x0, w2, p2);
          x0 = v128.load(at, 32);
          q0 = fma(x0, w0, q0);
          q1 = fma(x0, w1, q1);
          q2 = fma(x0, w2, q2);
          x0 = v128.load(at, 64);
          r0 = fma(x0, w0, r0);
          r1 = fma(x0, w1, r1);
          r2 = fma(x0, w2, r2);
          w += 3 * VOXEL;
        }
      }
    }
    // the second half of a block, then the next block
    x += b & 1 ? block - 16 : 16;
    w += b & 1 ? -16 : 16 - 27 * 3 * VOXEL;
  }
  v128.store(sums, p0);
  v128.store(sums, p1, 16);
  v128.store(sums, p2, 32);
  v128.store(sums, q0, 48);
  v128.store(sums, q1, 64);
  v128.store(sums, q2, 80);
  v128.store(sums, r0, 96);
  v128.store(sums, r1, 112);
  v128.store(sums, r2, 128);
}

/** The sums over channels for one result of voxel `v`, as four lanes. */
@inline
function lanes(sums: usize, v: usize): v128 {
  const at = sums + 3 * v * SUM;
  return WIDE ? f32x4.add(v128.load(at), v128.load(at, 16)) : v128.load(at);
}

/** The sums over channels for one result of 3 voxels, in lanes 0 to 2. */
@inline
function totals(sums: usize): v128 {
  const a = lanes(sums, 0);
  const b = lanes(sums, 1);
  const c = lanes(sums, 2);
  const ab = f32x4.add(i32x4.shuffle(a, b, 0, 2, 4, 6), i32x4.shuffle(a, b, 1, 3, 5, 7));
  const cc = f32x4.add(i32x4.shuffle(c, c, 0, 2, 4, 6), i32x4.shuffle(c, c, 1, 3, 5, 7));
  return f32x4.add(i32x4.shuffle(ab, cc, 0, 2, 4, 6), i32x4.shuffle(ab, cc, 1, 3, 5, 7));
}

@unmanaged
class Conv3dSmallOutputArguments {
  /** Blocked, with rows of at least 3 voxels. */
  x: Tensor;
  /** What `packSmallOutput` wrote. */
  weights: Address;
  bias: OptionalAddress;
  /** Plain, at most 3 channels. */
  y: Tensor;
}
export function conv3dSmallOutput(args: Conv3dSmallOutputArguments, share: i32, shares: i32): void {
  const x = args.x;
  const weights = args.weights;
  const bias = args.bias;
  const y = args.y;
  const row = rowPitch(x);
  const plane = planePitch(x);
  const block = blockedRow(x, 0, 1, 0, 0) - blockedRow(x, 0, 0, 0, 0);
  const sums = threadScratch;
  const units = y.n * y.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / y.d;
    const z = unit % y.d;
    for (let h = 0; h < y.h; h++) {
      const from = blockedRow(x, n, 0, z - 1, h - 1) - VOXEL;
      for (let i = 0; i < y.w; i += 3) {
        const at = <usize>min(i, y.w - 3);
        if (WIDE) dots8(from + at * VOXEL, row, plane, block, x.blocks, weights, sums);
        else dots4(from + at * VOXEL, row, plane, block, x.blocks, weights, sums);
        for (let o = 0; o < y.c; o++) {
          const to = plainRow(y, n, o, z, h) + (at << 2);
          const three = f32x4.add(totals(sums + <usize>o * SUM), f32x4.splat(bias ? load<f32>(bias + (<usize>o << 2)) : 0));
          v128.store64_lane(to, three, 0);
          v128.store32_lane(to, three, 2, 8);
        }
      }
    }
  }
}

// ---- outer products

/** sum[3 rows x 3 taps][8] += over a row few[row + tap] many[8]. */
function outer8(few: usize, row: usize, many: usize, width: i32, sum: usize): void {
  let a0l = v128.load(sum);
  let a0h = v128.load(sum, 16);
  let a1l = v128.load(sum, 32);
  let a1h = v128.load(sum, 48);
  let a2l = v128.load(sum, 64);
  let a2h = v128.load(sum, 80);
  let b0l = v128.load(sum, 96);
  let b0h = v128.load(sum, 112);
  let b1l = v128.load(sum, 128);
  let b1h = v128.load(sum, 144);
  let b2l = v128.load(sum, 160);
  let b2h = v128.load(sum, 176);
  let c0l = v128.load(sum, 192);
  let c0h = v128.load(sum, 208);
  let c1l = v128.load(sum, 224);
  let c1h = v128.load(sum, 240);
  let c2l = v128.load(sum, 256);
  let c2h = v128.load(sum, 272);
  const end = few + (<usize>width << 2);
  for (; few < end; few += 4) {
    const dl = v128.load(many);
    const dh = v128.load(many, 16);
    many += VOXEL;
    let v = v128.load32_splat(few);
    a0l = fma(v, dl, a0l);
    a0h = fma(v, dh, a0h);
    v = v128.load32_splat(few, 4);
    a1l = fma(v, dl, a1l);
    a1h = fma(v, dh, a1h);
    v = v128.load32_splat(few, 8);
    a2l = fma(v, dl, a2l);
    a2h = fma(v, dh, a2h);
    v = v128.load32_splat(few + row);
    b0l = fma(v, dl, b0l);
    b0h = fma(v, dh, b0h);
    v = v128.load32_splat(few + row, 4);
    b1l = fma(v, dl, b1l);
    b1h = fma(v, dh, b1h);
    v = v128.load32_splat(few + row, 8);
    b2l = fma(v, dl, b2l);
    b2h = fma(v, dh, b2h);
    v = v128.load32_splat(few + 2 * row);
    c0l = fma(v, dl, c0l);
    c0h = fma(v, dh, c0h);
    v = v128.load32_splat(few + 2 * row, 4);
    c1l = fma(v, dl, c1l);
    c1h = fma(v, dh, c1h);
    v = v128.load32_splat(few + 2 * row, 8);
    c2l = fma(v, dl, c2l);
    c2h = fma(v, dh, c2h);
  }
  v128.store(sum, a0l);
  v128.store(sum, a0h, 16);
  v128.store(sum, a1l, 32);
  v128.store(sum, a1h, 48);
  v128.store(sum, a2l, 64);
  v128.store(sum, a2h, 80);
  v128.store(sum, b0l, 96);
  v128.store(sum, b0h, 112);
  v128.store(sum, b1l, 128);
  v128.store(sum, b1h, 144);
  v128.store(sum, b2l, 160);
  v128.store(sum, b2h, 176);
  v128.store(sum, c0l, 192);
  v128.store(sum, c0h, 208);
  v128.store(sum, c1l, 224);
  v128.store(sum, c1h, 240);
  v128.store(sum, c2l, 256);
  v128.store(sum, c2h, 272);
}

/** sum[3 rows x 3 taps][8] += over a row few[row + tap] many[8], half of the 8. */
function outer4(few: usize, row: usize, many: usize, width: i32, sum: usize): void {
  let a0 = v128.load(sum);
  let a1 = v128.load(sum, 32);
  let a2 = v128.load(sum, 64);
  let b0 = v128.load(sum, 96);
  let b1 = v128.load(sum, 128);
  let b2 = v128.load(sum, 160);
  let c0 = v128.load(sum, 192);
  let c1 = v128.load(sum, 224);
  let c2 = v128.load(sum, 256);
  const end = few + (<usize>width << 2);
  for (; few < end; few += 4) {
    const d = v128.load(many);
    many += VOXEL;
    let v = v128.load32_splat(few);
    a0 = fma(v, d, a0);
    v = v128.load32_splat(few, 4);
    a1 = fma(v, d, a1);
    v = v128.load32_splat(few, 8);
    a2 = fma(v, d, a2);
    v = v128.load32_splat(few + row);
    b0 = fma(v, d, b0);
    v = v128.load32_splat(few + row, 4);
    b1 = fma(v, d, b1);
    v = v128.load32_splat(few + row, 8);
    b2 = fma(v, d, b2);
    v = v128.load32_splat(few + 2 * row);
    c0 = fma(v, d, c0);
    v = v128.load32_splat(few + 2 * row, 4);
    c1 = fma(v, d, c1);
    v = v128.load32_splat(few + 2 * row, 8);
    c2 = fma(v, d, c2);
  }
  v128.store(sum, a0);
  v128.store(sum, a1, 32);
  v128.store(sum, a2, 64);
  v128.store(sum, b0, 96);
  v128.store(sum, b1, 128);
  v128.store(sum, b2, 160);
  v128.store(sum, c0, 192);
  v128.store(sum, c1, 224);
  v128.store(sum, c2, 256);
}

@unmanaged
class Conv3dSmallWeightsArguments {
  /** What `padSmall` wrote. */
  padded: Address;
  /** Blocked. */
  many: Tensor;
  /** [plane of all samples][block][few][tap][8]. */
  sums: Address;
  few: i32;
}
export function conv3dSmallWeights(args: Conv3dSmallWeightsArguments, share: i32, shares: i32): void {
  const padded = args.padded;
  const many = args.many;
  const sums = args.sums;
  const few = args.few;
  const row = paddedRow(many) << 2;
  const units = many.n * many.d * many.blocks;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const b = unit % many.blocks;
    const z = (unit / many.blocks) % many.d;
    const n = unit / (many.blocks * many.d);
    const sum = sums + <usize>(unit * few * 27) * VOXEL;
    memory.fill(sum, 0, <usize>(few * 27) * VOXEL);
    for (let h = 0; h < many.h; h++) {
      const right = blockedRow(many, n, b, z, h);
      for (let f = 0; f < few; f++) {
        for (let kd = 0; kd < 3; kd++) {
          const left = firstTap(padded, many, n * few + f, z + kd, h);
          const to = sum + <usize>(27 * f + 9 * kd) * VOXEL;
          if (WIDE) {
            outer8(left, row, right, many.w, to);
          } else {
            outer4(left, row, right, many.w, to);
            outer4(left, row, right + 16, many.w, to + 16);
          }
        }
      }
    }
  }
}

@unmanaged
class CollectSmallWeightsArguments {
  /** What `conv3dSmallWeights` wrote. */
  sums: Address;
  /** (O, I, 27), plain. */
  dWeight: Address;
  channelsO: i32;
  channelsI: i32;
  /** 0: I are the few; 1: O are, and every tap is mirrored. */
  adjoint: i32;
  planes: i32;
}
export function collectSmallWeights(args: CollectSmallWeightsArguments, share: i32, shares: i32): void {
  const sums = args.sums;
  const weight = args.dWeight;
  const channelsO = args.channelsO;
  const channelsI = args.channelsI;
  const adjoint = args.adjoint;
  const planes = args.planes;
  const few = adjoint ? channelsO : channelsI;
  const many = adjoint ? channelsI : channelsO;
  const planeStep = <usize>(((many + 7) >> 3) * few * 27) * VOXEL;
  const units = channelsO * channelsI;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const o = unit / channelsI;
    const i = unit % channelsI;
    const c = adjoint ? i : o;
    const f = adjoint ? o : i;
    for (let tap = 0; tap < 27; tap++) {
      const from = sums + <usize>(((c >> 3) * few + f) * 27 + tap) * VOXEL + (<usize>(c & 7) << 2);
      let sum: f64 = 0;
      for (let plane: usize = 0; plane < <usize>planes; plane++) sum += <f64>load<f32>(from + plane * planeStep);
      store<f32>(weight + (<usize>(unit * 27 + (adjoint ? 26 - tap : tap)) << 2), <f32>sum);
    }
  }
}
