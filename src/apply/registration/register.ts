/**
 * Registering one prepared image to another: the map from the fixed image to the moving one, in millimetres.
 *
 * The images need not share a frame: matching starts with the grids of both, brought to RAS, axis on axis and the centres of their
 * foreground boxes on one another, since that is how training laid them. For scans of one frame (a follow-up, another sequence) it can start
 * from where the files say that the images lie.
 */
import { RunError } from '../../common/errors.ts';
import { stoppable } from '../../engine/stoppable.ts';
import type { Geometry, Volume } from '../../geometry/volume.ts';
import { matchingNetwork, type OpenNetwork } from '../network.ts';
import { type MatchPlan, matchVolumes, planMatch } from './match.ts';
import { IDENTITY, type PhysicalMap } from './physical-map.ts';
import { type Stage, stagesOf } from './stages.ts';
import { coveredShare, warpImage } from './warp.ts';

/** Where matching starts: the centres on one another, or where the images' geometries place them. */
export type Start = 'centres' | 'stored';

/** What matching needs of an image. */
export interface ImageToRegister {
  /** Names it in messages. */
  readonly path: string;
  /** The file's own grid. */
  readonly grid: Geometry;
  /** What the network sees of it. */
  readonly cropped: Volume<Float32Array>;
}

export interface RegistrationRequest {
  /** `prepared`: as the network sees it, whole. */
  readonly moving: ImageToRegister & { readonly prepared: Volume<Float32Array> };
  readonly fixed: ImageToRegister;
  readonly start: Start;
  /** Side of tiles in voxels; by default both images whole if memory allows. */
  readonly tile?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onPlan: (plan: MatchPlan) => void;
  readonly onTile: () => void;
}

export interface MatchedImages {
  readonly plan: MatchPlan;
  /** In the order in which the map grows; the last is the whole map. */
  readonly stages: readonly Stage[];
  readonly warnings: readonly string[];
}

/** The moving image as the network sees it, on the fixed image's prepared grid. @throws RunError if nothing of it lies there */
function whereStored({ moving, fixed }: RegistrationRequest): Volume<Float32Array> {
  const identity: PhysicalMap = { affine: IDENTITY, residual: null };
  const grid = fixed.cropped.geometry;
  if (coveredShare(moving.grid, identity, grid) === 0)
    throw new RunError(
      `\`start\` stored: at their stored positions, ${moving.path} and ${fixed.path} do not overlap; omit it to start with aligned centres`,
    );
  return warpImage(moving.prepared, identity, grid, 0);
}

/** By how many degrees the prepared grids are turned against each other. */
function angleBetweenDeg({ direction: a }: Geometry, { direction: b }: Geometry): number {
  // the trace of a^T b, a rotation
  const trace = a.reduce((sum, value, i) => sum + value * b[i], 0);
  return (Math.acos(Math.max(-1, Math.min(1, (trace - 1) / 2))) * 180) / Math.PI;
}
/** Less is a scan's ordinary tilt. */
const TURNED_DEG = 10;

/** Matches two prepared images. @throws RunError for images that lie apart, a network that cannot match, too little memory */
export async function registerPrepared(open: OpenNetwork, request: RegistrationRequest): Promise<MatchedImages> {
  const { moving, fixed, start, tile, signal, onPlan, onTile } = request;
  const network = matchingNetwork(open.only('`register`'));
  const seen = start === 'stored' ? whereStored(request) : moving.cropped;
  const [fixedGrid, movingGrid] = [fixed.cropped.geometry, seen.geometry];
  const turnedDeg = angleBetweenDeg(fixedGrid, movingGrid);
  const warnings =
    turnedDeg > TURNED_DEG
      ? [
          `the axes of the scans differ by a rotation of ${turnedDeg.toFixed(0)} degrees; matching starts with aligned axes, as in training (\`start\` stored: use stored orientations)`,
        ]
      : [];
  await open.release();
  const plan = planMatch(network, open.backend, fixedGrid.size, movingGrid.size, open.memory.session(), tile);
  onPlan(plan);
  const match = await matchVolumes(network, stoppable(open.backend, signal), plan, seen, fixed.cropped, onTile);
  return { plan, stages: stagesOf(match, fixedGrid, movingGrid, network.architecture.heads.affine, start), warnings };
}
