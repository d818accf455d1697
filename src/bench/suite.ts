/** The whole benchmark: each configuration in a process of its own, in turn with PyTorch's, and its comparison with earlier results. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { WorkError } from '../errors/errors.ts';
import type { CpuBuild } from '../node/cpu-host.ts';
import type { Progress } from '../node/progress.ts';
import type { DataResult } from './data.ts';
import { describeMachine, type Machine, median } from './machine.ts';
import { measurePeaks, type Peaks } from './peaks.ts';
import { findPython, measurePeer } from './peer.ts';
import type { KernelShare } from './profile.ts';
import type { Kind, StepResult } from './step.ts';

const run = promisify(execFile);

export interface Timing {
  readonly seconds: readonly number[];
  readonly medianS: number;
  readonly peakBytes: number;
}

export interface SuiteRow {
  readonly kind: Kind;
  readonly size: number;
  readonly width: number;
  readonly gvsl: Timing & { readonly planBytes: number };
  /** null without PyTorch. */
  readonly peer: (Timing & { readonly name: string }) | null;
}

export interface SuiteResult {
  readonly format: 'gvsl-bench';
  readonly machine: Machine;
  readonly peaks: Peaks;
  readonly rows: readonly SuiteRow[];
  /** Kernels of one step at `profileSize`, full width. */
  readonly profileSize: number;
  readonly profile: readonly KernelShare[];
  readonly data: DataResult | null;
}

export interface SuiteRequest {
  readonly threads: number;
  readonly build: CpuBuild;
  /** Adds full-width steps at 96^3: half an hour with PyTorch. */
  readonly full: boolean;
  readonly steps: number;
  /** Python to use; undefined: look for one; null: no peer. */
  readonly python: string | null | undefined;
  readonly progress: Progress;
}

const CONFIGURATIONS: readonly (readonly [Kind, number, number])[] = [
  ['step', 32, 1],
  ['step', 48, 1],
  ['step', 64, 1],
  ['step', 32, 0.25],
  ['step', 48, 0.25],
  ['step', 64, 0.25],
  ['step', 96, 0.25],
  ['forward', 96, 1],
];
const FULL: readonly (readonly [Kind, number, number])[] = [['step', 96, 1]];
/** Ours and theirs in turn so many times, so that a machine that slows down slows both. */
const ROUNDS = 2;
const PROFILE_SIZE = 64;

/** One measurement by a process of its own, so that its peak of memory is its own. */
async function inOwnProcess(
  kind: Kind,
  size: number,
  width: number,
  request: SuiteRequest,
  profile: boolean,
): Promise<StepResult> {
  const { build, threads, steps } = request;
  const numbers = Object.entries({ size, width, threads, steps, build }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const args = [...process.execArgv, process.argv[1]!, 'bench', kind, ...numbers, '--json', ...(profile ? ['--profile'] : [])];
  try {
    const { stdout } = await run(process.execPath, args, { maxBuffer: 2 ** 26 });
    return JSON.parse(stdout) as StepResult;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    throw new WorkError(`measuring ${kind} at ${size}: ${stderr.trim().split('\n').at(-1) || (error as Error).message}`);
  }
}

const joined = (parts: readonly Timing[]): Timing => {
  const seconds = parts.flatMap((each) => each.seconds);
  return { seconds, medianS: median(seconds), peakBytes: Math.max(...parts.map((each) => each.peakBytes)) };
};

export async function runSuite(request: SuiteRequest): Promise<SuiteResult> {
  const { build, threads, full, steps, progress } = request;
  const python = request.python === null ? undefined : await findPython(request.python);
  if (!python)
    progress.say(request.python === null ? 'without PyTorch, as asked' : 'no python3 with torch found: measuring gvsl alone');
  const rows: SuiteRow[] = [];
  for (const [kind, size, width] of [...CONFIGURATIONS, ...(full ? FULL : [])]) {
    progress.say(`${kind} ${size}^3, width ${width}`);
    const [ours, theirs]: [StepResult[], (Timing & { peer: string })[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(await inOwnProcess(kind, size, width, request, false));
      if (python) theirs.push(await measurePeer(python, { kind, size, width, threads, steps: Math.max(1, steps >> 1) }));
    }
    const peer = theirs.length > 0 ? { name: theirs[0]!.peer, ...joined(theirs) } : null;
    rows.push({ kind, size, width, gvsl: { ...joined(ours), planBytes: ours[0]!.planBytes }, peer });
  }
  progress.say('profile of a step');
  const { profile } = await inOwnProcess('step', PROFILE_SIZE, 1, request, true);
  progress.say('peaks of this machine');
  const peaks = await measurePeaks(build, threads);
  const { measureData } = await import('./data.ts');
  const data = await measureData(PROFILE_SIZE, threads, progress);
  const machine = describeMachine(build, threads);
  return { format: 'gvsl-bench', machine, peaks, rows, profileSize: PROFILE_SIZE, profile: profile!, data };
}

/** Earlier results. @throws WorkError for a file that holds none */
export async function readResults(path: string): Promise<SuiteResult> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new WorkError(
      `${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}; expected results that \`gvsl bench --out\` wrote`,
    );
  });
  try {
    const results = JSON.parse(text) as SuiteResult;
    if (results.format === 'gvsl-bench') return results;
  } catch {
    // told below
  }
  throw new WorkError(`${path}: expected results that \`gvsl bench --out\` wrote, found something else`);
}

export interface Change {
  readonly what: string;
  /** New time over old time. */
  readonly ratio: number;
  readonly slower: boolean;
}

/** More than so much slower counts as a regression: beyond what a quiet machine varies by. */
const TOLERANCE = 1.1;

/** What of both results can be compared, or why nothing can. */
export function compareResults(now: SuiteResult, before: SuiteResult): Change[] | string {
  const major = (version: string): string => version.split('.')[0]!;
  if (now.machine.cpu !== before.machine.cpu) return `taken on another processor (${before.machine.cpu}): not comparable`;
  if (major(now.machine.node) !== major(before.machine.node)) return `taken with Node ${before.machine.node}: not comparable`;
  for (const what of ['build', 'threads'] as const) {
    if (now.machine[what] !== before.machine[what]) return `taken with ${what} ${before.machine[what]}: not comparable`;
  }
  return now.rows.flatMap(({ kind, size, width, gvsl }) => {
    const old = before.rows.find((row) => row.kind === kind && row.size === size && row.width === width);
    if (!old) return [];
    const ratio = gvsl.medianS / old.gvsl.medianS;
    return [{ what: `${kind} ${size}^3, width ${width}`, ratio, slower: ratio > TOLERANCE }];
  });
}
