/** PyTorch on the same machine, if it is there: scripts/bench-torch.py, a process of its own for every measurement. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { WorkError } from '../errors/errors.ts';
import type { Kind } from './step.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/bench-torch.py', import.meta.url));
const run = promisify(execFile);

export interface PeerResult {
  /** 'PyTorch 2.1.0'. */
  readonly peer: string;
  readonly threads: number;
  readonly seconds: readonly number[];
  readonly medianS: number;
  readonly peakBytes: number;
}

/** The first Python that has PyTorch; undefined without one. A Python that was asked for must have it. */
export async function findPython(asked?: string): Promise<string | undefined> {
  for (const python of asked ? [asked] : ['python3', '/usr/bin/python3', 'python']) {
    try {
      await run(python, ['-c', 'import torch']);
      return python;
    } catch {
      // the next one
    }
  }
  if (asked)
    throw new WorkError(
      `--python ${asked}: cannot import torch; name a Python that has PyTorch, or leave the peer out with --no-peer`,
    );
  return undefined;
}

export interface PeerRequest {
  readonly kind: Kind;
  readonly size: number;
  readonly width: number;
  readonly threads: number;
  readonly steps: number;
}

/** One process of PyTorch: a step to warm up, then the counted ones. */
export async function measurePeer(python: string, { kind, size, width, threads, steps }: PeerRequest): Promise<PeerResult> {
  const numbers = Object.entries({ size, width, threads, steps }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  try {
    const { stdout } = await run(python, [SCRIPT, ...numbers, ...(kind === 'forward' ? ['--forward'] : [])], {
      // its own default is not every core everywhere
      env: { ...process.env, OMP_NUM_THREADS: String(threads) },
    });
    return JSON.parse(stdout) as PeerResult;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    throw new WorkError(`${python} ${SCRIPT} failed: ${stderr.trim().split('\n').at(-1) || (error as Error).message}`);
  }
}
