/**
 * Registering one prepared image to another: the map from the fixed image to the moving one, in millimetres, in stages.
 *
 * The start: the grids of both, brought to RAS, axis on axis and the centres of their foreground boxes on one another (as training of the network
 * laid them); or where the files say that the images lie (a follow-up, another sequence); or a given transform; or, from any of these, the affine
 * under which the images are most alike. Then a network's match, if there is one; then refinement on the pair itself.
 *
 * A stage that makes the images less alike is told, and not built on: an image onto itself stays where it is.
 */
import { RunError } from '../../common/errors.ts';
import type { Backend } from '../../engine/backend.ts';
import { stoppable } from '../../engine/stoppable.ts';
import type { Affine } from '../../geometry/affine.ts';
import { cropPad } from '../../geometry/crop.ts';
import { type Geometry, perAxis, toZyx, type Volume } from '../../geometry/volume.ts';
import { ncc } from '../../metrics/registration/ncc.ts';
import { matchingNetwork, type OpenNetwork } from '../network.ts';
import { type Aligned, alignAffine, type ImageToAlign } from './classical/affine.ts';
import { usualStarts } from './classical/starts.ts';
import { type MatchPlan, matchVolumes, planMatch } from './match.ts';
import type { RegistrationOptions } from './options.ts';
import { composeInner, IDENTITY, type PhysicalMap } from './physical-map.ts';
import { type Masks, onWorkingGrid, type Refined, type RefineSummary, refine } from './refine.ts';
import { centring, mapsOf, type Stage, type StageName } from './stages.ts';
import { coveredShare, warpImage, warpLabelMap } from './warp.ts';

/** What matching needs of an image. */
export interface ImageToRegister {
  /** Names it in messages. */
  readonly path: string;
  /** The file's own grid. */
  readonly grid: Geometry;
  /** What the network sees of it. */
  readonly cropped: Volume<Float32Array>;
}

export interface RegistrationRequest extends RegistrationOptions {
  /** `prepared`: as the network sees it, whole. */
  readonly moving: ImageToRegister & { readonly prepared: Volume<Float32Array> };
  readonly fixed: ImageToRegister;
  readonly masks?: Masks | undefined;
  /** Takes the place of `start` centres or stored; `start` affine begins from it. */
  readonly init?: PhysicalMap | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onPlan?: ((plan: MatchPlan) => void) | undefined;
  readonly onTile?: (() => void) | undefined;
  readonly onRefine?: (() => void) | undefined;
}

export interface RegisteredImages {
  /** How the network was run; null without one. */
  readonly plan: MatchPlan | null;
  /** In the order in which the map grows. */
  readonly stages: readonly Stage[];
  /** The whole map: that of the last stage that was kept. */
  readonly map: PhysicalMap;
  /** What `start` affine found; null where it was not asked for. */
  readonly aligned: Aligned | null;
  readonly refined: RefineSummary | null;
  readonly warnings: readonly string[];
}

const NOTHING: PhysicalMap = { affine: IDENTITY, residual: null };

/** By how many degrees the prepared grids are turned against each other. */
function angleBetweenDeg({ direction: a }: Geometry, { direction: b }: Geometry): number {
  // the trace of a^T b, a rotation
  const trace = a.reduce((sum, value, i) => sum + value * b[i], 0);
  return (Math.acos(Math.max(-1, Math.min(1, (trace - 1) / 2))) * 180) / Math.PI;
}
/** Less is a scan's ordinary tilt. */
const TURNED_DEG = 10;

/** Kept around a mask: half a window of the correlation. */
const MASK_MARGIN = 4;

/** The part of the fixed image where its mask lies; all of it without one. @throws RunError for a mask that is empty there */
function judgedPart({ cropped, path }: ImageToRegister, mask: Volume | undefined): Volume<Float32Array> {
  if (!mask) return cropped;
  const { data } = warpLabelMap(mask, NOTHING, cropped.geometry);
  const { size } = cropped.geometry;
  const [low, high] = [[...size], [-1, -1, -1]];
  for (let i = 0; i < data.length; i++) {
    if (!data[i]) continue;
    const at = [i % size[0], Math.floor(i / size[0]) % size[1], Math.floor(i / (size[0] * size[1]))];
    for (let k = 0; k < 3; k++) {
      low[k] = Math.min(low[k], at[k]);
      high[k] = Math.max(high[k], at[k]);
    }
  }
  if (high[0] < 0) throw new RunError(`\`fixedMask\`: no voxel of it lies in ${path}`);
  const start = perAxis(size, (_, k) => Math.max(0, low[k] - MASK_MARGIN));
  const end = perAxis(size, (n, k) => Math.min(n, high[k] + 1 + MASK_MARGIN));
  return cropPad(
    cropped,
    start,
    perAxis(end, (n, k) => n - start[k]),
    0,
  );
}

const voxelsOfMask = (mask: Volume | undefined, { geometry }: Volume): ImageToAlign['mask'] =>
  mask && Uint8Array.from(warpLabelMap(mask, NOTHING, geometry).data, (value) => (value ? 1 : 0));

/** The stages of one registration while they come. */
class Stages {
  readonly all: Stage[] = [];
  readonly #likeness: (map: PhysicalMap) => number;
  readonly #keepAll: boolean;
  map: PhysicalMap = NOTHING;
  ncc = 0;

  constructor(moving: Volume<Float32Array>, judged: Volume<Float32Array>, keepAll: boolean) {
    this.#likeness = (map) => ncc(warpImage(moving, map, judged.geometry, 0).data, judged.data, toZyx(judged.geometry.size));
    this.#keepAll = keepAll;
  }

  /** A stage to start from, or whose gain is known otherwise. */
  set(stage: StageName, map: PhysicalMap, kept = true): void {
    const similarity = this.#likeness(map);
    this.all.push({ stage, map, ncc: similarity, kept });
    if (kept) [this.map, this.ncc] = [map, similarity];
  }

  /** Whether the images have the same values under the map so far: no similarity can then gain, whatever its rounding or its treatment of air says. */
  areEqual(moving: Volume<Float32Array>, judged: Volume<Float32Array>): boolean {
    const { data } = warpImage(moving, this.map, judged.geometry, 0);
    return data.every((value, i) => Math.abs(value - judged.data[i]) < EQUAL);
  }

  /** A stage that is kept if it makes the images more alike than all before. */
  offer(stage: StageName, map: PhysicalMap): void {
    const similarity = this.#likeness(map);
    const kept = this.#keepAll || similarity > this.ncc;
    this.all.push({ stage, map, ncc: similarity, kept });
    if (kept) [this.map, this.ncc] = [map, similarity];
  }
}

/** Of values in [0, 1]: less is what interpolation and rounding do. */
const EQUAL = 1e-4;

/**
 * Registers two prepared images.
 * @param open the network; null: none
 * @throws RunError for images that lie apart, a network that cannot match, too little memory
 */
export async function registerPrepared(
  open: OpenNetwork | null,
  backend: Backend,
  request: RegistrationRequest,
): Promise<RegisteredImages> {
  const { moving, fixed, start, init, masks = {}, keepAll, signal } = request;
  const network = open && matchingNetwork(open.only('register'));
  const grid = fixed.cropped.geometry;
  const judged = judgedPart(fixed, masks.fixed);
  const stages = new Stages(moving.prepared, judged, keepAll);
  const centred: PhysicalMap = { affine: centring(grid, moving.cropped.geometry), residual: null };
  const warnings: string[] = [];

  stages.set('asStored', NOTHING);
  if (init) stages.set('given', init);
  else if (start !== 'stored') stages.set('centred', centred);
  if ((init || start === 'stored') && coveredShare(moving.grid, stages.map, grid) === 0)
    throw new RunError(
      init
        ? `\`initTransform\`: it brings no voxel of ${fixed.path} into ${moving.path}; it must map points of the fixed image to the moving one`
        : `\`start\` stored: at their stored positions, ${moving.path} and ${fixed.path} do not overlap; omit it to start with aligned centres`,
    );
  if (!init && start !== 'stored') {
    const turnedDeg = angleBetweenDeg(grid, moving.cropped.geometry);
    if (turnedDeg > TURNED_DEG)
      warnings.push(
        `the axes of the scans differ by a rotation of ${turnedDeg.toFixed(0)} degrees; matching starts with aligned axes, as in training (\`start\` stored: use stored orientations)`,
      );
  }

  if (!keepAll && stages.areEqual(moving.prepared, judged))
    return {
      plan: null,
      stages: stages.all,
      map: stages.map,
      aligned: null,
      refined: null,
      warnings: [...warnings, 'the images are equal as they lie at the start: nothing was changed'],
    };

  // a given deformation stays, and an affine adds to it: one looked for afresh would take its place
  const aligned = start === 'affine' && !init?.residual ? alignedFrom(request, judged, stages) : null;
  if (start === 'affine' && !aligned) polish(request, judged, stages);
  if (aligned && !aligned.overlaps)
    warnings.push('`start` affine: no start brings enough of the images together; the centres were kept');

  let plan: MatchPlan | null = null;
  if (open && network) {
    await open.release();
    // a network meets what it met in training: boxes about their centres; or, once something is known, images on one grid
    const isCentred = stages.map === centred;
    const base = isCentred ? NOTHING : stages.map;
    const seen = isCentred ? moving.cropped : warpImage(moving.prepared, base, grid, 0);
    plan = planMatch(network, backend, grid.size, seen.geometry.size, open.memory.session(), request.tile);
    request.onPlan?.(plan);
    const match = await matchVolumes(network, stoppable(backend, signal), plan, seen, fixed.cropped, () => request.onTile?.());
    const maps = mapsOf(match, grid, seen.geometry);
    if (network.architecture.heads.affine) stages.offer('affine', composeInner(base, maps.affine, grid));
    stages.offer('deformable', composeInner(base, maps.deformable, grid));
  }

  let refined: Refined | null = null;
  if (request.refine > 0) {
    signal?.throwIfAborted();
    // an affine that was just found has nothing to gain from being looked for again
    if (start !== 'affine' || plan) polish(request, judged, stages);
    refined = await refine(stoppable(backend, signal), {
      fixed: judged,
      moving: moving.prepared,
      map: stages.map,
      masks,
      steps: request.refine,
      loss: request.refineLoss,
      onStep: () => request.onRefine?.(),
    });
    stages.offer('refined', refined.map);
  }
  return {
    plan,
    stages: stages.all,
    map: stages.map,
    aligned,
    refined: refined && { steps: refined.steps, loss: refined.loss },
    warnings,
  };
}

/** The stage of the affine under which the images are most alike, from what is known, or from the usual starts. */
function alignedFrom(
  { moving, fixed, init, masks = {}, similarity, keepAll }: RegistrationRequest,
  judged: Volume<Float32Array>,
  stages: Stages,
): Aligned {
  const still: ImageToAlign = { image: judged, mask: voxelsOfMask(masks.fixed, judged) };
  const moved: ImageToAlign = { image: moving.prepared, mask: voxelsOfMask(masks.moving, moving.prepared) };
  const known = stages.map.affine;
  const starts = init ? [known] : [known, ...usualStarts(still, moved), ...storedStart(moving.grid, fixed.cropped.geometry)];
  const aligned = alignAffine({ fixed: still, moving: moved, starts, similarity });
  // its own measure decides: what maximises mutual information may lower correlation and be right
  stages.set('aligned', { affine: aligned.affine, residual: null }, keepAll || aligned.gain > 0);
  return aligned;
}

/** Files of one frame may lie where they say. */
const storedStart = (moving: Geometry, fixed: Geometry): Affine[] =>
  coveredShare(moving, NOTHING, fixed) > 0.25 ? [IDENTITY] : [];

/** An affine improvement of what is known, by the images as they are laid on one another by it. */
function polish(request: RegistrationRequest, judged: Volume<Float32Array>, stages: Stages): void {
  const { moving, masks = {}, similarity } = request;
  const { grid, fixed, moving: moved, mask } = onWorkingGrid({ fixed: judged, moving: moving.prepared, map: stages.map, masks });
  const image = (values: Float32Array): ImageToAlign => ({ image: { geometry: grid, data: values }, mask });
  const { affine } = alignAffine({
    fixed: image(fixed.data),
    moving: image(moved.data),
    starts: [IDENTITY],
    similarity,
    polish: true,
  });
  stages.offer('refinedAffine', composeInner(stages.map, { affine, residual: null }, grid));
}
