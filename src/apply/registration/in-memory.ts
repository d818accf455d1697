/** Registration of volumes in memory, with a network or without one. */
import type { NetworkImage } from '../../cohort/network-image.ts';
import { toProgress } from '../../common/progress.ts';
import type { Backend } from '../../engine/backend.ts';
import type { Affine } from '../../geometry/affine.ts';
import { planesTogether } from '../../geometry/planes-together.ts';
import type { Geometry, Volume, Xyz } from '../../geometry/volume.ts';
import { loadedVolume } from '../../images/loaded-image.ts';
import type { WorkOptions } from '../call-options.ts';
import type { Modality, OpenNetwork } from '../network.ts';
import { type InverseError, inverseError, inverseField } from './inverse.ts';
import { DEFAULT_OPTIONS, DEFAULT_OPTIONS_ALONE, type RegistrationOptions } from './options.ts';
import {
  displacementField,
  displacementPlanes,
  jacobianPlanes,
  mapPoint,
  type PhysicalMap,
  type VectorField,
} from './physical-map.ts';
import { modalityOf, optionsWithoutNetwork, prepareWithoutNetwork, workingSpacingMm } from './prepare.ts';
import { type Masks, workingGrid } from './refine.ts';
import { registerPrepared } from './register.ts';
import type { StageName } from './stages.ts';
import { warpImage, warpLabelMap } from './warp.ts';

export interface RegisterOptions extends WorkOptions, Partial<RegistrationOptions> {
  /** Where the images count; not 0 where voxels do. */
  readonly masks?: Masks;
  /** A map from the fixed image to the moving one to start from, instead of `start` centres or stored. */
  readonly init?: PhysicalMap;
}

/** The map that registers a moving image to a fixed one: from points of the fixed image to points of the moving one. */
export interface RegisterResult {
  /** Its affine part: fixed to moving, mm, LPS. */
  readonly affine: Affine;
  /** The moving image on the fixed one's grid, in its own number type. */
  readonly warped: Volume;
  /**
   * Local correlation in [0, 1] of the prepared images after each stage, over the fixed image's foreground or the box of its mask, and whether the
   * stage is part of the map. Correlation alone does not show that anatomy lies on anatomy.
   */
  readonly ncc: readonly { readonly stage: StageName; readonly value: number; readonly kept: boolean }[];
  /** What the network saw at once (x, y, z), and how often; null without a network. */
  readonly network: { readonly inputSize: Xyz; readonly tiles: number; readonly reason: string } | null;
  readonly warnings: readonly string[];
  /** The whole of it, to start another registration from. */
  readonly map: PhysicalMap;
  /** What it began from: centres on one another, or as stored, or the map that was given. */
  readonly start: PhysicalMap;
  /** Where a point (mm, LPS) of the fixed image lies in the moving one. */
  mapPoint(point: Xyz): Xyz;
  /** The displacement of every voxel of the fixed image, where the map brings it minus where it is, mm, LPS: ITK's and ANTs' field. */
  displacement(): VectorField;
  /** The displacement that undoes it, on a grid of the moving image's extent, and how well it does. */
  inverse(): { readonly field: VectorField; readonly error: InverseError | null };
  /** The map's Jacobian determinant at every voxel of the fixed image: 1 keeps volume, 0 or less is a fold. */
  jacobian(): Volume<Float32Array>;
  /** Another image of the moving patient's on the fixed image's grid, trilinear. @param background value of what lies outside it */
  warp(image: Volume, background?: number): Volume;
  /** A label map of the moving image on the fixed image's grid: the nearest voxel's code, 0 outside. */
  warpLabels(labels: Volume): Volume;
}

/** What a map can be asked for. */
function registered(
  map: PhysicalMap,
  grid: Geometry,
  { volume, background }: NetworkImage,
): Omit<RegisterResult, 'ncc' | 'network' | 'warnings' | 'start'> {
  return {
    affine: map.affine,
    map,
    warped: warpImage(volume, map, grid, background),
    mapPoint: (point) => mapPoint(map, point),
    displacement: () => displacementField(map, grid),
    inverse: () => {
      const field = inverseField(map, workingGrid(volume.geometry));
      return { field, error: inverseError(map, field, grid) };
    },
    jacobian: () => planesTogether(grid, jacobianPlanes(grid, displacementPlanes(map, grid))),
    warp: (image, outside = 0) => warpImage(image, map, grid, outside),
    warpLabels: (labels) => warpLabelMap(labels, map, grid),
  };
}

/** Registers two prepared images. @param open the network; null: none */
export async function registerNetworkImages(
  open: OpenNetwork | null,
  backend: Backend,
  moved: NetworkImage,
  still: NetworkImage,
  options: RegisterOptions,
): Promise<RegisterResult> {
  const { progress: listener, signal, masks, init, ...asked } = options;
  const progress = toProgress(listener);
  const { plan, stages, map, warnings } = await registerPrepared(open, backend, {
    ...(open ? DEFAULT_OPTIONS : DEFAULT_OPTIONS_ALONE),
    ...asked,
    masks,
    init,
    moving: { path: moved.path, grid: moved.volume.geometry, cropped: moved.cropped, prepared: moved.prepared.whole },
    fixed: { path: still.path, grid: still.volume.geometry, cropped: still.cropped },
    signal,
    onPlan: ({ tiles }) => progress.start(tiles.length, 'tiles'),
    onTile: () => progress.advance(),
  }).finally(() => progress.stop());
  return {
    ...registered(map, still.volume.geometry, moved),
    start: (stages.find(({ stage }) => stage === 'given' || stage === 'centred') ?? stages[0]).map,
    ncc: stages.map(({ stage, ncc: value, kept }) => ({ stage, value, kept })),
    network: plan && { inputSize: plan.size, tiles: plan.tiles.length, reason: plan.reason },
    warnings: [...still.prepared.problems, ...moved.prepared.problems, ...warnings],
  };
}

export interface RegisterVolumesOptions extends RegisterOptions {
  /** What both images are; by default as their values show. */
  readonly modality?: Modality;
  /** Side of the voxels that are worked on; by default the fixed image's own, or what makes at most 131,072 of it. */
  readonly spacingMm?: number;
}

/**
 * Registers a moving volume to a fixed one without a network: by default an affine from several starts, then 60 steps of refinement.
 * @throws RunError for images that cannot be used or lie apart; the signal's reason
 */
export async function registerVolumes(
  moving: Volume,
  fixed: Volume,
  backend: Backend,
  { modality, spacingMm = workingSpacingMm(fixed.geometry), ...options }: RegisterVolumesOptions = {},
): Promise<RegisterResult> {
  const prepare = (volume: Volume, name: string): NetworkImage => {
    const loaded = loadedVolume(volume, name);
    return prepareWithoutNetwork(loaded, optionsWithoutNetwork(modality ?? modalityOf(loaded), spacingMm));
  };
  const still = prepare(fixed, 'the fixed image');
  const moved = prepare(moving, 'the moving image');
  return registerNetworkImages(null, backend, moved, still, options);
}
