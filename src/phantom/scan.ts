/**
 * What the scanner adds: where the voxel grid lies, the blur of the system, and the noise.
 *
 * The grid is drawn round the points that the examination is about, as a technologist would. Its axes may run in any of the 48
 * orders that files come in, sometimes tilted a little; physical positions are the same whatever the order.
 */

import type { RandomStream } from '../common/random.ts';
import { type Geometry, type Matrix3, perAxis, voxelCount, type Xyz } from '../geometry/volume.ts';
import { add, fromColumns, multiply, rotation, scale, subtract, transform, transpose } from './vectors.ts';

/** How a kind of examination is acquired. */
export interface ScanProtocol {
  /** In-plane voxel size and slice distance, each a range to draw from. */
  readonly inPlaneMm: readonly [number, number];
  readonly sliceMm: readonly [number, number];
  /** Extent across (left-right, front-back) and along the body, each a range; made larger where the points need it. */
  readonly extentMm: readonly [readonly [number, number], readonly [number, number], readonly [number, number]];
  /** Least distance from a point of interest to the border. */
  readonly marginMm: number;
  /** How far the middle of the field may lie from the middle of the points. */
  readonly offCentreMm: number;
}

/** Orientation codes that clinical and research files come in, some rare. */
const ORDERS = ['LPS', 'RAS', 'LAS', 'RPI', 'LPS', 'RAS', 'LPI', 'RAI', 'PIR', 'ASL', 'LIP', 'SAR'] as const;
const AXES: Readonly<Record<string, Xyz>> = {
  L: [1, 0, 0],
  R: [-1, 0, 0],
  P: [0, 1, 0],
  A: [0, -1, 0],
  S: [0, 0, 1],
  I: [0, 0, -1],
};

export interface Scan {
  readonly geometry: Geometry;
  /** Letters of the directions in which the file's axes run (towards the left, posterior, ...). */
  readonly orientation: string;
  readonly obliqueDegrees: Xyz;
}

/**
 * Lays a grid round the patient points `around` (LPS mm). `spacingMm` makes it isotropic instead of drawn; `pose` scales tilt and how far
 * off its centre the patient lies.
 */
export function drawGrid(
  random: RandomStream,
  protocol: ScanProtocol,
  around: readonly Xyz[],
  spacingMm?: number,
  pose = 1,
): Scan {
  const inPlaneMm = random.uniform(...protocol.inPlaneMm);
  const sliceMm = random.uniform(...protocol.sliceMm);
  const bodySpacing: Xyz = spacingMm === undefined ? [inPlaneMm, inPlaneMm, sliceMm] : [spacingMm, spacingMm, spacingMm];
  const orientation = ORDERS[random.integer(0, ORDERS.length)];
  const tilted = random.chance(0.35);
  const tilt = (): number => (tilted ? pose * random.uniform(-8, 8) : 0);
  const obliqueDegrees: Xyz = [tilt(), tilt(), tilt()];
  const tilting = rotation(obliqueDegrees);

  // In the tilted frame, before the axes are put in the file's order.
  const points = around.map((p) => transform(transpose(tilting), p));
  const extremes = ([0, 1, 2] as const).map((k) => {
    const values = points.map((p) => p[k]);
    const [low, high] = [Math.min(...values) - protocol.marginMm, Math.max(...values) + protocol.marginMm];
    const extent = Math.max(random.uniform(...protocol.extentMm[k]), high - low);
    // Off centre, but never so far that a point leaves the field.
    const room = Math.min(protocol.offCentreMm, (extent - (high - low)) / 2);
    return { extent, middle: (low + high) / 2 + pose * random.uniform(-room, room) };
  });
  const count = (k: 0 | 1 | 2): number => Math.ceil(extremes[k].extent / bodySpacing[k]) + 1;
  const bodySize: Xyz = [count(0), count(1), count(2)];
  const middle = transform(tilting, [extremes[0].middle, extremes[1].middle, extremes[2].middle]);

  const columns = [...orientation].map((letter) => AXES[letter]) as unknown as readonly [Xyz, Xyz, Xyz];
  const axisOf = columns.map((column) => column.findIndex((value) => value !== 0)) as [0 | 1 | 2, 0 | 1 | 2, 0 | 1 | 2];
  const inFileOrder = (v: Xyz): Xyz => [v[axisOf[0]], v[axisOf[1]], v[axisOf[2]]];
  const direction: Matrix3 = multiply(tilting, fromColumns(...columns));
  const size = inFileOrder(bodySize);
  const spacing = inFileOrder(bodySpacing);
  const half = transform(direction, [
    ((size[0] - 1) * spacing[0]) / 2,
    ((size[1] - 1) * spacing[1]) / 2,
    ((size[2] - 1) * spacing[2]) / 2,
  ]);
  return {
    geometry: { size, spacingMm: spacing, originMm: add(middle, scale(half, -1)), direction },
    orientation,
    obliqueDegrees,
  };
}

/** Gaussian blur in place along all three axes; `sigma` in voxels per axis (x, y, z), borders repeated. */
export function blur(data: Float32Array, size: Xyz, sigma: Xyz): void {
  const strides = [1, size[0], size[0] * size[1]];
  for (const axis of [0, 1, 2] as const) {
    if (sigma[axis] < 0.15) continue;
    const reach = Math.ceil(2.5 * sigma[axis]);
    const weights = Float64Array.from({ length: reach + 1 }, (_, i) => Math.exp(-0.5 * (i / sigma[axis]) ** 2));
    const total = weights.reduce((sum, weight) => sum + 2 * weight, -1);
    const stride = strides[axis];
    const n = size[axis];
    const line = new Float64Array(n + 2 * reach);
    for (let slab = 0; slab < data.length; slab += stride * n) {
      for (let start = slab; start < slab + stride; start++) {
        for (let i = 0; i < n; i++) line[i + reach] = data[start + stride * i];
        line.fill(line[reach], 0, reach).fill(line[n + reach - 1], n + reach);
        for (let i = 0; i < n; i++) {
          let sum = weights[0] * line[i + reach];
          for (let j = 1; j <= reach; j++) sum += weights[j] * (line[i + reach - j] + line[i + reach + j]);
          data[start + stride * i] = sum / total;
        }
      }
    }
  }
}

/** Noise of mean 0 and standard deviation 1: the sum of the four bytes of each random word, near enough to normal. */
function whiteNoise(random: RandomStream, count: number): Float32Array {
  const noise = new Float32Array(count);
  const deviation = Math.sqrt((4 * (256 * 256 - 1)) / 12);
  for (let i = 0; i < count; i++) {
    const word = random.bits();
    noise[i] = ((word & 255) + ((word >>> 8) & 255) + ((word >>> 16) & 255) + (word >>> 24) - 510) / deviation;
  }
  return noise;
}

/**
 * Noise with the grain of a reconstruction kernel: white noise blurred over `grainMm`, less the same blurred twice as far (filtered
 * back-projection leaves little noise at low frequencies), brought to a standard deviation of 1.
 */
export function grainyNoise(random: RandomStream, geometry: Geometry, grainMm: number): Float32Array {
  const noise = whiteNoise(random, voxelCount(geometry.size));
  const sigma = scale(
    perAxis(geometry.spacingMm, (mm) => 1 / mm),
    grainMm,
  );
  blur(noise, geometry.size, sigma);
  const coarse = noise.slice();
  blur(coarse, geometry.size, scale(sigma, 1.7));
  let squares = 0;
  for (let i = 0; i < noise.length; i++) {
    noise[i] = noise[i] - 0.7 * coarse[i];
    squares += noise[i] * noise[i];
  }
  const factor = 1 / Math.sqrt(squares / noise.length);
  for (let i = 0; i < noise.length; i++) noise[i] = noise[i] * factor;
  return noise;
}

/** The distance from a point to the nearest face of the grid, in mm; negative outside. */
export function distanceToBorderMm(grid: Geometry, p: Xyz): number {
  const along = transform(transpose(grid.direction), subtract(p, grid.originMm));
  return Math.min(...([0, 1, 2] as const).flatMap((k) => [along[k], (grid.size[k] - 1) * grid.spacingMm[k] - along[k]]));
}
