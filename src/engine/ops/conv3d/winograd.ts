/** How the tiles of a volume are cut into work for winograd.as.ts: from shapes alone, so that any number of threads gives the same bits. */
import { VOXEL_BYTES } from '../../backends/cpu/constants.ts';
import { elementCount, type Shape } from '../../graph.ts';
import { align } from '../../plan.ts';
import { CACHE_LINE_BYTES, PLACES, TILE, WEIGHT_BLOCKS } from './constants.ts';

export interface TileCut {
  /** Results of a tile along z; along y and x they are 4. */
  readonly depth: 2 | 4;
  /** Most tiles of a run along a row, runs of a row, runs that are worked on at a time (a segment). */
  readonly pieceTiles: number;
  readonly rowPieces: number;
  readonly segmentPieces: number;
  /** Parts of the output channels that are worked on apart, and blocks of a part: whole pairs. */
  readonly parts: number;
  readonly partBlocks: number;
  /** Gradient of the weights: parts of the segments that are summed apart. */
  readonly slabs: number;
  /** Of one thread's scratch, behind FIXED_SCRATCH. */
  readonly threadBytes: number;
}

/** Tiles wanted in a segment: enough that a weight is used many times once it is read. */
const SEGMENT_TILES = 32;
/** Longest run: a row of it must fit into a thread's fixed scratch. */
const MAX_PIECE_TILES = 16;
/** Units of work wanted, so that several threads have something to do. */
const UNITS_WANTED = 8;
/** Most bytes that the slabs of the weights' gradient may take together. */
const MAX_SLAB_BYTES = 2 ** 24;

/** Places of a transformed tile. */
export const placesOf = (depth: number): number => (depth + 2) * PLACES;

/** Tiles of depth x 4 x 4 voxels that cover all samples of (N, C, D, H, W). */
const tilesOf = ([n, , d, h, w]: Shape, depth: number): number =>
  n * Math.ceil(d / depth) * Math.ceil(h / TILE) * Math.ceil(w / TILE);

/** Tiles whose products take as long as transforming the weights does. */
const TILES_OF_WEIGHTS = 24;

/** The tiles that take the least time: deep ones, unless they are few and their more places cost more than their fewer products save. */
function depthOf(shape: Shape): 2 | 4 {
  const cost = (depth: number): number => placesOf(depth) * (tilesOf(shape, depth) + TILES_OF_WEIGHTS);
  return cost(2) <= cost(4) ? 2 : 4;
}

/** Whether tiles save products, and enough of them to pay for the transformations: not where a volume fills a small part of its tiles. */
export function tilesPay(shape: Shape): boolean {
  const depth = depthOf(shape);
  return 2 * placesOf(depth) * tilesOf(shape, depth) < (27 * elementCount(shape)) / shape[1];
}

/** Bytes of the transformed weights of one place; padded, so that the places don't fall into the same cache sets. */
export const placeBytes = (inBlocks: number, outBlocks: number): number => inBlocks * outBlocks * 256 + CACHE_LINE_BYTES;

/** How to cut a convolution of that size, or the gradient of its weights. */
export function cutOf(shape: Shape, inBlocks: number, outBlocks: number, kind: 'result' | 'weights'): TileCut {
  const [n, , d, h, w] = shape as [number, number, number, number, number];
  const depth = depthOf(shape);
  const rowTiles = Math.ceil(w / TILE);
  const rowPieces = Math.ceil(rowTiles / MAX_PIECE_TILES);
  const pieceTiles = Math.ceil(rowTiles / rowPieces);
  const pieces = n * Math.ceil(d / depth) * Math.ceil(h / TILE) * rowPieces;
  const segmentPieces = Math.min(pieces, Math.max(1, Math.floor(SEGMENT_TILES / pieceTiles)));
  const segments = Math.ceil(pieces / segmentPieces);
  const pairs = Math.ceil(outBlocks / 2);
  let slabs = 1;
  let units = segments;
  if (kind === 'weights') {
    const slabBytes = placesOf(depth) * placeBytes(inBlocks, outBlocks);
    slabs = Math.max(1, Math.min(segments, Math.floor(MAX_SLAB_BYTES / slabBytes), UNITS_WANTED));
    units = (depth / 2 + 1) * slabs;
  }
  const wanted = Math.min(pairs, Math.max(1, Math.ceil(UNITS_WANTED / units)));
  const partBlocks = Math.ceil(outBlocks / (2 * wanted)) * 2;
  const parts = Math.ceil(outBlocks / partBlocks);
  const blockBytes = Math.ceil((pieceTiles * segmentPieces) / 4) * 4 * VOXEL_BYTES;
  // results are made for two blocks at a time
  const transformed = 2 * PLACES * ((inBlocks + (kind === 'result' ? 2 : partBlocks)) * blockBytes + 2 * CACHE_LINE_BYTES);
  return { depth, pieceTiles, rowPieces, segmentPieces, parts, partBlocks, slabs, threadBytes: align(transformed) };
}

/** Tiles up to which weights are transformed where they are used, instead of once for all segments: what comes of all places must fit into a cache. */
const FEW_TILES = 32;

/** Output blocks from which that pays: two pairs, for two threads at least. */
const MIN_BLOCKS = 4;

/** How to compute a convolution of few tiles and many weights, or the gradient of its weights; undefined if it is none. */
export interface FewTiles {
  readonly cut: TileCut;
  readonly tiles: number;
  /** Bytes of the transformed tiles of `blocks` channel blocks. */
  readonly tileBytes: (blocks: number) => number;
}

export function fewTiles(shape: Shape, outBlocks: number, kind: 'result' | 'weights'): FewTiles | undefined {
  const depth = depthOf(shape);
  const tiles = tilesOf(shape, depth);
  const pieceTiles = Math.ceil(shape[4] / TILE);
  if (tiles > FEW_TILES || pieceTiles > MAX_PIECE_TILES || outBlocks < MIN_BLOCKS) return undefined;
  const places = placesOf(depth);
  const tilesBytes = Math.ceil(tiles / 4) * 4 * VOXEL_BYTES;
  const panels = placeBytes(kind === 'result' ? WEIGHT_BLOCKS : 1, 2);
  const threadBytes = align(places * (panels + (kind === 'result' ? 2 * tilesBytes + CACHE_LINE_BYTES : 0)));
  return {
    cut: { depth, pieceTiles, rowPieces: 1, segmentPieces: 1, parts: 1, partBlocks: outBlocks, slabs: 1, threadBytes },
    tiles,
    tileBytes: (blocks) => places * (blocks * tilesBytes + CACHE_LINE_BYTES),
  };
}
