/** PyTorch on the same machine, if it is there: scripts/bench-torch.py, a process of its own for every measurement. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { RunError } from '../../common/errors.ts';
import { elementCount } from '../../engine/graph.ts';
import { scaledArchitecture } from '../../model/architecture.ts';
import { parameterTable } from '../../model/parameters.ts';
import type { Kind } from './step.ts';

export const PEER_SCRIPT = fileURLToPath(new URL('../../../scripts/bench-torch.py', import.meta.url));
const run = promisify(execFile);

export interface PeerResult {
  /** 'PyTorch 2.1.0'. */
  readonly peer: string;
  readonly threads: number;
  /** Of the whole network, forward pass or not. */
  readonly parameters: number;
  readonly seconds: readonly number[];
  readonly medianS: number;
  readonly peakBytes: number;
}

/** The first Python that has PyTorch (and a CUDA device); undefined without one. A Python that was asked for must have it. */
export async function findPython(asked?: string, cuda = false): Promise<string | undefined> {
  for (const python of asked ? [asked] : ['python3', '/usr/bin/python3', 'python']) {
    try {
      await run(python, ['-c', `import torch${cuda ? '; torch.zeros(1).cuda()' : ''}`]);
      return python;
    } catch {
      // the next one
    }
  }
  if (asked)
    throw new RunError(
      `--python ${asked}: cannot import torch${cuda ? ' or has no CUDA device' : ''}; name a Python that has PyTorch, or skip PyTorch with --no-peer`,
    );
  return undefined;
}

/** @throws RunError if the peer is not the same network, by its number of parameters */
export function checkPeer({ parameters }: Pick<PeerResult, 'parameters'>, width: number): void {
  const ours = parameterTable(scaledArchitecture(width)).parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  if (parameters !== ours) throw new RunError(`${PEER_SCRIPT}: expected a network of ${ours} parameters, got ${parameters}`);
}

export interface PeerRequest {
  readonly kind: Kind;
  readonly size: number;
  readonly width: number;
  readonly threads: number;
  readonly steps: number;
  readonly warmup: number;
  readonly device: 'cpu' | 'cuda';
  /** bfloat16 by autocast. */
  readonly amp: boolean;
}

/**
 * What makes PyTorch on glibc as fast as who knows it runs it: memory that it frees is kept for the next tensor instead of going back to the
 * system, which costs up to a third of a step; and as many threads as gvsl has, its own default is not every core everywhere.
 */
const environment = (threads: number): NodeJS.ProcessEnv => ({
  ...process.env,
  OMP_NUM_THREADS: String(threads),
  MALLOC_MMAP_THRESHOLD_: String(2 ** 30),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 32),
});

/** Windows that its forward pass takes at a time, their time shared: of one alone its convolutions may take a much slower way. */
const WINDOWS = 2;

/** One process of PyTorch. @throws RunError with what it said last */
export async function measurePeer(python: string, request: PeerRequest, signal: AbortSignal): Promise<PeerResult> {
  const { kind, size, width, threads, steps, warmup, device, amp } = request;
  const numbers = { size, width, threads, steps, warmup, device };
  const options = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
  let result: PeerResult;
  try {
    const { stdout } = await run(
      python,
      [
        PEER_SCRIPT,
        ...options,
        ...(kind === 'forward' ? ['--forward', '--batch', String(WINDOWS)] : []),
        ...(amp ? ['--amp'] : []),
      ],
      {
        env: environment(threads),
        signal,
      },
    );
    result = JSON.parse(stdout) as PeerResult;
  } catch (error) {
    if (signal.aborted) throw new RunError('stopped');
    const { stderr = '' } = error as { stderr?: string };
    throw new RunError(`${python} ${PEER_SCRIPT} failed: ${stderr.trim().split('\n').at(-1) || (error as Error).message}`);
  }
  checkPeer(result, width);
  return result;
}
