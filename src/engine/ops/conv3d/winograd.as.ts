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
import { address, blockedRow, fma, planePitch, rowPitch, shareStart, Tensor, tensor, threadIndex, threadScratch, VOXEL, word } from "../../backends/cpu/common.as";

/** Places of a transformed tile with one first index: 6 along y, 6 along x. */
const PLACES: i32 = 36;
/** Results of a tile along y and x, and what is read for them. */
const TILE: i32 = 4;
const READ: i32 = 6;
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

/** A weighted sum of up to four planes: their distance from the tile's first, and the factors. */
@unmanaged
class Blend {
  count: i32;
  plane0: i32;
  plane1: i32;
  plane2: i32;
  plane3: i32;
  scale1: f32;
  scale2: f32;
  scale3: f32;
}

/** How the tiles of a volume are cut; words 4 to 10 of the kernels' arguments. */
@unmanaged
class Cut {
  /** Scratch of all threads, and bytes of one. */
  scratch: usize;
  scratchBytes: usize;
  /** Results of a tile along z: 2 or 4. */
  depth: i32;
  /** Most tiles of a piece, pieces of a row, pieces of a segment. */
  pieceTiles: i32;
  rowPieces: i32;
  segmentPieces: i32;
  /** Parts into which the output channels are cut. */
  parts: i32;
}

// Kernels hold no static data: a thread's scratch begins with what they look up.
const PIECE: usize = 0;
const BLEND: usize = 64;
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

/** Four floats of each of four rows, `fromStep` bytes apart, to columns: the four rows' first, second, third, fourth, `toStep` bytes apart. */
@inline
function transpose(from: usize, fromStep: usize, to: usize, toStep: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + fromStep);
  const c = v128.load(from + 2 * fromStep);
  const d = v128.load(from + 3 * fromStep);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(ab, cd, 0, 2));
  v128.store(to + toStep, v128.shuffle<f64>(ab, cd, 1, 3));
  v128.store(to + 2 * toStep, v128.shuffle<f64>(ef, gh, 0, 2));
  v128.store(to + 3 * toStep, v128.shuffle<f64>(ef, gh, 1, 3));
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

/** Writes how the weights (O, I, 27) at words `index` to `index + 3` of the arguments (address, O, I, adjoint) are read. */
function weightsAt(args: usize, index: usize, weights: Weights): void {
  weights.data = address(args, index);
  weights.adjoint = word(args, index + 3);
  weights.channelsOut = word(args, weights.adjoint ? index + 2 : index + 1);
  weights.channelsIn = word(args, weights.adjoint ? index + 1 : index + 2);
}

/**
 * args: weight (O, I, 27) plain, O, I, adjoint, transformed weights, bytes of a place, depth of a tile. adjoint 0: out = O, in = I; 1: out = I, in = O
 * and every tap mirrored. A unit is a panel of output channels and a block of input channels.
 */
export function winogradWeights(args: usize, share: i32, shares: i32): void {
  const weights = changetype<Weights>(threadScratch + PIECE);
  weightsAt(args, 0, weights);
  const transformed = address(args, 4);
  const place = address(args, 5);
  const depth = word(args, 6);
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

/** args: dweight (O, I, 27) plain, O, I, 0, sums [slab][i][place] in the transformed weights' layout, slabs, bytes of a place, depth of a tile. */
export function winogradCollectWeights(args: usize, share: i32, shares: i32): void {
  const weights = changetype<Weights>(threadScratch + PIECE);
  weightsAt(args, 0, weights);
  const sums = address(args, 4);
  const slabs = word(args, 5);
  const place = address(args, 6);
  const depth = word(args, 7);
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

// ---- input

/** Row i of the B^T along z. The first plane's factor is 1. */
function inputBlend(depth: i32, i: i32, blend: Blend): void {
  if (depth == 2) {
    blend.count = 2;
    blend.plane0 = i;
    blend.plane1 = i < 2 ? 2 : 1;
    blend.scale1 = i == 1 ? 1 : -1;
    return;
  }
  if (i == 0 || i == 5) {
    blend.count = 3;
    blend.plane0 = i == 0 ? 4 : 5;
    blend.plane1 = i == 0 ? 0 : 1;
    blend.scale1 = 1;
    blend.plane2 = blend.plane1 + 2;
    blend.scale2 = -2.5;
    return;
  }
  const square: f32 = i < 3 ? 2 : 0.5;
  const point: f32 = i == 1 ? A : i == 2 ? -A : i == 3 ? B : -B;
  blend.count = 4;
  blend.plane0 = 4;
  blend.plane1 = 2;
  blend.scale1 = -square;
  blend.plane2 = 3;
  blend.scale2 = point;
  blend.plane3 = 1;
  blend.scale3 = -point * square;
}

/** The weighted sum of the planes at `bytes` bytes from row (z, y) of a block on, to `to`. Planes and rows beyond the halo are the halo's, zeros. */
@inline
function blendRow(t: Tensor, n: i32, block: i32, z: i32, y: i32, offset: usize, blend: Blend, to: usize, bytes: usize): void {
  const row = min(y, t.h);
  let at0 = blockedRow(t, n, block, min(z + blend.plane0, t.d), row) + offset;
  const end = to + bytes;
  if (blend.count == 1) {
    memory.copy(to, at0, bytes);
    return;
  }
  let at1 = blockedRow(t, n, block, min(z + blend.plane1, t.d), row) + offset;
  const scale1 = f32x4.splat(blend.scale1);
  if (blend.count == 2) {
    for (; to < end; to += VOXEL) {
      v128.store(to, fma(v128.load(at1), scale1, v128.load(at0)));
      v128.store(to, fma(v128.load(at1, 16), scale1, v128.load(at0, 16)), 16);
      at0 += VOXEL;
      at1 += VOXEL;
    }
    return;
  }
  let at2 = blockedRow(t, n, block, min(z + blend.plane2, t.d), row) + offset;
  const scale2 = f32x4.splat(blend.scale2);
  if (blend.count == 3) {
    for (; to < end; to += VOXEL) {
      v128.store(to, fma(v128.load(at2), scale2, fma(v128.load(at1), scale1, v128.load(at0))));
      v128.store(to, fma(v128.load(at2, 16), scale2, fma(v128.load(at1, 16), scale1, v128.load(at0, 16))), 16);
      at0 += VOXEL;
      at1 += VOXEL;
      at2 += VOXEL;
    }
    return;
  }
  let at3 = blockedRow(t, n, block, min(z + blend.plane3, t.d), row) + offset;
  const scale3 = f32x4.splat(blend.scale3);
  for (; to < end; to += VOXEL) {
    v128.store(to, fma(v128.load(at3), scale3, fma(v128.load(at2), scale2, fma(v128.load(at1), scale1, v128.load(at0)))));
    v128.store(to, fma(v128.load(at3, 16), scale3, fma(v128.load(at2, 16), scale2, fma(v128.load(at1, 16), scale1, v128.load(at0, 16)))), 16);
    at0 += VOXEL;
    at1 += VOXEL;
    at2 += VOXEL;
    at3 += VOXEL;
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
 * B^T x B of a piece for the first index that `blend` stands for, all channel blocks, to `to` (the piece's first tile): along z plane by plane into
 * six lines, along y in place, along x tile by tile.
 */
function transformInput(x: Tensor, piece: Piece, depth: i32, blend: Blend, to: usize, place: usize, block: usize, lines: usize): void {
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
  for (let channels = 0; channels < x.blocks; channels++) {
    for (let j = 0; j < READ; j++) {
      const at = lines + <usize>j * line;
      blendRow(x, piece.n, channels, depth * piece.z - 1, TILE * piece.y - 1 + j, offset, blend, at, stored);
      if (stored < line) memory.fill(at + stored, 0, line - stored);
    }
    for (let at = lines; at < lines + line; at += VOXEL) sixOfSix(at, line, at, line, a, b, half, two, sum);
    let out = to + <usize>channels * block;
    for (let j: usize = 0; j < <usize>READ; j++) {
      let from = lines + j * line;
      const end = out + <usize>(piece.tiles * 32);
      for (let at = out; at < end; at += VOXEL) {
        sixOfSix(from, VOXEL, at, place, a, b, half, two, sum);
        from += <usize>TILE * VOXEL;
      }
      out += <usize>READ * place;
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

/** Entry (k, i) of the A^T along z. */
function resultScale(depth: i32, k: i32, i: i32): f32 {
  if (i == 0) return k == 0 ? 1 : 0;
  if (i == depth + 1) return k == depth - 1 ? 1 : 0;
  const square: f32 = depth == 2 ? 1 : i < 3 ? 0.5 : 2;
  const size: f32 = depth == 2 ? 1 : i < 3 ? A : B;
  const even: f32 = k < 2 ? 1 : square;
  return (k & 1) == 0 ? even : even * (i & 1 ? size : -size);
}

/** to = from * scale + (what stood there, or the bias), for voxels of 8 channels. */
@inline
function addRow(to: usize, from: usize, bytes: usize, scale: v128, first: bool, bias: usize): void {
  const end = from + bytes;
  if (first) {
    const low = v128.load(bias);
    const high = v128.load(bias, 16);
    for (; from < end; from += VOXEL) {
      v128.store(to, fma(v128.load(from), scale, low));
      v128.store(to, fma(v128.load(from, 16), scale, high), 16);
      to += VOXEL;
    }
  } else {
    for (; from < end; from += VOXEL) {
      v128.store(to, fma(v128.load(from), scale, v128.load(to)));
      v128.store(to, fma(v128.load(from, 16), scale, v128.load(to, 16)), 16);
      to += VOXEL;
    }
  }
}

/** A^T m of a piece for first index i, blocks first to last, added to y, which starts with the bias. Along y and x into four lines, along z into y. */
function transformResult(y: Tensor, piece: Piece, depth: i32, i: i32, first: i32, last: i32, from: usize, place: usize, block: usize, bias: usize, buffer: usize): void {
  const a = constant(0);
  const b = constant(1);
  const half = constant(2);
  const two = constant(3);
  const a3 = constant(5);
  const b3 = constant(6);
  // six places along x for each of the four rows of a tile
  const tile = buffer;
  const lines = buffer + 24 * VOXEL;
  const line = <usize>(TILE * piece.tiles) * VOXEL;
  const bytes = min(line, <usize>(y.w - TILE * piece.x) * VOXEL);
  const rows = min(TILE, y.h - TILE * piece.y);
  const planes = min(depth, y.d - depth * piece.z);
  for (let channels = first; channels < last; channels++) {
    let m = from + <usize>(channels - first) * block;
    let at = lines;
    for (let t = 0; t < piece.tiles; t++) {
      for (let k: usize = 0; k < <usize>READ; k++) fourOfSix(m + k * place, <usize>READ * place, tile + k * VOXEL, <usize>READ * VOXEL, a, b, half, two, a3, b3);
      for (let r: usize = 0; r < <usize>TILE; r++) fourOfSix(tile + r * <usize>READ * VOXEL, VOXEL, at + r * line, VOXEL, a, b, half, two, a3, b3);
      m += VOXEL;
      at += <usize>TILE * VOXEL;
    }
    for (let k = 0; k < planes; k++) {
      const scale = resultScale(depth, k, i);
      if (scale == 0) continue;
      for (let r = 0; r < rows; r++) {
        const to = blockedRow(y, piece.n, channels, depth * piece.z + k, TILE * piece.y + r) + <usize>(TILE * piece.x) * VOXEL;
        addRow(to, lines + <usize>r * line, bytes, f32x4.splat(scale), i == (k == 0 ? 0 : 1), bias + <usize>channels * VOXEL);
      }
    }
  }
}

/**
 * args: x blocked, y blocked, transformed weights, bias (whole blocks), cut (7 words), bytes of a place of the weights.
 * Writes no halo: see `clearHalo`.
 */
export function winograd(args: usize, share: i32, shares: i32): void {
  const x = tensor(args, 0);
  const y = tensor(args, 1);
  const weights = address(args, 2);
  const bias = address(args, 3);
  const cut = changetype<Cut>(args + 16);
  const weightPlace = address(args, 11);
  writeNumbers();
  const piece = changetype<Piece>(threadScratch + PIECE);
  const blend = changetype<Blend>(threadScratch + BLEND);
  const buffer = threadScratch + BUFFER;
  const depth = cut.depth;
  const tiles = (cut.pieceTiles * cut.segmentPieces + 3) & ~3;
  const block = <usize>(tiles * 32);
  const partBlocks = partLength(y.blocks, cut.parts);
  const inputPlace = <usize>x.blocks * block + CACHE_LINE;
  const resultPlace = <usize>partBlocks * block + CACHE_LINE;
  const input = cut.scratch + <usize>threadIndex * cut.scratchBytes;
  const result = input + <usize>PLACES * inputPlace;
  const pieces = piecesOf(y, cut);
  const segments = (pieces + cut.segmentPieces - 1) / cut.segmentPieces;
  const units = segments * cut.parts;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const first = (unit / segments) * partBlocks;
    const end = min(first + partBlocks, y.blocks);
    const firstPiece = (unit % segments) * cut.segmentPieces;
    const lastPiece = min(firstPiece + cut.segmentPieces, pieces);
    for (let i = 0; i < depth + 2; i++) {
      inputBlend(depth, i, blend);
      let at: usize = 0;
      for (let index = firstPiece; index < lastPiece; index++) {
        locate(x, cut, index, piece);
        transformInput(x, piece, depth, blend, input + at, inputPlace, block, buffer);
        at += <usize>(piece.tiles * 32);
      }
      const used = ((<i32>(at >> 5)) + 3) & ~3;
      multiply(input, inputPlace, weights + <usize>(PLACES * i) * weightPlace, weightPlace, result, resultPlace, PLACES, x.blocks, y.blocks, first, end, used, block, false);
      at = 0;
      for (let index = firstPiece; index < lastPiece; index++) {
        locate(y, cut, index, piece);
        transformResult(y, piece, depth, i, first, end, result + at, resultPlace, block, bias, buffer);
        at += <usize>(piece.tiles * 32);
      }
    }
  }
}

/** Blocks of a part of the output channels: whole pairs. The same as in winograd.ts. */
@inline
function partLength(blocks: i32, parts: i32): i32 {
  return ((blocks + 2 * parts - 1) / (2 * parts)) * 2;
}

// ---- gradient of the weights

/** Row i of the A along z. The first plane's factor is 1. */
function gradientBlend(depth: i32, i: i32, blend: Blend): void {
  if (i == 0 || i == depth + 1) {
    blend.count = 1;
    blend.plane0 = i == 0 ? 0 : depth - 1;
    return;
  }
  blend.count = depth;
  blend.plane0 = 0;
  blend.plane1 = 1;
  blend.scale1 = resultScale(depth, 1, i);
  blend.plane2 = 2;
  blend.scale2 = resultScale(depth, 2, i);
  blend.plane3 = 3;
  blend.scale3 = resultScale(depth, 3, i);
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

/** A dy A^T of a piece for the first index that `blend` stands for, blocks first to last. What lies beyond the volume is its halo, zero. */
function transformGradient(dy: Tensor, piece: Piece, depth: i32, blend: Blend, first: i32, last: i32, to: usize, place: usize, block: usize, buffer: usize): void {
  const a = constant(0);
  const b = constant(1);
  const half = constant(2);
  const two = constant(3);
  const line = <usize>(TILE * piece.tiles) * VOXEL;
  const stored = min(line, <usize>(dy.w + 1 - TILE * piece.x) * VOXEL);
  const joined = buffer + <usize>READ * line;
  for (let channels = first; channels < last; channels++) {
    for (let j = 0; j < TILE; j++) {
      const at = joined + <usize>j * line;
      blendRow(dy, piece.n, channels, depth * piece.z, TILE * piece.y + j, <usize>(TILE * piece.x) * VOXEL, blend, at, stored);
      if (stored < line) memory.fill(at + stored, 0, line - stored);
    }
    for (let at: usize = 0; at < line; at += VOXEL) sixOfFour(joined + at, line, buffer + at, line, a, b, half, two);
    let out = to + <usize>(channels - first) * block;
    for (let j: usize = 0; j < <usize>READ; j++) {
      let from = buffer + j * line;
      const end = out + <usize>(piece.tiles * 32);
      for (let at = out; at < end; at += VOXEL) {
        sixOfFour(from, VOXEL, at, place, a, b, half, two);
        from += <usize>TILE * VOXEL;
      }
      out += <usize>READ * place;
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

/**
 * args: x blocked, dy blocked, sums [slab][i][place] in the transformed weights' layout, slabs, cut, bytes of a place of the sums. A unit is a slab of
 * segments, a part of the output channels, and one first index.
 */
export function winogradWeightGradient(args: usize, share: i32, shares: i32): void {
  const x = tensor(args, 0);
  const dy = tensor(args, 1);
  const sums = address(args, 2);
  const slabs = word(args, 3);
  const cut = changetype<Cut>(args + 16);
  const sumPlace = address(args, 11);
  writeNumbers();
  const piece = changetype<Piece>(threadScratch + PIECE);
  const blend = changetype<Blend>(threadScratch + BLEND);
  const buffer = threadScratch + BUFFER;
  const depth = cut.depth;
  const indices = depth + 2;
  const tiles = (cut.pieceTiles * cut.segmentPieces + 3) & ~3;
  const block = <usize>(tiles * 32);
  const partBlocks = partLength(dy.blocks, cut.parts);
  const inputPlace = <usize>x.blocks * block + CACHE_LINE;
  const gradientPlace = <usize>partBlocks * block + CACHE_LINE;
  const input = cut.scratch + <usize>threadIndex * cut.scratchBytes;
  const gradient = input + <usize>PLACES * inputPlace;
  const pieces = piecesOf(x, cut);
  const segments = (pieces + cut.segmentPieces - 1) / cut.segmentPieces;
  const units = slabs * cut.parts * indices;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const i = unit % indices;
    const first = ((unit / indices) % cut.parts) * partBlocks;
    const end = min(first + partBlocks, dy.blocks);
    const slab = unit / (indices * cut.parts);
    const total = sums + <usize>(PLACES * (indices * slab + i)) * sumPlace;
    const size = panelAt(0, end - first, x.blocks);
    for (let p: usize = 0; p < <usize>PLACES; p++) memory.fill(panelAt(total + p * sumPlace, first, x.blocks), 0, size);
    const lastSegment = shareStart(segments, slab + 1, slabs);
    for (let segment = shareStart(segments, slab, slabs); segment < lastSegment; segment++) {
      const firstPiece = segment * cut.segmentPieces;
      const lastPiece = min(firstPiece + cut.segmentPieces, pieces);
      let at: usize = 0;
      for (let index = firstPiece; index < lastPiece; index++) {
        locate(x, cut, index, piece);
        inputBlend(depth, i, blend);
        transformInput(x, piece, depth, blend, input + at, inputPlace, block, buffer);
        gradientBlend(depth, i, blend);
        transformGradient(dy, piece, depth, blend, first, end, gradient + at, gradientPlace, block, buffer);
        at += <usize>(piece.tiles * 32);
      }
      const used = <i32>(at >> 5);
      multiplyOuter(input, inputPlace, gradient, gradientPlace, total, sumPlace, PLACES, x.blocks, dy.blocks, first, end, used, block);
    }
  }
}

// ---- few tiles
//
// At the deepest levels there are a handful of tiles and most of the weights, which transformed take five to eight times as much as they are: to write them
// to memory and read them again takes longer than all products. Here a panel's are transformed a few input blocks at a time, into the
// second-level cache, and used there for all tiles; and the sums of the weights' gradient become taps where they are. What is transformed of
// the tiles themselves is small: all places of it stand in memory, [i][place][block][tile][8].

/** Input blocks whose weights are transformed at a time. */
const CHUNK: i32 = 4;

@inline
function tilesOf(t: Tensor, cut: Cut): i32 {
  return piecesOf(t, cut) * cut.pieceTiles;
}

/** args: x or dy blocked, transformed tiles, gradient, -, cut. B^T x B, or A dy A^T if `gradient`. A unit is a piece and a first index; a row is one piece. */
export function winogradTiles(args: usize, share: i32, shares: i32): void {
  const t = tensor(args, 0);
  const to = address(args, 1);
  const gradient = word(args, 2);
  const cut = changetype<Cut>(args + 16);
  const depth = cut.depth;
  const block = <usize>(((tilesOf(t, cut) + 3) & ~3) * 32);
  const place = <usize>t.blocks * block + CACHE_LINE;
  writeNumbers();
  const piece = changetype<Piece>(threadScratch + PIECE);
  const blend = changetype<Blend>(threadScratch + BLEND);
  const buffer = threadScratch + BUFFER;
  const units = piecesOf(t, cut) * (depth + 2);
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const i = unit % (depth + 2);
    const index = unit / (depth + 2);
    locate(t, cut, index, piece);
    const at = to + <usize>(PLACES * i) * place + <usize>(index * cut.pieceTiles) * VOXEL;
    if (gradient) {
      gradientBlend(depth, i, blend);
      transformGradient(t, piece, depth, blend, 0, t.blocks, at, place, block, buffer);
    } else {
      inputBlend(depth, i, blend);
      transformInput(t, piece, depth, blend, at, place, block, buffer);
    }
  }
}

/** args: transformed tiles, y blocked, bias (whole blocks), blocks of x, cut, weight, O, I, adjoint. A unit is a pair of output blocks. Writes no halo. */
export function winogradFew(args: usize, share: i32, shares: i32): void {
  const input = address(args, 0);
  const y = tensor(args, 1);
  const bias = address(args, 2);
  const inBlocks = word(args, 3);
  const cut = changetype<Cut>(args + 16);
  const piece = changetype<Piece>(threadScratch + PIECE);
  const weights = changetype<Weights>(threadScratch + BLEND);
  weightsAt(args, 11, weights);
  writeNumbers();
  const buffer = threadScratch + BUFFER;
  const depth = cut.depth;
  const places = PLACES * (depth + 2);
  const tiles = (tilesOf(y, cut) + 3) & ~3;
  const block = <usize>(tiles * 32);
  const inputPlace = <usize>inBlocks * block + CACHE_LINE;
  const panelPlace = panelAt(0, 2, CHUNK) + CACHE_LINE;
  const resultPlace = 2 * block + CACHE_LINE;
  const panels = cut.scratch + <usize>threadIndex * cut.scratchBytes;
  const result = panels + <usize>places * panelPlace;
  const units = (y.blocks + 1) >> 1;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const first = 2 * unit;
    const blocks = min(2, y.blocks - first);
    for (let from = 0; from < inBlocks; from += CHUNK) {
      const chunk = min(CHUNK, inBlocks - from);
      for (let b = 0; b < blocks; b++) {
        const width = isPair(b, blocks) ? 2 : 1;
        for (let c = 0; c < chunk; c++) {
          transformPanel(weights, depth, first + b, width, from + c, panelAt(panels, b, chunk) + <usize>(c * width) * 256, panelPlace, buffer);
        }
        b += width - 1;
      }
      multiply(input + <usize>from * block, inputPlace, panels, panelPlace, result, resultPlace, places, chunk, blocks, 0, blocks, tiles, block, from > 0);
    }
    for (let i = 0; i < depth + 2; i++) {
      for (let index = 0; index < piecesOf(y, cut); index++) {
        locate(y, cut, index, piece);
        transformResult(y, piece, depth, i, first, first + blocks, result + <usize>(PLACES * i) * resultPlace + <usize>(index * cut.pieceTiles) * VOXEL, resultPlace, block, bias, buffer);
      }
    }
  }
}

/**
 * args: transformed tiles of x, of dy, blocks of x, of dy, cut, dweight, O, I, 0, tiles. A unit is a pair of output blocks and an input block.
 */
export function winogradFewWeightGradient(args: usize, share: i32, shares: i32): void {
  const input = address(args, 0);
  const gradient = address(args, 1);
  const inBlocks = word(args, 2);
  const outBlocks = word(args, 3);
  const cut = changetype<Cut>(args + 16);
  const tiles = word(args, 15);
  const weights = changetype<Weights>(threadScratch + BLEND);
  weightsAt(args, 11, weights);
  writeNumbers();
  const depth = cut.depth;
  const places = PLACES * (depth + 2);
  const block = <usize>(((tiles + 3) & ~3) * 32);
  const inputPlace = <usize>inBlocks * block + CACHE_LINE;
  const gradientPlace = <usize>outBlocks * block + CACHE_LINE;
  const sumPlace = panelAt(0, 2, 1) + CACHE_LINE;
  const sums = cut.scratch + <usize>threadIndex * cut.scratchBytes;
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

/** args: bias, the same with zeros up to a whole number of blocks, its channels, blocks. */
export function padBias(args: usize, share: i32, shares: i32): void {
  const to = address(args, 1);
  memory.fill(to, 0, <usize>word(args, 3) * VOXEL);
  memory.copy(to, address(args, 0), <usize>word(args, 2) << 2);
}
