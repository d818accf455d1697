/**
 * Features of every voxel of an image, and how like a given feature each of them is: cosine similarity, in [-1, 1]. Made once an image, so that
 * a question takes milliseconds.
 *
 * Local features have a value for each voxel. Global ones have one for each box of 16 x 16 x 16 voxels and are brought to full size by trilinear
 * interpolation of the features. Of these nothing is kept but their lengths: the product of interpolated features with one feature is the
 * interpolated product, so a question costs one product for each box and one interpolation for each voxel.
 */
import { type Geometry, perAxis, voxelCount, type Xyz } from '../../geometry/volume.ts';

export interface FeatureMap {
  readonly geometry: Geometry;
  readonly channels: number;
  /** The feature of a voxel (x, y, z), with length 1, or 0 where the network gives nothing but zeros. */
  featureOf(voxel: Xyz): Float32Array;
  /** The cosine similarity of every voxel with a feature of length 1; x fastest. */
  similarities(feature: Float32Array): Float32Array;
}

/** 1 over the length of a vector of this square; 0 for a vector without length, whose similarity is then 0. */
const reciprocalLength = (square: number): number => (square > 0 ? 1 / Math.sqrt(square) : 0);

/** @param local (channels, D, H, W) on the grid of `geometry` */
export function localFeatureMap(geometry: Geometry, channels: number, local: Float32Array): FeatureMap {
  const voxels = voxelCount(geometry.size);
  const [nx, ny] = geometry.size;
  // a voxel's values side by side: both ways are read in order
  const unit = new Float32Array(local.length);
  for (let v = 0; v < voxels; v++) {
    let square = 0;
    for (let c = 0; c < channels; c++) square += local[c * voxels + v] ** 2;
    const scale = reciprocalLength(square);
    for (let c = 0; c < channels; c++) unit[v * channels + c] = local[c * voxels + v] * scale;
  }
  return {
    geometry,
    channels,
    featureOf: ([x, y, z]) => {
      const start = ((z * ny + y) * nx + x) * channels;
      return unit.slice(start, start + channels);
    },
    similarities: (feature) => {
      const out = new Float32Array(voxels);
      for (let v = 0, at = 0; v < voxels; v++) {
        let sum = 0;
        for (let c = 0; c < channels; c++, at++) sum += unit[at] * feature[c];
        out[v] = sum;
      }
      return out;
    },
  };
}

/** The features of boxes of voxels. */
export interface CoarseFeatures {
  /** (channels, d, h, w) */
  readonly data: Float32Array;
  readonly channels: number;
  /** Boxes along x, y, z. */
  readonly size: Xyz;
  /** Voxels along each side of a box. */
  readonly side: number;
  /** Voxels by which the first box begins before the image, x, y, z. */
  readonly before: Xyz;
}

/** For each voxel of an axis the box whose centre lies before it, and how far it is on the way to the next; beyond the outer centres, these. */
function places(count: number, boxes: number, side: number, before: number): { low: Int32Array; share: Float64Array } {
  const low = new Int32Array(count);
  const share = new Float64Array(count);
  for (let v = 0; v < count; v++) {
    const at = Math.min(boxes - 1, Math.max(0, (v + before + 0.5) / side - 0.5));
    low[v] = Math.min(Math.floor(at), Math.max(0, boxes - 2));
    share[v] = at - low[v];
  }
  return { low, share };
}

/** @param geometry the grid of full size */
export function globalFeatureMap(geometry: Geometry, coarse: CoarseFeatures): FeatureMap {
  const { data, channels, size: boxes, side, before } = coarse;
  const [nx, ny, nz] = geometry.size;
  const [width, height] = boxes;
  const plane = width * height;
  const all = voxelCount(boxes);
  const [alongX, alongY, alongZ] = perAxis(geometry.size, (n, axis) => places(n, boxes[axis], side, before[axis]));
  /** Interpolates values of boxes along z and y to the row (y, z): one value for each box along x. */
  const rowOf = (values: Float32Array | Float64Array, first: number, y: number, z: number, out: Float64Array): void => {
    const [shareY, shareZ] = [alongY.share[y], alongZ.share[z]];
    const from = first + alongZ.low[z] * plane + alongY.low[y] * width;
    const [below, behind] = [shareY > 0 ? width : 0, shareZ > 0 ? plane : 0];
    for (let x = 0; x < width; x++) {
      const at = from + x;
      const here = values[at] + shareY * (values[at + below] - values[at]);
      const next = values[at + behind] + shareY * (values[at + behind + below] - values[at + behind]);
      out[x] = here + shareZ * (next - here);
    }
  };

  const reciprocal = new Float32Array(voxelCount(geometry.size));
  const row = new Float64Array(width);
  // squares of the row's features, and products of neighbours
  const [squares, products] = [new Float64Array(width), new Float64Array(width)];
  for (let z = 0, v = 0; z < nz; z++)
    for (let y = 0; y < ny; y++) {
      squares.fill(0);
      products.fill(0);
      for (let c = 0; c < channels; c++) {
        rowOf(data, c * all, y, z, row);
        for (let x = 0; x < width; x++) {
          squares[x] += row[x] * row[x];
          if (x + 1 < width) products[x] += row[x] * row[x + 1];
        }
      }
      for (let x = 0; x < nx; x++, v++) {
        const [low, share] = [alongX.low[x], alongX.share[x]];
        const rest = 1 - share;
        const next = share > 0 ? squares[low + 1] : 0;
        reciprocal[v] = reciprocalLength(rest * rest * squares[low] + 2 * rest * share * products[low] + share * share * next);
      }
    }

  return {
    geometry,
    channels,
    featureOf: ([x, y, z]) => {
      const scale = reciprocal[(z * ny + y) * nx + x];
      const [low, share] = [alongX.low[x], alongX.share[x]];
      return Float32Array.from({ length: channels }, (_, c) => {
        rowOf(data, c * all, y, z, row);
        return (row[low] + (share > 0 ? share * (row[low + 1] - row[low]) : 0)) * scale;
      });
    },
    similarities: (feature) => {
      const product = new Float64Array(all);
      for (let c = 0; c < channels; c++) for (let i = 0; i < all; i++) product[i] += feature[c] * data[c * all + i];
      const out = new Float32Array(reciprocal.length);
      for (let z = 0, v = 0; z < nz; z++)
        for (let y = 0; y < ny; y++) {
          rowOf(product, 0, y, z, row);
          for (let x = 0; x < nx; x++, v++) {
            const [low, share] = [alongX.low[x], alongX.share[x]];
            out[v] = (row[low] + (share > 0 ? share * (row[low + 1] - row[low]) : 0)) * reciprocal[v];
          }
        }
      return out;
    },
  };
}
