/** The features that a network has of a prepared image. */
import { RunError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import { stoppableSession } from '../../engine/stoppable.ts';
import { type Geometry, toZyx, type Volume, voxelCount } from '../../geometry/volume.ts';
import { hasDecoder } from '../../model/architecture.ts';
import { counting, type WorkOptions } from '../call-options.ts';
import type { OpenNetwork, WindowPlace } from '../network.ts';
import { windowCount } from '../segmentation/sliding-window.ts';
import { type LocalFeatures, volumeFeatures } from './volume-features.ts';

export interface EmbedResult {
  /** The features of every voxel: (channels, D, H, W) on the grid of `geometry`; null for a network without a decoder, and where the global vector alone is wanted. */
  readonly local: { readonly data: Float32Array; readonly shape: readonly [number, number, number, number] } | null;
  /** The feature of the whole image: the bottleneck's, averaged over space. */
  readonly global: Float32Array;
  /** Red, green and blue of every voxel, 0 to 1: the first three principal components of the local features; null without these. */
  readonly colours: LocalFeatures['colours'] | null;
  /** Share of the local features' variance that each component explains. */
  readonly explained: readonly number[];
  /** What the network saw: the prepared image's grid, and its values in [0, 1]. */
  readonly geometry: Geometry;
  readonly seen: Float32Array;
  readonly windows: number;
  readonly warnings: readonly string[];
}

/** The features of a prepared image. @param name for messages @param images its channels, on one grid */
export async function embedPrepared(
  open: OpenNetwork,
  name: string,
  images: readonly Volume<Float32Array>[],
  { window, overlap, globalOnly = false }: WindowPlace & { readonly globalOnly?: boolean },
  { progress, signal }: WorkOptions,
): Promise<Omit<EmbedResult, 'warnings'>> {
  const { architecture } = open.only('embed');
  const [cropped] = images;
  const size = toZyx(cropped.geometry.size);
  const channels = architecture.widths[8];
  const isDense = hasDecoder(architecture.heads) && !globalOnly;
  const bytes = isDense ? 4 * voxelCount(size) * (channels + 4) : 0;
  const available = open.memory.results();
  if (bytes > available.bytes)
    throw new RunError(
      `${name}: its local features need ${formatBytes(bytes)}; available: ${formatBytes(available.bytes)} (${available.limit}). Crop the image`,
    );
  const session = stoppableSession(await open.session(isDense ? 'features' : 'encoder', window), signal);
  const windows = windowCount({ size, window, overlap });
  const { global, dense } = await counting(progress, windows, 'windows', (onWindow) =>
    volumeFeatures({ session, architecture, images, window, overlap, dense: isDense, onWindow }),
  );
  return {
    local: dense && { data: dense.local, shape: [channels, size[0], size[1], size[2]] },
    global,
    colours: dense?.colours ?? null,
    explained: dense?.explained ?? [],
    geometry: cropped.geometry,
    seen: cropped.data,
    windows,
  };
}
