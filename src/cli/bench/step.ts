/** Whole training steps, and the backbone forward alone, of a network of random weights on random images: what users wait for. */

import type { Progress } from '../../common/progress.ts';
import { randomStream } from '../../common/random.ts';
import type { Backend, KernelTime, Session } from '../../engine/backend.ts';
import { Graph, type Program, type Shape } from '../../engine/graph.ts';
import { adamStep } from '../../engine/ops/adam/adam.ts';
import { PAPER_LOSS, trainingProgram } from '../../methods/gvsl/program.ts';
import { scaledArchitecture } from '../../model/architecture.ts';
import { INITIAL_LOSS_SCALE, lossScaleInputs } from '../../model/loss-scaling.ts';
import { STATES } from '../../model/optimizer.ts';
import { initialParameters, type ParameterTable, parameterNodes, parameterTable } from '../../model/parameters.ts';
import { unet } from '../../model/unet.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { type CpuBuild, nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import { capacityOf, type MemoryRequest, requireMemory } from '../../platform/node/memory.ts';
import { describeMachine, type Machine, median } from './machine.ts';
import { type KernelShare, kernelShares, medianTimes, sharesByKernel } from './profile.ts';

/** What `gvsl bench` measures. */
export type BenchBackend = 'cpu' | 'webgpu' | 'webgpu-f16';

/** 'step': gradient, norms and update for one pair. 'forward': the backbone on one image, as inference runs it window by window. */
export type Kind = 'step' | 'forward';

export interface StepRequest {
  readonly kind: Kind;
  readonly backend: BenchBackend;
  /** Side of the cubic patch in voxels. */
  readonly size: number;
  readonly width: number;
  readonly threads: number;
  readonly build: CpuBuild;
  /** Counted steps, and those before them that are not. */
  readonly steps: number;
  readonly warmup: number;
  readonly profile: boolean;
}

export interface StepResult {
  readonly kind: Kind;
  readonly size: number;
  readonly width: number;
  /** Seconds a step. */
  readonly medianS: number;
  readonly seconds: readonly number[];
  /** Peak resident memory of this process so far; on a GPU what the session holds there, which it takes at once. */
  readonly peakBytes: number;
  /** What the session holds by plan. */
  readonly planBytes: number;
  readonly machine: Machine;
  /** Of all kernels of a step: by operation and shape, and by the kernels' names. */
  readonly profile?: readonly KernelShare[];
  readonly kernels?: readonly KernelShare[];
  /** With a profile, of several threads: the share of their time in whole steps in which they waited for one another. */
  readonly waitShare?: number;
}

const PROFILE_ROUNDS = 3;

const cube = (size: number): [number, number, number] => [size, size, size];

function forwardProgram(size: number, width: number): { program: Program; table: ParameterTable } {
  const architecture = scaledArchitecture(width);
  const table = parameterTable(architecture);
  const graph = new Graph();
  const { local } = unet(graph, parameterNodes(graph, STATES.parameters, table), graph.input('image', [1, 1, ...cube(size)]));
  graph.output('local', local);
  const states = new Map([[STATES.parameters, [table.flatLength] as Shape]]);
  return { program: { states, graphs: new Map([['forward', graph]]) }, table };
}

/** The program that is measured. */
export const programOf = (
  kind: Kind,
  size: number,
  width: number,
  lossScaling = false,
): { program: Program; table: ParameterTable } =>
  kind === 'forward'
    ? forwardProgram(size, width)
    : trainingProgram({
        architecture: scaledArchitecture(width),
        loss: PAPER_LOSS,
        size: cube(size),
        samples: 1,
        batch: 1,
        lossScaling,
      });

/** @throws RunError if it does not fit into memory, with what would */
export function requireBenchMemory(backend: Backend, kind: Kind, size: number, width: number): void {
  const neededBytes: MemoryRequest['neededBytes'] = (patch, narrower) => ({
    session: backend.memoryBytes(programOf(kind, Math.max(...patch), narrower).program),
  });
  requireMemory({ patch: cube(size), width, batch: 1, neededBytes }, capacityOf(backend), 'size');
}

/** The graphs of one step in order, with their inputs. */
const graphsOf = (kind: Kind, inputs: Record<string, Float32Array>, step: number): [string, Record<string, Float32Array>][] =>
  kind === 'forward'
    ? [['forward', inputs]]
    : [
        ['gradient', inputs],
        ['norms', {}],
        ['update', { step: adamStep(1e-4, step) }],
      ];

async function runStep(session: Session, kind: Kind, inputs: Record<string, Float32Array>, step: number): Promise<void> {
  for (const [graph, values] of graphsOf(kind, inputs, step))
    await session.run(graph, values, kind === 'forward' ? [] : undefined);
}

/** Every kernel call of one step: the median of a few steps. */
async function profileSteps(
  session: Session,
  kind: Kind,
  inputs: Record<string, Float32Array>,
  step: number,
): Promise<KernelTime[]> {
  const rounds: KernelTime[][] = [];
  for (let round = 0; round < PROFILE_ROUNDS; round++) {
    const times: KernelTime[] = [];
    for (const [graph, values] of graphsOf(kind, inputs, step + round)) times.push(...(await session.profile!(graph, values)));
    rounds.push(times);
  }
  return medianTimes(rounds);
}

/** Share of the threads' time in which they wait for one another: the median of a few whole steps. */
async function waitShare(
  session: Session,
  kind: Kind,
  inputs: Record<string, Float32Array>,
  step: number,
): Promise<number | undefined> {
  if (!session.waits) return undefined;
  const shares: number[] = [];
  for (let round = 0; round < PROFILE_ROUNDS; round++) {
    let [waited, spent] = [0, 0];
    for (const [graph, values] of graphsOf(kind, inputs, step + round)) {
      const { seconds, waitedShare } = await session.waits(graph, values);
      spent += seconds;
      waited += seconds * waitedShare;
    }
    shares.push(waited / spent);
  }
  return median(shares);
}

/** Measures in this process; peak memory means something only if nothing larger ran here before. */
export async function measureStep(request: StepRequest, progress: Progress): Promise<StepResult> {
  const { kind, size, width, threads, build, steps, warmup } = request;
  const gpu = request.backend !== 'cpu';
  const backend = gpu ? await createBackend(request.backend) : nodeCpuBackend(threads, build);
  requireBenchMemory(backend, kind, size, width);
  const lossScaling = backend.half === true && kind === 'step';
  const { program, table } = programOf(kind, size, width, lossScaling);
  const random = randomStream(1, 'bench');
  const image = (): Float32Array => Float32Array.from({ length: size ** 3 }, () => random.uniform(0, 1));
  const inputs: Record<string, Float32Array> =
    kind === 'forward' ? { image: image() } : { movingView: image(), fixed: image(), moving: image() };
  if (lossScaling) Object.assign(inputs, lossScaleInputs(INITIAL_LOSS_SCALE));
  const session = await backend.open(program);
  try {
    await session.writeState(STATES.parameters, initialParameters(table, 1));
    const seconds: number[] = [];
    progress.start(warmup + steps, 'steps');
    for (let step = 1; step <= warmup + steps; step++) {
      const start = performance.now();
      await runStep(session, kind, inputs, step);
      if (step > warmup) seconds.push((performance.now() - start) / 1000);
      progress.advance();
    }
    progress.stop();
    const peakBytes = backend.ownMemory ? session.memoryBytes : process.resourceUsage().maxRSS * 1024;
    const profiled = warmup + steps + 1;
    const times = request.profile ? await profileSteps(session, kind, inputs, profiled) : [];
    const waited = request.profile && threads > 1 ? await waitShare(session, kind, inputs, profiled + PROFILE_ROUNDS) : undefined;
    return {
      kind,
      size,
      width,
      medianS: median(seconds),
      seconds,
      peakBytes,
      planBytes: session.memoryBytes,
      machine: describeMachine(build, threads, gpu ? backend.description : undefined),
      ...(request.profile && { profile: kernelShares(times), kernels: sharesByKernel(times) }),
      ...(waited !== undefined && { waitShare: waited }),
    };
  } finally {
    await session.close();
  }
}
