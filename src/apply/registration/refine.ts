/**
 * Improving a registration on the pair itself, by the engine's gradients and without a network: a smooth, invertible deformation of the fixed
 * image's space under which the moving image, as it is mapped so far, becomes more like the fixed one.
 *
 * The deformation is the flow of a stationary velocity field v at half resolution (scaling and squaring: u = v / 2^5, then five times
 * u(x) + u(x + u(x))), so that it does not fold as long as v is smooth. v is a sum of fields on ever coarser grids, all free at once: Adam then
 * moves coarse and fine structures at a like pace. The loss is 1 minus local correlation (or the mean squared difference), over the voxels that
 * both images and masks have, plus the smoothness of v. The best of all steps is kept; it ends early where steps do not gain.
 */
import type { Backend, Session } from '../../engine/backend.ts';
import { Graph, type Node, type Program } from '../../engine/graph.ts';
import { adamStep } from '../../engine/ops/adam/adam.ts';
import { add, multiply, scale } from '../../engine/ops/elementwise/elementwise.ts';
import { maskedMseLoss } from '../../engine/ops/mse/mse.ts';
import { nccLoss } from '../../engine/ops/ncc/ncc.ts';
import { upsample } from '../../engine/ops/resize/resize.ts';
import { crop } from '../../engine/ops/shape/shape.ts';
import { smoothnessLoss } from '../../engine/ops/smoothness/smoothness.ts';
import { insideMask, warp } from '../../engine/ops/warp/warp.ts';
import { voxelToPhysical } from '../../geometry/affine.ts';
import { gridWithSpacing } from '../../geometry/resample.ts';
import { type Geometry, toZyx, type Volume, voxelCount, type Zyx } from '../../geometry/volume.ts';
import { STATES } from '../../model/optimizer.ts';
import { type ParameterTable, parameterNodes, tableOf } from '../../model/parameters.ts';
import { gradientGraph, trainingProgramOf } from '../../model/training-program.ts';
import type { RefineLoss } from './options.ts';
import { composeInner, IDENTITY, type PhysicalMap, turned, type VectorField } from './physical-map.ts';
import { warpImage, warpLabelMap } from './warp.ts';

/** Where images count; not 0 where voxels do. On any grid. */
export interface Masks {
  readonly fixed?: Volume | undefined;
  readonly moving?: Volume | undefined;
}

export interface RefineRequest {
  readonly fixed: Volume<Float32Array>;
  readonly moving: Volume<Float32Array>;
  /** What is known so far, fixed to moving. */
  readonly map: PhysicalMap;
  readonly masks: Masks;
  /** Steps at most. */
  readonly steps: number;
  readonly loss: RefineLoss;
  readonly onStep: () => void;
}

/** How a refinement went. */
export interface RefineSummary {
  /** Steps until it ended. */
  readonly steps: number;
  /** The loss before and after. */
  readonly loss: { readonly before: number; readonly after: number };
}

export interface Refined extends RefineSummary {
  readonly map: PhysicalMap;
}

/** Voxels of the fixed image at which it is worked, at most: what is finer costs time and gained no overlap (docs/registration.md). */
export const WORKING_VOXELS = 2 ** 17;
const LEVELS = 4;
const SQUARINGS = 5;
/** Side of the windows of the local correlation, in voxels. */
const WINDOW = 7;
/** Of the loss; values in [0, 1] have squared differences far smaller than 1 minus a correlation. */
const SMOOTHNESS: Readonly<Record<RefineLoss, number>> = { ncc: 1, mse: 0.02 };
/** Of Adam, in half-resolution voxels a step; falls to a tenth over the last third. */
const RATE = 0.2;
/** It ends when this many steps gained less than this share of the loss. */
const PATIENCE = 12;
const LEAST_GAIN = 1e-3;

const halved = (size: Zyx): Zyx => [Math.ceil(size[0] / 2), Math.ceil(size[1] / 2), Math.ceil(size[2] / 2)];

/** x at twice its size, cut to `size`. */
function doubled(graph: Graph, x: Node, size: Zyx): Node {
  const up = upsample(graph, x);
  const extra = [0, 0, ...size.map((n, k) => up.shape[k + 2] - n)];
  return crop(graph, up, [0, 0, 0, 0, 0], extra);
}

/** Graphs: `gradient` (inputs moving, fixed, mask), `update`, and `field` (output displacement, (1, 3, D, H, W) in voxels, z, y, x). */
function refinementProgram(size: Zyx, loss: RefineLoss): { program: Program; table: ParameterTable } {
  const sizes: Zyx[] = [halved(size)];
  while (sizes.length < LEVELS && Math.min(...sizes[sizes.length - 1]) > 4) sizes.push(halved(sizes[sizes.length - 1]));
  const table = tableOf(
    sizes.map((of, level) => ({ name: `velocity.${level}`, shape: [1, 3, ...of], start: { kind: 'constant', value: 0 } })),
  );
  const deformation = (graph: Graph) => {
    const parameters = parameterNodes(graph, STATES.parameters, table);
    let velocity = parameters(`velocity.${sizes.length - 1}`);
    for (let level = sizes.length - 2; level >= 0; level--)
      velocity = add(graph, parameters(`velocity.${level}`), doubled(graph, velocity, sizes[level]));
    let flow = scale(graph, velocity, 2 ** -SQUARINGS);
    for (let i = 0; i < SQUARINGS; i++) flow = add(graph, flow, warp(graph, flow, flow));
    return { parameters, velocity, displacement: scale(graph, doubled(graph, flow, size), 2) };
  };
  const graph = new Graph();
  const [moving, fixed, mask] = ['moving', 'fixed', 'mask'].map((name) => graph.input(name, [1, 1, ...size]));
  const { parameters, velocity, displacement } = deformation(graph);
  const warped = warp(graph, moving, displacement);
  const seen = multiply(graph, mask, insideMask(graph, displacement));
  const likeness = loss === 'ncc' ? nccLoss(graph, warped, fixed, WINDOW, seen) : maskedMseLoss(graph, warped, fixed, seen);
  const losses = [
    { name: loss, node: likeness },
    { name: 'smooth', node: smoothnessLoss(graph, velocity), weight: SMOOTHNESS[loss] },
  ];
  const gradient = gradientGraph(graph, losses, { table, parameters, share: 1 });
  const field = new Graph();
  field.output('displacement', deformation(field).displacement);
  return { program: trainingProgramOf(table, { gradient, field }), table };
}

/** The grid at which a fixed image is worked on: its own, or a coarser one. */
export function workingGrid(fixed: Geometry): Geometry {
  const [x, y, z] = fixed.spacingMm;
  const voxels = voxelCount(fixed.size);
  if (voxels <= WORKING_VOXELS) return fixed;
  const mm = Math.cbrt((voxels * x * y * z) / WORKING_VOXELS);
  return gridWithSpacing(fixed, [Math.max(mm, x), Math.max(mm, y), Math.max(mm, z)]);
}

/** Both images on one grid, the moving one as a map brings it there, and where both count. */
export interface OnOneGrid {
  readonly grid: Geometry;
  readonly fixed: Volume<Float32Array>;
  readonly moving: Volume<Float32Array>;
  readonly mask: Float32Array;
}

/** No value of a prepared image. */
const OUTSIDE = -1;
const NOTHING: PhysicalMap = { affine: IDENTITY, residual: null };

/** Brings both images to the grid on which they are worked on. */
export function onWorkingGrid({
  fixed,
  moving,
  map,
  masks,
}: Pick<RefineRequest, 'fixed' | 'moving' | 'map' | 'masks'>): OnOneGrid {
  const grid = workingGrid(fixed.geometry);
  const still = grid === fixed.geometry ? fixed : warpImage(fixed, NOTHING, grid, 0);
  const moved = warpImage(moving, map, grid, OUTSIDE);
  const mask = new Float32Array(moved.data.length);
  const ofFixed = masks.fixed && warpLabelMap(masks.fixed, NOTHING, grid).data;
  const ofMoving = masks.moving && warpLabelMap(masks.moving, map, grid).data;
  for (let i = 0; i < mask.length; i++) {
    // smoothing for a coarser grid is linear: only what lies outside is below 0
    if (moved.data[i] < 0) moved.data[i] = 0;
    else mask[i] = (ofFixed && !ofFixed[i]) || (ofMoving && !ofMoving[i]) ? 0 : 1;
  }
  return { grid, fixed: still, moving: moved, mask };
}

/** Whether the losses show that more steps gain next to nothing. */
function hasSettled(losses: readonly number[]): boolean {
  if (losses.length <= PATIENCE) return false;
  const before = Math.min(...losses.slice(0, -PATIENCE));
  return before - Math.min(...losses.slice(-PATIENCE)) < LEAST_GAIN * Math.abs(before);
}

const rateOf = (step: number, steps: number): number => {
  const left = (steps - step) / (steps / 3);
  return RATE * Math.max(0.1, Math.min(1, left));
};

/** Improves a map by at most so many steps. */
export async function refine(backend: Backend, request: RefineRequest): Promise<Refined> {
  const { steps, loss, onStep } = request;
  const { grid, fixed, moving, mask } = onWorkingGrid(request);
  const { program } = refinementProgram(toZyx(grid.size), loss);
  const session = await backend.open(program);
  try {
    const inputs = { moving: moving.data, fixed: fixed.data, mask };
    const losses: number[] = [];
    const start = await session.readState(STATES.parameters);
    let best = start;
    const judge = async (): Promise<void> => {
      const { 'loss.total': total } = await session.run('gradient', inputs, ['loss.total']);
      if (total[0] < Math.min(...losses)) best = await session.readState(STATES.parameters);
      losses.push(total[0]);
    };
    await judge();
    while (losses.length <= steps && !hasSettled(losses)) {
      await session.run('update', { step: adamStep(rateOf(losses.length - 1, steps), losses.length) });
      await judge();
      onStep();
    }
    const done = { steps: losses.length - 1, loss: { before: losses[0], after: Math.min(...losses) } };
    if (best === start) return { ...done, map: request.map };
    await session.writeState(STATES.parameters, best);
    const field = await displacementOf(session, grid);
    return { ...done, map: composeInner(request.map, { affine: IDENTITY, residual: field }, grid) };
  } finally {
    await session.close();
  }
}

/** The deformation as vectors in mm. */
async function displacementOf(session: Session, grid: Geometry): Promise<VectorField> {
  const { displacement } = await session.run('field', {});
  const voxels = voxelCount(grid.size);
  const data = new Float32Array(3 * voxels);
  for (let i = 0; i < voxels; i++) {
    data[3 * i] = displacement[2 * voxels + i];
    data[3 * i + 1] = displacement[voxels + i];
    data[3 * i + 2] = displacement[i];
  }
  return turned({ geometry: grid, data }, voxelToPhysical(grid).matrix);
}
