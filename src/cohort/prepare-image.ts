/**
 * What preparation makes of one image: RAS, resampled, intensities in [0, 1], and the box that is kept.
 *
 * Shared by everything that shows images to a network, so that a trained one meets at its work what it met in training. Reads and writes
 * nothing.
 */
import { WorkError } from '../common/errors.ts';
import { cornerDistanceMm } from '../geometry/affine.ts';
import { centredStart } from '../geometry/crop.ts';
import { rasPlanes } from '../geometry/orientation.ts';
import { gridWithSpacing, resamplePlanes } from '../geometry/resample.ts';
import { statisticsOf } from '../geometry/statistics.ts';
import { type Geometry, type Volume, voxelCount, type Xyz } from '../geometry/volume.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import { firstRefusal, type Misfit, misfits, withoutAir } from './fitness.ts';
import { foregroundBox } from './foreground.ts';
import { odditiesOf } from './oddities.ts';
import type { IntensityWindow, PrepareOptions } from './prepare-options.ts';
import type { Reason } from './reasons.ts';

/** More voxels than this after resampling would not fit the memory of an ordinary machine. */
const MAX_VOXELS = 2 ** 29;

export interface PreparedImage {
  /** The grid of the image in RAS, before resampling: where its label map must lie. */
  readonly image: Geometry;
  /** All of it, resampled, values in [0, 1]. */
  readonly whole: Volume<Float32Array>;
  /** What is kept of it, in voxels of `whole`; may reach beyond, where values are 0. */
  readonly box: { readonly start: Xyz; readonly size: Xyz };
  readonly intensity: IntensityWindow;
  /** Of the file's own values, those that are not finite left out. */
  readonly values: { readonly min: number; readonly max: number; readonly nonFinite: number };
  /** What is unusual about the image, a sentence each. */
  readonly problems: string[];
  /** Why it does not look like an image of its modality; among `problems` too. */
  readonly doubts: readonly Misfit[];
}

/**
 * Prepares an image.
 * @param allowed reasons for which an image would not be taken, but is; with 'all' they are said among its problems alone
 * @throws WorkError that names the file and why it is refused; MisfitError for a reason that could be allowed
 */
export function prepareImage(
  loaded: LoadedImage,
  options: PrepareOptions,
  allowed: readonly Reason[] | 'all' = 'all',
): PreparedImage {
  const refuse = (why: string): WorkError => new WorkError(`${loaded.path}: ${why}`);
  const statistics = statisticsOf(loaded.volume.data);
  if (Math.min(...loaded.volume.geometry.size) === 1)
    throw refuse(`its size is ${loaded.volume.geometry.size.join(' x ')}: one voxel along an axis is a picture, not a volume`);
  if (statistics.min === statistics.max) throw refuse(`every voxel is ${statistics.min}: there is nothing to learn from it`);
  const doubts = misfits(loaded, statistics, options.modality);
  const refused = allowed === 'all' ? null : firstRefusal(doubts, allowed);
  if (refused) throw new MisfitError(loaded.path, refused);
  const background = options.modality === 'ct' ? -1024 : 0;
  const problems = [...odditiesOf(loaded, statistics, background), ...doubts.map(({ message }) => message)];
  const bare = options.modality === 'ct' && doubts.length === 0 ? withoutAir(statistics) : null;
  if (bare) problems.push(bare);

  const image = rasPlanes(loaded.volume, background);
  const grid = gridWithSpacing(image.geometry, options.spacingMm);
  if (voxelCount(grid.size) > MAX_VOXELS)
    throw refuse(
      `at ${options.spacingMm.join(' x ')} mm it would have ${grid.size.join(' x ')} voxels, more than fit; choose a larger --spacing`,
    );
  const whole = resamplePlanes(image.geometry, image.read, grid, background);
  const intensity = windowOf(whole.data, options);
  if (!(intensity.high > intensity.low))
    throw refuse(`no value above 0: expected MR intensities, found ${statistics.min} to ${statistics.max}`);
  normalise(whole.data, intensity);
  const { min, max, nonFinite } = statistics;
  return {
    image: image.geometry,
    whole,
    box: cropOf(whole, options),
    intensity,
    values: { min, max, nonFinite },
    problems,
    doubts,
  };
}

/** An image that is not taken, for a reason that a user may allow. */
export class MisfitError extends WorkError {
  override readonly name: string = 'MisfitError';
  readonly misfit: Misfit;

  constructor(path: string, misfit: Misfit) {
    super(`${path}: ${misfit.message}`);
    this.misfit = misfit;
  }
}

/** The window of METHOD section 8: CT (HU + 1024) / 2048; MR clipped at 0 and min-max, or between percentiles 0.5 and 99.5. */
function windowOf(data: Float32Array, options: PrepareOptions): IntensityWindow {
  if (options.modality === 'ct') return { kind: 'hounsfield', low: -1024, high: 1024 };
  const clipped = statisticsOf(data);
  if (options.intensity === 'minmax') return { kind: 'minmax', low: Math.max(0, clipped.min), high: clipped.max };
  return { kind: 'percentile', low: Math.max(0, clipped.percentile(0.005)), high: clipped.percentile(0.995) };
}

function normalise(data: Float32Array, { low, high }: IntensityWindow): void {
  for (let i = 0; i < data.length; i++) data[i] = Math.min(1, Math.max(0, (data[i] - low) / (high - low)));
}

/** The box that is stored, in voxels of the resampled grid; with `size` it may reach beyond. */
function cropOf(volume: Volume<Float32Array>, options: PrepareOptions): { start: Xyz; size: Xyz } {
  const everything = { start: [0, 0, 0] as Xyz, size: volume.geometry.size };
  const box = options.crop === 'foreground' ? foregroundBox(volume, options.modality) : everything;
  if (!options.size) return box;
  const inBox = centredStart(box.size, options.size);
  return { start: box.start.map((s, k) => s + inBox[k]) as unknown as Xyz, size: options.size };
}

/** How two RAS grids differ, in words; empty if they are the same to a tenth of a voxel. */
export function gridDifference(label: Geometry, image: Geometry): string {
  const mm = (v: Xyz): string => v.map((x) => +x.toFixed(4)).join(' x ');
  if (label.size.some((n, k) => n !== image.size[k]))
    return `size ${label.size.join(' x ')}, expected ${image.size.join(' x ')} (in RAS)`;
  const distance = cornerDistanceMm(label, image);
  if (distance <= 0.1 * Math.min(...image.spacingMm)) return '';
  if (label.spacingMm.some((s, k) => Math.abs(s - image.spacingMm[k]) > 1e-3 * s))
    return `spacing ${mm(label.spacingMm)} mm, expected ${mm(image.spacingMm)} mm`;
  return `its corners lie up to ${distance.toFixed(1)} mm away (origin ${mm(label.originMm)}, expected ${mm(image.originMm)}, or another direction)`;
}
