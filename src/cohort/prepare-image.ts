/**
 * What preparation makes of one image: RAS, resampled, intensities in [0, 1], and the box that is kept.
 *
 * Shared by everything that shows images to a network, so that a trained one meets at its work what it met in training. Reads and writes
 * nothing.
 */
import { RunError } from '../common/errors.ts';
import { centredStart } from '../geometry/crop.ts';
import { rasPlanes } from '../geometry/orientation.ts';
import { coveredShare, gridWithSpacing, resamplingSteps } from '../geometry/resample.ts';
import { RunningStatistics, statisticsOf } from '../geometry/statistics.ts';
import { type Geometry, perAxis, type Volume, voxelCount, type Xyz } from '../geometry/volume.ts';
import { type LoadedImage, planeOf } from '../images/loaded-image.ts';
import { firstRefusal, type Misfit, misfits, withoutAir } from './fitness.ts';
import { foregroundBox } from './foreground.ts';
import { imageWarnings } from './image-warnings.ts';
import type { IntensityWindow, PrepareOptions } from './prepare-options.ts';
import type { Reason } from './reasons.ts';

/** Where less of either image lies in the other, a channel is of another place, or in another frame of reference. */
const LEAST_OVERLAP = 0.5;
/** Where a channel covers less of the first one's image it is said. */
const WELL_COVERED = 0.95;
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
 * Preparing one image, begun while it is read: what is known of its planes so far is counted and resampled. Nothing is refused before all of it
 * is there.
 */
export class Preparation {
  readonly #options: PrepareOptions;
  /** Of what lies outside and of voxels that are no numbers; undefined until the lowest value is known, where that is it. */
  readonly #background: number | undefined;
  readonly #onto: Geometry | undefined;
  readonly #statistics = new RunningStatistics();
  #resampling: Resampling | undefined;

  /** @param onto of a further channel the grid of the first, which it is brought to */
  constructor(options: PrepareOptions, onto?: Geometry) {
    this.#options = options;
    this.#onto = onto;
    const { modality, intensity } = options;
    this.#background = modality === 'ct' ? -1024 : intensity === 'signed' ? undefined : 0;
  }

  /** Takes plane z of a volume whose planes up to z are there; in order. */
  add(volume: Volume, z: number): void {
    this.#statistics.add(planeOf(volume, z));
    if (this.#background === undefined) return;
    this.#resampling ??= new Resampling(volume, this.#background, this.#options.spacingMm, this.#onto);
    this.#resampling.advance(z);
  }

  /**
   * @param loaded the image whose planes were all added
   * @param allowed reasons for which an image would not be taken, but is; with 'all' they are said among its problems alone
   * @throws RunError that names the file and why it is refused; MisfitError for a reason that could be allowed
   */
  finish(loaded: LoadedImage, allowed: readonly Reason[] | 'all'): PreparedImage {
    const options = this.#options;
    const refuse = (why: string): RunError => new RunError(`${loaded.path}: ${why}`);
    const statistics = this.#statistics.of(loaded.volume.data);
    if (Math.min(...loaded.volume.geometry.size) === 1)
      throw refuse(
        `its size is ${loaded.volume.geometry.size.join(' x ')}: one voxel along an axis is a picture, not a volume; choose the whole scan`,
      );
    if (statistics.nonFinite === loaded.volume.data.length)
      throw refuse('every voxel is NaN or infinite: it carries no information');
    if (statistics.min === statistics.max) throw refuse(`every voxel is ${statistics.min}: it carries no information`);
    const [lowest, highest] = [Math.fround(statistics.min), Math.fround(statistics.max)];
    if (lowest === highest || !Number.isFinite(highest - lowest))
      throw refuse(`its values, ${statistics.min} to ${statistics.max}, do not fit single precision: rescale them`);
    const doubts = misfits(loaded, statistics, options.modality, options.intensity);
    const refused = allowed === 'all' ? null : firstRefusal(doubts, allowed);
    if (refused) throw new MisfitError(loaded.path, refused);
    const background = this.#background ?? statistics.min;
    const problems = [...imageWarnings(loaded, statistics, background), ...doubts.map(({ message }) => message)];
    const bare = options.modality === 'ct' && doubts.length === 0 ? withoutAir(statistics) : null;
    if (bare) problems.push(bare);

    this.#resampling ??= new Resampling(loaded.volume, background, options.spacingMm, this.#onto);
    const { image, grid } = this.#resampling;
    if (this.#onto) {
      const covered = coveredShare(image, grid);
      const overlap = Math.max(covered, coveredShare(grid, image));
      const percent = (100 * covered).toFixed(covered > 0 && covered < 0.1 ? 1 : 0);
      const what = `covers ${percent} % of the first channel's image`;
      if (overlap < LEAST_OVERLAP) throw refuse(`${what}: register the channels of a subject to each other first`);
      if (covered < WELL_COVERED) problems.push(`${what}: the rest is background`);
    }
    const whole = this.#resampling.finish();
    if (!whole)
      throw refuse(
        `at ${options.spacingMm.join(' x ')} mm it would have ${grid.size.join(' x ')} voxels, more than supported; choose a larger \`spacingMm\``,
      );
    const intensity = windowOf(whole.data, options);
    if (!(intensity.high > intensity.low))
      throw refuse(
        statistics.max > 0 || intensity.kind === 'signed'
          ? `99 % of its values are the same, ${intensity.low}, so that its percentiles leave no range to scale: use \`intensity\` minmax`
          : `no value above 0: expected MR intensities, found ${statistics.min} to ${statistics.max}`,
      );
    const flat = intensity.kind === 'minmax' ? lostContrast(whole.data, intensity) : null;
    if (flat) problems.push(flat);
    normalise(whole.data, intensity);
    const { min, max, nonFinite } = statistics;
    return { image, whole, box: cropOf(whole, options), intensity, values: { min, max, nonFinite }, problems, doubts };
  }
}

/** Prepares an image that is there: see `Preparation`. */
export function prepareImage(
  loaded: LoadedImage,
  options: PrepareOptions,
  allowed: readonly Reason[] | 'all' = 'all',
): PreparedImage {
  const preparation = new Preparation(options);
  for (let z = 0; z < loaded.volume.geometry.size[2]; z++) preparation.add(loaded.volume, z);
  return preparation.finish(loaded, allowed);
}

/** Resampling a volume while its planes come, where they come in the order of RAS; else once they are there. */
class Resampling {
  /** The volume's grid in RAS, and the one it is brought to. */
  readonly image: Geometry;
  readonly grid: Geometry;
  readonly #asStored: boolean;
  /** Undefined for a grid of more voxels than fit. */
  readonly #steps: ReturnType<typeof resamplingSteps> | undefined;
  /** The plane that the next step reads. */
  #wanted = 0;
  #whole: Volume<Float32Array> | undefined;

  constructor(volume: Volume, background: number, spacingMm: Xyz, onto?: Geometry) {
    const { geometry, read, asStored } = rasPlanes(volume, background);
    this.image = geometry;
    this.grid = onto ?? gridWithSpacing(geometry, spacingMm);
    this.#asStored = asStored;
    if (voxelCount(this.grid.size) <= MAX_VOXELS) this.#steps = resamplingSteps(geometry, read, this.grid, background);
  }

  /** Goes as far as the planes up to z allow. */
  advance(z: number): void {
    if (this.#asStored) this.#stepsTo(z);
  }

  /** Once all planes are there: the resampled volume, undefined if it has more voxels than fit. */
  finish(): Volume<Float32Array> | undefined {
    this.#stepsTo(Number.POSITIVE_INFINITY);
    return this.#whole;
  }

  #stepsTo(z: number): void {
    while (this.#steps && !this.#whole && this.#wanted <= z) {
      const { done, value } = this.#steps.next();
      if (done) this.#whole = value;
      else this.#wanted = value;
    }
  }
}

/** An image that is not taken, for a reason that a user may allow. */
export class MisfitError extends RunError {
  override readonly name: string = 'MisfitError';
  readonly misfit: Misfit;

  constructor(path: string, misfit: Misfit) {
    super(`${path}: ${misfit.message}`);
    this.misfit = misfit;
  }
}

/** The window of METHOD section 8: CT (HU + 1024) / 2048; MR clipped at 0 and min-max. Of MR also between percentiles 0.5 and 99.5, clipped at 0 or not. */
function windowOf(data: Float32Array, options: PrepareOptions): IntensityWindow {
  if (options.modality === 'ct') return { kind: 'hounsfield', low: -1024, high: 1024 };
  const clipped = statisticsOf(data);
  if (options.intensity === 'minmax') return { kind: 'minmax', low: Math.max(0, clipped.min), high: clipped.max };
  const [low, high] = [clipped.percentile(0.005), clipped.percentile(0.995)];
  return options.intensity === 'signed' ? { kind: 'signed', low, high } : { kind: 'percentile', low: Math.max(0, low), high };
}

/** Nearly all of the values lie in so small a part of the window that the network would see one grey. */
const [NEARLY_ALL, HARDLY_ANY] = [0.998, 0.02];

/** What is to be said where a few voxels are so much brighter than all others that scaling to them leaves no contrast; else null. */
function lostContrast(data: Float32Array, { low, high }: IntensityWindow): string | null {
  const most = statisticsOf(data).percentile(NEARLY_ALL);
  if (most - low >= HARDLY_ANY * (high - low)) return null;
  return `${100 * NEARLY_ALL} % of its values are at most ${+most.toPrecision(4)}, but the highest is ${+high.toPrecision(4)}: scaled to that, hardly any contrast is left; use \`intensity\` percentile`;
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
  return { start: perAxis(box.start, (s, k) => s + inBox[k]), size: options.size };
}
