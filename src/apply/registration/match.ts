/**
 * Running the network on two prepared volumes: where each voxel of the fixed one lies in the moving one.
 *
 * Both whole, if memory allows: one affine sees everything. Else in overlapping tiles of the size that the network was trained with, each
 * from the same relative place of both volumes, which is what it met in training; working on coarser images instead would show it anatomy
 * of a size that it never saw. Only if memory is too small even for that, smaller tiles.
 */

import { RunError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import type { Backend } from '../../engine/backend.ts';
import { type Affine, applyAffine } from '../../geometry/affine.ts';
import { cropPad } from '../../geometry/crop.ts';
import { perAxis, toXyz, toZyx, type Volume, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { matchingProgram } from '../../methods/gvsl/program.ts';
import type { Architecture } from '../../model/architecture.ts';
import { STATES } from '../../model/optimizer.ts';
import { commonAffine, planTiles, type Tile, tileWeights, wholeSize } from './tiles.ts';

/** A match of two volumes of equal spacing: fixed voxel p corresponds to moving voxel affine(p) + residual(p). All x, y, z, in voxels. */
export interface Match {
  readonly affine: Affine;
  /** On the fixed volume's voxels: `residual[voxel * 3 + component]`. */
  readonly residual: Float32Array;
}

/** A network with a matching head. */
export interface MatchingNetwork {
  readonly architecture: Architecture;
  /** The flat state 'parameters' of `matchingProgram`. */
  readonly parameters: Float32Array;
  /** (z, y, x) of the crops that it was trained with; null if that is not known. */
  readonly trainedPatch: readonly [number, number, number] | null;
}

/** How the network is run. */
export interface MatchPlan {
  /** Voxels of what the network sees at once. */
  readonly size: Xyz;
  readonly tiles: readonly Tile[];
  readonly neededBytes: number;
  /** Why it is not both volumes whole; empty if it is. */
  readonly reason: string;
}

/** Assumed of a model that does not say with which crops it was trained: the default of pre-training. */
const USUAL_PATCH: Xyz = [96, 96, 96];
/** Below this, the bottleneck sees two voxels: no matching comes of it. */
const MIN_SIDE = 32;
const SIDE_STEP = 16;

const text = (size: Xyz): string => size.join(' x ');

/**
 * Chooses how to run the network on volumes of these sizes.
 * @param available memory that may be taken, and what limits it
 * @param wantedSide side of tiles that the user asks for
 * @throws RunError if nothing fits into memory, with what to do
 */
export function planMatch(
  network: MatchingNetwork,
  backend: Backend,
  fixed: Xyz,
  moving: Xyz,
  available: { readonly bytes: number; readonly limit: string },
  wantedSide?: number,
): MatchPlan {
  const [limitBytes, limit] =
    available.bytes < backend.memoryLimitBytes
      ? [available.bytes, available.limit]
      : [backend.memoryLimitBytes, `the maximum that the backend ${backend.name} can address`];
  // one tensor alone may be more than a device allows for one: then no memory is enough
  const needed = (size: Xyz): number => {
    const { program } = matchingProgram(network.architecture, toZyx(size));
    try {
      return backend.memoryBytes(program);
    } catch (error) {
      if (error instanceof RunError) return Number.POSITIVE_INFINITY;
      throw error;
    }
  };
  const needs = (bytes: number): string =>
    Number.isFinite(bytes)
      ? `${formatBytes(bytes)}; available: ${formatBytes(limitBytes)} (${limit})`
      : 'a tensor larger than the device allows';
  const planOf = (size: Xyz, reason: string): MatchPlan => {
    const tiling = planTiles(fixed, moving, size);
    return { ...tiling, neededBytes: needed(tiling.size), reason };
  };
  const whole = wholeSize(fixed, moving);
  if (wantedSide !== undefined) {
    const plan = planOf([wantedSide, wantedSide, wantedSide], `tiles of ${wantedSide} requested`);
    if (plan.neededBytes <= limitBytes) return plan;
    throw new RunError(`\`tile\` ${wantedSide} needs ${needs(plan.neededBytes)}: choose smaller tiles, or omit it`);
  }
  const wholeBytes = needed(whole);
  if (wholeBytes <= limitBytes) return { ...planTiles(fixed, moving, whole), neededBytes: wholeBytes, reason: '' };
  const reason = `whole images (${text(whole)} voxels) need ${needs(wholeBytes)}`;
  const trained = network.trainedPatch ? toXyz(network.trainedPatch) : USUAL_PATCH;
  const sizes = [trained];
  for (let side = Math.max(...trained) - SIDE_STEP; side >= MIN_SIDE; side -= SIDE_STEP)
    sizes.push(perAxis(trained, (n) => Math.min(n, side)));
  for (const size of sizes) {
    const plan = planOf(size, reason);
    if (plan.neededBytes <= limitBytes) return plan;
  }
  throw new RunError(
    `not enough memory: ${reason}, and tiles of ${text(sizes.at(-1)!)} need ${needs(needed(sizes.at(-1)!))}. Free memory, or use a narrower model (one pre-trained with a smaller \`width\`)`,
  );
}

/** Matrix (3 x 4, about the centre of a box) and starts, as an affine from the fixed volume's voxels to the moving one's. */
function inVolumes(matrix: Float32Array, size: Xyz, { fixedStart, movingStart }: Tile): Affine {
  const [a, b, c, tx, d, e, f, ty, g, h, i, tz] = matrix;
  const centre = size.map((n) => (n - 1) / 2);
  const linear: Affine = { matrix: [a, b, c, d, e, f, g, h, i], offset: [0, 0, 0] };
  const fromCentre = applyAffine(
    linear,
    perAxis(fixedStart, (s, k) => -s - centre[k]),
  );
  const offset = [tx, ty, tz].map((t, k) => fromCentre[k] + t + centre[k] + movingStart[k]) as unknown as Xyz;
  return { matrix: linear.matrix, offset };
}

/**
 * Matches two prepared volumes.
 * @param plan from `planMatch` for these two
 * @param onTile after each part
 */
export async function matchVolumes(
  network: MatchingNetwork,
  backend: Backend,
  plan: MatchPlan,
  moving: Volume<Float32Array>,
  fixed: Volume<Float32Array>,
  onTile: () => void,
): Promise<Match> {
  const { size, tiles } = plan;
  const [nx, ny, nz] = fixed.geometry.size;
  const voxels = voxelCount(fixed.geometry.size);
  const inTile = voxelCount(size);
  const weights = size.map(tileWeights);
  /** By how much each fixed voxel moves, times the weights; then what of it remains beyond the affine. */
  const moves = new Float32Array(voxels * 3);
  const total = new Float32Array(voxels);
  const affines: { start: Xyz; affine: Affine }[] = [];

  const session = await backend.open(matchingProgram(network.architecture, toZyx(size)).program);
  try {
    await session.writeState(STATES.parameters, network.parameters);
    for (const tile of tiles) {
      const { fixedStart, movingStart } = tile;
      const inputs = {
        moving: cropPad(moving, movingStart, size, 0).data,
        fixed: cropPad(fixed, fixedStart, size, 0).data,
      };
      const { affine, displacement } = await session.run('match', inputs, ['affine', 'displacement']);
      affines.push({ start: fixedStart, affine: inVolumes(affine, size, tile) });
      const shift = movingStart.map((start, k) => start - fixedStart[k]);
      let at = 0;
      for (let k = 0; k < size[2]; k++) {
        for (let j = 0; j < size[1]; j++) {
          for (let i = 0; i < size[0]; i++, at++) {
            const [x, y, z] = [fixedStart[0] + i, fixedStart[1] + j, fixedStart[2] + k];
            if (x < 0 || y < 0 || z < 0 || x >= nx || y >= ny || z >= nz) continue;
            const voxel = (z * ny + y) * nx + x;
            const weight = weights[0][i] * weights[1][j] * weights[2][k];
            total[voxel] += weight;
            moves[voxel * 3] += weight * (shift[0] + displacement[2 * inTile + at]);
            moves[voxel * 3 + 1] += weight * (shift[1] + displacement[inTile + at]);
            moves[voxel * 3 + 2] += weight * (shift[2] + displacement[at]);
          }
        }
      }
      onTile();
    }
  } finally {
    await session.close();
  }

  const affine = commonAffine(affines, size);
  const { matrix: m, offset } = affine;
  for (let z = 0, voxel = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, voxel++) {
        const weight = total[voxel];
        moves[voxel * 3] = moves[voxel * 3] / weight - (m[0] * x + m[1] * y + m[2] * z + offset[0] - x);
        moves[voxel * 3 + 1] = moves[voxel * 3 + 1] / weight - (m[3] * x + m[4] * y + m[5] * z + offset[1] - y);
        moves[voxel * 3 + 2] = moves[voxel * 3 + 2] / weight - (m[6] * x + m[7] * y + m[8] * z + offset[2] - z);
      }
    }
  }
  return { affine, residual: moves };
}
