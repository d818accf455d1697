/**
 * 3x3x3 convolution by Winograd's minimal filtering (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, in three axes):
 * F(D x 4 x 4, 3x3x3) with D = 2 or 4, that is (D + 2) 36 products for 16 D results where the direct sum takes 432 D: 6 or 8 times fewer.
 *
 * F(4, 3) interpolates at 0, a, -a, b, -b and infinity with a = 1/sqrt(2), b = sqrt(2):
 *
 *         [1    0  -5/2   0   1  0]       [  1        0      0  ]
 *         [0   -2a  -2    a   1  0]       [-2/3   -2/3 a   -1/3 ]       [1  1   1   1   1   0]
 *   B^T = [0    2a  -2   -a   1  0]   G = [-2/3    2/3 a   -1/3 ] A^T = [0  a  -a   b  -b   0]
 *         [0  -b/2 -1/2   b   1  0]       [ 1/6    1/6 b    1/3 ]       [0 1/2 1/2  2   2   0]
 *         [0   b/2 -1/2  -b   1  0]       [ 1/6   -1/6 b    1/3 ]       [0 a/2 -a/2 2b -2b  1]
 *         [0    1    0  -5/2  0  1]       [  0        0      1  ]
 *
 * The error grows with the condition of these Vandermonde matrices (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd
 * Convolution for Deep Neural Networks", 2020). Points that are each other's inverses keep a b = 1, two rows of B^T simple, and the error two to three
 * times smaller than the usual 0, +-1, +-2: relative to the results' own size it is, with 32 and 256 input channels, 0.8e-6 and 1.8e-6 for D = 2,
 * 1.3e-6 and 3.1e-6 for D = 4 (0.26e-6 and 0.54e-6 for F(2x2x2), 1.6e-6 to 9e-6 with +-1, +-2).
 * F(2, 3), for z with D = 2, interpolates at 0, 1, -1 and infinity:
 *
 *   B^T = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 -1 0 1]   G = [1 0 0; .5 .5 .5; .5 -.5 .5; 0 0 1]   A^T = [1 1 1 0; 0 1 -1 1]
 *
 * Between the transformations stand (D + 2) 36 matrix products (tiles x input channels times input channels x output channels), one for each place
 * (i, j, k) of a transformed tile. The work is done in segments of some dozen tiles, so that what is transformed stays in the second-level cache,
 * and for one i (36 products) after the other, so that more tiles fit.
 *
 * Backward data is the same with flipped, transposed weights. Backward weights: dW = G^T [sum over tiles (B^T x B) (A dy A^T)] G.
 *
 * A segment is a number of *pieces*: runs of at most `pieceTiles` tiles along a row. Transformed tensors in scratch:
 * [place 36][channel block][tile][8], a place's stride padded by a cache line so that the streams don't fall into the same cache sets.
 * Transformed weights: [i][place 36][panel][input channel][16 or 8 output channels], see `panelAt`.
 */
import { Address, blockedRow, fma, OptionalAddress, planePitch, shareStart, Tensor, threadScratch, transpose, VOXEL } from "../../backends/cpu/common.as";
import { FIXED_SCRATCH } from "../../backends/cpu/constants";
import { CACHE_LINE_BYTES, PLACES, TILE, WEIGHT_BLOCKS } from "./constants";

/** What is read along y and x for a tile's results. */
const READ: i32 = 6;
const CACHE_LINE: usize = CACHE_LINE_BYTES;

/** Where a run of tiles lies: sample, tile coordinates, number of tiles. */
@unmanaged
class Piece {
  n: i32;
  z: i32;
  y: i32;
  x: i32;
  tiles: i32;
}

/** How the tiles of a volume are cut: arguments that come first. */
@unmanaged
class Cut {
  /** Results of a tile along z: 2 or 4. */
  depth: i32;
  /** Most tiles of a piece, pieces of a row, pieces of a segment. */
  pieceTiles: i32;
  rowPieces: i32;
  segmentPieces: i32;
  /** Parts into which the output channels are cut, and blocks of a part. */
  parts: i32;
  partBlocks: i32;
}

// Kernels hold no static data: a thread's scratch begins with what they look up.
const PIECE: usize = 0;
const WEIGHTS: usize = 64;
/** The numbers of F(4, 3), in this order: a, b, 1/2, 2, 5/2, a/2, 2b, -2/3, -2/3 a, 1/6, 1/6 b. Loaded, since a constant of 128 bits costs several instructions wherever it is used. */
const NUMBERS: usize = 128;
const BUFFER: usize = 192;

const A: f32 = 0.70710678118654752;
const B: f32 = 1.4142135623730951;
/** What the rows of G for a and b have in common. */
const WEIGHT_A: f32 = -2.0 / 3.0;
const WEIGHT_B: f32 = 1.0 / 6.0;

function writeNumbers(): void {
  const at = threadScratch + NUMBERS;
  store<f32>(at, A);
  store<f32>(at, B, 4);
  store<f32>(at, 0.5, 8);
  store<f32>(at, 2, 12);
  store<f32>(at, 2.5, 16);
  store<f32>(at, 0.5 * A, 20);
  store<f32>(at, 2 * B, 24);
  store<f32>(at, WEIGHT_A, 28);
  store<f32>(at, WEIGHT_A * A, 32);
  store<f32>(at, WEIGHT_B, 36);
  store<f32>(at, WEIGHT_B * B, 40);
}
@inline
function constant(index: usize): v128 {
  return v128.load32_splat(threadScratch + NUMBERS + (index << 2));
}

/** c - a * b: one rounding in the relaxed build, two in the portable one. */
@inline
function fnma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

@inline
function tilesAlong(size: i32, tile: i32): i32 {
  return (size + tile - 1) / tile;
}
@inline
function piecesOf(t: Tensor, cut: Cut): i32 {
  return t.n * tilesAlong(t.d, cut.depth) * tilesAlong(t.h, TILE) * cut.rowPieces;
}

function locate(t: Tensor, cut: Cut, index: i32, piece: Piece): void {
  const rows = tilesAlong(t.h, TILE);
  const planes = tilesAlong(t.d, cut.depth);
  let rest = index;
  const at = (rest % cut.rowPieces) * cut.pieceTiles;
  rest /= cut.rowPieces;
  piece.x = at;
  piece.tiles = min(cut.pieceTiles, tilesAlong(t.w, TILE) - at);
  piece.y = rest % rows;
  rest /= rows;
  piece.z = rest % planes;
  piece.n = rest / planes;
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

/** G of F(4, 3) for `width` bytes of output channels: three taps to six places, `step` bytes from one to the next. */
@inline
function sixOfTaps(from: usize, fromStep: usize, to: usize, toStep: usize, width: usize): void {
  const half = constant(2);
  const two = constant(3);
  const scaleA = constant(7);
  const scaleOddA = constant(8);
  const scaleB = constant(9);
  const scaleOddB = constant(10);
  for (let h: usize = 0; h < width; h += 32) {
    const at = from + h;
    const out = to + h;
    const l0 = v128.load(at);
    const h0 = v128.load(at, 16);
    const l1 = v128.load(at + fromStep);
    const h1 = v128.load(at + fromStep, 16);
    const l2 = v128.load(at + 2 * fromStep);
    const h2 = v128.load(at + 2 * fromStep, 16);
    const evenA = f32x4.mul(fma(l2, half, l0), scaleA);
    const evenAh = f32x4.mul(fma(h2, half, h0), scaleA);
    const evenB = f32x4.mul(fma(l2, two, l0), scaleB);
    const evenBh = f32x4.mul(fma(h2, two, h0), scaleB);
    v128.store(out, l0);
    v128.store(out, h0, 16);
    v128.store(out + toStep, fma(l1, scaleOddA, evenA));
    v128.store(out + toStep, fma(h1, scaleOddA, evenAh), 16);
    v128.store(out + 2 * toStep, fnma(l1, scaleOddA, evenA));
    v128.store(out + 2 * toStep, fnma(h1, scaleOddA, evenAh), 16);
    v128.store(out + 3 * toStep, fma(l1, scaleOddB, evenB));
    v128.store(out + 3 * toStep, fma(h1, scaleOddB, evenBh), 16);
    v128.store(out + 4 * toStep, fnma(l1, scaleOddB, evenB));
    v128.store(out + 4 * toStep, fnma(h1, scaleOddB, evenBh), 16);
    v128.store(out + 5 * toStep, l2);
    v128.store(out + 5 * toStep, h2, 16);
  }
}
/** G of F(2, 3): three taps to four places. */
@inline
function fourOfTaps(from: usize, fromStep: usize, to: usize, toStep: usize, width: usize): void {
  const half = constant(2);
  for (let h: usize = 0; h < width; h += 32) {
    const at = from + h;
    const out = to + h;
    const l0 = v128.load(at);
    const h0 = v128.load(at, 16);
    const l1 = f32x4.mul(v128.load(at + fromStep), half);
    const h1 = f32x4.mul(v128.load(at + fromStep, 16), half);
    const l2 = v128.load(at + 2 * fromStep);
    const h2 = v128.load(at + 2 * fromStep, 16);
    const sum = f32x4.mul(f32x4.add(l0, l2), half);
    const sumh = f32x4.mul(f32x4.add(h0, h2), half);
    v128.store(out, l0);
    v128.store(out, h0, 16);
    v128.store(out + toStep, f32x4.add(sum, l1));
    v128.store(out + toStep, f32x4.add(sumh, h1), 16);
    v128.store(out + 2 * toStep, f32x4.sub(sum, l1));
    v128.store(out + 2 * toStep, f32x4.sub(sumh, h1), 16);
    v128.store(out + 3 * toStep, l2);
    v128.store(out + 3 * toStep, h2, 16);
  }
}

/** Plain weights (O, I, 27), and how they are read. */
@unmanaged
class Weights {
  data: usize;
  /** Channels of the convolution that is computed. */
  channelsOut: i32;
  channelsIn: i32;
  /** Whether that is the adjoint: its output channels are the weights' second axis, its taps mirrored. */
  adjoint: i32;
}
/** Address of the taps that lead from an input channel to an output channel; to the next output channel it is `tapsStep` bytes. */
@inline
function tapsOf(weights: Weights, channelOut: i32, channelIn: i32): usize {
  return weights.data + <usize>(weights.adjoint ? channelIn * weights.channelsOut + channelOut : channelOut * weights.channelsIn + channelIn) * 108;
}
@inline
function tapsStep(weights: Weights): usize {
  return weights.adjoint ? 108 : <usize>weights.channelsIn * 108;
}

/**
 * G g of 8 input channels and one panel, output blocks `block` to `block + blocks`, to `to`: [place, `place` bytes apart][input channel][8 or 16].
 * Zeros for channels beyond.
 */
function transformPanel(weights: Weights, depth: i32, block: i32, blocks: i32, inBlock: i32, to: usize, place: usize, taps: usize): void {
  const width = <usize>blocks * VOXEL;
  const first = taps + 27 * width;
  const second = first + 54 * width;
  const outs = min(8 * blocks, weights.channelsOut - block * 8);
  const step = tapsStep(weights);
  if (outs < 8 * blocks) memory.fill(taps, 0, 27 * width);
  for (let i = 0; i < 8; i++) {
    const channelIn = inBlock * 8 + i;
    if (channelIn >= weights.channelsIn) {
      for (let p = 0; p < PLACES * (depth + 2); p++) memory.fill(to + <usize>p * place, 0, width);
      to += width;
      continue;
    }
    const from = tapsOf(weights, block * 8, channelIn);
    // mirrored taps are written from the last on
    const start = taps + (weights.adjoint ? 26 * width : 0);
    const next = weights.adjoint ? <usize>0 - width : width;
    let o = 0;
    for (; o + 4 <= outs; o += 4) {
      const row = from + <usize>o * step;
      const at = start + (<usize>o << 2);
      for (let tap: usize = 0; tap < 24; tap += 4) transpose(row + (tap << 2), step, at + tap * next, next);
      transpose(row + 23 * 4, step, at + 23 * next, next);
    }
    for (; o < outs; o++) {
      for (let tap: usize = 0; tap < 27; tap++) store<f32>(start + tap * next + (<usize>o << 2), load<f32>(from + <usize>o * step + (tap << 2)));
    }
    for (let row: usize = 0; row < 9; row++) sixOfTaps(taps + 3 * row * width, width, first + 6 * row * width, width, width);
    for (let z: usize = 0; z < 3; z++) {
      for (let x: usize = 0; x < 6; x++) sixOfTaps(first + (18 * z + x) * width, 6 * width, second + (36 * z + x) * width, 6 * width, width);
    }
    if (depth == 4) {
      for (let yx: usize = 0; yx < 36; yx++) sixOfTaps(second + yx * width, 36 * width, to + yx * place, <usize>PLACES * place, width);
    } else {
      for (let yx: usize = 0; yx < 36; yx++) fourOfTaps(second + yx * width, 36 * width, to + yx * place, <usize>PLACES * place, width);
    }
    to += width;
  }
}

/** Writes down at `at` how weights (O, I, 27) are read. */
function weightsOf(data: usize, channelsO: i32, channelsI: i32, adjoint: i32, at: usize): Weights {
  const weights = changetype<Weights>(at);
  weights.data = data;
  weights.adjoint = adjoint;
  weights.channelsOut = adjoint ? channelsI : channelsO;
  weights.channelsIn = adjoint ? channelsO : channelsI;
  return weights;
}

@unmanaged
class WinogradWeightsArguments {
  /** (O, I, 27), plain. */
  weight: Address;
  channelsO: i32;
  channelsI: i32;
  /** 0: out = O, in = I; 1: out = I, in = O and every tap mirrored. */
  adjoint: i32;
  transformed: Address;
  /** Bytes of a place. */
  place: usize;
  /** Of a tile. */
  depth: i32;
}
/** A unit is a panel of output channels and a block of input channels. */
export function winogradWeights(args: WinogradWeightsArguments, share: i32, shares: i32): void {
  const weights = weightsOf(args.weight, args.channelsO, args.channelsI, args.adjoint, threadScratch + PIECE);
  const transformed = args.transformed;
  const place = args.place;
  const depth = args.depth;
  const outBlocks = (weights.channelsOut + 7) >> 3;
  const inBlocks = (weights.channelsIn + 7) >> 3;
  writeNumbers();
  const units = ((outBlocks + 1) >> 1) * inBlocks;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const inBlock = unit % inBlocks;
    const end = min(2 * (unit / inBlocks) + 2, outBlocks);
    for (let block = 2 * (unit / inBlocks); block < end; block++) {
      const blocks = isPair(block, outBlocks) ? 2 : 1;
      transformPanel(weights, depth, block, blocks, inBlock, panelAt(transformed, block, inBlocks) + <usize>(inBlock * blocks) * 256, place, threadScratch + BUFFER);
      block += blocks - 1;
    }
  }
}

/** G^T of F(4, 3): six places to three taps. */
@inline
function tapsOfSix(from: usize, fromStep: usize, to: usize, toStep: usize, width: usize): void {
  const half = constant(2);
  const two = constant(3);
  const scaleA = constant(7);
  const scaleOddA = constant(8);
  const scaleB = constant(9);
  const scaleOddB = constant(10);
  for (let h: usize = 0; h < width; h += 32) {
    const at = from + h;
    const out = to + h;
    const l1 = v128.load(at + fromStep);
    const h1 = v128.load(at + fromStep, 16);
    const l2 = v128.load(at + 2 * fromStep);
    const h2 = v128.load(at + 2 * fromStep, 16);
    const l3 = v128.load(at + 3 * fromStep);
    const h3 = v128.load(at + 3 * fromStep, 16);
    const l4 = v128.load(at + 4 * fromStep);
    const h4 = v128.load(at + 4 * fromStep, 16);
    const l0 = v128.load(at);
    const h0 = v128.load(at, 16);
    const l5 = v128.load(at + 5 * fromStep);
    const h5 = v128.load(at + 5 * fromStep, 16);
    const sumA = f32x4.mul(f32x4.add(l1, l2), scaleA);
    const sumAh = f32x4.mul(f32x4.add(h1, h2), scaleA);
    const sumB = f32x4.mul(f32x4.add(l3, l4), scaleB);
    const sumBh = f32x4.mul(f32x4.add(h3, h4), scaleB);
    v128.store(out, f32x4.add(l0, f32x4.add(sumA, sumB)));
    v128.store(out, f32x4.add(h0, f32x4.add(sumAh, sumBh)), 16);
    v128.store(out + toStep, fma(f32x4.sub(l3, l4), scaleOddB, f32x4.mul(f32x4.sub(l1, l2), scaleOddA)));
    v128.store(out + toStep, fma(f32x4.sub(h3, h4), scaleOddB, f32x4.mul(f32x4.sub(h1, h2), scaleOddA)), 16);
    v128.store(out + 2 * toStep, fma(sumA, half, fma(sumB, two, l5)));
    v128.store(out + 2 * toStep, fma(sumAh, half, fma(sumBh, two, h5)), 16);
  }
}
/** G^T of F(2, 3): four places to three taps. */
@inline
function tapsOfFour(from: usize, fromStep: usize, to: usize, toStep: usize, width: usize): void {
  const half = constant(2);
  for (let h: usize = 0; h < width; h += 32) {
    const at = from + h;
    const out = to + h;
    const l0 = v128.load(at);
    const h0 = v128.load(at, 16);
    const l1 = f32x4.mul(v128.load(at + fromStep), half);
    const h1 = f32x4.mul(v128.load(at + fromStep, 16), half);
    const l2 = f32x4.mul(v128.load(at + 2 * fromStep), half);
    const h2 = f32x4.mul(v128.load(at + 2 * fromStep, 16), half);
    const l3 = v128.load(at + 3 * fromStep);
    const h3 = v128.load(at + 3 * fromStep, 16);
    const sum = f32x4.add(l1, l2);
    const sumh = f32x4.add(h1, h2);
    v128.store(out, f32x4.add(l0, sum));
    v128.store(out, f32x4.add(h0, sumh), 16);
    v128.store(out + toStep, f32x4.sub(l1, l2));
    v128.store(out + toStep, f32x4.sub(h1, h2), 16);
    v128.store(out + 2 * toStep, f32x4.add(l3, sum));
    v128.store(out + 2 * toStep, f32x4.add(h3, sumh), 16);
  }
}

/** The gradient of the taps of 8 input channels and one panel from its sums: the transposed of `transformPanel`. */
function collectPanel(weights: Weights, depth: i32, block: i32, blocks: i32, inBlock: i32, sums: usize, place: usize, slabs: i32, buffer: usize): void {
  const width = <usize>blocks * VOXEL;
  const all = <usize>(PLACES * (depth + 2));
  const first = buffer + all * width;
  const second = first + 108 * width;
  const taps = second + 54 * width;
  const outs = min(8 * blocks, weights.channelsOut - block * 8);
  const step = tapsStep(weights);
  for (let i = 0; i < min(8, weights.channelsIn - inBlock * 8); i++) {
    const from = sums + <usize>i * width;
    for (let p: usize = 0; p < all; p++) {
      for (let h: usize = 0; h < width; h += 32) {
        let low = v128.load(from + p * place + h);
        let high = v128.load(from + p * place + h, 16);
        for (let slab: usize = 1; slab < <usize>slabs; slab++) {
          const at = from + (p + all * slab) * place + h;
          low = f32x4.add(low, v128.load(at));
          high = f32x4.add(high, v128.load(at, 16));
        }
        v128.store(buffer + p * width + h, low);
        v128.store(buffer + p * width + h, high, 16);
      }
    }
    if (depth == 4) {
      for (let yx: usize = 0; yx < 36; yx++) tapsOfSix(buffer + yx * width, 36 * width, first + yx * width, 36 * width, width);
    } else {
      for (let yx: usize = 0; yx < 36; yx++) tapsOfFour(buffer + yx * width, 36 * width, first + yx * width, 36 * width, width);
    }
    for (let row: usize = 0; row < 18; row++) tapsOfSix(first + 6 * row * width, width, second + 3 * row * width, width, width);
    for (let z: usize = 0; z < 3; z++) {
      for (let x: usize = 0; x < 3; x++) tapsOfSix(second + (18 * z + x) * width, 3 * width, taps + (9 * z + x) * width, 3 * width, width);
    }
    const to = tapsOf(weights, block * 8, inBlock * 8 + i);
    let o = 0;
    for (; o + 4 <= outs; o += 4) {
      const row = to + <usize>o * step;
      const at = taps + (<usize>o << 2);
      for (let tap: usize = 0; tap < 24; tap += 4) transpose(at + tap * width, width, row + (tap << 2), step);
      transpose(at + 23 * width, width, row + 23 * 4, step);
    }
    for (; o < outs; o++) {
      for (let tap: usize = 0; tap < 27; tap++) store<f32>(to + <usize>o * step + (tap << 2), load<f32>(taps + tap * width + (<usize>o << 2)));
    }
  }
}

@unmanaged
class WinogradCollectWeightsArguments {
  /** (O, I, 27), plain. */
  dWeight: Address;
  channelsO: i32;
  channelsI: i32;
  /** [slab][i][place], in the transformed weights' layout. */
  sums: Address;
  slabs: i32;
  /** Bytes of a place. */
  place: usize;
  /** Of a tile. */
  depth: i32;
}
export function winogradCollectWeights(args: WinogradCollectWeightsArguments, share: i32, shares: i32): void {
  const weights = weightsOf(args.dWeight, args.channelsO, args.channelsI, 0, threadScratch + PIECE);
  const sums = args.sums;
  const slabs = args.slabs;
  const place = args.place;
  const depth = args.depth;
  const outBlocks = (weights.channelsOut + 7) >> 3;
  const inBlocks = (weights.channelsIn + 7) >> 3;
  writeNumbers();
  const units = ((outBlocks + 1) >> 1) * inBlocks;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const inBlock = unit % inBlocks;
    const end = min(2 * (unit / inBlocks) + 2, outBlocks);
    for (let block = 2 * (unit / inBlocks); block < end; block++) {
      const blocks = isPair(block, outBlocks) ? 2 : 1;
      collectPanel(weights, depth, block, blocks, inBlock, panelAt(sums, block, inBlocks) + <usize>(inBlock * blocks) * 256, place, slabs, threadScratch + BUFFER);
      block += blocks - 1;
    }
  }
}

// ---- first indices, two by two
//
// Rows for a and -a (b and -b) have the same even part and odd parts that differ in sign: what is read along z for one is read for both. Pairs come in
// this order: (a, -a), which gives every plane of results its first part, (0, infinity), (b, -b).

/** Pairs of first indices. */
@inline
function pairsOf(depth: i32): i32 {
  return (depth >> 1) + 1;
}
/** The pair's first indices, counted as the rows of the matrices above are. */
@inline
function firstOf(pair: i32): i32 {
  return pair == 0 ? 1 : pair == 1 ? 0 : 3;
}
@inline
function secondOf(pair: i32, depth: i32): i32 {
  return pair == 0 ? 2 : pair == 1 ? depth + 1 : 4;
}

/** x = even + odd and y = even - odd with even = p + square r, odd = point (q + square s), for voxels of 8 channels. */
@inline
function joinFour(p: usize, q: usize, r: usize, s: usize, square: v128, point: v128, x: usize, y: usize, bytes: usize): void {
  const end = x + bytes;
  while (x < end) {
    const even = fma(v128.load(r), square, v128.load(p));
    const evenh = fma(v128.load(r, 16), square, v128.load(p, 16));
    const odd = fma(v128.load(s), square, v128.load(q));
    const oddh = fma(v128.load(s, 16), square, v128.load(q, 16));
    v128.store(x, fma(odd, point, even));
    v128.store(x, fma(oddh, point, evenh), 16);
    v128.store(y, fnma(odd, point, even));
    v128.store(y, fnma(oddh, point, evenh), 16);
    p += VOXEL;
    q += VOXEL;
    r += VOXEL;
    s += VOXEL;
    x += VOXEL;
    y += VOXEL;
  }
}
/** x = p + q and y = p - q. */
@inline
function joinTwo(p: usize, q: usize, x: usize, y: usize, bytes: usize): void {
  const end = x + bytes;
  while (x < end) {
    const even = v128.load(p);
    const evenh = v128.load(p, 16);
    const odd = v128.load(q);
    const oddh = v128.load(q, 16);
    v128.store(x, f32x4.add(even, odd));
    v128.store(x, f32x4.add(evenh, oddh), 16);
    v128.store(y, f32x4.sub(even, odd));
    v128.store(y, f32x4.sub(evenh, oddh), 16);
    p += VOXEL;
    q += VOXEL;
    x += VOXEL;
    y += VOXEL;
  }
}
/** x = p - 5/2 q + r. */
@inline
function joinEnd(p: usize, q: usize, r: usize, x: usize, bytes: usize): void {
  const sum = constant(4);
  const end = x + bytes;
  while (x < end) {
    v128.store(x, fnma(v128.load(q), sum, f32x4.add(v128.load(p), v128.load(r))));
    v128.store(x, fnma(v128.load(q, 16), sum, f32x4.add(v128.load(p, 16), v128.load(r, 16))), 16);
    p += VOXEL;
    q += VOXEL;
    r += VOXEL;
    x += VOXEL;
  }
}
/** x = p - q. */
@inline
function difference(p: usize, q: usize, x: usize, bytes: usize): void {
  const end = x + bytes;
  while (x < end) {
    v128.store(x, f32x4.sub(v128.load(p), v128.load(q)));
    v128.store(x, f32x4.sub(v128.load(p, 16), v128.load(q, 16)), 16);
    p += VOXEL;
    q += VOXEL;
    x += VOXEL;
  }
}

// ---- input

/** Both rows of a pair of the B^T along z at `bytes` bytes from row (z, y) of a block on, to x and y. Planes and rows beyond the halo are the halo's, zeros. */
function joinInput(t: Tensor, n: i32, block: i32, z: i32, y: i32, offset: usize, depth: i32, pair: i32, first: usize, second: usize, bytes: usize): void {
  const row = min(y, t.h);
  const p1 = blockedRow(t, n, block, min(z + 1, t.d), row) + offset;
  const p2 = blockedRow(t, n, block, min(z + 2, t.d), row) + offset;
  const p3 = blockedRow(t, n, block, min(z + 3, t.d), row) + offset;
  if (depth == 2) {
    if (pair == 0) {
      joinTwo(p2, p1, first, second, bytes);
    } else {
      difference(blockedRow(t, n, block, z, row) + offset, p2, first, bytes);
      difference(p3, p1, second, bytes);
    }
    return;
  }
  const p4 = blockedRow(t, n, block, min(z + 4, t.d), row) + offset;
  if (pair == 1) {
    joinEnd(blockedRow(t, n, block, z, row) + offset, p2, p4, first, bytes);
    joinEnd(p1, p3, blockedRow(t, n, block, min(z + 5, t.d), row) + offset, second, bytes);
  } else {
    joinFour(p4, p3, p2, p1, f32x4.splat(pair == 0 ? -2 : -0.5), constant(pair == 0 ? 0 : 1), first, second, bytes);
  }
}

/**
 * B^T of F(4, 3) for 8 channels: six values, `step` bytes from one to the next, to six places. Both halves of the channels side by side and all loads
 * before the stores, so that engines can join them.
 */
@inline
function sixOfSix(from: usize, step: usize, to: usize, toStep: usize, a: v128, b: v128, half: v128, two: v128, sum: v128): void {
  const l0 = v128.load(from);
  const h0 = v128.load(from, 16);
  const l1 = v128.load(from + step);
  const h1 = v128.load(from + step, 16);
  const l2 = v128.load(from + 2 * step);
  const h2 = v128.load(from + 2 * step, 16);
  const l3 = v128.load(from + 3 * step);
  const h3 = v128.load(from + 3 * step, 16);
  const l4 = v128.load(from + 4 * step);
  const h4 = v128.load(from + 4 * step, 16);
  const l5 = v128.load(from + 5 * step);
  const h5 = v128.load(from + 5 * step, 16);
  v128.store(to, fnma(l2, sum, f32x4.add(l0, l4)));
  v128.store(to, fnma(h2, sum, f32x4.add(h0, h4)), 16);
  const evenA = fnma(l2, two, l4);
  const evenAh = fnma(h2, two, h4);
  const oddA = fnma(l1, two, l3);
  const oddAh = fnma(h1, two, h3);
  v128.store(to + toStep, fma(oddA, a, evenA));
  v128.store(to + toStep, fma(oddAh, a, evenAh), 16);
  v128.store(to + 2 * toStep, fnma(oddA, a, evenA));
  v128.store(to + 2 * toStep, fnma(oddAh, a, evenAh), 16);
  const evenB = fnma(l2, half, l4);
  const evenBh = fnma(h2, half, h4);
  const oddB = fnma(l1, half, l3);
  const oddBh = fnma(h1, half, h3);
  v128.store(to + 3 * toStep, fma(oddB, b, evenB));
  v128.store(to + 3 * toStep, fma(oddBh, b, evenBh), 16);
  v128.store(to + 4 * toStep, fnma(oddB, b, evenB));
  v128.store(to + 4 * toStep, fnma(oddBh, b, evenBh), 16);
  v128.store(to + 5 * toStep, fnma(l3, sum, f32x4.add(l1, l5)));
  v128.store(to + 5 * toStep, fnma(h3, sum, f32x4.add(h1, h5)), 16);
}

/**
 * B^T x B of a piece for a pair of first indices, all channel blocks, to `first` and `second` (the piece's first tile): along z plane by plane into
 * twice six lines, along y in place, along x tile by tile.
 */
function transformInput(x: Tensor, piece: Piece, depth: i32, pair: i32, first: usize, second: usize, place: usize, block: usize, lines: usize): void {
  const a = constant(0);
  const b = constant(1);
  const half = constant(2);
  const two = constant(3);
  const sum = constant(4);
  const columns = TILE * piece.tiles + 2;
  // voxels of the row from the piece's first column on, its right halo included
  const stored = <usize>(min(columns, x.w + 2 - TILE * piece.x) * 32);
  const line = <usize>(columns * 32);
  const offset = <usize>(TILE * piece.x) * VOXEL - VOXEL;
  const others = <usize>READ * line;
  for (let channels = 0; channels < x.blocks; channels++) {
    for (let j = 0; j < READ; j++) {
      const at = lines + <usize>j * line;
      joinInput(x, piece.n, channels, depth * piece.z - 1, TILE * piece.y - 1 + j, offset, depth, pair, at, at + others, stored);
      if (stored < line) {
        memory.fill(at + stored, 0, line - stored);
        memory.fill(at + others + stored, 0, line - stored);
      }
    }
    for (let from = lines; from <= lines + others; from += others) {
      for (let at = from; at < from + line; at += VOXEL) sixOfSix(at, line, at, line, a, b, half, two, sum);
      let out = (from == lines ? first : second) + <usize>channels * block;
      for (let j: usize = 0; j < <usize>READ; j++) {
        let at = from + j * line;
        const end = out + <usize>(piece.tiles * 32);
        for (let to = out; to < end; to += VOXEL) {
          sixOfSix(at, VOXEL, to, place, a, b, half, two, sum);
          at += <usize>TILE * VOXEL;
        }
        out += <usize>READ * place;
      }
    }
  }
}

// ---- products

/** 4 tiles x 16 output channels, the sum over all input channels, added to what stands there or not: c[2 blocks][tile][8] = a[block][tile][8] b[channel][16]. */
function product4x16(a: usize, aBlock: usize, b: usize, inBlocks: i32, c: usize, cBlock: usize, add: bool): void {
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
  if (add) {
    const second = c + cBlock;
    p0 = v128.load(c);
    p1 = v128.load(c, 16);
    q0 = v128.load(c, 32);
    q1 = v128.load(c, 48);
    r0 = v128.load(c, 64);
    r1 = v128.load(c, 80);
    s0 = v128.load(c, 96);
    s1 = v128.load(c, 112);
    p2 = v128.load(second);
    p3 = v128.load(second, 16);
    q2 = v128.load(second, 32);
    q3 = v128.load(second, 48);
    r2 = v128.load(second, 64);
    r3 = v128.load(second, 80);
    s2 = v128.load(second, 96);
    s3 = v128.load(second, 112);
  }
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
function product4x8(a: usize, aBlock: usize, b: usize, inBlocks: i32, c: usize, add: bool): void {
  let p0 = f32x4.splat(0);
  let p1 = p0;
  let q0 = p0;
  let q1 = p0;
  let r0 = p0;
  let r1 = p0;
  let s0 = p0;
  let s1 = p0;
  if (add) {
    p0 = v128.load(c);
    p1 = v128.load(c, 16);
    q0 = v128.load(c, 32);
    q1 = v128.load(c, 48);
    r0 = v128.load(c, 64);
    r1 = v128.load(c, 80);
    s0 = v128.load(c, 96);
    s1 = v128.load(c, 112);
  }
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

/** The products of `places` places: result[place][block][tile][8] for output blocks `first` to `last`, `tiles` a multiple of 4. */
function multiply(input: usize, inputPlace: usize, weights: usize, weightPlace: usize, result: usize, resultPlace: usize, places: i32, inBlocks: i32, outBlocks: i32, first: i32, last: i32, tiles: i32, block: usize, add: bool): void {
  const end = <usize>(tiles * 32);
  for (let p: usize = 0; p < <usize>places; p++) {
    const a = input + p * inputPlace;
    let c = result + p * resultPlace;
    for (let o = first; o < last; o++) {
      const b = panelAt(weights + p * weightPlace, o, inBlocks);
      if (isPair(o, outBlocks)) {
        for (let t: usize = 0; t < end; t += 128) product4x16(a + t, block, b, inBlocks, c + t, block, add);
        c += block;
        o++;
      } else {
        for (let t: usize = 0; t < end; t += 128) product4x8(a + t, block, b, inBlocks, c + t, add);
      }
      c += block;
    }
  }
}

// ---- results

/** A^T of F(4, 3) for 8 channels: six places, `step` bytes from one to the next, to four results. */
@inline
function fourOfSix(from: usize, step: usize, to: usize, toStep: usize, a: v128, b: v128, half: v128, two: v128, a3: v128, b3: v128): void {
  const l1 = v128.load(from + step);
  const h1 = v128.load(from + step, 16);
  const l2 = v128.load(from + 2 * step);
  const h2 = v128.load(from + 2 * step, 16);
  const l3 = v128.load(from + 3 * step);
  const h3 = v128.load(from + 3 * step, 16);
  const l4 = v128.load(from + 4 * step);
  const h4 = v128.load(from + 4 * step, 16);
  const l0 = v128.load(from);
  const h0 = v128.load(from, 16);
  const l5 = v128.load(from + 5 * step);
  const h5 = v128.load(from + 5 * step, 16);
  const sumA = f32x4.add(l1, l2);
  const sumAh = f32x4.add(h1, h2);
  const oddA = f32x4.sub(l1, l2);
  const oddAh = f32x4.sub(h1, h2);
  const sumB = f32x4.add(l3, l4);
  const sumBh = f32x4.add(h3, h4);
  const oddB = f32x4.sub(l3, l4);
  const oddBh = f32x4.sub(h3, h4);
  v128.store(to, f32x4.add(l0, f32x4.add(sumA, sumB)));
  v128.store(to, f32x4.add(h0, f32x4.add(sumAh, sumBh)), 16);
  v128.store(to + toStep, fma(oddA, a, f32x4.mul(oddB, b)));
  v128.store(to + toStep, fma(oddAh, a, f32x4.mul(oddBh, b)), 16);
  v128.store(to + 2 * toStep, fma(sumA, half, f32x4.mul(sumB, two)));
  v128.store(to + 2 * toStep, fma(sumAh, half, f32x4.mul(sumBh, two)), 16);
  v128.store(to + 3 * toStep, fma(oddA, a3, fma(oddB, b3, l5)));
  v128.store(to + 3 * toStep, fma(oddAh, a3, fma(oddBh, b3, h5)), 16);
}

/** Rows of the results' planes of a tile, and what is added to them, for voxels of 8 channels. */

/** to = from + (what stood there, or the bias). */
@inline
function addRow(to: usize, from: usize, bytes: usize): void {
  const end = from + bytes;
  for (; from < end; from += VOXEL) {
    v128.store(to, f32x4.add(v128.load(from), v128.load(to)));
    v128.store(to, f32x4.add(v128.load(from, 16), v128.load(to, 16)), 16);
    to += VOXEL;
  }
}

/** A^T of a pair +-point along z, added to the rows y0 to y3 of four planes, which start with the bias if it is not 0. */
@inline
function addFour(y0: usize, y1: usize, y2: usize, y3: usize, from: usize, second: usize, bytes: usize, point: v128, square: v128, cube: v128, bias: usize): void {
  const end = from + bytes;
  if (bias) {
    const low = v128.load(bias);
    const high = v128.load(bias, 16);
    while (from < end) {
      const l = v128.load(from);
      const h = v128.load(from, 16);
      const ls = v128.load(second);
      const hs = v128.load(second, 16);
      const even = f32x4.add(l, ls);
      const evenh = f32x4.add(h, hs);
      const odd = f32x4.sub(l, ls);
      const oddh = f32x4.sub(h, hs);
      v128.store(y0, f32x4.add(even, low));
      v128.store(y0, f32x4.add(evenh, high), 16);
      v128.store(y1, fma(odd, point, low));
      v128.store(y1, fma(oddh, point, high), 16);
      v128.store(y2, fma(even, square, low));
      v128.store(y2, fma(evenh, square, high), 16);
      v128.store(y3, fma(odd, cube, low));
      v128.store(y3, fma(oddh, cube, high), 16);
      from += VOXEL;
      second += VOXEL;
      y0 += VOXEL;
      y1 += VOXEL;
      y2 += VOXEL;
      y3 += VOXEL;
    }
    return;
  }
  while (from < end) {
    const l = v128.load(from);
    const h = v128.load(from, 16);
    const ls = v128.load(second);
    const hs = v128.load(second, 16);
    const even = f32x4.add(l, ls);
    const evenh = f32x4.add(h, hs);
    const odd = f32x4.sub(l, ls);
    const oddh = f32x4.sub(h, hs);
    v128.store(y0, f32x4.add(even, v128.load(y0)));
    v128.store(y0, f32x4.add(evenh, v128.load(y0, 16)), 16);
    v128.store(y1, fma(odd, point, v128.load(y1)));
    v128.store(y1, fma(oddh, point, v128.load(y1, 16)), 16);
    v128.store(y2, fma(even, square, v128.load(y2)));
    v128.store(y2, fma(evenh, square, v128.load(y2, 16)), 16);
    v128.store(y3, fma(odd, cube, v128.load(y3)));
    v128.store(y3, fma(oddh, cube, v128.load(y3, 16)), 16);
    from += VOXEL;
    second += VOXEL;
    y0 += VOXEL;
    y1 += VOXEL;
    y2 += VOXEL;
    y3 += VOXEL;
  }
}

/** The same for two planes and +-1, the first to be added: they start with the bias. */
@inline
function addTwo(y0: usize, y1: usize, from: usize, second: usize, bytes: usize, bias: usize): void {
  const low = v128.load(bias);
  const high = v128.load(bias, 16);
  const end = from + bytes;
  while (from < end) {
    const l = v128.load(from);
    const h = v128.load(from, 16);
    const ls = v128.load(second);
    const hs = v128.load(second, 16);
    v128.store(y0, f32x4.add(f32x4.add(l, ls), low));
    v128.store(y0, f32x4.add(f32x4.add(h, hs), high), 16);
    v128.store(y1, f32x4.add(f32x4.sub(l, ls), low));
    v128.store(y1, f32x4.add(f32x4.sub(h, hs), high), 16);
    from += VOXEL;
    second += VOXEL;
    y0 += VOXEL;
    y1 += VOXEL;
  }
}

/** A^T m along y and x of one block of a piece: four lines. `tile` has room for 24 voxels. */
@inline
function resultLines(m: usize, place: usize, tiles: i32, tile: usize, lines: usize, line: usize): void {
  const a = constant(0);
  const b = constant(1);
  const half = constant(2);
  const two = constant(3);
  const a3 = constant(5);
  const b3 = constant(6);
  let at = lines;
  for (let t = 0; t < tiles; t++) {
    for (let k: usize = 0; k < <usize>READ; k++) fourOfSix(m + k * place, <usize>READ * place, tile + k * VOXEL, <usize>READ * VOXEL, a, b, half, two, a3, b3);
    for (let r: usize = 0; r < <usize>TILE; r++) fourOfSix(tile + r * <usize>READ * VOXEL, VOXEL, at + r * line, VOXEL, a, b, half, two, a3, b3);
    m += VOXEL;
    at += <usize>TILE * VOXEL;
  }
}

/**
 * A^T m of a piece for a pair of first indices, blocks first to last, added to y, which starts with the bias. Along y and x into twice four lines,
 * along z into y. Rows of planes beyond the volume go to a line that nobody reads.
 */
function transformResult(y: Tensor, piece: Piece, depth: i32, pair: i32, first: i32, last: i32, from: usize, second: usize, place: usize, block: usize, bias: usize, buffer: usize): void {
  // six places along x for each of the four rows of a tile
  const tile = buffer;
  const lines = buffer + 24 * VOXEL;
  const line = <usize>(TILE * piece.tiles) * VOXEL;
  const others = lines + <usize>TILE * line;
  const nowhere = others + <usize>TILE * line;
  const bytes = min(line, <usize>(y.w - TILE * piece.x) * VOXEL);
  const rows = min(TILE, y.h - TILE * piece.y);
  const planes = min(depth, y.d - depth * piece.z);
  const plane = planePitch(y);
  for (let channels = first; channels < last; channels++) {
    const skipped = <usize>(channels - first) * block;
    resultLines(from + skipped, place, piece.tiles, tile, lines, line);
    resultLines(second + skipped, place, piece.tiles, tile, others, line);
    const biasAt = pair == 0 ? bias + <usize>channels * VOXEL : 0;
    for (let r = 0; r < rows; r++) {
      const left = lines + <usize>r * line;
      const right = others + <usize>r * line;
      const y0 = blockedRow(y, piece.n, channels, depth * piece.z, TILE * piece.y + r) + <usize>(TILE * piece.x) * VOXEL;
      const y1 = planes > 1 ? y0 + plane : nowhere;
      if (pair == 1) {
        addRow(y0, left, bytes);
        if (planes == depth) addRow(y0 + <usize>(depth - 1) * plane, right, bytes);
      } else if (depth == 2) {
        addTwo(y0, y1, left, right, bytes, biasAt);
      } else {
        const y2 = planes > 2 ? y0 + 2 * plane : nowhere;
        const y3 = planes > 3 ? y0 + 3 * plane : nowhere;
        // powers of the point
        if (pair == 0) addFour(y0, y1, y2, y3, left, right, bytes, constant(0), constant(2), constant(5), biasAt);
        else addFour(y0, y1, y2, y3, left, right, bytes, constant(1), constant(3), constant(6), 0);
      }
    }
  }
}

@unmanaged
class WinogradArguments extends Cut {
  /** Blocked. */
  x: Tensor;
  /** Blocked. */
  y: Tensor;
  /** Transformed. */
  weights: Address;
  /** In whole blocks. */
  bias: Address;
  /** Bytes of a place of the weights. */
  weightPlace: usize;
}
/** Writes no halo: see `clearHalo`. */
export function winograd(args: WinogradArguments, share: i32, shares: i32): void {
  const x = args.x;
  const y = args.y;
  const weights = args.weights;
  const bias = args.bias;
  const weightPlace = args.weightPlace;
  writeNumbers();
  const piece = changetype<Piece>(threadScratch + PIECE);
  const buffer = threadScratch + BUFFER;
  const depth = args.depth;
  const tiles = (args.pieceTiles * args.segmentPieces + 3) & ~3;
  const block = <usize>(tiles * 32);
  const partBlocks = args.partBlocks;
  const inputPlace = <usize>x.blocks * block + CACHE_LINE;
  const resultPlace = 2 * block + CACHE_LINE;
  // of both indices of a pair, one after the other
  const input = threadScratch + FIXED_SCRATCH;
  const result = input + <usize>(2 * PLACES) * inputPlace;
  const secondInput = <usize>PLACES * inputPlace;
  const secondResult = <usize>PLACES * resultPlace;
  const pieces = piecesOf(y, args);
  const segments = (pieces + args.segmentPieces - 1) / args.segmentPieces;
  const units = segments * args.parts;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const first = (unit / segments) * partBlocks;
    const end = min(first + partBlocks, y.blocks);
    const firstPiece = (unit % segments) * args.segmentPieces;
    const lastPiece = min(firstPiece + args.segmentPieces, pieces);
    for (let pair = 0; pair < pairsOf(depth); pair++) {
      let at: usize = 0;
      for (let index = firstPiece; index < lastPiece; index++) {
        locate(x, args, index, piece);
        transformInput(x, piece, depth, pair, input + at, input + at + secondInput, inputPlace, block, buffer);
        at += <usize>(piece.tiles * 32);
      }
      const used = ((<i32>(at >> 5)) + 3) & ~3;
      const left = weights + <usize>(PLACES * firstOf(pair)) * weightPlace;
      const right = weights + <usize>(PLACES * secondOf(pair, depth)) * weightPlace;
      for (let o = first; o < end; o += 2) {
        const next = min(o + 2, end);
        multiply(input, inputPlace, left, weightPlace, result, resultPlace, PLACES, x.blocks, y.blocks, o, next, used, block, false);
        multiply(input + secondInput, inputPlace, right, weightPlace, result + secondResult, resultPlace, PLACES, x.blocks, y.blocks, o, next, used, block, false);
        at = result;
        for (let index = firstPiece; index < lastPiece; index++) {
          locate(y, args, index, piece);
          transformResult(y, piece, depth, pair, o, next, at, at + secondResult, resultPlace, block, bias, buffer);
          at += <usize>(piece.tiles * 32);
        }
      }
    }
  }
}

// ---- gradient of the weights

/** Both rows of a pair of the A along z at `bytes` bytes from row (z, y) of a block on. What lies beyond the volume is its halo, zero. */
function joinGradient(t: Tensor, n: i32, block: i32, z: i32, y: i32, offset: usize, depth: i32, pair: i32, first: usize, second: usize, bytes: usize): void {
  const row = min(y, t.h);
  const p0 = blockedRow(t, n, block, z, row) + offset;
  const p1 = blockedRow(t, n, block, min(z + 1, t.d), row) + offset;
  if (pair == 1) {
    memory.copy(first, p0, bytes);
    memory.copy(second, depth == 2 ? p1 : blockedRow(t, n, block, min(z + 3, t.d), row) + offset, bytes);
    return;
  }
  if (depth == 2) {
    joinTwo(p0, p1, first, second, bytes);
    return;
  }
  const p2 = blockedRow(t, n, block, min(z + 2, t.d), row) + offset;
  const p3 = blockedRow(t, n, block, min(z + 3, t.d), row) + offset;
  joinFour(p0, p1, p2, p3, constant(pair == 0 ? 2 : 3), constant(pair == 0 ? 0 : 1), first, second, bytes);
}

/** A of F(4, 3) for 8 channels: four values, `step` bytes from one to the next, to six places. */
@inline
function sixOfFour(from: usize, step: usize, to: usize, toStep: usize, a: v128, b: v128, half: v128, two: v128): void {
  const l0 = v128.load(from);
  const h0 = v128.load(from, 16);
  const l1 = v128.load(from + step);
  const h1 = v128.load(from + step, 16);
  const l2 = v128.load(from + 2 * step);
  const h2 = v128.load(from + 2 * step, 16);
  const l3 = v128.load(from + 3 * step);
  const h3 = v128.load(from + 3 * step, 16);
  v128.store(to, l0);
  v128.store(to, h0, 16);
  const evenA = fma(l2, half, l0);
  const evenAh = fma(h2, half, h0);
  const oddA = fma(l3, half, l1);
  const oddAh = fma(h3, half, h1);
  v128.store(to + toStep, fma(oddA, a, evenA));
  v128.store(to + toStep, fma(oddAh, a, evenAh), 16);
  v128.store(to + 2 * toStep, fnma(oddA, a, evenA));
  v128.store(to + 2 * toStep, fnma(oddAh, a, evenAh), 16);
  const evenB = fma(l2, two, l0);
  const evenBh = fma(h2, two, h0);
  const oddB = fma(l3, two, l1);
  const oddBh = fma(h3, two, h1);
  v128.store(to + 3 * toStep, fma(oddB, b, evenB));
  v128.store(to + 3 * toStep, fma(oddBh, b, evenBh), 16);
  v128.store(to + 4 * toStep, fnma(oddB, b, evenB));
  v128.store(to + 4 * toStep, fnma(oddBh, b, evenBh), 16);
  v128.store(to + 5 * toStep, l3);
  v128.store(to + 5 * toStep, h3, 16);
}

/** A dy A^T of a piece for a pair of first indices, blocks first to last, to `to` and `toSecond`. */
function transformGradient(dy: Tensor, piece: Piece, depth: i32, pair: i32, first: i32, last: i32, to: usize, toSecond: usize, place: usize, block: usize, buffer: usize): void {
  const a = constant(0);
  const b = constant(1);
  const half = constant(2);
  const two = constant(3);
  const line = <usize>(TILE * piece.tiles) * VOXEL;
  const stored = min(line, <usize>(dy.w + 1 - TILE * piece.x) * VOXEL);
  const joined = buffer + <usize>READ * line;
  const others = <usize>TILE * line;
  for (let channels = first; channels < last; channels++) {
    for (let j = 0; j < TILE; j++) {
      const at = joined + <usize>j * line;
      joinGradient(dy, piece.n, channels, depth * piece.z, TILE * piece.y + j, <usize>(TILE * piece.x) * VOXEL, depth, pair, at, at + others, stored);
      if (stored < line) {
        memory.fill(at + stored, 0, line - stored);
        memory.fill(at + others + stored, 0, line - stored);
      }
    }
    for (let from = joined; from <= joined + others; from += others) {
      for (let at: usize = 0; at < line; at += VOXEL) sixOfFour(from + at, line, buffer + at, line, a, b, half, two);
      let out = (from == joined ? to : toSecond) + <usize>(channels - first) * block;
      for (let j: usize = 0; j < <usize>READ; j++) {
        let at = buffer + j * line;
        const end = out + <usize>(piece.tiles * 32);
        for (let tile = out; tile < end; tile += VOXEL) {
          sixOfFour(at, VOXEL, tile, place, a, b, half, two);
          at += <usize>TILE * VOXEL;
        }
        out += <usize>READ * place;
      }
    }
  }
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

/** sums[place][panel of output blocks first to last][input channel][8 or 16] += input^T gradient of `places` places, over `tiles` tiles. */
function multiplyOuter(input: usize, inputPlace: usize, gradient: usize, gradientPlace: usize, sums: usize, sumPlace: usize, places: i32, inBlocks: i32, outBlocks: i32, first: i32, last: i32, tiles: i32, block: usize): void {
  for (let p: usize = 0; p < <usize>places; p++) {
    let right = gradient + p * gradientPlace;
    for (let o = first; o < last; o++) {
      let sum = panelAt(sums + p * sumPlace, o, inBlocks);
      let left = input + p * inputPlace;
      if (isPair(o, outBlocks)) {
        for (let b = 0; b < inBlocks; b++) {
          outer4x16(left, right, block, tiles, sum);
          outer4x16(left + 16, right, block, tiles, sum + 256);
          left += block;
          sum += 512;
        }
        right += block;
        o++;
      } else {
        for (let b = 0; b < inBlocks; b++) {
          outer4x8(left, right, tiles, sum);
          outer4x8(left + 16, right, tiles, sum + 128);
          left += block;
          sum += 256;
        }
      }
      right += block;
    }
  }
}

@unmanaged
class WinogradWeightGradientArguments extends Cut {
  /** Blocked. */
  x: Tensor;
  /** Blocked. */
  dy: Tensor;
  /** [slab][i][place], in the transformed weights' layout. */
  sums: Address;
  slabs: i32;
  /** Bytes of a place of the sums. */
  sumPlace: usize;
}
/** A unit is a slab of segments, a part of the output channels, and a pair of first indices. */
export function winogradWeightGradient(args: WinogradWeightGradientArguments, share: i32, shares: i32): void {
  const x = args.x;
  const dy = args.dy;
  const sums = args.sums;
  const slabs = args.slabs;
  const sumPlace = args.sumPlace;
  writeNumbers();
  const piece = changetype<Piece>(threadScratch + PIECE);
  const buffer = threadScratch + BUFFER;
  const depth = args.depth;
  const pairs = pairsOf(depth);
  const tiles = (args.pieceTiles * args.segmentPieces + 3) & ~3;
  const block = <usize>(tiles * 32);
  const partBlocks = args.partBlocks;
  const inputPlace = <usize>x.blocks * block + CACHE_LINE;
  const gradientPlace = <usize>partBlocks * block + CACHE_LINE;
  const input = threadScratch + FIXED_SCRATCH;
  const secondInput = <usize>PLACES * inputPlace;
  const gradient = input + 2 * secondInput;
  const secondGradient = <usize>PLACES * gradientPlace;
  const pieces = piecesOf(x, args);
  const segments = (pieces + args.segmentPieces - 1) / args.segmentPieces;
  const units = slabs * args.parts * pairs;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const pair = unit % pairs;
    const first = ((unit / pairs) % args.parts) * partBlocks;
    const end = min(first + partBlocks, dy.blocks);
    const slab = unit / (pairs * args.parts);
    const slabSums = sums + <usize>(PLACES * (depth + 2) * slab) * sumPlace;
    const left = slabSums + <usize>(PLACES * firstOf(pair)) * sumPlace;
    const right = slabSums + <usize>(PLACES * secondOf(pair, depth)) * sumPlace;
    const size = panelAt(0, end - first, x.blocks);
    for (let p: usize = 0; p < <usize>PLACES; p++) {
      memory.fill(panelAt(left + p * sumPlace, first, x.blocks), 0, size);
      memory.fill(panelAt(right + p * sumPlace, first, x.blocks), 0, size);
    }
    const lastSegment = shareStart(segments, slab + 1, slabs);
    for (let segment = shareStart(segments, slab, slabs); segment < lastSegment; segment++) {
      const firstPiece = segment * args.segmentPieces;
      const lastPiece = min(firstPiece + args.segmentPieces, pieces);
      let at: usize = 0;
      for (let index = firstPiece; index < lastPiece; index++) {
        locate(x, args, index, piece);
        transformInput(x, piece, depth, pair, input + at, input + at + secondInput, inputPlace, block, buffer);
        transformGradient(dy, piece, depth, pair, first, end, gradient + at, gradient + at + secondGradient, gradientPlace, block, buffer);
        at += <usize>(piece.tiles * 32);
      }
      const used = <i32>(at >> 5);
      multiplyOuter(input, inputPlace, gradient, gradientPlace, left, sumPlace, PLACES, x.blocks, dy.blocks, first, end, used, block);
      multiplyOuter(input + secondInput, inputPlace, gradient + secondGradient, gradientPlace, right, sumPlace, PLACES, x.blocks, dy.blocks, first, end, used, block);
    }
  }
}

// ---- few tiles
//
// At the deepest levels there are a handful of tiles and most of the weights, which transformed take five to eight times as much as they are: to write them
// to memory and read them again takes longer than all products. Here a panel's are transformed a few input blocks at a time, into the
// second-level cache, and used there for all tiles; and the sums of the weights' gradient become taps where they are. What is transformed of
// the tiles themselves is small: all places of it stand in memory, [i][place][block][tile][8].

@inline
function tilesOf(t: Tensor, cut: Cut): i32 {
  return piecesOf(t, cut) * cut.pieceTiles;
}

@unmanaged
class WinogradTilesArguments extends Cut {
  /** Blocked, x or dy. */
  t: Tensor;
  /** Transformed tiles. */
  tiles: Address;
  gradient: i32;
}
/** B^T x B, or A dy A^T if `gradient`. A unit is a piece and a pair of first indices; a row is one piece. */
export function winogradTiles(args: WinogradTilesArguments, share: i32, shares: i32): void {
  const t = args.t;
  const to = args.tiles;
  const gradient = args.gradient;
  const depth = args.depth;
  const block = <usize>(((tilesOf(t, args) + 3) & ~3) * 32);
  const place = <usize>t.blocks * block + CACHE_LINE;
  writeNumbers();
  const piece = changetype<Piece>(threadScratch + PIECE);
  const buffer = threadScratch + BUFFER;
  const pairs = pairsOf(depth);
  const units = piecesOf(t, args) * pairs;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const pair = unit % pairs;
    const index = unit / pairs;
    locate(t, args, index, piece);
    const at = to + <usize>(index * args.pieceTiles) * VOXEL;
    const first = at + <usize>(PLACES * firstOf(pair)) * place;
    const second = at + <usize>(PLACES * secondOf(pair, depth)) * place;
    if (gradient) transformGradient(t, piece, depth, pair, 0, t.blocks, first, second, place, block, buffer);
    else transformInput(t, piece, depth, pair, first, second, place, block, buffer);
  }
}

@unmanaged
class WinogradFewArguments extends Cut {
  /** What `winogradTiles` wrote. */
  tiles: Address;
  /** Blocked. */
  y: Tensor;
  /** In whole blocks. */
  bias: Address;
  /** Of x. */
  inBlocks: i32;
  /** (O, I, 27), plain. */
  weight: Address;
  channelsO: i32;
  channelsI: i32;
  /** 0: out = O, in = I; 1: out = I, in = O and every tap mirrored. */
  adjoint: i32;
}
/** A unit is a pair of output blocks. Writes no halo. */
export function winogradFew(args: WinogradFewArguments, share: i32, shares: i32): void {
  const input = args.tiles;
  const y = args.y;
  const bias = args.bias;
  const inBlocks = args.inBlocks;
  const piece = changetype<Piece>(threadScratch + PIECE);
  const weights = weightsOf(args.weight, args.channelsO, args.channelsI, args.adjoint, threadScratch + WEIGHTS);
  writeNumbers();
  const buffer = threadScratch + BUFFER;
  const depth = args.depth;
  const places = PLACES * (depth + 2);
  const tiles = (tilesOf(y, args) + 3) & ~3;
  const block = <usize>(tiles * 32);
  const inputPlace = <usize>inBlocks * block + CACHE_LINE;
  const panelPlace = panelAt(0, 2, WEIGHT_BLOCKS) + CACHE_LINE;
  const resultPlace = 2 * block + CACHE_LINE;
  const panels = threadScratch + FIXED_SCRATCH;
  const result = panels + <usize>places * panelPlace;
  const units = (y.blocks + 1) >> 1;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const first = 2 * unit;
    const blocks = min(2, y.blocks - first);
    for (let from = 0; from < inBlocks; from += WEIGHT_BLOCKS) {
      const chunk = min(WEIGHT_BLOCKS, inBlocks - from);
      for (let b = 0; b < blocks; b++) {
        const width = isPair(b, blocks) ? 2 : 1;
        for (let c = 0; c < chunk; c++) {
          transformPanel(weights, depth, first + b, width, from + c, panelAt(panels, b, chunk) + <usize>(c * width) * 256, panelPlace, buffer);
        }
        b += width - 1;
      }
      multiply(input + <usize>from * block, inputPlace, panels, panelPlace, result, resultPlace, places, chunk, blocks, 0, blocks, tiles, block, from > 0);
    }
    for (let pair = 0; pair < pairsOf(depth); pair++) {
      const left = result + <usize>(PLACES * firstOf(pair)) * resultPlace;
      const right = result + <usize>(PLACES * secondOf(pair, depth)) * resultPlace;
      for (let index = 0; index < piecesOf(y, args); index++) {
        locate(y, args, index, piece);
        const at = <usize>(index * args.pieceTiles) * VOXEL;
        transformResult(y, piece, depth, pair, first, first + blocks, left + at, right + at, resultPlace, block, bias, buffer);
      }
    }
  }
}

@unmanaged
class WinogradFewWeightGradientArguments extends Cut {
  /** Of x, from `winogradTiles`. */
  input: Address;
  /** Of dy, from `winogradTiles`. */
  gradient: Address;
  inBlocks: i32;
  outBlocks: i32;
  /** (O, I, 27), plain. */
  dWeight: Address;
  channelsO: i32;
  channelsI: i32;
  tiles: i32;
}
/** A unit is a pair of output blocks and an input block. */
export function winogradFewWeightGradient(args: WinogradFewWeightGradientArguments, share: i32, shares: i32): void {
  const input = args.input;
  const gradient = args.gradient;
  const inBlocks = args.inBlocks;
  const outBlocks = args.outBlocks;
  const tiles = args.tiles;
  const weights = weightsOf(args.dWeight, args.channelsO, args.channelsI, 0, threadScratch + WEIGHTS);
  writeNumbers();
  const depth = args.depth;
  const places = PLACES * (depth + 2);
  const block = <usize>(((tiles + 3) & ~3) * 32);
  const inputPlace = <usize>inBlocks * block + CACHE_LINE;
  const gradientPlace = <usize>outBlocks * block + CACHE_LINE;
  const sumPlace = panelAt(0, 2, 1) + CACHE_LINE;
  const sums = threadScratch + FIXED_SCRATCH;
  const units = ((outBlocks + 1) >> 1) * inBlocks;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const inBlock = unit % inBlocks;
    const first = 2 * (unit / inBlocks);
    const blocks = min(2, outBlocks - first);
    memory.fill(sums, 0, <usize>places * sumPlace);
    multiplyOuter(input + <usize>inBlock * block, inputPlace, gradient + <usize>first * block, gradientPlace, sums, sumPlace, places, 1, blocks, 0, blocks, tiles, block);
    for (let b = 0; b < blocks; b++) {
      const width = isPair(b, blocks) ? 2 : 1;
      collectPanel(weights, depth, first + b, width, inBlock, panelAt(sums, b, 1), sumPlace, 1, threadScratch + BUFFER);
      b += width - 1;
    }
  }
}

@unmanaged
class PadBiasArguments {
  bias: OptionalAddress;
  padded: Address;
  channels: i32;
  blocks: i32;
}
/** The bias with zeros up to a whole number of blocks. */
export function padBias(args: PadBiasArguments, share: i32, shares: i32): void {
  const to = args.padded;
  memory.fill(to, 0, <usize>args.blocks * VOXEL);
  memory.copy(to, args.bias, <usize>args.channels << 2);
}
