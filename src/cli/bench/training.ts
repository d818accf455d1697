/** `gvsl bench train`: the training loop beside the bare step, for several networks, numbers of threads and loads, each time in a process of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { RunError } from '../../common/errors.ts';
import type { Progress } from '../../common/progress.ts';
import { trainingProgram } from '../../methods/gvsl/program.ts';
import { stepOptions } from '../../methods/gvsl/step-options.ts';
import { type CpuBuild, nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import { capacityOf, requireMemory } from '../../platform/node/memory.ts';
import { besideBusy } from './busy.ts';
import { optionsOf, ownProcess } from './in-turn.ts';
import { configurationOf, type LoopRound, type LoopShape, measureLoop } from './loop.ts';
import { describeMachine, type Machine } from './machine.ts';
import { drawScans, prepareScans } from './phantoms.ts';

/** What runs on the machine meanwhile: nothing, or one process that never rests. */
export const LOADS = ['idle', 'busy'] as const;
export type Load = (typeof LOADS)[number];

export interface TrainingRow extends LoopShape {
  readonly threads: number;
  readonly load: Load;
  readonly rounds: readonly LoopRound[];
}

export interface TrainingResult {
  readonly format: 'gvsl-bench-train';
  readonly machine: Machine;
  /** As it was typed. */
  readonly command: string;
  readonly rows: readonly TrainingRow[];
  /** What was not measured, and why. */
  readonly leftOut: readonly string[];
}

export interface TrainingRequest {
  readonly shapes: readonly LoopShape[];
  readonly threads: readonly number[];
  readonly loads: readonly Load[];
  readonly build: CpuBuild;
  /** Steps of each part; undefined: about a second's worth. */
  readonly steps: number | undefined;
  /** A cohort to train on; undefined: one that is drawn for it. */
  readonly cohort: string | undefined;
  readonly command: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** What people train on a CPU, the demo's network first, and the paper's network. */
export const TRAINING_SHAPES: readonly LoopShape[] = [
  { size: [24, 32, 32], width: 0.25, batch: 2 },
  { size: [32, 32, 32], width: 0.25, batch: 1 },
  { size: [48, 48, 48], width: 0.25, batch: 1 },
  { size: [32, 32, 32], width: 1, batch: 1 },
  { size: [64, 64, 64], width: 1, batch: 1 },
];

export const shapeText = ({ size, width, batch }: LoopShape): string =>
  `${new Set(size).size === 1 ? `${size[0]}^3` : size.join('x')}, width ${width}, batch ${batch}`;

const PHANTOMS = { subjects: 6, spacingMm: 4 } as const;
/** Of processes, one after the other, and inside each of them. */
const ROUNDS = { processes: 2, parts: 2 } as const;

/** Why a shape does not fit into this machine; undefined if it does. */
function misfit({ build }: TrainingRequest, shape: LoopShape, threads: number): string | undefined {
  const backend = nodeCpuBackend(threads, build);
  try {
    requireMemory(
      {
        patch: shape.size,
        width: shape.width,
        batch: shape.batch,
        neededBytes: (size, width, batch) => {
          const options = stepOptions(configurationOf({ ...shape, batch, threads }, 1), size, width);
          return { session: backend.memoryBytes(trainingProgram(options).program) };
        },
      },
      capacityOf(backend),
      'size',
    );
    return undefined;
  } catch (error) {
    if (error instanceof RunError) return error.message;
    throw error;
  }
}

/** What one process measures; alone, without others to be in turn with, in this process. */
async function measureOne(
  { build, steps, progress, signal }: TrainingRequest,
  place: { readonly shape: LoopShape; readonly threads: number; readonly load: Load; readonly cohort: string },
  alone: boolean,
): Promise<readonly LoopRound[]> {
  const { shape, threads, load, cohort } = place;
  const { size, width, batch } = shape;
  const measure = async (): Promise<readonly LoopRound[]> => {
    if (alone) return measureLoop({ ...shape, cohort, threads, build, steps, rounds: ROUNDS.parts }, progress, signal);
    const args = optionsOf({ cohort, size: size.join(','), width, batch, threads, load: 'idle', build, steps });
    const { rows } = await ownProcess<TrainingResult>(`training at ${shapeText(shape)}`, ['train', ...args], signal);
    return rows[0].rounds;
  };
  return load === 'busy' ? besideBusy(measure) : measure();
}

/** Every shape with every number of threads beside every load, in turn. */
export async function measureTraining(request: TrainingRequest): Promise<TrainingResult> {
  const { shapes, threads, loads, build, command, progress, signal } = request;
  // what is wrong with it is better said before anything is measured
  if (request.cohort !== undefined) await openCohort(request.cohort);
  const folder = await mkdtemp(join(tmpdir(), 'gvsl-bench-'));
  try {
    let { cohort } = request;
    if (cohort === undefined) {
      const scans = join(folder, 'scans');
      cohort = join(folder, 'cohort');
      await drawScans(scans, PHANTOMS, progress, signal);
      await prepareScans(scans, cohort, PHANTOMS, signal);
    }
    const alone = shapes.length * threads.length * loads.length === 1;
    const rows: TrainingRow[] = [];
    const leftOut: string[] = [];
    for (const shape of shapes) {
      const why = misfit(request, shape, Math.max(...threads));
      progress.say(why ? `skipping ${shapeText(shape)}: ${why}` : shapeText(shape));
      if (why) {
        leftOut.push(`${shapeText(shape)}: ${why}`);
        continue;
      }
      const places = loads.flatMap((load) => threads.map((count) => ({ shape, threads: count, load, cohort })));
      const rounds = places.map((): LoopRound[] => []);
      for (let round = 0; round < (alone ? 1 : ROUNDS.processes); round++)
        for (const [i, place] of places.entries()) rounds[i].push(...(await measureOne(request, place, alone)));
      rows.push(...places.map(({ load, threads: count }, i) => ({ ...shape, threads: count, load, rounds: rounds[i] })));
    }
    if (alone && leftOut.length > 0) throw new RunError(leftOut[0]);
    const machine = describeMachine(build, Math.max(...threads));
    return { format: 'gvsl-bench-train', machine, command, rows, leftOut };
  } finally {
    await rm(folder, { recursive: true });
  }
}
