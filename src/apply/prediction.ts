/**
 * What networks say of a window: the mean of their probabilities, and of those of mirrored copies of the window (test-time mirroring). Windows are
 * averaged before they are put together, so that several networks need one session and little more memory than one; since all have the same
 * weights in a voxel, the mean of windows is the mean of whole predictions.
 */
import { UsageError } from '../common/errors.ts';
import type { TensorView } from '../engine/backend.ts';
import { listen } from '../engine/stoppable.ts';
import { voxelCount, type Zyx } from '../geometry/volume.ts';
import { type OpenNetwork, type TrainedNetwork, taskOfNetwork } from './network.ts';
import { MIRROR_AXES, type MirrorAxis, type Uncertainty } from './prediction-options.ts';

/** Predicts windows of one size. */
export interface Predictor {
  /** Classes, and with `spread` one more: how far the single predictions disagree, from 0 to 1. */
  readonly channels: number;
  /** (channels, D, H, W) of a window (input channels, D, H, W) that starts at `start`. A view is read before the next call. */
  predict(window: Float32Array, start: Zyx): Promise<Float32Array | TensorView>;
}

/** Words of a name, also of one like `kidneyLeft`. */
const wordsOf = (name: string): string[] =>
  name
    .replaceAll(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u);
const SIDES = new Set(['left', 'right', 'l', 'r', 'lh', 'rh', 'lt', 'rt', 'sin', 'dex']);

/**
 * The axes to mirror in, each once.
 * @throws UsageError for an axis that is none, and for x where names of structures or classes tell sides apart: in a mirrored patient they lie on the
 *   other one
 */
export function mirrorAxes(networks: readonly TrainedNetwork[], mirror: readonly string[] = []): readonly MirrorAxis[] {
  const axes = MIRROR_AXES.filter((axis) => mirror.includes(axis));
  const unknown = mirror.find((axis) => !(MIRROR_AXES as readonly string[]).includes(axis));
  if (unknown !== undefined) throw new UsageError(`\`mirror\` ${mirror.join(',')}: expected axes of x, y, z; found '${unknown}'`);
  const [{ configuration }] = networks;
  const { task } = configuration;
  const names = task?.kind === 'classification' ? task.classes : (task?.labels.map(({ name }) => name) ?? []);
  const sided = names.filter((name) => wordsOf(name).some((word) => SIDES.has(word)));
  if (axes.includes('x') && sided.length > 0)
    throw new UsageError(
      `\`mirror\` x: swaps left and right, which the ${task?.kind === 'classification' ? 'classes' : 'structures'} ${sided.slice(0, 4).join(', ')}${sided.length > 4 ? ', ...' : ''} tell apart; mirror in y or z alone`,
    );
  return axes;
}

/** What is to be said of mirroring: a network that was not trained with flips does worse on mirrored images. */
export function mirrorWarnings(networks: readonly TrainedNetwork[], mirror: readonly MirrorAxis[]): string[] {
  return networks.flatMap(({ folder, configuration }) => {
    const data = configuration.training?.data as { augmentation?: { flips?: unknown } } | undefined;
    const flips = data?.augmentation?.flips;
    if (!Array.isArray(flips)) return [];
    const missing = mirror.filter((axis) => !flips.includes(axis));
    return missing.length === 0
      ? []
      : [
          `${folder}: was not trained with flips along ${missing.join(', ')}, so mirroring in ${missing.length > 1 ? 'them' : 'it'} may make it worse (train with data.augmentation.flips)`,
        ];
  });
}

/** Every combination of some axes, none first. */
export const combinations = (axes: readonly MirrorAxis[]): (readonly MirrorAxis[])[] =>
  Array.from({ length: 2 ** axes.length }, (_, bits) => axes.filter((__, k) => (bits >> k) & 1));

/** (channels, D, H, W) mirrored in these axes. */
export function mirrored(
  values: Float32Array,
  [depth, height, width]: Zyx,
  axes: readonly MirrorAxis[],
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  const [inX, inY, inZ] = MIRROR_AXES.map((axis) => axes.includes(axis));
  const volume = depth * height * width;
  for (let from = 0; from < values.length; from += volume)
    for (let z = 0; z < depth; z++)
      for (let y = 0; y < height; y++) {
        const row = from + (z * height + y) * width;
        const source = from + ((inZ ? depth - 1 - z : z) * height + (inY ? height - 1 - y : y)) * width;
        if (inX) for (let x = 0; x < width; x++) out[row + x] = values[source + width - 1 - x];
        else out.set(values.subarray(source, source + width), row);
      }
  return out;
}

/**
 * Entropy of each voxel's probabilities over that of `classes` equal ones: 0 where one class is certain, 1 where all are as probable.
 * @param values (classes or more, voxels)
 * @param add whether it is added to what `out` holds
 */
export function entropyInto(values: Float32Array, classes: number, out: Float32Array, add = false): void {
  const voxels = out.length;
  const most = Math.log(classes);
  for (let v = 0; v < voxels; v++) {
    let entropy = 0;
    for (let c = 0, i = v; c < classes; c++, i += voxels) {
      const p = values[i];
      if (p > 0) entropy -= p * Math.log(p);
    }
    out[v] = (add ? out[v] : 0) + entropy / most;
  }
}

/** How sure a prediction is, of a plane of a predictor with these channels. */
export function uncertaintyOf(plane: Float32Array, classes: number, uncertainty: Uncertainty): Float32Array<ArrayBuffer> {
  if (uncertainty === 'disagreement') {
    const voxels = plane.length / (classes + 1);
    return plane.slice(classes * voxels).map((value) => Math.min(1, Math.max(0, value)));
  }
  const out = new Float32Array(plane.length / classes);
  entropyInto(plane, classes, out);
  return out;
}

export interface PredictorRequest {
  readonly window: Zyx;
  /** See `mirrorAxes`. */
  readonly mirror: readonly MirrorAxis[];
  /** Also tells how far the single predictions disagree. */
  readonly spread?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What the open networks say of windows together.
 * @throws RunError for networks that do not segment, too little memory; UsageError where there is only one prediction to disagree
 */
export async function openPredictor(
  open: OpenNetwork,
  { window, mirror, spread = false, signal }: PredictorRequest,
): Promise<Predictor> {
  const classes = taskOfNetwork(open.network, 'segmentation').labels.length;
  const members = await open.members('predict', window);
  const copies = combinations(mirror);
  const predictions = members.length * copies.length;
  if (spread && predictions === 1)
    throw new UsageError('`uncertainty` disagreement: needs several models or `mirror`; with one prediction use entropy');
  const voxels = voxelCount(window);
  if (predictions === 1) {
    const [{ session, load }] = members;
    return {
      channels: classes,
      predict: async (image) => {
        await listen(signal);
        await load();
        return (
          (await session.view?.('predict', { image }, 'probabilities')) ?? (await session.run('predict', { image })).probabilities
        );
      },
    };
  }
  const channels = spread ? classes + 1 : classes;
  return {
    channels,
    predict: async (image) => {
      const mean = new Float32Array(channels * voxels);
      const disagreement = mean.subarray(classes * voxels);
      const own = new Float32Array(spread ? voxels : 0);
      for (const { session, load } of members) {
        await load();
        for (const axes of copies) {
          await listen(signal);
          const seen = axes.length === 0 ? image : mirrored(image, window, axes);
          const { probabilities } = await session.run('predict', { image: seen });
          const values = axes.length === 0 ? probabilities : mirrored(probabilities, window, axes);
          for (let i = 0; i < values.length; i++) mean[i] += values[i];
          if (spread) entropyInto(values, classes, own, true);
        }
      }
      for (let i = 0; i < mean.length; i++) mean[i] /= predictions;
      // mutual information of class and predictor: what is uncertain together less what each is uncertain of by itself. Window by window, since where
      // windows overlap, and between voxels, means of a single network's probabilities are less certain than any of them, and that is no disagreement
      if (spread) {
        entropyInto(mean, classes, disagreement);
        for (let v = 0; v < voxels; v++) disagreement[v] = Math.max(0, disagreement[v] - own[v] / predictions);
      }
      return mean;
    },
  };
}
