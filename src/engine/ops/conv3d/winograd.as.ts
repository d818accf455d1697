/**
 * 3x3x3 convolution by Winograd's minimal filtering F(2x2x2, 3x3x3) (Lavin & Gray, 2016, in three axes): 64 products for 8 results where
 * the direct sum takes 216. Input, weights and results are transformed along each axis by
 *
 *   B^T = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1]   G = [1 0 0; .5 .5 .5; .5 -.5 .5; 0 0 1]   A^T = [1 1 1 0; 0 1 -1 -1]
 *
 * and between them stand 64 matrix products (tiles x input channels times input channels x output channels), one for each place (i, j, k)
 * of a transformed tile of 4x4x4. A tile covers 2x2x2 results. The work is done in segments of some dozen tiles, so that what is
 * transformed stays in the second-level cache, and for one i (16 products) after the other, so that more tiles fit.
 *
 * Backward data is the same with flipped, transposed weights. Backward weights: dW = G^T [sum over tiles (B^T x B) (A dy A^T)] G.
 *
 * A segment is a number of *pieces*: runs of at most `pieceTiles` tiles along a row. Transformed tensors in scratch:
 * [place 16][channel block][tile][8], a place's stride padded by a cache line so that the 16 streams don't fall into the same cache sets.
 * Transformed weights: [place 64][panel][input channel][16 or 8 output channels], see `panelAt`.
 */
import { address, blockedRow, fma, planePitch, rowPitch, shareStart, Tensor, tensor, threadScratch, VOXEL, word } from "../../backends/cpu/common.as";

/** Places of a transformed tile with one first index. */
const PLACES: i32 = 16;
const CACHE_LINE: usize = 64;

/** Where a run of tiles lies: sample, tile coordinates, number of tiles. */
@unmanaged
class Piece {
  n: i32;
  z: i32;
  y: i32;
  x: i32;
  tiles: i32;
}

/** How the tiles of a volume are cut; words 4 to 9 of the kernels' arguments. */
@unmanaged
class Cut {
  /** Scratch of all threads, and bytes of one. */
  scratch: usize;
  scratchBytes: usize;
  /** Most tiles of a piece, pieces of a row, pieces of a segment. */
  pieceTiles: i32;
  rowPieces: i32;
  segmentPieces: i32;
  /** Parts into which the output channels are cut. */
  parts: i32;
}

@inline
function half(size: i32): i32 {
  return (size + 1) >> 1;
}
@inline
function piecesOf(t: Tensor, cut: Cut): i32 {
  return t.n * half(t.d) * half(t.h) * cut.rowPieces;
}

function locate(t: Tensor, cut: Cut, index: i32, piece: Piece): void {
  let rest = index;
  const at = (rest % cut.rowPieces) * cut.pieceTiles;
  rest /= cut.rowPieces;
  piece.x = at;
  piece.tiles = min(cut.pieceTiles, half(t.w) - at);
  piece.y = rest % half(t.h);
  rest /= half(t.h);
  piece.z = rest % half(t.d);
  piece.n = rest / half(t.d);
}

/** Address of the weights of output block `block` (its panel's first, for the second of two), input channels inBlocks x 8. */
@inline
function panelAt(weights: usize, block: i32, inBlocks: i32): usize {
  return weights + <usize>block * (<usize>inBlocks << 8);
}
/** Whether output blocks `block` and the next share a panel of 16 channels. */
@inline
function isPair(block: i32, outBlocks: i32): bool {
  return WIDE != 0 && (block & 1) == 0 && block + 1 < outBlocks;
}

// ---- weights

/** The four places of an axis of the kernel's three, G g, for 8 channels: 32 bytes each, `step` bytes from one to the next. */
@inline
function transformTaps(from: usize, fromStep: usize, to: usize, toStep: usize): void {
  const scale = f32x4.splat(0.5);
  for (let h: usize = 0; h < 32; h += 16) {
    const a = v128.load(from + h);
    const b = v128.load(from + fromStep + h);
    const c = v128.load(from + 2 * fromStep + h);
    const sum = f32x4.mul(f32x4.add(a, c), scale);
    const middle = f32x4.mul(b, scale);
    v128.store(to + h, a);
    v128.store(to + toStep + h, f32x4.add(sum, middle));
    v128.store(to + 2 * toStep + h, f32x4.sub(sum, middle));
    v128.store(to + 3 * toStep + h, c);
  }
}

/**
 * args: weight (O, I, 27) plain, transformed weights, O, I, adjoint, bytes of a place. adjoint 0: out = O, in = I; 1: out = I, in = O and
 * every tap mirrored. Zeros for channels beyond.
 */
export function winogradWeights(args: usize, thread: i32, threads: i32): void {
  const weight = address(args, 0);
  const transformed = address(args, 1);
  const channelsO = word(args, 2);
  const channelsI = word(args, 3);
  const adjoint = word(args, 4);
  const place = address(args, 5);
  const channelsOut = adjoint ? channelsI : channelsO;
  const channelsIn = adjoint ? channelsO : channelsI;
  const outBlocks = (channelsOut + 7) >> 3;
  const inBlocks = (channelsIn + 7) >> 3;
  const taps = threadScratch;
  const first = taps + 27 * VOXEL;
  const second = first + 36 * VOXEL;
  const units = outBlocks * inBlocks;
  const last = shareStart(units, thread + 1, threads);
  for (let unit = shareStart(units, thread, threads); unit < last; unit++) {
    const outBlock = unit / inBlocks;
    const inBlock = unit % inBlocks;
    const pair = isPair(outBlock & ~1, outBlocks);
    const width: usize = pair ? 64 : 32;
    const panel = panelAt(transformed, pair ? outBlock & ~1 : outBlock, inBlocks) + (pair && outBlock & 1 ? VOXEL : 0);
    const outs = min(8, channelsOut - outBlock * 8);
    if (outs < 8) memory.fill(taps, 0, 27 * VOXEL);
    for (let i = 0; i < 8; i++) {
      const channelIn = inBlock * 8 + i;
      const to = panel + <usize>channelIn * width;
      if (channelIn >= channelsIn) {
        for (let p: usize = 0; p < 64; p++) memory.fill(to + p * place, 0, VOXEL);
        continue;
      }
      for (let o = 0; o < outs; o++) {
        const channelOut = outBlock * 8 + o;
        const row = adjoint ? channelIn * channelsI + channelOut : channelOut * channelsI + channelIn;
        const from = weight + <usize>(row * 27) * 4;
        const at = taps + (<usize>o << 2);
        if (adjoint) {
          for (let tap: usize = 0; tap < 27; tap++) store<f32>(at + tap * VOXEL, load<f32>(from + ((26 - tap) << 2)));
        } else {
          for (let tap: usize = 0; tap < 27; tap++) store<f32>(at + tap * VOXEL, load<f32>(from + (tap << 2)));
        }
      }
      for (let row: usize = 0; row < 9; row++) transformTaps(taps + 3 * row * VOXEL, VOXEL, first + 4 * row * VOXEL, VOXEL);
      for (let z: usize = 0; z < 3; z++) {
        for (let x: usize = 0; x < 4; x++) transformTaps(first + (12 * z + x) * VOXEL, 4 * VOXEL, second + (16 * z + x) * VOXEL, 4 * VOXEL);
      }
      for (let yx: usize = 0; yx < 16; yx++) transformTaps(second + yx * VOXEL, 16 * VOXEL, to + yx * place, 16 * place);
    }
  }
}

/** G^T of four places: three taps. */
@inline
function collectTaps(from: usize, fromStep: usize, to: usize, toStep: usize): void {
  const scale = f32x4.splat(0.5);
  for (let h: usize = 0; h < 32; h += 16) {
    const b = v128.load(from + fromStep + h);
    const c = v128.load(from + 2 * fromStep + h);
    const sum = f32x4.mul(f32x4.add(b, c), scale);
    v128.store(to + h, f32x4.add(v128.load(from + h), sum));
    v128.store(to + toStep + h, f32x4.mul(f32x4.sub(b, c), scale));
    v128.store(to + 2 * toStep + h, f32x4.add(v128.load(from + 3 * fromStep + h), sum));
  }
}

/** args: sums [slab][place 64] in the transformed weights' layout, dweight (O, I, 27) plain, O, I, slabs, bytes of a place. */
export function winogradCollectWeights(args: usize, thread: i32, threads: i32): void {
  const sums = address(args, 0);
  const weight = address(args, 1);
  const channelsOut = word(args, 2);
  const channelsIn = word(args, 3);
  const slabs = word(args, 4);
  const place = address(args, 5);
  const outBlocks = (channelsOut + 7) >> 3;
  const inBlocks = (channelsIn + 7) >> 3;
  const places = threadScratch;
  const first = places + 64 * VOXEL;
  const second = first + 48 * VOXEL;
  const taps = second + 36 * VOXEL;
  const units = outBlocks * inBlocks;
  const last = shareStart(units, thread + 1, threads);
  for (let unit = shareStart(units, thread, threads); unit < last; unit++) {
    const outBlock = unit / inBlocks;
    const inBlock = unit % inBlocks;
    const pair = isPair(outBlock & ~1, outBlocks);
    const width: usize = pair ? 64 : 32;
    const panel = panelAt(sums, pair ? outBlock & ~1 : outBlock, inBlocks) + (pair && outBlock & 1 ? VOXEL : 0);
    const outs = min(8, channelsOut - outBlock * 8);
    for (let i = 0; i < min(8, channelsIn - inBlock * 8); i++) {
      const channelIn = inBlock * 8 + i;
      const from = panel + <usize>channelIn * width;
      for (let p: usize = 0; p < 64; p++) {
        let low = v128.load(from + p * place);
        let high = v128.load(from + p * place, 16);
        for (let slab: usize = 1; slab < <usize>slabs; slab++) {
          const at = from + (p + 64 * slab) * place;
          low = f32x4.add(low, v128.load(at));
          high = f32x4.add(high, v128.load(at, 16));
        }
        v128.store(places + p * VOXEL, low);
        v128.store(places + p * VOXEL, high, 16);
      }
      for (let row: usize = 0; row < 16; row++) collectTaps(places + 4 * row * VOXEL, VOXEL, first + 3 * row * VOXEL, VOXEL);
      for (let z: usize = 0; z < 4; z++) {
        for (let x: usize = 0; x < 3; x++) collectTaps(first + (12 * z + x) * VOXEL, 3 * VOXEL, second + (9 * z + x) * VOXEL, 3 * VOXEL);
      }
      for (let yx: usize = 0; yx < 9; yx++) collectTaps(second + yx * VOXEL, 9 * VOXEL, taps + yx * VOXEL, 9 * VOXEL);
      for (let o = 0; o < outs; o++) {
        const to = weight + <usize>(((outBlock * 8 + o) * channelsIn + channelIn) * 27) * 4;
        for (let tap: usize = 0; tap < 27; tap++) store<f32>(to + (tap << 2), load<f32>(taps + tap * VOXEL + (<usize>o << 2)));
      }
    }
  }
}

// ---- input

/**
 * B^T x B of a piece for first index i, all channel blocks, to `to` (the piece's first tile). Along z two planes are joined, along y four rows,
 * a whole row at a time into `line`; then along x tile by tile. Rows beyond an odd volume's halo are read from the halo: they only reach results
 * that nobody keeps.
 */
function transformInput(x: Tensor, piece: Piece, i: i32, to: usize, place: usize, block: usize, line: usize): void {
  const tiles = piece.tiles;
  const columns = 2 * tiles + 2;
  // voxels of the row from the piece's first column on, its right halo included
  const stored = min(columns, x.w + 2 - 2 * piece.x);
  const lineStep = <usize>(columns * 32);
  const z = 2 * piece.z - 1;
  const front = z + (i == 0 ? 0 : i == 2 ? 2 : 1);
  const back = min(z + (i == 2 ? 1 : i == 3 ? 3 : 2), x.d);
  const y = 2 * piece.y - 1;
  const sign = f32x4.splat(i == 1 ? 1 : -1);
  for (let b = 0; b < x.blocks; b++) {
    const offset = <usize>(2 * piece.x) * VOXEL - VOXEL;
    let row0 = blockedRow(x, piece.n, b, front, y) + offset;
    let row1 = row0 + rowPitch(x);
    let row2 = row1 + rowPitch(x);
    let row3 = blockedRow(x, piece.n, b, front, min(y + 3, x.h)) + offset;
    const behind = <usize>(back - front) * planePitch(x);
    let at = line;
    const end = line + <usize>(stored * 32);
    for (; at < end; at += VOXEL) {
      const a0 = fma(v128.load(row0 + behind), sign, v128.load(row0));
      const a1 = fma(v128.load(row0 + behind, 16), sign, v128.load(row0, 16));
      const b0 = fma(v128.load(row1 + behind), sign, v128.load(row1));
      const b1 = fma(v128.load(row1 + behind, 16), sign, v128.load(row1, 16));
      const c0 = fma(v128.load(row2 + behind), sign, v128.load(row2));
      const c1 = fma(v128.load(row2 + behind, 16), sign, v128.load(row2, 16));
      const d0 = fma(v128.load(row3 + behind), sign, v128.load(row3));
      const d1 = fma(v128.load(row3 + behind, 16), sign, v128.load(row3, 16));
      const second = at + lineStep;
      const third = second + lineStep;
      const fourth = third + lineStep;
      v128.store(at, f32x4.sub(a0, c0));
      v128.store(at, f32x4.sub(a1, c1), 16);
      v128.store(second, f32x4.add(b0, c0));
      v128.store(second, f32x4.add(b1, c1), 16);
      v128.store(third, f32x4.sub(c0, b0));
      v128.store(third, f32x4.sub(c1, b1), 16);
      v128.store(fourth, f32x4.sub(b0, d0));
      v128.store(fourth, f32x4.sub(b1, d1), 16);
      row0 += VOXEL;
      row1 += VOXEL;
      row2 += VOXEL;
      row3 += VOXEL;
    }
    if (stored < columns) {
      const zero = f32x4.splat(0);
      for (let j: usize = 0; j < 4; j++) {
        v128.store(at + j * lineStep, zero);
        v128.store(at + j * lineStep, zero, 16);
      }
    }
    let out = to + <usize>b * block;
    for (let j = 0; j < 4; j++) {
      let from = line + <usize>j * lineStep;
      let to0 = out;
      let to1 = to0 + place;
      let to2 = to1 + place;
      let to3 = to2 + place;
      let a0 = v128.load(from);
      let a1 = v128.load(from, 16);
      let b0 = v128.load(from, 32);
      let b1 = v128.load(from, 48);
      const stop = to0 + <usize>(tiles * 32);
      for (; to0 < stop; to0 += VOXEL) {
        const c0 = v128.load(from, 64);
        const c1 = v128.load(from, 80);
        const d0 = v128.load(from, 96);
        const d1 = v128.load(from, 112);
        v128.store(to0, f32x4.sub(a0, c0));
        v128.store(to0, f32x4.sub(a1, c1), 16);
        v128.store(to1, f32x4.add(b0, c0));
        v128.store(to1, f32x4.add(b1, c1), 16);
        v128.store(to2, f32x4.sub(c0, b0));
        v128.store(to2, f32x4.sub(c1, b1), 16);
        v128.store(to3, f32x4.sub(b0, d0));
        v128.store(to3, f32x4.sub(b1, d1), 16);
        a0 = c0;
        a1 = c1;
        b0 = d0;
        b1 = d1;
        from += 64;
        to1 += VOXEL;
        to2 += VOXEL;
        to3 += VOXEL;
      }
      out += 4 * place;
    }
  }
}

// ---- products

/** 4 tiles x 16 output channels, the sum over all input channels: c[2 blocks][tile][8] = a[block][tile][8] b[channel][16]. */
function product4x16(a: usize, aBlock: usize, b: usize, inBlocks: i32, c: usize, cBlock: usize): void {
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
  const last = b + <usize>inBlocks * 512;
  while (b < last) {
    const end = b + 512;
    let at = a;
    while (b < end) {
      const w0 = v128.load(b);
      const w1 = v128.load(b, 16);
      const w2 = v128.load(b, 32);
      const w3 = v128.load(b, 48);
      let v = v128.load32_splat(at);
      p0 = fma(v, w0, p0);
      p1 = fma(v, w1, p1);
      p2 = fma(v, w2, p2);
      p3 = fma(v, w3, p3);
      v = v128.load32_splat(at, 32);
      q0 = fma(v, w0, q0);
      q1 = fma(v, w1, q1);
      q2 = fma(v, w2, q2);
      q3 = fma(v, w3, q3);
      v = v128.load32_splat(at, 64);
      r0 = fma(v, w0, r0);
      r1 = fma(v, w1, r1);
      r2 = fma(v, w2, r2);
      r3 = fma(v, w3, r3);
      v = v128.load32_splat(at, 96);
      s0 = fma(v, w0, s0);
      s1 = fma(v, w1, s1);
      s2 = fma(v, w2, s2);
      s3 = fma(v, w3, s3);
      at += 4;
      b += 64;
    }
    a += aBlock;
  }
  v128.store(c, p0);
  v128.store(c, p1, 16);
  v128.store(c, q0, 32);
  v128.store(c, q1, 48);
  v128.store(c, r0, 64);
  v128.store(c, r1, 80);
  v128.store(c, s0, 96);
  v128.store(c, s1, 112);
  c += cBlock;
  v128.store(c, p2);
  v128.store(c, p3, 16);
  v128.store(c, q2, 32);
  v128.store(c, q3, 48);
  v128.store(c, r2, 64);
  v128.store(c, r3, 80);
  v128.store(c, s2, 96);
  v128.store(c, s3, 112);
}

/** 4 tiles x 8 output channels. */
function product4x8(a: usize, aBlock: usize, b: usize, inBlocks: i32, c: usize): void {
  let p0 = f32x4.splat(0);
  let p1 = p0;
  let q0 = p0;
  let q1 = p0;
  let r0 = p0;
  let r1 = p0;
  let s0 = p0;
  let s1 = p0;
  const last = b + <usize>inBlocks * 256;
  while (b < last) {
    const end = b + 256;
    let at = a;
    while (b < end) {
      const w0 = v128.load(b);
      const w1 = v128.load(b, 16);
      let v = v128.load32_splat(at);
      p0 = fma(v, w0, p0);
      p1 = fma(v, w1, p1);
      v = v128.load32_splat(at, 32);
      q0 = fma(v, w0, q0);
      q1 = fma(v, w1, q1);
      v = v128.load32_splat(at, 64);
      r0 = fma(v, w0, r0);
      r1 = fma(v, w1, r1);
      v = v128.load32_splat(at, 96);
      s0 = fma(v, w0, s0);
      s1 = fma(v, w1, s1);
      at += 4;
      b += 32;
    }
    a += aBlock;
  }
  v128.store(c, p0);
  v128.store(c, p1, 16);
  v128.store(c, q0, 32);
  v128.store(c, q1, 48);
  v128.store(c, r0, 64);
  v128.store(c, r1, 80);
  v128.store(c, s0, 96);
  v128.store(c, s1, 112);
}

/** The 16 products of one first index: result[place][block][tile][8] for output blocks `first` to `last`, `tiles` a multiple of 4. */
function multiply(input: usize, inputPlace: usize, weights: usize, weightPlace: usize, result: usize, resultPlace: usize, inBlocks: i32, outBlocks: i32, first: i32, last: i32, tiles: i32, block: usize): void {
  const end = <usize>(tiles * 32);
  for (let p: usize = 0; p < <usize>PLACES; p++) {
    const a = input + p * inputPlace;
    let c = result + p * resultPlace;
    for (let o = first; o < last; o++) {
      const b = panelAt(weights + p * weightPlace, o, inBlocks);
      if (isPair(o, outBlocks)) {
        for (let t: usize = 0; t < end; t += 128) product4x16(a + t, block, b, inBlocks, c + t, block);
        c += block;
        o++;
      } else {
        for (let t: usize = 0; t < end; t += 128) product4x8(a + t, block, b, inBlocks, c + t);
      }
      c += block;
    }
  }
}

// ---- results

/** m0 + m1 + m2 and m1 - m2 - m3 of the places along x, for one half of the channels. */
@inline
function alongXFirst(m: usize, place: usize): v128 {
  return f32x4.add(f32x4.add(v128.load(m), v128.load(m + place)), v128.load(m + 2 * place));
}
@inline
function alongXSecond(m: usize, place: usize): v128 {
  return f32x4.sub(f32x4.sub(v128.load(m + place), v128.load(m + 2 * place)), v128.load(m + 3 * place));
}

/**
 * A^T m of a piece for first index i, blocks first to last. Sums over i stand in `sums` [block][tile][z 2][y 2][x 2][8], which start with the
 * bias; with the last index they go to y.
 */
function transformResult(y: Tensor, piece: Piece, i: i32, first: i32, last: i32, from: usize, place: usize, block: usize, sums: usize, sumsBlock: usize, bias: usize): void {
  const row = rowPitch(y);
  const plane = planePitch(y);
  for (let b = first; b < last; b++) {
    let m = from + <usize>(b - first) * block;
    let sum = sums + <usize>(b - first) * sumsBlock;
    let out = blockedRow(y, piece.n, b, 2 * piece.z, 2 * piece.y) + <usize>(2 * piece.x) * VOXEL;
    const lines = 2 * piece.y + 1 < y.h;
    const planes = 2 * piece.z + 1 < y.d;
    for (let t = 0; t < piece.tiles; t++) {
      const columns = 2 * (piece.x + t) + 1 < y.w;
      for (let h: usize = 0; h < 32; h += 16) {
        const at = m + h;
        const a0 = alongXFirst(at, place);
        const a1 = alongXFirst(at + 4 * place, place);
        const a2 = alongXFirst(at + 8 * place, place);
        const a3 = alongXFirst(at + 12 * place, place);
        const c0 = alongXSecond(at, place);
        const c1 = alongXSecond(at + 4 * place, place);
        const c2 = alongXSecond(at + 8 * place, place);
        const c3 = alongXSecond(at + 12 * place, place);
        const r00 = f32x4.add(f32x4.add(a0, a1), a2);
        const r01 = f32x4.add(f32x4.add(c0, c1), c2);
        const r10 = f32x4.sub(f32x4.sub(a1, a2), a3);
        const r11 = f32x4.sub(f32x4.sub(c1, c2), c3);
        const s = sum + h;
        if (i == 0) {
          const start = v128.load(bias + <usize>(b * 32) + h);
          v128.store(s, f32x4.add(start, r00));
          v128.store(s, f32x4.add(start, r01), 32);
          v128.store(s, f32x4.add(start, r10), 64);
          v128.store(s, f32x4.add(start, r11), 96);
        } else if (i == 1) {
          const start = v128.load(bias + <usize>(b * 32) + h);
          v128.store(s, f32x4.add(v128.load(s), r00));
          v128.store(s, f32x4.add(v128.load(s, 32), r01), 32);
          v128.store(s, f32x4.add(v128.load(s, 64), r10), 64);
          v128.store(s, f32x4.add(v128.load(s, 96), r11), 96);
          v128.store(s, f32x4.add(start, r00), 128);
          v128.store(s, f32x4.add(start, r01), 160);
          v128.store(s, f32x4.add(start, r10), 192);
          v128.store(s, f32x4.add(start, r11), 224);
        } else if (i == 2) {
          v128.store(s, f32x4.sub(v128.load(s, 128), r00), 128);
          v128.store(s, f32x4.sub(v128.load(s, 160), r01), 160);
          v128.store(s, f32x4.sub(v128.load(s, 192), r10), 192);
          v128.store(s, f32x4.sub(v128.load(s, 224), r11), 224);
          const o = out + h;
          v128.store(o, f32x4.add(v128.load(s), r00));
          if (columns) v128.store(o, f32x4.add(v128.load(s, 32), r01), 32);
          if (lines) {
            v128.store(o + row, f32x4.add(v128.load(s, 64), r10));
            if (columns) v128.store(o + row, f32x4.add(v128.load(s, 96), r11), 32);
          }
        } else if (planes) {
          const o = out + plane + h;
          v128.store(o, f32x4.sub(v128.load(s, 128), r00));
          if (columns) v128.store(o, f32x4.sub(v128.load(s, 160), r01), 32);
          if (lines) {
            v128.store(o + row, f32x4.sub(v128.load(s, 192), r10));
            if (columns) v128.store(o + row, f32x4.sub(v128.load(s, 224), r11), 32);
          }
        }
      }
      m += VOXEL;
      sum += 256;
      out += 64;
    }
  }
}

/**
 * args: x blocked, y blocked, transformed weights, bias (whole blocks), cut (6 words), bytes of a place of the weights.
 * Writes no halo: see `clearPadding`.
 */
export function winograd(args: usize, thread: i32, threads: i32): void {
  const x = tensor(args, 0);
  const y = tensor(args, 1);
  const weights = address(args, 2);
  const bias = address(args, 3);
  const cut = changetype<Cut>(args + 16);
  const weightPlace = address(args, 10);
  const tiles = (cut.pieceTiles * cut.segmentPieces + 3) & ~3;
  const block = <usize>(tiles * 32);
  const piece = changetype<Piece>(threadScratch);
  const line = threadScratch + CACHE_LINE;
  const partBlocks = partLength(y.blocks, cut.parts);
  const inputPlace = <usize>x.blocks * block + CACHE_LINE;
  const resultPlace = <usize>partBlocks * block + CACHE_LINE;
  const input = cut.scratch + <usize>thread * cut.scratchBytes;
  const result = input + <usize>PLACES * inputPlace;
  const sums = result + <usize>PLACES * resultPlace;
  const sumsBlock = <usize>(tiles * 256);
  const pieces = piecesOf(y, cut);
  const segments = (pieces + cut.segmentPieces - 1) / cut.segmentPieces;
  const units = segments * cut.parts;
  const last = shareStart(units, thread + 1, threads);
  for (let unit = shareStart(units, thread, threads); unit < last; unit++) {
    const first = (unit / segments) * partBlocks;
    const end = min(first + partBlocks, y.blocks);
    const firstPiece = (unit % segments) * cut.segmentPieces;
    const lastPiece = min(firstPiece + cut.segmentPieces, pieces);
    for (let i = 0; i < 4; i++) {
      let at: usize = 0;
      for (let index = firstPiece; index < lastPiece; index++) {
        locate(x, cut, index, piece);
        transformInput(x, piece, i, input + at, inputPlace, block, line);
        at += <usize>(piece.tiles * 32);
      }
      const used = ((<i32>(at >> 5)) + 3) & ~3;
      multiply(input, inputPlace, weights + <usize>(PLACES * i) * weightPlace, weightPlace, result, resultPlace, x.blocks, y.blocks, first, end, used, block);
      at = 0;
      for (let index = firstPiece; index < lastPiece; index++) {
        locate(y, cut, index, piece);
        transformResult(y, piece, i, first, end, result + at, resultPlace, block, sums + (at << 3), sumsBlock, bias);
        at += <usize>(piece.tiles * 32);
      }
    }
  }
}

/** Blocks of a part of the output channels: whole pairs. The same as in cpu.ts. */
@inline
function partLength(blocks: i32, parts: i32): i32 {
  return ((blocks + 2 * parts - 1) / (2 * parts)) * 2;
}

// ---- gradient of the weights

/** A dy A^T of a piece for first index i, blocks first to last. What lies beyond an odd volume is its halo, zero. */
function transformGradient(dy: Tensor, piece: Piece, i: i32, first: i32, last: i32, to: usize, place: usize, block: usize): void {
  const row = rowPitch(dy);
  const plane = planePitch(dy);
  // z of a pair: a, a + b, a - b, -b
  const scaleA = f32x4.splat(i == 3 ? 0 : 1);
  const scaleB = f32x4.splat(i == 0 ? 0 : i == 1 ? 1 : -1);
  for (let b = first; b < last; b++) {
    let from = blockedRow(dy, piece.n, b, 2 * piece.z, 2 * piece.y) + <usize>(2 * piece.x) * VOXEL;
    let out = to + <usize>(b - first) * block;
    for (let t = 0; t < piece.tiles; t++) {
      // a last column beyond the halo does not exist: the tile's second is the halo
      for (let h: usize = 0; h < 32; h += 16) {
        const at = from + h;
        const a0 = fma(v128.load(at + plane), scaleB, f32x4.mul(v128.load(at), scaleA));
        const a1 = fma(v128.load(at + plane, 32), scaleB, f32x4.mul(v128.load(at, 32), scaleA));
        const c0 = fma(v128.load(at + plane + row), scaleB, f32x4.mul(v128.load(at + row), scaleA));
        const c1 = fma(v128.load(at + plane + row, 32), scaleB, f32x4.mul(v128.load(at + row, 32), scaleA));
        let o = out + h;
        storeRow(o, place, a0, a1);
        storeRow(o + 4 * place, place, f32x4.add(a0, c0), f32x4.add(a1, c1));
        storeRow(o + 8 * place, place, f32x4.sub(a0, c0), f32x4.sub(a1, c1));
        storeRow(o + 12 * place, place, f32x4.neg(c0), f32x4.neg(c1));
      }
      from += 64;
      out += VOXEL;
    }
  }
}
@inline
function storeRow(to: usize, place: usize, a: v128, b: v128): void {
  v128.store(to, a);
  v128.store(to + place, f32x4.add(a, b));
  v128.store(to + 2 * place, f32x4.sub(a, b));
  v128.store(to + 3 * place, f32x4.neg(b));
}

/** sum[4 input channels][16 output channels] += over tiles x[tile][4 of 8] dy[2 blocks][tile][8]. */
function outer4x16(x: usize, dy: usize, dyBlock: usize, tiles: i32, sum: usize): void {
  let p0 = v128.load(sum);
  let p1 = v128.load(sum, 16);
  let p2 = v128.load(sum, 32);
  let p3 = v128.load(sum, 48);
  let q0 = v128.load(sum, 64);
  let q1 = v128.load(sum, 80);
  let q2 = v128.load(sum, 96);
  let q3 = v128.load(sum, 112);
  let r0 = v128.load(sum, 128);
  let r1 = v128.load(sum, 144);
  let r2 = v128.load(sum, 160);
  let r3 = v128.load(sum, 176);
  let s0 = v128.load(sum, 192);
  let s1 = v128.load(sum, 208);
  let s2 = v128.load(sum, 224);
  let s3 = v128.load(sum, 240);
  let second = dy + dyBlock;
  const end = dy + <usize>(tiles * 32);
  while (dy < end) {
    const w0 = v128.load(dy);
    const w1 = v128.load(dy, 16);
    const w2 = v128.load(second);
    const w3 = v128.load(second, 16);
    let v = v128.load32_splat(x);
    p0 = fma(v, w0, p0);
    p1 = fma(v, w1, p1);
    p2 = fma(v, w2, p2);
    p3 = fma(v, w3, p3);
    v = v128.load32_splat(x, 4);
    q0 = fma(v, w0, q0);
    q1 = fma(v, w1, q1);
    q2 = fma(v, w2, q2);
    q3 = fma(v, w3, q3);
    v = v128.load32_splat(x, 8);
    r0 = fma(v, w0, r0);
    r1 = fma(v, w1, r1);
    r2 = fma(v, w2, r2);
    r3 = fma(v, w3, r3);
    v = v128.load32_splat(x, 12);
    s0 = fma(v, w0, s0);
    s1 = fma(v, w1, s1);
    s2 = fma(v, w2, s2);
    s3 = fma(v, w3, s3);
    x += VOXEL;
    dy += VOXEL;
    second += VOXEL;
  }
  v128.store(sum, p0);
  v128.store(sum, p1, 16);
  v128.store(sum, p2, 32);
  v128.store(sum, p3, 48);
  v128.store(sum, q0, 64);
  v128.store(sum, q1, 80);
  v128.store(sum, q2, 96);
  v128.store(sum, q3, 112);
  v128.store(sum, r0, 128);
  v128.store(sum, r1, 144);
  v128.store(sum, r2, 160);
  v128.store(sum, r3, 176);
  v128.store(sum, s0, 192);
  v128.store(sum, s1, 208);
  v128.store(sum, s2, 224);
  v128.store(sum, s3, 240);
}

/** sum[4 input channels][8 output channels] += over tiles x[tile][4 of 8] dy[tile][8]. */
function outer4x8(x: usize, dy: usize, tiles: i32, sum: usize): void {
  let p0 = v128.load(sum);
  let p1 = v128.load(sum, 16);
  let q0 = v128.load(sum, 32);
  let q1 = v128.load(sum, 48);
  let r0 = v128.load(sum, 64);
  let r1 = v128.load(sum, 80);
  let s0 = v128.load(sum, 96);
  let s1 = v128.load(sum, 112);
  const end = dy + <usize>(tiles * 32);
  while (dy < end) {
    const w0 = v128.load(dy);
    const w1 = v128.load(dy, 16);
    let v = v128.load32_splat(x);
    p0 = fma(v, w0, p0);
    p1 = fma(v, w1, p1);
    v = v128.load32_splat(x, 4);
    q0 = fma(v, w0, q0);
    q1 = fma(v, w1, q1);
    v = v128.load32_splat(x, 8);
    r0 = fma(v, w0, r0);
    r1 = fma(v, w1, r1);
    v = v128.load32_splat(x, 12);
    s0 = fma(v, w0, s0);
    s1 = fma(v, w1, s1);
    x += VOXEL;
    dy += VOXEL;
  }
  v128.store(sum, p0);
  v128.store(sum, p1, 16);
  v128.store(sum, q0, 32);
  v128.store(sum, q1, 48);
  v128.store(sum, r0, 64);
  v128.store(sum, r1, 80);
  v128.store(sum, s0, 96);
  v128.store(sum, s1, 112);
}

/**
 * args: x blocked, dy blocked, sums [slab][place 64] in the transformed weights' layout, slabs, cut, bytes of a place of the sums. A unit is a slab of
 * segments, a part of the output channels, and one first index.
 */
export function winogradWeightGradient(args: usize, thread: i32, threads: i32): void {
  const x = tensor(args, 0);
  const dy = tensor(args, 1);
  const sums = address(args, 2);
  const slabs = word(args, 3);
  const cut = changetype<Cut>(args + 16);
  const sumPlace = address(args, 10);
  const tiles = (cut.pieceTiles * cut.segmentPieces + 3) & ~3;
  const block = <usize>(tiles * 32);
  const piece = changetype<Piece>(threadScratch);
  const line = threadScratch + CACHE_LINE;
  const partBlocks = partLength(dy.blocks, cut.parts);
  const inputPlace = <usize>x.blocks * block + CACHE_LINE;
  const gradientPlace = <usize>partBlocks * block + CACHE_LINE;
  const input = cut.scratch + <usize>thread * cut.scratchBytes;
  const gradient = input + <usize>PLACES * inputPlace;
  const pieces = piecesOf(x, cut);
  const segments = (pieces + cut.segmentPieces - 1) / cut.segmentPieces;
  const units = slabs * cut.parts * 4;
  const last = shareStart(units, thread + 1, threads);
  for (let unit = shareStart(units, thread, threads); unit < last; unit++) {
    const i = unit & 3;
    const first = ((unit >> 2) % cut.parts) * partBlocks;
    const end = min(first + partBlocks, dy.blocks);
    const slab = (unit >> 2) / cut.parts;
    const total = sums + <usize>(64 * slab + PLACES * i) * sumPlace;
    const size = panelAt(0, end - first, x.blocks);
    for (let p: usize = 0; p < <usize>PLACES; p++) memory.fill(panelAt(total + p * sumPlace, first, x.blocks), 0, size);
    const lastSegment = shareStart(segments, slab + 1, slabs);
    for (let segment = shareStart(segments, slab, slabs); segment < lastSegment; segment++) {
      const firstPiece = segment * cut.segmentPieces;
      const lastPiece = min(firstPiece + cut.segmentPieces, pieces);
      let at: usize = 0;
      for (let index = firstPiece; index < lastPiece; index++) {
        locate(x, cut, index, piece);
        transformInput(x, piece, i, input + at, inputPlace, block, line);
        transformGradient(dy, piece, i, first, end, gradient + at, gradientPlace, block);
        at += <usize>(piece.tiles * 32);
      }
      const used = <i32>(at >> 5);
      for (let p: usize = 0; p < <usize>PLACES; p++) {
        let right = gradient + p * gradientPlace;
        for (let o = first; o < end; o++) {
          let sum = panelAt(total + p * sumPlace, o, x.blocks);
          let left = input + p * inputPlace;
          if (isPair(o, dy.blocks)) {
            for (let b = 0; b < x.blocks; b++) {
              outer4x16(left, right, block, used, sum);
              outer4x16(left + 16, right, block, used, sum + 256);
              left += block;
              sum += 512;
            }
            right += block;
            o++;
          } else {
            for (let b = 0; b < x.blocks; b++) {
              outer4x8(left, right, used, sum);
              outer4x8(left + 16, right, used, sum + 128);
              left += block;
              sum += 256;
            }
          }
          right += block;
        }
      }
    }
  }
}

/** args: bias, the same with zeros up to a whole number of blocks, its channels, blocks. */
export function padBias(args: usize, thread: i32, threads: i32): void {
  if (thread != 0) return;
  const to = address(args, 1);
  memory.fill(to, 0, <usize>word(args, 3) * VOXEL);
  memory.copy(to, address(args, 0), <usize>word(args, 2) << 2);
}
