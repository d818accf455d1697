/** What a registration passes through: maps between the patients' own spaces, each kept or not. */
import { type Affine, composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { type Geometry, IDENTITY_3, perAxis, type Xyz } from '../../geometry/volume.ts';
import type { Match } from './match.ts';
import { type PhysicalMap, turned } from './physical-map.ts';

export const centreOf = ({ size }: Geometry): Xyz => perAxis(size, (n) => (n - 1) / 2);

/** A map between the voxels of two grids as one between the physical points that they stand for. */
const physical = (voxelMap: Affine, fixed: Geometry, moving: Geometry): Affine =>
  composeAffine(voxelToPhysical(moving), composeAffine(voxelMap, physicalToVoxel(fixed)));

/**
 * In their order: as the files have it; an initial transform; centre on centre; the affine that the images' likeness gave; what a network gave, its
 * affine and the whole; what was refined on the pair, affine and deformation.
 */
export type StageName = 'asStored' | 'given' | 'centred' | 'aligned' | 'affine' | 'deformable' | 'refinedAffine' | 'refined';

export interface Stage {
  readonly stage: StageName;
  /** The whole map up to it. */
  readonly map: PhysicalMap;
  /** Local correlation in [0, 1] of the images under it. */
  readonly ncc: number;
  /** False for a stage that made the images less alike, which what follows does not build on. */
  readonly kept: boolean;
}

/** The map that brings the centre of one grid to the centre of another, axis on axis. */
export function centring(fixed: Geometry, moving: Geometry): Affine {
  const [from, to] = [centreOf(fixed), centreOf(moving)];
  return physical({ matrix: IDENTITY_3, offset: perAxis(to, (c, k) => c - from[k]) }, fixed, moving);
}

/** A match on two grids as maps between what the grids stand for: its affine alone, and whole. */
export function mapsOf(match: Match, fixed: Geometry, moving: Geometry): { affine: PhysicalMap; deformable: PhysicalMap } {
  const affine = physical(match.affine, fixed, moving);
  const residual = turned({ geometry: fixed, data: match.residual }, voxelToPhysical(moving).matrix);
  return { affine: { affine, residual: null }, deformable: { affine, residual } };
}
