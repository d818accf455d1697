/**
 * The CPU backend: WebAssembly SIMD kernels and threads on one shared memory that is taken once, at its final size.
 *
 * It knows neither Node nor a browser: a `CpuHost` brings the compiled module and starts threads.
 */
import { counted } from '../../../common/counted.ts';
import { RunError, UsageError } from '../../../common/errors.ts';
import { type Backend, denseView, type KernelTime, type Session, type TensorView } from '../../backend.ts';
import { elementCount, type Program } from '../../graph.ts';
import { checkInputs, graphOf } from '../../inputs.ts';
import { guarded } from '../../session.ts';
import { verifyProgram } from '../../verify.ts';
import {
  AWAITED_ADDRESSES,
  CALL_WORDS,
  CONTROL_ADDRESS,
  type CompiledGraph,
  type CompiledProgram,
  compileProgram,
  FAULT_ADDRESS,
  planProgram,
  TABLE_BASE,
  TIMED_ADDRESS,
  WAITED_ADDRESS,
} from './compile.ts';
import { KERNEL_INTERFACE } from './kernel-interface.ts';
import { BLOCK, blockBytes, blockCount, type CpuTensor } from './lowering.ts';
import { lastWrites } from './schedule.ts';
import { faultReport, type KernelThread, type ThreadOptions } from './threads.ts';

/** The machine's side of the CPU backend. */
export interface CpuHost {
  /** Which build of the kernels this is: 'avx2', 'relaxed' or 'portable'. */
  readonly build: string;
  readonly module: WebAssembly.Module;
  /** Starts one more thread, which instantiates the module and calls `serve`; resolves when it does. */
  startThread(options: ThreadOptions): Promise<KernelThread>;
}

const PAGE_BYTES = 65536;
/** wasm32 addresses end here; the last page is left out so that no address is 2^32 itself. */
export const WASM_LIMIT_BYTES = 2 ** 32 - PAGE_BYTES;

/** Copies dense values into a tensor's memory, halo and padding channels as zeros. */
function upload(buffer: ArrayBufferLike, tensor: CpuTensor, values: Float32Array): void {
  const { shape, blocked, data, batchStrideBytes } = tensor;
  if (!blocked) {
    new Float32Array(buffer, data.address, values.length).set(values);
    return;
  }
  const [batch, channels] = shape as [number, number];
  for (let n = 0; n < batch; n++) {
    new Float32Array(buffer, data.address + n * batchStrideBytes, (blockCount(channels) * blockBytes(shape)) / 4).fill(0);
  }
  forEachBlockedRow(buffer, tensor, (memory, row, from, width) => {
    for (let x = 0; x < width; x++) memory[row + x * BLOCK] = values[from + x];
  });
}

function download(buffer: ArrayBufferLike, tensor: CpuTensor): Float32Array {
  const values = new Float32Array(elementCount(tensor.shape));
  if (tensor.blocked) {
    forEachBlockedRow(buffer, tensor, (memory, row, to, width) => {
      for (let x = 0; x < width; x++) values[to + x] = memory[row + x * BLOCK];
    });
    return values;
  }
  const { shape, data, batchStrideBytes } = tensor;
  const batch = shape.length < 2 ? 1 : shape[0];
  const each = values.length / batch;
  for (let n = 0; n < batch; n++) values.set(new Float32Array(buffer, data.address + n * batchStrideBytes, each), n * each);
  return values;
}

function forEachBlockedRow(
  buffer: ArrayBufferLike,
  tensor: CpuTensor,
  visit: (memory: Float32Array, row: number, dense: number, width: number) => void,
): void {
  const [batch, channels, depth, height, width] = tensor.shape as readonly [number, number, number, number, number];
  const view = viewOf(buffer, tensor);
  for (let n = 0; n < batch; n++)
    for (let c = 0; c < channels; c++) {
      const first = view.start + (n * tensor.batchStrideBytes) / 4 + Math.floor(c / BLOCK) * view.block + (c % BLOCK);
      for (let z = 0; z < depth; z++)
        for (let y = 0; y < height; y++)
          visit(view.data, first + z * view.plane + y * view.row, (((n * channels + c) * depth + z) * height + y) * width, width);
    }
}

/** The first sample of a tensor where it lies. */
function viewOf(buffer: ArrayBufferLike, { shape, blocked, data }: CpuTensor): TensorView {
  const memory = new Float32Array(buffer);
  const start = data.address / 4;
  if (!blocked) return { ...denseView(memory, shape), start };
  const [, , , height, width] = shape as readonly [number, number, number, number, number];
  const row = (width + 2) * BLOCK;
  const plane = (height + 2) * row;
  // behind the halo of one voxel
  return { data: memory, together: BLOCK, start: start + plane + row + BLOCK, block: blockBytes(shape) / 4, plane, row };
}

/** How often a thread that waits for others looks whether they still run. */
const LOOK_MS = 200;

/** Instantiates the module on a shared memory and puts every kernel into its place in the table, as `serveKernels` does for the other threads. */
export function bindModule(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  kernelNames: readonly string[],
  checkOthers: () => void,
): WebAssembly.Exports {
  const table = new WebAssembly.Table({ initial: TABLE_BASE + kernelNames.length, element: 'anyfunc' });
  const words = new Int32Array(memory.buffer);
  const wait = (at: number, value: number): void => {
    do checkOthers();
    while (Atomics.wait(words, at >> 2, value, LOOK_MS) === 'timed-out');
    checkOthers();
  };
  const notify = (at: number): void => void Atomics.notify(words, at >> 2);
  const { exports } = new WebAssembly.Instance(module, { env: { memory, table, wait, notify, now: () => performance.now() } });
  if ((exports.kernelInterface as (() => number) | undefined)?.() !== KERNEL_INTERFACE)
    throw new RunError('the WebAssembly kernels are of another build than the program; build them again (npm run build:wasm)');
  kernelNames.forEach((name, i) => {
    const kernel = exports[name];
    if (!kernel) throw new Error(`the kernel module has no '${name}'`);
    table.set(TABLE_BASE + i, kernel);
  });
  return exports;
}

/** Starts all threads but the first. @throws RunError if one does not start; then none is left */
async function startThreads(host: CpuHost, options: readonly ThreadOptions[]): Promise<KernelThread[]> {
  const started = await Promise.allSettled(options.map((each) => host.startThread(each)));
  const running = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = started.find((each) => each.status === 'rejected');
  if (!failed) return running;
  await Promise.all(running.map((thread) => thread.stop()));
  throw new RunError(
    `the system does not give ${options.length + 1} threads (${(failed.reason as Error).message}); use fewer (\`threads\`)`,
  );
}

async function openSession(host: CpuHost, threads: number, program: Program, compiled: CompiledProgram): Promise<Session> {
  const pages = Math.ceil(compiled.totalBytes / PAGE_BYTES);
  let memory: WebAssembly.Memory;
  try {
    memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (error) {
    throw new RunError(
      `the system does not give ${Math.round(compiled.totalBytes / 2 ** 20)} MiB of memory (${(error as Error).message})`,
    );
  }
  const { buffer } = memory;
  for (const { image, imageAddress, constants } of compiled.graphs.values()) {
    new Uint32Array(buffer, imageAddress, image.length).set(image);
    for (const { address, values } of constants) new Float32Array(buffer, address, values.length).set(values);
  }
  const { kernelNames, scratchAddress, threadScratchBytes } = compiled;
  const faults = faultReport(memory, FAULT_ADDRESS, AWAITED_ADDRESSES);
  const exports = bindModule(host.module, memory, kernelNames, faults.check);
  const runKernels = exports.run as (control: number, scratch: number, program: number, count: number, threads: number) => void;
  const options = {
    module: host.module,
    memory,
    kernelNames,
    tableBase: TABLE_BASE,
    controlAddress: CONTROL_ADDRESS,
    faultAddress: FAULT_ADDRESS,
    awaitedAddresses: AWAITED_ADDRESSES,
  };
  const others = await startThreads(
    host,
    Array.from({ length: threads - 1 }, (_, i) => ({
      ...options,
      scratchAddress: scratchAddress + (i + 1) * threadScratchBytes,
      thread: i + 1,
    })),
  );
  /** Why nothing can be computed any more: the threads no longer agree on where they are. */
  let broken: Error | undefined;
  const run = (programAddress: number, count: number): void => {
    const ended = others.map((thread) => thread.failure()).findIndex((why) => why !== undefined);
    if (ended >= 0) broken ??= new Error(`the CPU backend cannot go on: thread ${ended + 2} ended (${others[ended].failure()})`);
    if (broken) throw broken;
    try {
      runKernels(CONTROL_ADDRESS, scratchAddress, programAddress, count, threads);
    } catch (error) {
      faults.raise();
      broken = new Error(`the CPU backend cannot go on: ${(error as Error).message}`, { cause: error });
      throw broken;
    }
  };
  const stateOf = (name: string): Float32Array => {
    const place = compiled.states.get(name);
    if (!place) throw new Error(`no state '${name}' in this program`);
    return new Float32Array(buffer, place.address, place.elements);
  };
  const prepare = (name: string, inputs: Readonly<Record<string, Float32Array>>): CompiledGraph => {
    const graph = graphOf(program, name);
    checkInputs(name, graph, inputs);
    const compiledGraph = compiled.graphs.get(name)!;
    for (const [inputName, node] of graph.inputs) upload(buffer, compiledGraph.tensorOf(node), inputs[inputName]);
    return compiledGraph;
  };
  /** Runs a graph; gives where each of its outputs lies then. */
  const computed = (name: string, inputs: Readonly<Record<string, Float32Array>>) => {
    const { graph, tensorOf, programAddress, calls } = prepare(name, inputs);
    if (calls.length > 0) run(programAddress, calls.length);
    const outputOf = (output: string): CpuTensor => {
      const node = graph.outputs.get(output);
      if (!node) throw new Error(`graph '${name}' has no output '${output}'`);
      return tensorOf(node);
    };
    return { names: [...graph.outputs.keys()], outputOf };
  };
  return {
    memoryBytes: compiled.totalBytes,
    run: async (name, inputs, outputs) => {
      const { names, outputOf } = computed(name, inputs);
      return Object.fromEntries((outputs ?? names).map((output) => [output, download(buffer, outputOf(output))]));
    },
    runTelling: async (name, inputs, { state, edges }, ready) => {
      const { graph, tensorOf, programAddress, calls } = prepare(name, inputs);
      const { byteOffset } = stateOf(state);
      const regions = edges.slice(1).map((to, part) => ({ from: byteOffset + 4 * edges[part], to: byteOffset + 4 * to }));
      const after = lastWrites(calls, regions);
      let done = 0;
      for (const cut of [...new Set([...after, calls.length])].sort((a, b) => a - b)) {
        if (cut > done) run(programAddress + 4 * CALL_WORDS * done, cut - done);
        done = cut;
        after.forEach((each, part) => {
          if (each === cut) ready(part);
        });
      }
      return Object.fromEntries([...graph.outputs].map(([output, node]) => [output, download(buffer, tensorOf(node))]));
    },
    view: async (name, inputs, output) => viewOf(buffer, computed(name, inputs).outputOf(output)),
    profile: async (name, inputs) => {
      const { programAddress, calls } = prepare(name, inputs);
      return calls.map(({ kernel, node }, i): KernelTime => {
        const start = performance.now();
        run(programAddress + 4 * CALL_WORDS * i, 1);
        return { kernel, node, seconds: (performance.now() - start) / 1000 };
      });
    },
    waits: async (name, inputs) => {
      const { programAddress, calls } = prepare(name, inputs);
      const timed = new Int32Array(buffer, TIMED_ADDRESS, 1);
      const waited = new Float64Array(buffer, WAITED_ADDRESS, threads).fill(0);
      timed[0] = 1;
      const start = performance.now();
      try {
        if (calls.length > 0) run(programAddress, calls.length);
      } finally {
        timed[0] = 0;
      }
      const seconds = (performance.now() - start) / 1000;
      return { seconds, waitedShare: waited.reduce((sum, ms) => sum + ms, 0) / 1000 / (threads * seconds) };
    },
    stateView: stateOf,
    readState: async (name) => stateOf(name).slice(),
    writeState: async (name, values) => {
      const target = stateOf(name);
      if (values.length !== target.length) throw new Error(`state '${name}' has ${target.length} values, got ${values.length}`);
      target.set(values);
    },
    close: async () => {
      // a job without instructions ends the threads; those that no longer listen are terminated
      if (!broken) runKernels(CONTROL_ADDRESS, scratchAddress, 0, 0, threads);
      await Promise.all(others.map((other) => other.stop()));
    },
  };
}

/** More than any machine has use for, and each takes memory. */
const MAX_THREADS = 256;

/**
 * The CPU backend with a fixed number of threads (the calling one included).
 * @throws UsageError for a number of threads that makes no sense
 */
export function cpuBackend(host: CpuHost, threads: number): Backend {
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS)
    throw new UsageError(`threads: expected 1 to ${MAX_THREADS}, got ${threads}`);
  const memoryBytes = (program: Program): number => planProgram(program, threads).totalBytes;
  return {
    name: 'cpu',
    description: `WebAssembly, ${host.build} SIMD, ${counted(threads, 'thread')}`,
    memoryLimitBytes: WASM_LIMIT_BYTES,
    memoryBytes,
    open: async (program) => {
      verifyProgram(program);
      const compiled = compileProgram(program, threads);
      if (compiled.totalBytes > WASM_LIMIT_BYTES) {
        throw new RunError(
          `this needs ${(compiled.totalBytes / 2 ** 30).toFixed(1)} GiB, and WebAssembly addresses 4 GiB: use a smaller patch or a narrower network`,
        );
      }
      return guarded(await openSession(host, threads, program, compiled));
    },
  };
}
