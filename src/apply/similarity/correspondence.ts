/**
 * Two images, and for a point of either where it is in the other, by two answers of one network: where the field of the registration brings it, and
 * where the features are most like its own. They know nothing of each other: how far apart they are says how far to trust them.
 */
import { channelsOf, type NetworkImage } from '../../cohort/network-image.ts';
import { RunError } from '../../common/errors.ts';
import { stoppableSession } from '../../engine/stoppable.ts';
import { applyAffine, invertAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { cropChannels } from '../../geometry/crop.ts';
import { type Geometry, perAxis, toXyz, toZyx, type Volume, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { SIZE_MULTIPLE } from '../../model/architecture.ts';
import { paddingOf } from '../../model/unet.ts';
import type { WorkOptions } from '../call-options.ts';
import { embedPrepared } from '../embedding/embed.ts';
import { FOREGROUND } from '../embedding/volume-features.ts';
import { canRegister, type OpenNetwork, type WindowOptions, windowsFor } from '../network.ts';
import { registerNetworkImages } from '../registration/in-memory.ts';
import { PointMapper } from '../registration/inverse.ts';
import type { PhysicalMap } from '../registration/physical-map.ts';
import { type FeatureMap, globalFeatureMap, localFeatureMap } from './feature-map.ts';

export interface CorrespondOptions extends WorkOptions, WindowOptions {}

/** One of two images. */
export type Side = 'fixed' | 'moving';

/** Of every voxel's own neighbourhood, or of the image's boxes of 16 x 16 x 16 voxels, brought to full size. */
export type FeatureKind = 'local' | 'global';

/** An image of a pair as it is compared. */
export interface ComparedImage {
  readonly local: FeatureMap;
  readonly global: FeatureMap;
  /** What the network saw, in [0, 1]. Matches are looked for where it is not air. */
  readonly seen: Float32Array;
}

/** What is known of a point in the other image. All positions in mm, LPS. */
export interface PointAnswer {
  /** The centre of the voxel whose feature was compared. */
  readonly asked: Xyz;
  /** Cosine similarity of every voxel of the other image, on the grid that the network sees. */
  readonly similarity: Volume<Float32Array>;
  /** The most similar voxel outside air. */
  readonly best: { readonly position: Xyz; readonly similarity: number };
  /** Where the field brings it, and the similarity there, null outside the other image. */
  readonly field: { readonly position: Xyz; readonly similarity: number | null } | null;
  /** Between both answers; null without a field. */
  readonly distanceMm: number | null;
}

/** The voxel in which a point lies; null if it lies in none. */
function voxelAt(geometry: Geometry, point: Xyz): Xyz | null {
  const voxel = perAxis(applyAffine(physicalToVoxel(geometry), point), (at) => Math.round(at) + 0);
  return voxel.every((at, axis) => at >= 0 && at < geometry.size[axis]) ? voxel : null;
}

const other = { fixed: 'moving', moving: 'fixed' } as const;

/** Two compared images. Needs no backend: what it knows lies in memory. */
export class Correspondence {
  readonly images: Readonly<Record<Side, ComparedImage>>;
  /** Fixed to moving; null for a network that cannot register: without a matching head, or of several channels. */
  readonly map: PhysicalMap | null;
  /** What is unusual about the images. */
  readonly warnings: readonly string[];
  readonly #mapper: PointMapper | null;

  constructor(images: Readonly<Record<Side, ComparedImage>>, map: PhysicalMap | null, warnings: readonly string[] = []) {
    this.images = images;
    this.map = map;
    this.warnings = warnings;
    this.#mapper = map && new PointMapper(map);
  }

  /** Where the field brings a point of one image (mm, LPS) in the other; from the moving one by solving for it. Null without a field. */
  mapPoint(side: Side, [x, y, z]: Xyz): Xyz | null {
    if (!this.map || !this.#mapper) return null;
    if (side === 'fixed') {
      this.#mapper.map(x, y, z);
      const [u, v, w] = this.#mapper.out;
      return [u, v, w];
    }
    const point = Float64Array.from(applyAffine(invertAffine(this.map.affine), [x, y, z]));
    this.#mapper.solve(x, y, z, point);
    return [point[0], point[1], point[2]];
  }

  /** What the other image has of a point (mm, LPS) of this one; null if the network saw nothing there. */
  at(side: Side, point: Xyz, kind: FeatureKind = 'local'): PointAnswer | null {
    const from = this.images[side][kind];
    const asked = voxelAt(from.geometry, point);
    if (!asked) return null;
    const { [kind]: to, seen } = this.images[other[side]];
    const values = to.similarities(from.featureOf(asked));
    let best = -1;
    for (let v = 0; v < values.length; v++) if (seen[v] > FOREGROUND && (best < 0 || values[v] > values[best])) best = v;
    // an image of nothing but air
    if (best < 0) best = 0;
    const { geometry } = to;
    const [nx, ny] = geometry.size;
    const toPhysical = voxelToPhysical(geometry);
    const position = applyAffine(toPhysical, [best % nx, Math.floor(best / nx) % ny, Math.floor(best / (nx * ny))]);
    const mapped = this.mapPoint(side, point);
    const there = mapped && voxelAt(geometry, mapped);
    return {
      asked: applyAffine(voxelToPhysical(from.geometry), asked),
      similarity: { geometry, data: values },
      best: { position, similarity: values[best] },
      field: mapped && { position: mapped, similarity: there && values[(there[2] * ny + there[1]) * nx + there[0]] },
      distanceMm: mapped && Math.hypot(...perAxis(mapped, (at, axis) => at - position[axis])),
    };
  }
}

/** Compares two prepared images: features of both, local in windows and global of the image whole, and the registration where there is a head for it. */
export async function correspondNetworkImages(
  open: OpenNetwork,
  moved: NetworkImage,
  still: NetworkImage,
  options: CorrespondOptions,
): Promise<Correspondence> {
  const { architecture, folder } = open.only('comparing features');
  const plan = windowsFor(open, options);
  const { progress, signal } = options;
  const compare = async (image: NetworkImage): Promise<ComparedImage> => {
    const seenChannels = channelsOf(image);
    const { local, geometry, seen } = await embedPrepared(open, image.path, seenChannels, plan, options);
    if (!local)
      throw new RunError(`${folder}: a network without a decoder has no local features; use one that was pre-trained with it`);
    const size = toZyx(geometry.size);
    const session = stoppableSession(await open.session('encoder', size), signal);
    const { global } = await session.run('features', { image: cropChannels(seenChannels, [0, 0, 0], geometry.size) });
    const before = toXyz(paddingOf(size).before as [number, number, number]);
    const boxes = perAxis(geometry.size, (n) => Math.ceil(n / SIZE_MULTIPLE));
    const channels = global.length / voxelCount(boxes);
    return {
      local: localFeatureMap(geometry, local.shape[0], local.data),
      global: globalFeatureMap(geometry, { data: global.slice(), channels, size: boxes, side: SIZE_MULTIPLE, before }),
      seen,
    };
  };
  const fixed = await compare(still);
  const moving = await compare(moved);
  const found = canRegister(architecture)
    ? await registerNetworkImages(open, open.backend, moved, still, { ...(progress && { progress }), ...(signal && { signal }) })
    : null;
  return new Correspondence(
    { fixed, moving },
    found?.map ?? null,
    found?.warnings ?? [...still.prepared.problems, ...moved.prepared.problems],
  );
}
