/** What this machine offers gvsl, what it uses of it, and what would help: each check with plain advice. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatBytes } from '../../common/format-bytes.ts';
import { webGpuBackend } from '../../engine/backends/webgpu/backend.ts';
import { IDENTITY_3 } from '../../geometry/volume.ts';
import { readImage } from '../../images/node/read.ts';
import { writeImage } from '../../images/node/write.ts';
import { bestBuild, describeBuilds, hasAvx2, nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import { type AvailableThreads, availableBytes, availableThreads } from '../../platform/node/limits.ts';
import { type AdapterSummary, listAdapters, nodeWebGpuHost } from '../../platform/node/webgpu-host.ts';
import { measureConvolution } from '../../training/node/speed.ts';
import { describeSystem } from '../bench/machine.ts';
import { agreement } from './agreement.ts';
import { type Finding, ok, type Probe, warn } from './check.ts';

const NEEDED_NODE: readonly [number, number] = [20, 19];
/** Where V8 makes 256-bit arithmetic of the kernels. */
const FAST_NODE = 24;
/** Below this the demo does not fit. */
const NEEDED_BYTES = 2 ** 30;
const REPORT_IT = 'please report it with the output of gvsl doctor --json';

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
    return warn('none is used; everything runs on the CPU', (error as Error).message.replaceAll('`backend`', '--backend'));
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
  const { gvsl, node, v8, system, cpu, cores, memoryBytes } = describeSystem();
  return [
    { name: 'gvsl', remedy: REPORT_IT, run: async () => ok(gvsl) },
    { name: 'Node', remedy: REPORT_IT, run: async () => judgeNode(node, process.arch === 'x64' && hasAvx2()) },
    { name: 'V8', remedy: REPORT_IT, run: async () => ok(v8) },
    { name: 'system', remedy: REPORT_IT, run: async () => ok(`${system}, ${cpu}`) },
    { name: 'cores', remedy: REPORT_IT, run: async () => judgeCores(cores, availableThreads()) },
    {
      name: 'memory',
      remedy: REPORT_IT,
      run: async () => {
        const { bytes, limit } = availableBytes();
        const found = `${formatBytes(bytes)} available (${limit}) of ${formatBytes(memoryBytes)}`;
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
