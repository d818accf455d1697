/**
 * Features of every voxel of a window, from levels of lower resolution: what a linear classifier makes of them, and their values at single voxels.
 *
 * A level's voxel is a cube of `scale` voxels of the window; between the centres of these cubes features are interpolated linearly, beyond
 * the outer ones they are constant. Interpolation and a linear classifier may be exchanged, so logits are computed where the features are and brought
 * to full size then: the features of the encoder's levels, a thousand a voxel, never exist at full size.
 */
import type { Zyx } from '../../geometry/volume.ts';

/** Features (C, d, h, w). */
export interface FeatureLevel {
  readonly channels: number;
  readonly size: Zyx;
  readonly data: Float32Array;
  /** Voxels of the window along a side of a voxel of this level. */
  readonly scale: number;
  /** Voxels of the window's size by which the level begins before the window. */
  readonly before: Zyx;
}

/** Per voxel of the window along an axis: the two neighbours on the level, and the share of the second. */
interface AxisTable {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float64Array;
}

function axisTable(side: number, levelSide: number, scale: number, before: number): AxisTable {
  const low = new Int32Array(side);
  const high = new Int32Array(side);
  const share = new Float64Array(side);
  for (let i = 0; i < side; i++) {
    const at = Math.min(levelSide - 1, Math.max(0, (i + before + 0.5) / scale - 0.5));
    low[i] = Math.floor(at);
    high[i] = Math.min(levelSide - 1, low[i] + 1);
    share[i] = at - low[i];
  }
  return { low, high, share };
}

const tablesOf = (window: Zyx, { size, scale, before }: FeatureLevel): readonly [AxisTable, AxisTable, AxisTable] => [
  axisTable(window[0], size[0], scale, before[0]),
  axisTable(window[1], size[1], scale, before[1]),
  axisTable(window[2], size[2], scale, before[2]),
];

/** Channels of all levels together. */
export const dimensionsOf = (levels: readonly Pick<FeatureLevel, 'channels'>[]): number =>
  levels.reduce((sum, { channels }) => sum + channels, 0);

/** The features of single voxels of a window, all levels' one after another: a row for each voxel. */
export function featuresAt(levels: readonly FeatureLevel[], window: Zyx, voxels: readonly Zyx[]): Float64Array[] {
  const rows = voxels.map(() => new Float64Array(dimensionsOf(levels)));
  let first = 0;
  for (const level of levels) {
    const [alongZ, alongY, alongX] = tablesOf(window, level);
    const [depth, height, width] = level.size;
    const step = depth * height * width;
    voxels.forEach(([z, y, x], v) => {
      for (let corner = 0; corner < 8; corner++) {
        const [farZ, farY, farX] = [corner >> 2, (corner >> 1) & 1, corner & 1];
        const pick = ({ low, high, share }: AxisTable, i: number, far: number): readonly [number, number] =>
          far ? [high[i], share[i]] : [low[i], 1 - share[i]];
        const [[zz, weightZ], [yy, weightY], [xx, weightX]] = [
          pick(alongZ, z, farZ),
          pick(alongY, y, farY),
          pick(alongX, x, farX),
        ];
        const weight = weightZ * weightY * weightX;
        if (weight === 0) continue;
        const at = (zz * height + yy) * width + xx;
        const [row, { data, channels }] = [rows[v], level];
        for (let c = 0; c < channels; c++) row[first + c] += weight * data[c * step + at];
      }
    });
    first += level.channels;
  }
  return rows;
}

/** A linear classifier of features: logits = weights . feature + biases. */
export interface LinearClassifier {
  readonly classes: number;
  /** (classes, dimensions). */
  readonly weights: Float64Array;
  readonly biases: Float64Array;
}

/** Logits of one level without biases, (d, h, w, classes). `first` is the level's first dimension among all. */
function levelLogits(
  level: FeatureLevel,
  { classes, weights }: LinearClassifier,
  first: number,
  dimensions: number,
): Float64Array {
  const [depth, height, width] = level.size;
  const step = depth * height * width;
  const logits = new Float64Array(step * classes);
  for (let c = 0; c < level.channels; c++) {
    const feature = level.data.subarray(c * step, (c + 1) * step);
    for (let k = 0; k < classes; k++) {
      const weight = weights[k * dimensions + first + c];
      for (let i = 0, at = k; i < step; i++, at += classes) logits[at] += weight * feature[i];
    }
  }
  return logits;
}

/**
 * The most probable class of every voxel of a window; of equals that of lower number.
 * @param visit gets a row of them at a time: (z, y), and the classes along x, which are overwritten after
 */
export function classify(
  levels: readonly FeatureLevel[],
  window: Zyx,
  classifier: LinearClassifier,
  visit: (z: number, y: number, row: Uint16Array) => void,
): void {
  const { classes, biases } = classifier;
  const dimensions = dimensionsOf(levels);
  let first = 0;
  const parts = levels.map((level) => {
    const logits = levelLogits(level, classifier, first, dimensions);
    first += level.channels;
    return { level, logits, tables: tablesOf(window, level), line: new Float64Array(level.size[2] * classes) };
  });
  const [depth, height, width] = window;
  const sums = new Float64Array(width * classes);
  const row = new Uint16Array(width);
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      for (let i = 0; i < sums.length; i++) sums[i] = biases[i % classes];
      for (const { level, logits, tables, line } of parts) {
        const [alongZ, alongY, alongX] = tables;
        const length = level.size[2] * classes;
        const start = (zz: number, yy: number): number => (zz * level.size[1] + yy) * length;
        const [shareZ, shareY] = [alongZ.share[z], alongY.share[y]];
        const [nearNear, nearFar, farNear, farFar] = [
          start(alongZ.low[z], alongY.low[y]),
          start(alongZ.low[z], alongY.high[y]),
          start(alongZ.high[z], alongY.low[y]),
          start(alongZ.high[z], alongY.high[y]),
        ];
        for (let i = 0; i < length; i++) {
          const near = logits[nearNear + i] + shareY * (logits[nearFar + i] - logits[nearNear + i]);
          const far = logits[farNear + i] + shareY * (logits[farFar + i] - logits[farNear + i]);
          line[i] = near + shareZ * (far - near);
        }
        for (let x = 0; x < width; x++) {
          const [low, high, share] = [alongX.low[x] * classes, alongX.high[x] * classes, alongX.share[x]];
          for (let k = 0; k < classes; k++) sums[x * classes + k] += line[low + k] + share * (line[high + k] - line[low + k]);
        }
      }
      for (let x = 0; x < width; x++) {
        let best = 0;
        for (let k = 1; k < classes; k++) if (sums[x * classes + k] > sums[x * classes + best]) best = k;
        row[x] = best;
      }
      visit(z, y, row);
    }
  }
}
