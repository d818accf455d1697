/**
 * The WebGPU backend: one command buffer a run, pipelines compiled once for each shader text, memory planned before the first dispatch.
 *
 * It knows neither Node nor a browser: a `WebGpuHost` brings the device.
 */
import { RunError } from '../../../common/errors.ts';
import { formatBytes } from '../../../common/format-bytes.ts';
import type { Backend, KernelTime, Session } from '../../backend.ts';
import { elementCount, type Program } from '../../graph.ts';
import { checkInputs, graphOf } from '../../inputs.ts';
import { guarded } from '../../session.ts';
import { verifyProgram } from '../../verify.ts';
import { alignBinding, BINDING_ALIGNMENT, type CompiledGraph, type CompiledProgram, compileProgram } from './compile.ts';
import {
  bytesMoved,
  costOf,
  type Dispatch,
  elementBytes,
  extentBytes,
  MAX_FLOPS,
  moduleOf,
  uniformWords,
  type WebGpuTensor,
} from './kernel.ts';

/** A GPU, as Node's or a browser's WebGPU gives it. */
export interface WebGpuHost {
  readonly device: GPUDevice;
  /** One line for people: vendor, architecture, driver. */
  readonly description: string;
  /** A driver that computes on the processor, in the machine's memory. */
  readonly software: boolean;
  /** Where this machine has a better way than plain `await` to wait for what the GPU is at: that way. */
  readonly waitFor?: <T>(promise: Promise<T>) => Promise<T>;
}

/** A range of a buffer, in bytes. */
interface Range {
  readonly buffer: GPUBuffer;
  readonly from: number;
  readonly to: number;
}

/** A dispatch, ready to be encoded. */
interface Command {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
  /** See `costOf`. */
  readonly cost: number;
}

/** Dispatches of one submission at most: so many that handing them over costs little, so few that the GPU begins before the last is encoded. */
const DISPATCHES_A_SUBMISSION = 256;

/** The largest piece of memory that one buffer and one binding may have. */
const pageBytesOf = ({ limits }: GPUDevice): number =>
  Math.floor(Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize) / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;

/** What a driver says, without the traces of its own code that follow. */
const firstLine = (message: string): string => message.split('\n')[0].trim();

interface Watch {
  /** @throws RunError if something went wrong since the watch began */
  check(): void;
  end(): void;
}

/** Why a device was lost, if it was. Asked once for each: what is asked of a promise stays with it, and a device outlives its sessions. */
const losses = new WeakMap<GPUDevice, { reason?: string }>();

function lossOf(device: GPUDevice): { readonly reason?: string } {
  const known = losses.get(device);
  if (known) return known;
  const loss: { reason?: string } = {};
  losses.set(device, loss);
  device.lost.then(({ reason, message }) => {
    loss.reason = `the GPU was lost (${firstLine(message) || reason || 'no reason given'})`;
  });
  return loss;
}

/** What went wrong on the device since the session was opened; WebGPU tells it apart from the calls that cause it. */
function watch(device: GPUDevice): Watch {
  const loss = lossOf(device);
  let fault: string | undefined;
  const onError = (event: Event): void => {
    fault ??= firstLine((event as GPUUncapturedErrorEvent).error.message);
  };
  device.addEventListener('uncapturederror', onError);
  return {
    check: () => {
      const found = loss.reason ?? fault;
      if (found !== undefined) throw new RunError(`WebGPU: ${found}`);
    },
    end: () => device.removeEventListener('uncapturederror', onError),
  };
}

/** Pieces that no driver takes for hung. */
function* submissions(commands: readonly Command[]): Generator<readonly Command[]> {
  let from = 0;
  let cost = 0;
  for (const [i, command] of commands.entries()) {
    if (i > from && (i - from === DISPATCHES_A_SUBMISSION || cost + command.cost > MAX_FLOPS)) {
      yield commands.slice(from, i);
      [from, cost] = [i, 0];
    }
    cost += command.cost;
  }
  if (from < commands.length) yield commands.slice(from);
}

/** Tensors of a dispatch that touch in memory share a binding. */
function bindings(dispatch: Dispatch, rangeOf: (tensor: WebGpuTensor) => Range) {
  const names = Object.keys(dispatch.tensors);
  const ranges = names.map((name) => {
    const { buffer, from, to } = rangeOf(dispatch.tensors[name]);
    return { name, buffer, from: Math.floor(from / BINDING_ALIGNMENT) * BINDING_ALIGNMENT, at: from, to };
  });
  const merged: { buffer: GPUBuffer; from: number; to: number }[] = [];
  for (const { buffer, from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    const same = merged.findLast((other) => other.buffer === buffer);
    if (same && from < same.to) same.to = Math.max(same.to, to);
    else merged.push({ buffer, from, to });
  }
  // in the order of the names, so that equal patterns give equal texts
  const indexOf = (range: (typeof ranges)[number]): number =>
    merged.findIndex(({ buffer, from, to }) => buffer === range.buffer && range.from >= from && range.to <= to);
  const order = [...new Set(ranges.map(indexOf))];
  const places = new Map(
    ranges.map((range) => {
      const index = indexOf(range);
      return [range.name, { binding: order.indexOf(index), offset: (range.at - merged[index].from) / 4 }] as const;
    }),
  );
  return { regions: order.map((index) => merged[index]), places };
}

/** The pipelines of a device by their text, for all sessions: a driver takes longer to compile one than to run it. */
class Pipelines {
  private readonly device: GPUDevice;
  private readonly layouts = new Map<number, GPUBindGroupLayout>();
  private readonly byCode = new Map<string, Promise<GPUComputePipeline>>();

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** Numbers first, then `regions` of memory. Not 'auto': that would leave out what a kernel's text does not use. */
  layout(regions: number): GPUBindGroupLayout {
    const known = this.layouts.get(regions);
    if (known) return known;
    const types = ['uniform', ...Array.from({ length: regions }, () => 'storage')] as GPUBufferBindingType[];
    const layout = this.device.createBindGroupLayout({
      entries: types.map((type, binding) => ({ binding, visibility: GPU_COMPUTE, buffer: { type } })),
    });
    this.layouts.set(regions, layout);
    return layout;
  }

  /** @throws RunError (asynchronously) where the driver refuses the kernel */
  pipeline(code: string, label: string, regions: number): Promise<GPUComputePipeline> {
    const known = this.byCode.get(code);
    if (known) return known;
    const module = this.device.createShaderModule({ label, code });
    const layout = this.device.createPipelineLayout({ bindGroupLayouts: [this.layout(regions)] });
    const compute = { module, entryPoint: 'main' };
    const pipeline = this.device.createComputePipelineAsync({ label, layout, compute }).catch(async (error: Error) => {
      this.byCode.delete(code);
      const messages = (await module.getCompilationInfo()).messages.map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
      throw new RunError(`WebGPU: the driver refuses the kernel ${label}: ${messages.join('; ') || error.message}`);
    });
    // awaited later, in the order of use; another's failure must not leave this one unheard
    pipeline.catch(() => {});
    this.byCode.set(code, pipeline);
    return pipeline;
  }
}

const caches = new WeakMap<GPUDevice, Pipelines>();
function pipelinesOf(device: GPUDevice): Pipelines {
  const cache = caches.get(device) ?? new Pipelines(device);
  caches.set(device, cache);
  return cache;
}

class WebGpuSession implements Session {
  readonly memoryBytes: number;
  private readonly device: GPUDevice;
  private readonly waitFor: NonNullable<WebGpuHost['waitFor']>;
  private readonly program: Program;
  private readonly compiled: CompiledProgram;
  private readonly pageBytes: number;
  private readonly half: boolean;
  private readonly states = new Map<string, GPUBuffer>();
  private readonly pages: GPUBuffer[] = [];
  private constants: GPUBuffer | undefined;
  private uniforms: GPUBuffer | undefined;
  private readonly commands = new Map<string, readonly Command[]>();
  private readonly faults: Watch;

  constructor(host: WebGpuHost, program: Program, compiled: CompiledProgram, pageBytes: number, half: boolean) {
    this.device = host.device;
    this.waitFor = host.waitFor ?? ((promise) => promise);
    this.program = program;
    this.compiled = compiled;
    this.pageBytes = pageBytes;
    this.half = half;
    this.memoryBytes = compiled.totalBytes;
    this.faults = watch(host.device);
  }

  /** Takes the memory and compiles the pipelines. */
  async prepare(): Promise<void> {
    const { device, compiled, pageBytes } = this;
    for (const [name, bytes] of compiled.stateBytes)
      if (bytes > pageBytes)
        throw new RunError(
          `the state ${name} takes ${formatBytes(bytes)}, and this GPU allows ${formatBytes(pageBytes)} for one: use a narrower network`,
        );
    device.pushErrorScope('out-of-memory');
    const storage = (label: string, size: number): GPUBuffer =>
      device.createBuffer({
        label,
        size: Math.max(BINDING_ALIGNMENT, size),
        usage: GPU_STORAGE | GPU_COPY_SRC | GPU_COPY_DST,
      });
    for (const [name, bytes] of compiled.stateBytes) this.states.set(name, storage(name, bytes));
    for (let from = 0; from < compiled.arenaBytes; from += pageBytes)
      this.pages.push(storage(`arena ${this.pages.length}`, Math.min(pageBytes, compiled.arenaBytes - from)));
    this.constants = storage('constants', 4 * compiled.constants.elements);
    for (const { at, values } of compiled.constants.all) this.write(this.constants, 4 * at, values);

    const drafts: { graph: string; dispatch: Dispatch; code: string; regions: readonly Range[]; words: Uint32Array }[] = [];
    for (const [name, graph] of compiled.graphs)
      for (const { dispatch } of graph.calls) {
        const { regions, places } = bindings(dispatch, (tensor) => this.rangeOf(graph, tensor));
        drafts.push({
          graph: name,
          dispatch,
          code: moduleOf(dispatch, (tensor) => places.get(tensor)!.binding),
          regions,
          words: uniformWords(dispatch, (tensor) => places.get(tensor)!.offset),
        });
      }
    const uniformBytes = drafts.map(({ words }) => alignBinding(words.byteLength));
    this.uniforms = device.createBuffer({
      label: 'uniforms',
      size: Math.max(
        BINDING_ALIGNMENT,
        uniformBytes.reduce((sum, bytes) => sum + bytes, 0),
      ),
      usage: GPU_UNIFORM | GPU_COPY_DST,
    });
    const shortage = await device.popErrorScope();
    if (shortage)
      throw new RunError(
        `the GPU does not give the ${formatBytes(compiled.totalBytes)} that this needs (${firstLine(shortage.message)}): use a smaller patch, a narrower network${this.half ? '' : ' or the backend webgpu-f16, which needs about half'}`,
      );

    const cache = pipelinesOf(device);
    // all at once: the driver compiles beside this thread
    const pipelines = drafts.map(({ code, dispatch, regions }) => cache.pipeline(code, dispatch.name, regions.length));
    let at = 0;
    const all = new Map<string, Command[]>([...compiled.graphs.keys()].map((name) => [name, []]));
    for (const [k, { graph, dispatch, regions, words }] of drafts.entries()) {
      const pipeline = await this.waitFor(pipelines[k]);
      device.queue.writeBuffer(this.uniforms, at, words.buffer as ArrayBuffer, 0, words.byteLength);
      const bindGroup = device.createBindGroup({
        layout: cache.layout(regions.length),
        entries: [
          { binding: 0, resource: { buffer: this.uniforms, offset: at, size: Math.ceil(words.byteLength / 16) * 16 } },
          ...regions.map(({ buffer, from, to }, i) => ({
            binding: i + 1,
            resource: { buffer, offset: from, size: Math.ceil((to - from) / 4) * 4 },
          })),
        ],
      });
      at += uniformBytes[k];
      all.get(graph)!.push({ pipeline, bindGroup, workgroups: dispatch.workgroups, cost: costOf(dispatch) });
    }
    for (const [name, commands] of all) this.commands.set(name, commands);
    this.faults.check();
  }

  private rangeOf({ plan }: CompiledGraph, tensor: WebGpuTensor): Range {
    const { place } = tensor;
    const range = (buffer: GPUBuffer, from: number): Range => ({ buffer, from, to: from + extentBytes(tensor) });
    if (place.kind === 'state') return range(this.states.get(place.name)!, 4 * place.offset);
    if (place.kind === 'constant') return range(this.constants!, 4 * place.offset);
    const { offset } = (place.kind === 'node' ? plan.tensors : plan.scratch).get(place.id)!;
    const page = Math.floor(offset / this.pageBytes);
    return range(this.pages[page], offset - page * this.pageBytes + elementBytes(tensor) * place.offset);
  }

  private write(buffer: GPUBuffer, at: number, values: Float32Array): void {
    this.device.queue.writeBuffer(buffer, at, values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
  }

  private encode(commands: readonly Command[]): void {
    for (const part of submissions(commands)) {
      const encoder = this.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { pipeline, bindGroup, workgroups } of part) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(...workgroups);
      }
      pass.end();
      this.device.queue.submit([encoder.finish()]);
    }
  }

  /** Reads ranges back, all with one wait. */
  private async read(ranges: readonly Range[]): Promise<Float32Array[]> {
    const offsets = [0];
    for (const { from, to } of ranges) offsets.push(offsets.at(-1)! + to - from);
    const size = offsets.at(-1)!;
    if (size === 0) return [];
    const staging = this.device.createBuffer({ label: 'read back', size, usage: GPU_MAP_READ | GPU_COPY_DST });
    try {
      const encoder = this.device.createCommandEncoder();
      ranges.forEach(({ buffer, from, to }, i) => {
        encoder.copyBufferToBuffer(buffer, from, staging, offsets[i], to - from);
      });
      this.device.queue.submit([encoder.finish()]);
      await this.waitFor(staging.mapAsync(MAP_READ)).catch(async (error: Error) => {
        // that the device is lost is told a little later
        await this.device.queue.onSubmittedWorkDone().catch(() => {});
        this.faults.check();
        throw new RunError(`WebGPU: ${firstLine(error.message)}`);
      });
      this.faults.check();
      const mapped = staging.getMappedRange();
      return ranges.map(({ from, to }, i) => new Float32Array(mapped.slice(offsets[i], offsets[i] + to - from)));
    } finally {
      staging.destroy();
    }
  }

  private upload(name: string, inputs: Readonly<Record<string, Float32Array>>): CompiledGraph {
    const graph = graphOf(this.program, name);
    checkInputs(name, graph, inputs);
    const compiled = this.compiled.graphs.get(name)!;
    for (const [input, node] of graph.inputs) {
      const { buffer, from } = this.rangeOf(compiled, compiled.tensorOf(node));
      this.write(buffer, from, inputs[input]);
    }
    return compiled;
  }

  async run(
    name: string,
    inputs: Readonly<Record<string, Float32Array>>,
    outputs?: readonly string[],
  ): Promise<Record<string, Float32Array>> {
    const compiled = this.upload(name, inputs);
    this.encode(this.commands.get(name)!);
    const wanted = outputs ?? [...compiled.graph.outputs.keys()];
    // what is read back is waited for by that; a run that gives nothing is over when the GPU is done, too
    if (wanted.length === 0) await this.waitFor(this.device.queue.onSubmittedWorkDone());
    const values = await this.read(
      wanted.map((output) => {
        const node = compiled.graph.outputs.get(output);
        if (!node) throw new Error(`graph '${name}' has no output '${output}'`);
        return this.rangeOf(compiled, compiled.tensorOf(node));
      }),
    );
    this.faults.check();
    return Object.fromEntries(wanted.map((output, i) => [output, values[i]]));
  }

  /** Times of each dispatch by the device's own clock; by waiting for each where it has none. */
  async profile(name: string, inputs: Readonly<Record<string, Float32Array>>): Promise<KernelTime[]> {
    const { calls } = this.upload(name, inputs);
    const commands = this.commands.get(name)!;
    const times: KernelTime[] = [];
    const timed = this.device.features.has('timestamp-query');
    const ticks = timed ? await this.timestamps(commands) : undefined;
    for (const [i, { dispatch, node }] of calls.entries()) {
      let seconds = ticks?.[i];
      if (seconds === undefined) {
        const start = performance.now();
        this.encode([commands[i]]);
        await this.waitFor(this.device.queue.onSubmittedWorkDone());
        seconds = (performance.now() - start) / 1000;
      }
      const { flops } = dispatch;
      times.push({ kernel: dispatch.name, node, seconds, bytes: bytesMoved(dispatch), ...(flops !== undefined && { flops }) });
    }
    this.faults.check();
    return times;
  }

  private async timestamps(commands: readonly Command[]): Promise<number[]> {
    const seconds: number[] = [];
    const resolved = this.device.createBuffer({ size: 16 * DISPATCHES_A_SUBMISSION, usage: GPU_QUERY_RESOLVE | GPU_COPY_SRC });
    const querySet = this.device.createQuerySet({ type: 'timestamp', count: 2 * DISPATCHES_A_SUBMISSION });
    try {
      for (const part of submissions(commands)) {
        const encoder = this.device.createCommandEncoder();
        part.forEach(({ pipeline, bindGroup, workgroups }, i) => {
          const pass = encoder.beginComputePass({
            timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
          });
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, bindGroup);
          pass.dispatchWorkgroups(...workgroups);
          pass.end();
        });
        encoder.resolveQuerySet(querySet, 0, 2 * part.length, resolved, 0);
        this.device.queue.submit([encoder.finish()]);
        const [words] = await this.read([{ buffer: resolved, from: 0, to: 16 * part.length }]);
        const nanoseconds = new BigUint64Array(words.buffer as ArrayBuffer);
        part.forEach((_, i) => {
          seconds.push(Number(nanoseconds[2 * i + 1] - nanoseconds[2 * i]) / 1e9);
        });
      }
    } finally {
      resolved.destroy();
      querySet.destroy();
    }
    return seconds;
  }

  private stateOf(name: string): Range {
    const buffer = this.states.get(name);
    const shape = this.program.states.get(name);
    if (!buffer || !shape) throw new Error(`no state '${name}' in this program`);
    return { buffer, from: 0, to: 4 * elementCount(shape) };
  }

  async readState(name: string): Promise<Float32Array> {
    const [values] = await this.read([this.stateOf(name)]);
    return values ?? new Float32Array();
  }

  async writeState(name: string, values: Float32Array): Promise<void> {
    const { buffer, to } = this.stateOf(name);
    if (4 * values.length !== to) throw new Error(`state '${name}' has ${to / 4} values, got ${values.length}`);
    this.write(buffer, 0, values);
    this.faults.check();
  }

  async close(): Promise<void> {
    await this.waitFor(this.device.queue.onSubmittedWorkDone()).catch(() => {});
    this.faults.end();
    for (const buffer of [...this.states.values(), ...this.pages, this.constants, this.uniforms]) buffer?.destroy();
  }
}

// The flags by number: the global objects that hold them are a browser's, and Node's package brings its own.
const MAP_READ = 1;
const GPU_COMPUTE = 0x4;
const GPU_MAP_READ = 0x1;
const GPU_COPY_SRC = 0x4;
const GPU_COPY_DST = 0x8;
const GPU_UNIFORM = 0x40;
const GPU_STORAGE = 0x80;
const GPU_QUERY_RESOLVE = 0x200;

export interface WebGpuOptions {
  /** Feature maps and their gradients in half precision: half the memory and traffic. Weights, sums and losses stay single. */
  readonly half?: boolean;
}

/** The backend on a device. */
export function webGpuBackend(host: WebGpuHost, { half = false }: WebGpuOptions = {}): Backend {
  const { device, description, software } = host;
  const pageBytes = pageBytesOf(device);
  const compile = (program: Program): CompiledProgram => compileProgram(program, { pageBytes, half });
  return {
    name: half ? 'webgpu-f16' : 'webgpu',
    description: `WebGPU${half ? ' with features in half precision' : ''}, ${description}`,
    memoryLimitBytes: Number.MAX_SAFE_INTEGER,
    ownMemory: !software,
    memoryBytes: (program) => compile(program).totalBytes,
    half,
    open: async (program) => {
      verifyProgram(program);
      const session = new WebGpuSession(host, program, compile(program), pageBytes, half);
      try {
        await session.prepare();
      } catch (error) {
        await session.close();
        throw error;
      }
      return guarded(session);
    },
  };
}
