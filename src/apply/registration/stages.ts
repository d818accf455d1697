/** A match on the network's grids as maps between the patients' own spaces, stage by stage. */
import { type Affine, composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { type Geometry, IDENTITY_3, perAxis, type Xyz } from '../../geometry/volume.ts';
import type { Match } from './match.ts';
import { IDENTITY, type PhysicalMap, turned } from './physical-map.ts';

export const centreOf = ({ size }: Geometry): Xyz => perAxis(size, (n) => (n - 1) / 2);

/** A map between the voxels of two grids as one between the physical points that they stand for. */
const physical = (voxelMap: Affine, fixed: Geometry, moving: Geometry): Affine =>
  composeAffine(voxelToPhysical(moving), composeAffine(voxelMap, physicalToVoxel(fixed)));

/** What a registration passes through. */
export type StageName = 'asStored' | 'centred' | 'affine' | 'deformable';
export type Stage = readonly [name: StageName, map: PhysicalMap];

/**
 * The maps of all stages, from the images as their files have them to the whole match.
 * @param fixed and `moving`: the grids that the network saw
 */
export function stagesOf(
  match: Match,
  fixed: Geometry,
  moving: Geometry,
  hasAffine: boolean,
  start: 'centres' | 'stored',
): Stage[] {
  const [from, to] = [centreOf(fixed), centreOf(moving)];
  const centring: Affine = { matrix: IDENTITY_3, offset: perAxis(to, (c, k) => c - from[k]) };
  const affine = physical(match.affine, fixed, moving);
  const residual = turned({ geometry: fixed, data: match.residual }, voxelToPhysical(moving).matrix);
  return [
    ['asStored', { affine: IDENTITY, residual: null }],
    ...(start === 'centres' ? [['centred', { affine: physical(centring, fixed, moving), residual: null }] as const] : []),
    ...(hasAffine ? [['affine', { affine, residual: null }] as const] : []),
    ['deformable', { affine, residual }],
  ];
}
