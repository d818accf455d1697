/** What this machine offers gvsl, what it uses of it, and what one would gain: a list of checks, each with plain advice. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { formatBytes } from '../../common/format-bytes.ts';
import { randomStream } from '../../common/random.ts';
import type { Backend } from '../../engine/backend.ts';
import { referenceBackend } from '../../engine/backends/reference/backend.ts';
import { webGpuBackend } from '../../engine/backends/webgpu/backend.ts';
import { elementCount, Graph, type Program } from '../../engine/graph.ts';
import { conv3d } from '../../engine/ops/conv3d/conv3d.ts';
import { IDENTITY_3 } from '../../geometry/volume.ts';
import { readImage } from '../../images/node/read.ts';
import { writeImage } from '../../images/node/write.ts';
import { bestBuild, type CpuBuild, describeBuilds, hasAvx2, nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import { type AvailableThreads, availableBytes, availableThreads } from '../../platform/node/limits.ts';
import { type AdapterSummary, listAdapters, nodeWebGpuHost } from '../../platform/node/webgpu-host.ts';
import { measureConvolution } from '../../training/node/speed.ts';

export type Status = 'ok' | 'warn' | 'fail';

export interface Check {
  readonly name: string;
  readonly status: Status;
  /** What was found. */
  readonly found: string;
  /** What to do about it; null if there is nothing to do. */
  readonly advice: string | null;
  /** Thousand millions of floating-point operations a second; only of a check that measures them. */
  readonly gflops?: number;
  /** Of the check of GPUs. */
  readonly adapters?: readonly AdapterSummary[];
}

/** What a check finds out; its probe knows its name. */
type Finding = Omit<Check, 'name'>;

/** One thing to look at. What it throws is a failure, told with `remedy`. */
export interface Probe {
  readonly name: string;
  readonly remedy: string;
  readonly run: () => Promise<Finding>;
}

const ok = (found: string): Finding => ({ status: 'ok', found, advice: null });
const warn = (found: string, advice: string): Finding => ({ status: 'warn', found, advice });

const NEEDED_NODE: readonly [number, number] = [20, 19];
/** Where V8 makes 256-bit arithmetic of the kernels. */
const FAST_NODE = 24;
/** Below this the demo does not fit. */
const NEEDED_BYTES = 2 ** 30;
/** Rounding of single precision over the 432 products of a sum comes to some 1e-7; a kernel that is wrong differs by far more. */
const TOLERANCE = 1e-5;
const REPORT_IT = 'please report it with the full output of this command';

/** Whether a version is new enough, and fast. */
export function judgeNode(found: string, wideArithmetic: boolean): Finding {
  const [major = 0, minor = 0] = found.replace(/^v/, '').split('.').map(Number);
  const newEnough = major > NEEDED_NODE[0] || (major === NEEDED_NODE[0] && minor >= NEEDED_NODE[1]);
  if (!newEnough) return { status: 'fail', found, advice: `install Node ${NEEDED_NODE.join('.')} or newer` };
  if (major < FAST_NODE && wideArithmetic) {
    return warn(
      found,
      `install Node ${FAST_NODE} or newer from nodejs.org: it runs the kernels with 256-bit arithmetic on x64 (gains: docs/benchmarks.md)`,
    );
  }
  return ok(found);
}

/** Whether there are several cores, and what keeps threads from all that are seen. */
export function judgeCores(seen: number, { threads, limit }: AvailableThreads): Finding {
  if (threads < seen)
    return warn(`${threads} available (${limit}) of ${seen}`, "training scales with cores: lift the container's limit");
  return threads > 1
    ? ok(`${threads} available (${limit})`)
    : warn(`1 available (${limit})`, 'training scales with cores: lift the limit of the container if there is one');
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
    try {
      return (await session.run('main', inputs)).y!;
    } finally {
      await session.close();
    }
  };
  const [got, want] = [await run(backend), await run(referenceBackend())];
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i]!)), 0) / largest;
}

/** How far a backend is from the reference. @throws Error if that is more than rounding */
export async function agreement(backend: Backend): Promise<string> {
  const worst = await worstDifference(backend);
  // a NaN is wrong too
  if (!(worst <= TOLERANCE)) throw new Error(`wrong results: differs from the reference by ${worst.toExponential(1)}`);
  return `agrees with the reference to ${worst.toExponential(1)}`;
}

/** Does the work in a temporary folder of its own. */
async function inFolder(parent: string, work: (own: string) => Promise<Finding>): Promise<Finding> {
  const own = await mkdtemp(join(parent, 'gvsl-doctor-'));
  try {
    return await work(own);
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

async function writeAndRead(own: string): Promise<Finding> {
  const path = join(own, 'image.nii.gz');
  const geometry = { size: [3, 4, 5], spacingMm: [1, 1, 2], originMm: [0, 0, 0], direction: IDENTITY_3 } as const;
  const written = Float32Array.from({ length: 60 }, (_, i) => i);
  await writeImage(path, { geometry, data: written });
  const { data } = (await readImage(path)).volume;
  if (data.length !== written.length || data.some((value, i) => value !== written[i]))
    throw new Error('an image is read back with other values than were written');
  return ok('NIfTI is written and read back');
}

/** The best of a few measurements, together about a second: other work on the machine only ever slows them. */
async function measureSpeed(): Promise<Finding> {
  const backend = nodeCpuBackend();
  const [shape, channelsOut] = [[1, 32, 32, 32, 32], 32];
  let best = 0;
  for (let i = 0; i < 3; i++) best = Math.max(best, await measureConvolution(backend, shape, channelsOut));
  const gflops = Math.round(best / 1e9);
  const what = `a convolution of ${channelsOut} channels on 32^3, counted as a direct sum`;
  return { ...ok(`${backend.description}: ${gflops} GFLOPS, ${what}`), gflops };
}

const describeAdapter = ({ name, software, features, ...limits }: AdapterSummary): string =>
  [
    software ? `${name} (a driver in software)` : name,
    `tensors of up to ${formatBytes(limits.maxStorageBufferBindingSize)} a binding`,
    `buffers of ${formatBytes(limits.maxBufferSize)}`,
    `${limits.maxComputeWorkgroupsPerDimension} workgroups a dimension`,
    features.length > 0 ? features.join(', ') : 'no optional features',
  ].join(', ');

/** The adapters, and whether the first computes rightly. None is no failure: the CPU does everything. */
async function lookForGpu(): Promise<Finding> {
  let adapters: readonly AdapterSummary[];
  try {
    adapters = await listAdapters();
  } catch (error) {
    return warn(
      'none for --backend webgpu; everything runs on the CPU',
      (error as Error).message.replace('--backend webgpu: ', ''),
    );
  }
  const close = await agreement(webGpuBackend(await nodeWebGpuHost()));
  const found = `${adapters.map(describeAdapter).join('; ')}; ${close}`;
  const finding = adapters.every(({ software }) => software)
    ? warn(found, 'it runs on the processor, far slower than --backend cpu: use it for tests only')
    : ok(`${found}; used with --backend webgpu`);
  return { ...finding, adapters };
}

/** The checks of this machine. `folder` is for temporary files. */
export function probesOf(folder = tmpdir()): Probe[] {
  const used = bestBuild();
  return [
    { name: 'Node', remedy: REPORT_IT, run: async () => judgeNode(process.version, process.arch === 'x64' && hasAvx2()) },
    { name: 'V8', remedy: REPORT_IT, run: async () => ok(process.versions.v8) },
    {
      name: 'system',
      remedy: REPORT_IT,
      run: async () => ok(`${type()} ${release()} ${process.arch}, ${cpus()[0]?.model.trim() ?? 'unknown processor'}`),
    },
    {
      name: 'cores',
      remedy: REPORT_IT,
      run: async () => judgeCores(availableParallelism(), availableThreads()),
    },
    {
      name: 'memory',
      remedy: REPORT_IT,
      run: async () => {
        const { bytes, limit } = availableBytes();
        const found = `${formatBytes(bytes)} available (${limit}) of ${formatBytes(totalmem())}`;
        if (bytes < NEEDED_BYTES)
          return { status: 'fail', found, advice: `free memory: the demo needs about ${formatBytes(NEEDED_BYTES)}` };
        return bytes < 4 * NEEDED_BYTES
          ? warn(
              found,
              'small patches or a narrow network will fit; `gvsl bench --memory --size N --width W` prints how much memory one takes',
            )
          : ok(found);
      },
    },
    ...describeBuilds().map(
      ({ build, available, why }): Probe => ({
        name: `build ${build}`,
        remedy: `if its file is missing, install gvsl again (npm install; in a checkout npm run build); otherwise ${REPORT_IT}`,
        run: async () => {
          if (!available) return warn(`not available: ${why}`, `using build ${used} instead`);
          const close = await agreement(nodeCpuBackend(1, build));
          return ok(`${why}; ${close}${build === used ? '; used' : ''}`);
        },
      }),
    ),
    {
      name: 'threads',
      remedy: REPORT_IT,
      run: async () => ok(`2 on one shared memory: ${await agreement(nodeCpuBackend(2))}`),
    },
    { name: 'speed', remedy: REPORT_IT, run: measureSpeed },
    { name: 'GPU', remedy: `use --backend cpu; ${REPORT_IT}`, run: lookForGpu },
    {
      name: 'temp folder',
      remedy: `make ${folder} writable, or set TMPDIR to a folder that is`,
      run: () =>
        inFolder(folder, async (own) => {
          await writeFile(join(own, 'file'), 'gvsl');
          return ok(`${folder} is writable`);
        }),
    },
    {
      name: 'images',
      remedy: 'if the temporary folder is writable, a module is missing or damaged: install gvsl again (npm install)',
      run: () => inFolder(folder, writeAndRead),
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
      checks.push({ name, status: 'fail', found: (error as Error).message, advice: remedy });
    }
  }
  return checks;
}

/** What `--json` prints. */
export interface DoctorReport {
  /** Whether gvsl works here: no check failed. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
  /** The build of the kernels that is used. */
  readonly build: CpuBuild;
  /** The highest speed measured; null if that failed. */
  readonly gflops: number | null;
}

export function reportOf(checks: readonly Check[], build: CpuBuild): DoctorReport {
  const speeds = checks.flatMap(({ gflops }) => gflops ?? []);
  return {
    ok: checks.every(({ status }) => status !== 'fail'),
    checks,
    build,
    gflops: speeds.length > 0 ? Math.max(...speeds) : null,
  };
}

const MARKS: Record<Status, string> = { ok: 'ok  ', warn: 'note', fail: 'FAIL' };

/** One line a check, its advice below it, and the verdict last. */
export function checksText(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const failed = checks.filter(({ status }) => status === 'fail').length;
  const lines = checks.flatMap(({ name, status, found, advice }) => [
    `${MARKS[status]}  ${name.padEnd(width)}  ${found}`,
    ...(advice ? [`${' '.repeat(8 + width)}${advice}`] : []),
  ]);
  const verdict =
    failed > 0
      ? `${failed} of ${checks.length} checks failed: fix these first; gvsl cannot work here without them`
      : 'gvsl works here';
  return [...lines, verdict].join('\n');
}
