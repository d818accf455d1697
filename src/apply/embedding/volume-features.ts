/** The features that a backbone has of a whole image, window by window, and their first three principal components as colours. */
import type { Session } from '../../engine/backend.ts';
import { cropChannels } from '../../geometry/crop.ts';
import { toXyz, toZyx, type Volume, type Zyx } from '../../geometry/volume.ts';
import { principalComponents, project } from '../../metrics/clustering/principal-components.ts';
import { percentileOf } from '../../metrics/segmentation.ts';
import type { Architecture } from '../../model/architecture.ts';
import { slideWindows, windowsOf } from '../segmentation/sliding-window.ts';

/** Voxels darker than this are not looked at for the components: air says nothing of anatomy. */
export const FOREGROUND = 0.02;

export interface FeaturesPlan {
  /** A session of `featuresProgram`, or of `encoderProgram`, at the window's size, with its parameters. */
  readonly session: Session;
  readonly architecture: Architecture;
  /** The channels as the network sees them, values in [0, 1], on one grid. */
  readonly images: readonly Volume<Float32Array>[];
  readonly window: Zyx;
  readonly overlap: number;
  /** Local features too: the session has them. */
  readonly dense: boolean;
  readonly onWindow: () => void;
}

export interface LocalFeatures {
  /** (channels, D, H, W) */
  readonly local: Float32Array;
  /** Red, green and blue of every voxel, 0 to 1 between the 2nd and 98th percentile of the foreground. */
  readonly colours: readonly [Float32Array, Float32Array, Float32Array];
  /** Share of the local features' variance that each component explains. */
  readonly explained: readonly number[];
}

export interface VolumeFeatures {
  /** The bottleneck's feature, averaged over space and windows. */
  readonly global: Float32Array;
  /** Null where none were wanted. */
  readonly dense: LocalFeatures | null;
}

export async function volumeFeatures(plan: FeaturesPlan): Promise<VolumeFeatures> {
  const { session, architecture, images, window, overlap, onWindow } = plan;
  const [cropped] = images;
  const size = toZyx(cropped.geometry.size);
  const voxels = size[0] * size[1] * size[2];
  const sums = new Float64Array(architecture.widths[4]);
  let windows = 0;
  const see = async (start: Zyx): Promise<Readonly<Record<string, Float32Array>>> => {
    const found = await session.run('features', { image: cropChannels(images, toXyz(start), toXyz(window)) });
    const places = found.global.length / sums.length;
    for (let c = 0; c < sums.length; c++) for (let k = 0; k < places; k++) sums[c] += found.global[c * places + k] / places;
    windows++;
    onWindow();
    return found;
  };
  const global = (): Float32Array => Float32Array.from(sums, (sum) => sum / windows);
  if (!plan.dense) {
    for (const start of windowsOf({ size, window, overlap })) await see(start);
    return { global: global(), dense: null };
  }
  const channels = architecture.widths[8];
  const local = new Float32Array(channels * voxels);
  const predict = async (start: Zyx): Promise<Float32Array> => (await see(start)).local;
  const plane = size[1] * size[2];
  let z = 0;
  for await (const values of slideWindows({ size, window, overlap, channels, predict })) {
    for (let c = 0; c < channels; c++) local.set(values.subarray(c * plane, (c + 1) * plane), c * voxels + z * plane);
    z++;
  }
  const inside = (voxel: number): boolean => cropped.data[voxel] > FOREGROUND;
  const components = principalComponents(local, channels, 3, inside);
  const colours = [0, 1, 2].map((k) => {
    const values = project(local, components, Math.min(k, components.directions.length - 1));
    const sorted = values.filter((_, voxel) => inside(voxel)).sort();
    const [low, high] = sorted.length > 0 ? [percentileOf(sorted, 0.02), percentileOf(sorted, 0.98)] : [0, 1];
    return values.map((value) => Math.min(1, Math.max(0, (value - low) / (high - low || 1))));
  }) as [Float32Array, Float32Array, Float32Array];
  return { global: global(), dense: { local, colours, explained: components.explained } };
}
