/**
 * Direct convolution on the blocked layout, as small matrix products: 4 voxels x 8 output channels in registers, the sum over three
 * neighbouring voxels' 8 input channels (24 floats in a row) as the inner loop. One core of a 2.6 GHz AVX2 machine does 45-50 GFLOPS.
 *
 * Backward data is the same kernel with flipped, transposed weights (`packWeights` does both). Backward weights keeps an 8 x 8 block for
 * every tap and adds products of one row at a time, so that both rows stay in the first-level cache. Not here: Winograd's transformation.
 */
import { Address, blockedRow, blockPitch, fma, OptionalAddress, plainRow, planePitch, rowPitch, shareStart, Tensor, threadScratch, VOXEL, zeroHalo } from "../../backends/cpu/common.as";

@unmanaged
class PackWeightsArguments {
  /** (O, I, K^3), plain. */
  weight: Address;
  packed: Address;
  channelsO: i32;
  channelsI: i32;
  kernel: i32;
  /** 0: out = O, in = I; 1: out = I, in = O and every tap mirrored. */
  adjoint: i32;
}
/** packed[outBlock][inBlock][kd][kh][kw][in 8][out 8], zeros for channels beyond. */
export function packWeights(args: PackWeightsArguments, share: i32, shares: i32): void {
  const weight = args.weight;
  const packed = args.packed;
  const channelsO = args.channelsO;
  const channelsI = args.channelsI;
  const kernel = args.kernel;
  const adjoint = args.adjoint;
  const taps = kernel * kernel * kernel;
  const channelsOut = adjoint ? channelsI : channelsO;
  const channelsIn = adjoint ? channelsO : channelsI;
  const outBlocks = (channelsOut + 7) >> 3;
  const inBlocks = (channelsIn + 7) >> 3;
  const units = outBlocks * inBlocks;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const outBlock = unit / inBlocks;
    const inBlock = unit % inBlocks;
    const at = packed + (<usize>(unit * taps) << 8);
    memory.fill(at, 0, <usize>taps << 8);
    // taps lie in a row in the weights, and the block of all of them stays in the first-level cache
    for (let i = 0; i < min(8, channelsIn - inBlock * 8); i++) {
      const channelIn = inBlock * 8 + i;
      for (let o = 0; o < min(8, channelsOut - outBlock * 8); o++) {
        const channelOut = outBlock * 8 + o;
        const row = adjoint ? channelIn * channelsI + channelOut : channelOut * channelsI + channelIn;
        let from = weight + (<usize>(row * taps + (adjoint ? taps - 1 : 0)) << 2);
        const step: usize = adjoint ? -4 : 4;
        let to = at + <usize>((i * 8 + o) << 2);
        for (let tap = 0; tap < taps; tap++) {
          store<f32>(to, load<f32>(from));
          from += step;
          to += 256;
        }
      }
    }
  }
}

/**
 * 4 voxels x 8 channels: x is the first tap of the first voxel; results go to out, out + step, ... Every plane of taps of an
 * input block is summed from zero and then added to the result, so that rounding errors grow with the root of the planes, not of all terms.
 */
function tile4(x: usize, packed: usize, biasLow: v128, biasHigh: v128, inBlocks: i32, block: usize, plane: usize, row: usize, kernel: i32, out: usize): void {
  const run = kernel << 3;
  let w = packed;
  const planes = inBlocks * kernel;
  for (let i = 0; i < planes; i++) {
    const from = x + <usize>(i / kernel) * block + <usize>(i % kernel) * plane;
    let a0 = f32x4.splat(0);
    let a1 = a0;
    let b0 = a0;
    let b1 = a0;
    let c0 = a0;
    let c1 = a0;
    let d0 = a0;
    let d1 = a0;
    for (let kh = 0; kh < kernel; kh++) {
        let at = from + <usize>kh * row;
        for (let k = 0; k < run; k++) {
          const w0 = v128.load(w);
          const w1 = v128.load(w, 16);
          let v = v128.load32_splat(at);
          a0 = fma(v, w0, a0);
          a1 = fma(v, w1, a1);
          v = v128.load32_splat(at, 32);
          b0 = fma(v, w0, b0);
          b1 = fma(v, w1, b1);
          v = v128.load32_splat(at, 64);
          c0 = fma(v, w0, c0);
          c1 = fma(v, w1, c1);
          v = v128.load32_splat(at, 96);
          d0 = fma(v, w0, d0);
          d1 = fma(v, w1, d1);
          at += 4;
          w += 32;
        }
    }
    if (i == 0) {
      a0 = f32x4.add(a0, biasLow);
      a1 = f32x4.add(a1, biasHigh);
      b0 = f32x4.add(b0, biasLow);
      b1 = f32x4.add(b1, biasHigh);
      c0 = f32x4.add(c0, biasLow);
      c1 = f32x4.add(c1, biasHigh);
      d0 = f32x4.add(d0, biasLow);
      d1 = f32x4.add(d1, biasHigh);
    } else {
      a0 = f32x4.add(a0, v128.load(out));
      a1 = f32x4.add(a1, v128.load(out, 16));
      b0 = f32x4.add(b0, v128.load(out, 32));
      b1 = f32x4.add(b1, v128.load(out, 48));
      c0 = f32x4.add(c0, v128.load(out, 64));
      c1 = f32x4.add(c1, v128.load(out, 80));
      d0 = f32x4.add(d0, v128.load(out, 96));
      d1 = f32x4.add(d1, v128.load(out, 112));
    }
    v128.store(out, a0);
    v128.store(out, a1, 16);
    v128.store(out, b0, 32);
    v128.store(out, b1, 48);
    v128.store(out, c0, 64);
    v128.store(out, c1, 80);
    v128.store(out, d0, 96);
    v128.store(out, d1, 112);
  }
}

/** The same for one voxel: rows shorter than four. */
function tile1(x: usize, packed: usize, biasLow: v128, biasHigh: v128, inBlocks: i32, block: usize, plane: usize, row: usize, kernel: i32, out: usize): void {
  const run = kernel << 3;
  let w = packed;
  let sum0 = biasLow;
  let sum1 = biasHigh;
  const planes = inBlocks * kernel;
  for (let i = 0; i < planes; i++) {
    const from = x + <usize>(i / kernel) * block + <usize>(i % kernel) * plane;
    let a0 = f32x4.splat(0);
    let a1 = a0;
    for (let kh = 0; kh < kernel; kh++) {
      let at = from + <usize>kh * row;
      for (let k = 0; k < run; k++) {
        const v = v128.load32_splat(at);
        a0 = fma(v, v128.load(w), a0);
        a1 = fma(v, v128.load(w, 16), a1);
        at += 4;
        w += 32;
      }
    }
    sum0 = f32x4.add(a0, sum0);
    sum1 = f32x4.add(a1, sum1);
  }
  v128.store(out, sum0);
  v128.store(out, sum1, 16);
}

@unmanaged
class Conv3dArguments {
  /** Blocked. */
  x: Tensor;
  /** What `packWeights` wrote. */
  packed: Address;
  bias: OptionalAddress;
  /** Blocked or plain. */
  y: Tensor;
  kernel: i32;
}
export function conv3d(args: Conv3dArguments, share: i32, shares: i32): void {
  const x = args.x;
  const packed = args.packed;
  const bias = args.bias;
  const y = args.y;
  const kernel = args.kernel;
  const half = kernel >> 1;
  const outBlocks = (y.c + 7) >> 3;
  const packedBlock = (<usize>(x.blocks * kernel * kernel * kernel)) << 8;
  const block = blockPitch(x);
  const plane = planePitch(x);
  const row = rowPitch(x);
  const line = threadScratch;
  const units = y.n * outBlocks * y.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % y.d;
    const outBlock = (unit / y.d) % outBlocks;
    const n = unit / (y.d * outBlocks);
    const weights = packed + <usize>outBlock * packedBlock;
    const channels = min(8, y.c - outBlock * 8);
    let biasLow = f32x4.splat(0);
    let biasHigh = f32x4.splat(0);
    if (bias) {
      for (let i = 0; i < 8; i++) store<f32>(line + (<usize>i << 2), i < channels ? load<f32>(bias + (<usize>(outBlock * 8 + i) << 2)) : 0);
      biasLow = v128.load(line);
      biasHigh = v128.load(line, 16);
    }
    for (let h = 0; h < y.h; h++) {
      const from = blockedRow(x, n, 0, z - half, h - half) - <usize>half * VOXEL;
      const to = y.blocks ? blockedRow(y, n, outBlock, z, h) : line;
      let w = 0;
      if (y.w >= 4) {
        // the last tile may overlap the one before it: computing a voxel twice is cheaper than single voxels
        for (; w < y.w; w += 4) {
          const start = min(w, y.w - 4);
          tile4(from + <usize>start * VOXEL, weights, biasLow, biasHigh, x.blocks, block, plane, row, kernel, to + <usize>start * VOXEL);
        }
      } else {
        for (; w < y.w; w++) tile1(from + <usize>w * VOXEL, weights, biasLow, biasHigh, x.blocks, block, plane, row, kernel, to + <usize>w * VOXEL);
      }
      if (!y.blocks) {
        for (let c = 0; c < channels; c++) {
          const out = plainRow(y, n, outBlock * 8 + c, z, h);
          for (let i = 0; i < y.w; i++) store<f32>(out + (<usize>i << 2), load<f32>(line + (<usize>i << 5) + (<usize>c << 2)));
        }
      }
    }
    if (y.blocks) zeroHalo(y, n, outBlock, z);
  }
}

/** sum[4 in][8 out] += x row (4 channels) times dy row (8 channels), over `width` voxels. */
@inline
function outerProducts(x: usize, dy: usize, width: i32, sum: usize): void {
  let a0 = v128.load(sum);
  let a1 = v128.load(sum, 16);
  let b0 = v128.load(sum, 32);
  let b1 = v128.load(sum, 48);
  let c0 = v128.load(sum, 64);
  let c1 = v128.load(sum, 80);
  let d0 = v128.load(sum, 96);
  let d1 = v128.load(sum, 112);
  for (let i = 0; i < width; i++) {
    const y0 = v128.load(dy);
    const y1 = v128.load(dy, 16);
    let v = v128.load32_splat(x);
    a0 = fma(v, y0, a0);
    a1 = fma(v, y1, a1);
    v = v128.load32_splat(x, 4);
    b0 = fma(v, y0, b0);
    b1 = fma(v, y1, b1);
    v = v128.load32_splat(x, 8);
    c0 = fma(v, y0, c0);
    c1 = fma(v, y1, c1);
    v = v128.load32_splat(x, 12);
    d0 = fma(v, y0, d0);
    d1 = fma(v, y1, d1);
    x += VOXEL;
    dy += VOXEL;
  }
  v128.store(sum, a0);
  v128.store(sum, a1, 16);
  v128.store(sum, b0, 32);
  v128.store(sum, b1, 48);
  v128.store(sum, c0, 64);
  v128.store(sum, c1, 80);
  v128.store(sum, d0, 96);
  v128.store(sum, d1, 112);
}

@unmanaged
class Conv3dWeightGradientArguments {
  /** Blocked. */
  x: Tensor;
  /** Blocked. */
  dy: Tensor;
  /** [slab][outBlock][inBlock][tap][in 8][out 8]. */
  partial: Address;
  kernel: i32;
  slabs: i32;
}
/** The planes of all samples are cut into `slabs` (a number that depends on the shape alone); a plane's sum is added to its slab's. */
export function conv3dWeightGradient(args: Conv3dWeightGradientArguments, share: i32, shares: i32): void {
  const x = args.x;
  const dy = args.dy;
  const partial = args.partial;
  const kernel = args.kernel;
  const slabs = args.slabs;
  const half = kernel >> 1;
  const taps = kernel * kernel * kernel;
  const blockBytes = <usize>taps << 8;
  const pairs = dy.blocks * x.blocks;
  const planes = x.n * x.d;
  const sum = threadScratch;
  const units = slabs * pairs;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const slab = unit / pairs;
    const outBlock = (unit % pairs) / x.blocks;
    const inBlock = unit % x.blocks;
    const total = partial + <usize>unit * blockBytes;
    memory.fill(total, 0, blockBytes);
    const lastPlane = shareStart(planes, slab + 1, slabs);
    for (let plane = shareStart(planes, slab, slabs); plane < lastPlane; plane++) {
      const n = plane / x.d;
      const z = plane % x.d;
      memory.fill(sum, 0, blockBytes);
      for (let h = 0; h < x.h; h++) {
        const right = blockedRow(dy, n, outBlock, z, h);
        let at = sum;
        for (let kd = 0; kd < kernel; kd++) {
          for (let kh = 0; kh < kernel; kh++) {
            const left = blockedRow(x, n, inBlock, z + kd - half, h + kh - half) - <usize>half * VOXEL;
            for (let kw = 0; kw < kernel; kw++) {
              outerProducts(left + <usize>kw * VOXEL, right, x.w, at);
              outerProducts(left + <usize>kw * VOXEL + 16, right, x.w, at + 128);
              at += 256;
            }
          }
        }
      }
      for (let i: usize = 0; i < blockBytes; i += 16) v128.store(total + i, f32x4.add(v128.load(total + i), v128.load(sum + i)));
    }
  }
}

@unmanaged
class UnpackWeightGradientArguments {
  /** What `conv3dWeightGradient` wrote. */
  partial: Address;
  /** (O, I, K^3), plain. */
  dWeight: Address;
  channelsO: i32;
  channelsI: i32;
  kernel: i32;
  slabs: i32;
}
/** Adds the slabs and undoes the packing. */
export function unpackWeightGradient(args: UnpackWeightGradientArguments, share: i32, shares: i32): void {
  const partial = args.partial;
  const out = args.dWeight;
  const channelsOut = args.channelsO;
  const channelsIn = args.channelsI;
  const kernel = args.kernel;
  const slabs = args.slabs;
  const taps = kernel * kernel * kernel;
  const inBlocks = (channelsIn + 7) >> 3;
  const pairs = ((channelsOut + 7) >> 3) * inBlocks;
  const slabBytes = <usize>(pairs * taps) << 8;
  const last = shareStart(pairs, share + 1, shares);
  for (let pair = shareStart(pairs, share, shares); pair < last; pair++) {
    const firstOut = (pair / inBlocks) * 8;
    const firstIn = (pair % inBlocks) * 8;
    for (let o = 0; o < min(8, channelsOut - firstOut); o++) {
      for (let i = 0; i < min(8, channelsIn - firstIn); i++) {
        const from = partial + (<usize>(pair * taps) << 8) + (<usize>(i * 8 + o) << 2);
        const to = out + (<usize>(((firstOut + o) * channelsIn + firstIn + i) * taps) << 2);
        for (let tap = 0; tap < taps; tap++) {
          let sum: f32 = 0;
          for (let slab = 0; slab < slabs; slab++) sum += load<f32>(from + (<usize>tap << 8) + <usize>slab * slabBytes);
          store<f32>(to + (<usize>tap << 2), sum);
        }
      }
    }
  }
}
