/** The whole benchmark: rows of configurations in turn with PyTorch, the profile of one step, peaks of the machine, the data path. */
import { RunError } from '../../common/errors.ts';
import type { Progress } from '../../common/progress.ts';
import { type CpuBuild, nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import type { DataResult } from './data.ts';
import { inOwnProcess, inTwoRounds, joined, measureInTurn, type Peer, type Timing } from './in-turn.ts';
import { describeMachine, type Machine } from './machine.ts';
import { measurePeaks, type Peaks } from './peaks.ts';
import { measureRatios, type Ratio } from './ratios.ts';
import { type Kind, requireBenchMemory, type StepResult } from './step.ts';

export interface SuiteRow {
  readonly kind: Kind;
  readonly size: number;
  readonly width: number;
  readonly gvsl: Timing & { readonly planBytes: number };
  /** null without PyTorch. */
  readonly peer: Peer | null;
}

/** Kernels of one step, by operation and shape, and by their names. */
export interface Profile extends Required<Pick<StepResult, 'profile' | 'kernels'>>, Pick<StepResult, 'waitShare'> {
  readonly size: number;
  readonly width: number;
}

export interface SuiteResult {
  readonly format: 'gvsl-bench';
  readonly machine: Machine;
  /** As it was typed. */
  readonly command?: string;
  readonly peaks: Peaks;
  readonly rows: readonly SuiteRow[];
  /** What can be compared with another day's (results of before have none). */
  readonly ratios?: readonly Ratio[];
  /** What was not measured, and why or how it would be. */
  readonly leftOut?: readonly string[];
  /** Where the time of a large and of a small step goes; none where it does not fit. */
  readonly profiles: readonly Profile[];
  readonly data: DataResult | null;
}

export interface SuiteRequest {
  readonly threads: number;
  readonly build: CpuBuild;
  /** Adds full-width steps at 96^3. */
  readonly full: boolean;
  /** Counted steps of each row. */
  readonly steps: number;
  readonly warmup: number;
  /** A Python with PyTorch; undefined: gvsl alone. */
  readonly python: string | undefined;
  readonly command: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

type Plan = readonly (readonly [Kind, number, number])[];

const CONFIGURATIONS: Plan = [
  ['step', 32, 1],
  ['step', 48, 1],
  ['step', 64, 1],
  ['step', 32, 0.25],
  ['step', 48, 0.25],
  ['step', 64, 0.25],
  ['step', 96, 0.25],
  ['forward', 96, 1],
];
const FULL: Plan = [['step', 96, 1]];
/** Steps of which profiles are taken: sides and widths. */
const PROFILES = [
  [64, 1],
  [32, 0.25],
] as const;
/** Side of the examples of the data path. */
const DATA_SIZE = 64;

/** Why a configuration does not fit into this machine; undefined if it does. */
function misfit(build: CpuBuild, threads: number, [kind, size, width]: Plan[number]): string | undefined {
  try {
    requireBenchMemory(nodeCpuBackend(threads, build), kind, size, width);
    return undefined;
  } catch (error) {
    if (error instanceof RunError) return error.message;
    throw error;
  }
}

export async function runSuite(request: SuiteRequest): Promise<SuiteResult> {
  const { build, threads, full, steps, command, progress, signal } = request;
  const turns = { ...request, backend: 'cpu', amp: false } as const;
  const rows: SuiteRow[] = [];
  const leftOut = full ? [] : FULL.map(([kind, size, width]) => `${kind} ${size}^3, width ${width}: --full adds it`);
  for (const each of [...CONFIGURATIONS, ...(full ? FULL : [])]) {
    const [kind, size, width] = each;
    const name = `${kind} ${size}^3, width ${width}`;
    const why = misfit(build, threads, each);
    progress.say(why ? `skipping ${name}: ${why}` : name);
    if (why) leftOut.push(`${name}: ${why}`);
    if (why) continue;
    const { gvsl, peer } = await measureInTurn({ kind, size, width, rounds: inTwoRounds(steps) }, turns);
    rows.push({ kind, size, width, gvsl: { ...joined(gvsl), planBytes: gvsl[0].planBytes }, peer });
  }
  const profiles: Profile[] = [];
  for (const [size, width] of PROFILES) {
    if (misfit(build, threads, ['step', size, width])) continue;
    progress.say(`profile of a step at ${size}^3, width ${width}`);
    const { profile = [], kernels = [], waitShare } = await inOwnProcess({ kind: 'step', size, width }, turns, steps, true);
    profiles.push({ size, width, profile, kernels, ...(waitShare !== undefined && { waitShare }) });
  }
  progress.say('peaks of this machine');
  const peaks = await measurePeaks(build, threads);
  progress.say('ratios for comparisons');
  const ratios = await measureRatios(request);
  const { measureData } = await import('./data.ts');
  const data = await measureData(DATA_SIZE, threads, progress, signal);
  const machine = describeMachine(build, threads);
  return {
    format: 'gvsl-bench',
    machine,
    command,
    peaks,
    rows,
    ratios,
    leftOut,
    profiles,
    data,
  };
}
