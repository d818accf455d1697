/**
 * Affine registration without a network: the map from the fixed image's points to the moving one's under which both are most alike, from
 * coarse to fine.
 *
 * At each level a Levenberg-Marquardt step maximises the similarity: with slopes w_i by each moving value, its gradient g_i and the place x_i of a
 * sample, the derivative by the map is sum w_i g_i [x_i, 1]^T, and the curvature is taken as Gauss and Newton do, c sum (g_i [x_i, 1]^T)^2 less
 * its mean. That makes rotations, scales and translations alike without any tuning. Steps are damped more when one does not gain, and the
 * level ends when none does.
 *
 * The coarsest level tries several starts, each first by translation, then by translation, rotation and one scale, then by all twelve numbers.
 * Sums run over samples in their order on one thread: the same bits everywhere.
 */
import {
  type Affine,
  applyAffine,
  composeAffine,
  determinant3,
  invertAffine,
  voxelToPhysical,
} from '../../../geometry/affine.ts';
import { smoothGaussian } from '../../../geometry/smooth.ts';
import { type Geometry, type Matrix3, perAxis, type Volume, voxelCount, type Xyz } from '../../../geometry/volume.ts';
import type { Similarity } from '../options.ts';
import { type Compare, correlation, mutualInformation } from './similarity.ts';

/** An image in [0, 1], and where it counts; everywhere without a mask. */
export interface ImageToAlign {
  readonly image: Volume<Float32Array>;
  /** On the same grid; not 0 where voxels count. */
  readonly mask?: Float32Array | Uint8Array | undefined;
}

export interface AlignRequest {
  readonly fixed: ImageToAlign;
  readonly moving: ImageToAlign;
  /** Maps from fixed to moving points, mm: the first is what is known so far, the others are tried beside it. */
  readonly starts: readonly Affine[];
  readonly similarity: Similarity;
  /** Only the finest level, and all twelve numbers: for a map that is nearly right. */
  readonly polish?: boolean;
}

export interface Aligned {
  /** Fixed to moving, mm. */
  readonly affine: Affine;
  /** The measure at the finest level under the first start, and under what was found. */
  readonly similarity: { readonly before: number; readonly after: number };
  /** 0 if nothing better than the first start was found, which is then given back. */
  readonly gain: number;
  /** Whether any start brings enough of the images on one another. */
  readonly overlaps: boolean;
  /** Index of the start that led to it. */
  readonly start: number;
}

/** What is free to change: 3, 7 (one scale) or 12 numbers. */
type Freedom = 'translation' | 'similarity' | 'affine';

/** Samples of a level, at most about: more change nothing measurable. */
const LEVEL_SAMPLES = 120_000;
/** The coarsest level keeps about this many voxels on the shortest side. */
const COARSEST_SIDE = 10;
const MAX_STEPS = 30;
/** A step that gains less than this share of the value is the last of its level. */
const LEAST_GAIN = 1e-4;
/** Of the samples that could lie inside the moving image as far as it counts, the fewest that must: a mask, or the image, may be much smaller than the fixed one. */
const LEAST_OVERLAP = 0.25;

/** One image at one level: smoothed, every `step`-th voxel. */
interface LevelImage {
  readonly size: Xyz;
  readonly data: Float32Array;
  readonly mask: Uint8Array | undefined;
  readonly toMm: Affine;
}

function levelOf({ image, mask }: ImageToAlign, step: Xyz): LevelImage {
  const { geometry } = image;
  const sigma = perAxis(step, (s) => (s > 1 ? 0.5 * s : 0));
  const smooth = sigma.some((s) => s > 0) ? smoothGaussian(image, sigma).data : image.data;
  const size = perAxis(geometry.size, (n, k) => Math.max(1, Math.floor((n - 1) / step[k]) + 1));
  // what the steps leave over at the end is shared by both ends
  const first = perAxis(geometry.size, (n, k) => ((n - 1 - (size[k] - 1) * step[k]) / 2) | 0);
  const data = new Float32Array(voxelCount(size));
  const kept = mask && new Uint8Array(data.length);
  const [nx, ny] = geometry.size;
  let at = 0;
  for (let z = 0; z < size[2]; z++)
    for (let y = 0; y < size[1]; y++)
      for (let x = 0; x < size[0]; x++, at++) {
        const from = ((first[2] + z * step[2]) * ny + first[1] + y * step[1]) * nx + first[0] + x * step[0];
        data[at] = smooth[from];
        if (kept && mask) kept[at] = mask[from] ? 1 : 0;
      }
  const { matrix } = voxelToPhysical(geometry);
  const toMm: Affine = {
    matrix: matrix.map((value, i) => value * step[i % 3]) as unknown as Matrix3,
    offset: applyAffine(voxelToPhysical(geometry), first),
  };
  return { size, data, mask: kept, toMm };
}

/** Per axis, how many voxels of an image make one of a level with voxels of about `mm`. */
const stepOf = ({ spacingMm, size }: Geometry, mm: number): Xyz =>
  perAxis(spacingMm, (s, k) => Math.max(1, Math.min(Math.round(mm / s), Math.floor(size[k] / 4))));

/** The voxel sizes of the levels in mm, coarse to fine. */
function levelsOf({ size, spacingMm }: Geometry): number[] {
  const fine = Math.max(
    Math.min(...spacingMm),
    Math.cbrt((voxelCount(size) * spacingMm[0] * spacingMm[1] * spacingMm[2]) / LEVEL_SAMPLES),
  );
  const shortest = Math.min(...size.map((n, k) => n * spacingMm[k]));
  const levels = [fine];
  while (shortest / (2 * levels[0]) >= COARSEST_SIDE) levels.unshift(2 * levels[0]);
  return levels;
}

/** Solves a symmetric positive definite system by Cholesky's factorisation; null if it is none. */
function solve(matrix: Float64Array, right: Float64Array): Float64Array | null {
  const n = right.length;
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j];
      for (let k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
      if (i === j) {
        if (!(sum > 0)) return null;
        l[i * n + i] = Math.sqrt(sum);
      } else l[i * n + j] = sum / l[j * n + j];
    }
  const x = Float64Array.from(right);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i] -= l[i * n + k] * x[k];
    x[i] /= l[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= l[k * n + i] * x[k];
    x[i] /= l[i * n + i];
  }
  return x;
}

const PARAMETERS = 12;

/** The directions, as changes of the twelve numbers (in mm), in which a map of this freedom may move. */
function directionsOf(freedom: Freedom, map: Affine): Float64Array[] {
  const basis: Float64Array[] = [];
  const direction = (f: (row: number, column: number) => number): void => {
    basis.push(Float64Array.from({ length: PARAMETERS }, (_, i) => f(Math.floor(i / 4), i % 4)));
  };
  for (const axis of [0, 1, 2]) direction((row, column) => (row === axis && column === 3 ? 1 : 0));
  const m = map.matrix;
  if (freedom === 'similarity') {
    for (const axis of [0, 1, 2]) {
      const [a, b] = [(axis + 1) % 3, (axis + 2) % 3];
      // a rotation about the axis after the map
      direction((row, column) => (column === 3 ? 0 : row === a ? -m[b * 3 + column] : row === b ? m[a * 3 + column] : 0));
    }
    direction((row, column) => (column === 3 ? 0 : m[row * 3 + column]));
  }
  if (freedom === 'affine')
    for (let k = 0; k < 9; k++) direction((row, column) => (column < 3 && row * 3 + column === k ? 1 : 0));
  return basis;
}

/** Two images at one level, and what is needed to compare them there. */
class Level {
  readonly #moving: LevelImage;
  /** Places of the samples, mm about the centre of the fixed image. */
  readonly #x: Float32Array;
  readonly #y: Float32Array;
  readonly #z: Float32Array;
  readonly #fixedValues: Float32Array;
  readonly #compare: Compare;
  readonly #centre: Xyz;
  /** The fewest samples inside the moving image that say anything. */
  readonly #least: number;
  readonly #kept: {
    readonly index: Int32Array;
    readonly fixed: Float32Array;
    readonly moving: Float32Array;
    readonly slopes: Float32Array;
    readonly gx: Float32Array;
    readonly gy: Float32Array;
    readonly gz: Float32Array;
  };

  constructor(fixed: LevelImage, moving: LevelImage, compare: Compare) {
    this.#moving = moving;
    this.#compare = compare;
    const centreVoxel = perAxis(fixed.size, (n) => (n - 1) / 2);
    this.#centre = applyAffine(fixed.toMm, centreVoxel);
    const [nx, ny, nz] = fixed.size;
    const { matrix: m, offset } = fixed.toMm;
    let count = 0;
    for (let i = 0; i < fixed.data.length; i++) if (!fixed.mask || fixed.mask[i]) count++;
    [this.#x, this.#y, this.#z] = [new Float32Array(count), new Float32Array(count), new Float32Array(count)];
    this.#fixedValues = new Float32Array(count);
    for (let k = 0, voxel = 0, i = 0; k < nz; k++)
      for (let j = 0; j < ny; j++)
        for (let h = 0; h < nx; h++, voxel++) {
          if (fixed.mask && !fixed.mask[voxel]) continue;
          this.#x[i] = m[0] * h + m[1] * j + m[2] * k + offset[0] - this.#centre[0];
          this.#y[i] = m[3] * h + m[4] * j + m[5] * k + offset[1] - this.#centre[1];
          this.#z[i] = m[6] * h + m[7] * j + m[8] * k + offset[2] - this.#centre[2];
          this.#fixedValues[i++] = fixed.data[voxel];
        }
    const movingVoxels = moving.mask?.reduce((sum, kept) => sum + kept, 0) ?? moving.data.length;
    const asSamples = (movingVoxels * Math.abs(determinant3(moving.toMm.matrix))) / Math.abs(determinant3(m));
    this.#least = Math.max(PARAMETERS, LEAST_OVERLAP * Math.min(count, asSamples));
    const values = (): Float32Array => new Float32Array(count);
    this.#kept = {
      index: new Int32Array(count),
      fixed: values(),
      moving: values(),
      slopes: values(),
      gx: values(),
      gy: values(),
      gz: values(),
    };
  }

  /** The map as one of places about the fixed centre, to be changed by its twelve numbers. */
  #aboutCentre(map: Affine): Affine {
    return { matrix: map.matrix, offset: applyAffine(map, this.#centre) };
  }

  /** Values of the moving image, and its gradients by mm, at the samples that the map brings inside; resolves to their number. */
  #sample(map: Affine, withGradients: boolean): number {
    const { size, data, mask, toMm } = this.#moving;
    const toVoxel = invertAffine(toMm);
    const { matrix: a, offset } = composeAffine(toVoxel, this.#aboutCentre(map));
    const m = toVoxel.matrix;
    const [nx, ny, nz] = size;
    const [row, slice] = [nx, nx * ny];
    const { index, fixed, moving, gx, gy, gz } = this.#kept;
    const [xs, ys, zs] = [this.#x, this.#y, this.#z];
    let count = 0;
    for (let i = 0; i < xs.length; i++) {
      const px = a[0] * xs[i] + a[1] * ys[i] + a[2] * zs[i] + offset[0];
      const py = a[3] * xs[i] + a[4] * ys[i] + a[5] * zs[i] + offset[1];
      const pz = a[6] * xs[i] + a[7] * ys[i] + a[8] * zs[i] + offset[2];
      if (!(px >= 0 && py >= 0 && pz >= 0 && px <= nx - 1 && py <= ny - 1 && pz <= nz - 1)) continue;
      const x0 = Math.min(Math.floor(px), nx - 2);
      const y0 = Math.min(Math.floor(py), ny - 2);
      const z0 = Math.min(Math.floor(pz), nz - 2);
      const n = z0 * slice + y0 * row + x0;
      const fx = px - x0;
      const fy = py - y0;
      const fz = pz - z0;
      if (mask && !mask[n + (fx > 0.5 ? 1 : 0) + (fy > 0.5 ? row : 0) + (fz > 0.5 ? slice : 0)]) continue;
      const v000 = data[n];
      const v001 = data[n + 1];
      const v010 = data[n + row];
      const v011 = data[n + row + 1];
      const v100 = data[n + slice];
      const v101 = data[n + slice + 1];
      const v110 = data[n + slice + row];
      const v111 = data[n + slice + row + 1];
      const c00 = v000 + (v001 - v000) * fx;
      const c01 = v010 + (v011 - v010) * fx;
      const c10 = v100 + (v101 - v100) * fx;
      const c11 = v110 + (v111 - v110) * fx;
      const c0 = c00 + (c01 - c00) * fy;
      const c1 = c10 + (c11 - c10) * fy;
      moving[count] = c0 + (c1 - c0) * fz;
      fixed[count] = this.#fixedValues[i];
      if (withGradients) {
        const dz = c1 - c0;
        const dy = (c01 - c00) * (1 - fz) + (c11 - c10) * fz;
        const dx =
          ((v001 - v000) * (1 - fy) + (v011 - v010) * fy) * (1 - fz) + ((v101 - v100) * (1 - fy) + (v111 - v110) * fy) * fz;
        gx[count] = m[0] * dx + m[3] * dy + m[6] * dz;
        gy[count] = m[1] * dx + m[4] * dy + m[7] * dz;
        gz[count] = m[2] * dx + m[5] * dy + m[8] * dz;
        index[count] = i;
      }
      count++;
    }
    return count;
  }

  /** The similarity under a map; less than any where too little of the images overlaps. */
  value(map: Affine): number {
    const count = this.#sample(map, false);
    if (count < this.#least) return Number.NEGATIVE_INFINITY;
    const { fixed, moving } = this.#kept;
    return this.#compare(fixed, moving, count, null).value;
  }

  /** Value, gradient and curvature by the twelve numbers of the map about the centre, in mm. */
  #derivatives(map: Affine): { value: number; gradient: Float64Array; curvature: Float64Array } {
    const count = this.#sample(map, true);
    const { index, fixed, moving, slopes, gx, gy, gz } = this.#kept;
    const { value, curvature: factor } = this.#compare(fixed, moving, count, slopes);
    const gradient = new Float64Array(PARAMETERS);
    const sums = new Float64Array(PARAMETERS);
    // of the products of two gradients and of two coordinates: 6 x 10 sums
    const products = new Float64Array(60);
    const [xs, ys, zs] = [this.#x, this.#y, this.#z];
    for (let s = 0; s < count; s++) {
      const i = index[s];
      const x = xs[i];
      const y = ys[i];
      const z = zs[i];
      const a = gx[s];
      const b = gy[s];
      const c = gz[s];
      const w = slopes[s];
      gradient[0] += w * a * x;
      gradient[1] += w * a * y;
      gradient[2] += w * a * z;
      gradient[3] += w * a;
      gradient[4] += w * b * x;
      gradient[5] += w * b * y;
      gradient[6] += w * b * z;
      gradient[7] += w * b;
      gradient[8] += w * c * x;
      gradient[9] += w * c * y;
      gradient[10] += w * c * z;
      gradient[11] += w * c;
      sums[0] += a * x;
      sums[1] += a * y;
      sums[2] += a * z;
      sums[3] += a;
      sums[4] += b * x;
      sums[5] += b * y;
      sums[6] += b * z;
      sums[7] += b;
      sums[8] += c * x;
      sums[9] += c * y;
      sums[10] += c * z;
      sums[11] += c;
      const xx = x * x;
      const xy = x * y;
      const xz = x * z;
      const yy = y * y;
      const yz = y * z;
      const zz = z * z;
      let g = a * a;
      for (let p = 0; p < 60; p += 10) {
        products[p] += g * xx;
        products[p + 1] += g * xy;
        products[p + 2] += g * xz;
        products[p + 3] += g * x;
        products[p + 4] += g * yy;
        products[p + 5] += g * yz;
        products[p + 6] += g * y;
        products[p + 7] += g * zz;
        products[p + 8] += g * z;
        products[p + 9] += g;
        g = p === 0 ? a * b : p === 10 ? a * c : p === 20 ? b * b : p === 30 ? b * c : c * c;
      }
    }
    const curvature = new Float64Array(PARAMETERS * PARAMETERS);
    for (let i = 0; i < PARAMETERS; i++)
      for (let j = 0; j < PARAMETERS; j++) {
        const pair = PAIR_3[(i >> 2) * 3 + (j >> 2)];
        const place = PAIR_4[(i & 3) * 4 + (j & 3)];
        curvature[i * PARAMETERS + j] = factor * (products[pair * 10 + place] - (sums[i] * sums[j]) / count);
      }
    return { value, gradient, curvature };
  }

  /** Improves a map as long as that gains. */
  climb(start: Affine, freedom: Freedom): { map: Affine; value: number } {
    let map = start;
    let value = this.value(start);
    if (!(value > Number.NEGATIVE_INFINITY)) return { map, value };
    let damping = 1e-2;
    for (let step = 0; step < MAX_STEPS; step++) {
      const { gradient, curvature } = this.#derivatives(map);
      const basis = directionsOf(freedom, map);
      const n = basis.length;
      const right = Float64Array.from(basis, (b) => b.reduce((sum, v, i) => sum + v * gradient[i], 0));
      const left = new Float64Array(n * n);
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let p = 0; p < PARAMETERS; p++) {
            if (basis[i][p] === 0) continue;
            for (let q = 0; q < PARAMETERS; q++) sum += basis[i][p] * curvature[p * PARAMETERS + q] * basis[j][q];
          }
          left[i * n + j] = sum;
        }
      let gained = 0;
      while (damping < 1e4) {
        const damped = left.map((v, i) => (i % (n + 1) === 0 ? v * (1 + damping) : v));
        const change = solve(damped, right);
        const next = change && this.#moved(map, basis, change);
        const nextValue = next ? this.value(next) : Number.NEGATIVE_INFINITY;
        if (next && nextValue > value) {
          gained = nextValue - value;
          [map, value] = [next, nextValue];
          damping = Math.max(damping / 5, 1e-4);
          break;
        }
        damping *= 5;
      }
      if (gained <= LEAST_GAIN * Math.abs(value)) break;
    }
    return { map, value };
  }

  #moved(map: Affine, basis: readonly Float64Array[], change: Float64Array): Affine {
    const { matrix, offset } = this.#aboutCentre(map);
    const delta = new Float64Array(PARAMETERS);
    basis.forEach((b, k) => {
      for (let p = 0; p < PARAMETERS; p++) delta[p] += b[p] * change[k];
    });
    const next = matrix.map((v, i) => v + delta[Math.floor(i / 3) * 4 + (i % 3)]) as unknown as Matrix3;
    const moved = perAxis(offset, (v, k) => v + delta[k * 4 + 3]);
    const back = applyAffine({ matrix: next, offset: [0, 0, 0] }, this.#centre);
    return { matrix: next, offset: perAxis(moved, (v, k) => v - back[k]) };
  }
}

/** Where the product of two of three gradients, and of two of [x, y, z, 1], stands among the sums. */
const PAIR_3 = [0, 1, 2, 1, 3, 4, 2, 4, 5];
const PAIR_4 = [0, 1, 2, 3, 1, 4, 5, 6, 2, 5, 7, 8, 3, 6, 8, 9];

/** The affine under which two images are most alike, of those that can be reached from the starts. */
export function alignAffine({ fixed, moving, starts, similarity, polish = false }: AlignRequest): Aligned {
  const sizes = levelsOf(fixed.image.geometry);
  const compare = similarity === 'mi' ? mutualInformation() : correlation;
  const [coarse, ...finer] = (polish ? sizes.slice(-1) : sizes).map(
    (mm) =>
      new Level(levelOf(fixed, stepOf(fixed.image.geometry, mm)), levelOf(moving, stepOf(moving.image.geometry, mm)), compare),
  );
  const freedoms: readonly Freedom[] = polish ? ['affine'] : ['translation', 'similarity', 'affine'];
  let best = { map: starts[0], value: Number.NEGATIVE_INFINITY, start: 0 };
  for (const [start, map] of starts.entries()) {
    let found = { map, value: Number.NEGATIVE_INFINITY };
    for (const freedom of freedoms) found = coarse.climb(found.map, freedom);
    if (found.value > best.value) best = { ...found, start };
  }
  for (const level of finer) best = { ...best, ...level.climb(best.map, 'affine') };
  const finest = finer.at(-1) ?? coarse;
  const [before, after] = [finest.value(starts[0]), finest.value(best.map)];
  const overlaps = after > Number.NEGATIVE_INFINITY;
  // the first start is what is known: nothing is put in its place that is not better
  const isBetter = overlaps && after > before;
  return {
    affine: isBetter ? best.map : starts[0],
    similarity: { before, after: isBetter ? after : before },
    gain: isBetter ? after - before : 0,
    overlaps,
    start: isBetter ? best.start : 0,
  };
}
