/** One configuration measured in turn by gvsl and by PyTorch, every time in a process of its own, so that each has its own peak of memory. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { RunError } from '../../common/errors.ts';
import type { Progress } from '../../common/progress.ts';
import type { CpuBuild } from '../../platform/node/cpu-host.ts';
import { median } from './machine.ts';
import { measurePeer, type PeerResult } from './peer.ts';
import type { BenchBackend, Kind, StepResult } from './step.ts';

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

export interface Timing {
  readonly seconds: readonly number[];
  readonly medianS: number;
  readonly peakBytes: number;
}

export interface Peer extends Timing {
  /** 'PyTorch 2.1.0'. */
  readonly name: string;
}

/** What all configurations of one run share. */
export interface TurnRequest {
  readonly backend: BenchBackend;
  readonly threads: number;
  readonly build: CpuBuild;
  readonly warmup: number;
  /** PyTorch with automatic mixed precision (on a GPU). */
  readonly amp: boolean;
  /** A Python with PyTorch; undefined: gvsl alone. */
  readonly python: string | undefined;
  readonly progress: Progress;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

export interface Configuration {
  readonly kind: Kind;
  readonly size: number;
  readonly width: number;
  /** Counted steps of each round. */
  readonly rounds: readonly number[];
}

export interface InTurn {
  /** One for each round. */
  readonly gvsl: readonly StepResult[];
  /** null without PyTorch, or if it failed. */
  readonly peer: Peer | null;
}

/** `total` steps in two rounds, so that a machine that slows down slows both sides; one step is one round. */
export const inTwoRounds = (total: number): number[] => [Math.ceil(total / 2), Math.floor(total / 2)].filter((n) => n > 0);

/** What a subject of `gvsl bench`, run in a process of its own, measures. @throws RunError with what it said last, if it fails or is stopped */
export async function ownProcess<Result>(what: string, args: readonly string[], signal: AbortSignal): Promise<Result> {
  try {
    const { stdout } = await run(process.execPath, [...process.execArgv, MAIN, 'bench', ...args, '--json'], {
      maxBuffer: 2 ** 26,
      signal,
    });
    return JSON.parse(stdout) as Result;
  } catch (error) {
    if (signal.aborted) throw new RunError('stopped');
    const { stderr = '' } = error as { stderr?: string };
    throw new RunError(
      `measuring ${what}: ${stderr.trim().split('\n').at(-1)?.replace('gvsl bench: ', '') || (error as Error).message}`,
    );
  }
}

/** Named values as options of the command line. */
export const optionsOf = (values: Readonly<Record<string, string | number | undefined>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]));

export const inOwnProcess = (
  { kind, size, width }: Omit<Configuration, 'rounds'>,
  { backend, build, threads, warmup, signal }: TurnRequest,
  steps: number,
  profile = false,
): Promise<StepResult> =>
  ownProcess(
    `${kind} at ${size}`,
    [kind, ...optionsOf({ size, width, threads, steps, warmup, build, backend }), '--no-peer', ...(profile ? ['--profile'] : [])],
    signal,
  );

/** Several measurements as one. */
export const joined = (parts: readonly Timing[]): Timing => {
  const seconds = parts.flatMap((each) => each.seconds);
  return { seconds, medianS: median(seconds), peakBytes: Math.max(...parts.map((each) => each.peakBytes)) };
};

/** Ours, theirs, ours, theirs. A peer that fails is said and left out; gvsl failing is an error. */
export async function measureInTurn(configuration: Configuration, request: TurnRequest): Promise<InTurn> {
  const { backend, python, threads, warmup, progress, signal } = request;
  const device = backend === 'cpu' ? 'cpu' : 'cuda';
  const { kind, size, width, rounds } = configuration;
  const gvsl: StepResult[] = [];
  let theirs: PeerResult[] | undefined = python === undefined ? undefined : [];
  for (const steps of rounds) {
    gvsl.push(await inOwnProcess(configuration, request, steps));
    try {
      // one more to warm up: PyTorch's second step is still slower than its third
      theirs?.push(
        await measurePeer(python!, { kind, size, width, threads, steps, warmup: warmup + 1, device, amp: request.amp }, signal),
      );
    } catch (error) {
      if (!(error instanceof RunError) || signal.aborted) throw error;
      progress.say(`skipping PyTorch for ${kind} ${size}^3: ${error.message}`);
      theirs = undefined;
    }
  }
  return { gvsl, peer: theirs ? { name: theirs[0].peer, ...joined(theirs) } : null };
}
