/** What this machine offers gvsl, what it uses of it, and what one would gain: a list of checks, each with plain advice. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../engine/backend.ts';
import { referenceBackend } from '../engine/backends/reference/backend.ts';
import { elementCount, Graph, type Program } from '../engine/graph.ts';
import { conv3d } from '../engine/ops/conv3d/conv3d.ts';
import { IDENTITY_3 } from '../geometry/volume.ts';
import { readImage } from '../images/read.ts';
import { writeImage } from '../images/write.ts';
import { describeBuilds, nodeCpuBackend } from '../node/cpu-host.ts';
import { randomStream } from '../random/random.ts';
import { availableBytes, formatBytes } from '../training/estimate.ts';
import { measureConvolution } from '../training/speed.ts';

export type Status = 'ok' | 'warn' | 'fail';

export interface Check {
  readonly name: string;
  readonly status: Status;
  /** What was found. */
  readonly found: string;
  /** What to do about it; null if there is nothing to do. */
  readonly advice: string | null;
}

/** One thing to look at. What it throws is a failure, told with `remedy`. */
export interface Probe {
  readonly name: string;
  readonly remedy: string;
  readonly run: () => Promise<Omit<Check, 'name'>>;
}

const ok = (found: string): Omit<Check, 'name'> => ({ status: 'ok', found, advice: null });
const warn = (found: string, advice: string): Omit<Check, 'name'> => ({ status: 'warn', found, advice });

const NEEDED_NODE: readonly [number, number] = [20, 19];
/** Where V8 makes 256-bit arithmetic of the kernels. */
const FAST_NODE = 24;
/** Below this the demo does not fit. */
const NEEDED_BYTES = 2 ** 30;

/** Whether a version is new enough, and fast. */
export function judgeNode(found: string, arch: string): Omit<Check, 'name'> {
  const [major = 0, minor = 0] = found.replace(/^v/, '').split('.').map(Number);
  const newEnough = major > NEEDED_NODE[0] || (major === NEEDED_NODE[0] && minor >= NEEDED_NODE[1]);
  if (!newEnough) return { status: 'fail', found, advice: `install Node ${NEEDED_NODE.join('.')} or newer` };
  if (major < FAST_NODE && arch === 'x64') {
    return warn(
      found,
      `Node ${FAST_NODE} or newer makes 256-bit arithmetic of the kernels on x64: see docs/benchmarks.md for what that gains`,
    );
  }
  return ok(found);
}

function smallProgram(): Program {
  const graph = new Graph();
  graph.output('y', conv3d(graph, graph.input('x', [2, 16, 6, 7, 8]), graph.input('weight', [24, 16, 3, 3, 3])));
  return { states: new Map(), graphs: new Map([['main', graph]]) };
}

/** The worst difference from the reference backend, relative to the largest value. */
async function worstDifference(backend: Backend): Promise<number> {
  const program = smallProgram();
  const random = randomStream(1, 'doctor');
  const inputs = Object.fromEntries(
    [...program.graphs.get('main')!.inputs].map(([name, { shape }]) => [
      name,
      Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
    ]),
  );
  const run = async (each: Backend): Promise<Float32Array> => {
    const session = await each.open(program);
    const { y } = await session.run('main', inputs);
    await session.close();
    return y!;
  };
  const [got, want] = [await run(backend), await run(referenceBackend())];
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i]!)), 0) / largest;
}

async function images(folder: string): Promise<Omit<Check, 'name'>> {
  const own = await mkdtemp(join(folder, 'gvsl-doctor-'));
  try {
    const path = join(own, 'image.nii.gz');
    const geometry = { size: [3, 4, 5], spacingMm: [1, 1, 2], originMm: [0, 0, 0], direction: IDENTITY_3 } as const;
    await writeImage(path, { geometry, data: Float32Array.from({ length: 60 }, (_, i) => i) });
    const {
      volume: { data },
    } = await readImage(path);
    if (data[59] !== 59) throw new Error('an image that was written is read back with other values');
    return ok(`ITK-Wasm writes and reads images, ${folder} is writable`);
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

/** The checks of this machine. `folder` is for temporary files. */
export function probesOf(folder = tmpdir()): Probe[] {
  const threads = availableParallelism();
  return [
    { name: 'Node', remedy: '', run: async () => judgeNode(process.version, process.arch) },
    { name: 'V8', remedy: '', run: async () => ok(process.versions.v8) },
    {
      name: 'system',
      remedy: '',
      run: async () => ok(`${type()} ${release()} ${process.arch}, ${cpus()[0]?.model.trim() ?? 'unknown processor'}`),
    },
    {
      name: 'cores',
      remedy: '',
      run: async () =>
        threads > 1
          ? ok(`${threads} to compute with`)
          : warn('1 to compute with', 'training scales with cores: lift the limit of the container if there is one'),
    },
    {
      name: 'memory',
      remedy: '',
      run: async () => {
        const { bytes, limit } = availableBytes();
        const found = `${formatBytes(bytes)} to be had (${limit}) of ${formatBytes(totalmem())}`;
        if (bytes < NEEDED_BYTES)
          return { status: 'fail', found, advice: `free memory: the demo needs about ${formatBytes(NEEDED_BYTES)}` };
        return bytes < 4 * NEEDED_BYTES
          ? warn(
              found,
              'small patches or a narrow network will fit; `gvsl bench --memory --size N --width W` says how much one takes',
            )
          : ok(found);
      },
    },
    ...describeBuilds().map(
      ({ build, available, why }): Probe => ({
        name: `build ${build}`,
        remedy: 'please report this processor and this Node',
        run: async () => {
          if (!available) return warn(`not here: ${why}`, 'the next build is used instead');
          const worst = await worstDifference(nodeCpuBackend(Math.min(2, threads), build));
          if (!(worst < 1e-5)) throw new Error(`computes wrongly: ${worst.toExponential(1)} from the reference`);
          return ok(`${why}; agrees with the reference to ${worst.toExponential(1)}`);
        },
      }),
    ),
    {
      name: 'speed',
      remedy: 'set GVSL_DEBUG=1 and please report what it says',
      run: async () => {
        const backend = nodeCpuBackend();
        return ok(
          `${backend.description}: ${((await measureConvolution(backend)) / 1e9).toFixed(0)} GFLOPS, a small convolution counted as a direct sum`,
        );
      },
    },
    {
      name: 'images',
      remedy: `make ${folder} writable or set TMPDIR to a folder that is, and reinstall if a module is missing (npm install gvsl)`,
      run: () => images(folder),
    },
  ];
}

/** Runs the checks one after the other; one that throws has failed, and the others go on. */
export async function runChecks(probes: readonly Probe[]): Promise<Check[]> {
  const checks: Check[] = [];
  for (const { name, remedy, run } of probes) {
    try {
      checks.push({ name, ...(await run()) });
    } catch (error) {
      checks.push({ name, status: 'fail', found: (error as Error).message, advice: remedy || null });
    }
  }
  return checks;
}

const MARKS: Record<Status, string> = { ok: 'ok  ', warn: 'note', fail: 'FAIL' };

export function checksText(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const failed = checks.filter(({ status }) => status === 'fail').length;
  const lines = checks.flatMap(({ name, status, found, advice }) => [
    `${MARKS[status]}  ${name.padEnd(width)}  ${found}`,
    ...(advice ? [`${' '.repeat(8 + width)}${advice}`] : []),
  ]);
  const verdict =
    failed > 0 ? `${failed} of ${checks.length} checks failed: gvsl cannot work here until they are mended` : 'gvsl works here';
  return [...lines, verdict].join('\n');
}
