/** What every backend offers: it takes a verified program and runs its graphs. Nothing outside a backend knows its layouts or memory. */
import type { Node, Program, Shape } from './graph.ts';

/** What a user may choose from: the backends by name, and 'auto', the quickest that the machine has. */
export const BACKENDS = ['cpu', 'webgpu', 'webgpu-f16', 'auto', 'reference'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** One call of one kernel, timed alone. */
export interface KernelTime {
  /** As the backend names it. */
  readonly kernel: string;
  /** The operation for whose sake it ran. */
  readonly node: Node;
  readonly seconds: number;
  /** Multiplications and additions that it does, and bytes of its operands and results, each once; where the backend knows. */
  readonly flops?: number;
  readonly bytes?: number;
}

/**
 * Values (1, C, D, H, W) where they lie. Those of channel c at voxel (z, y, x) are
 * `data[start + floor(c / together) * block + z * plane + y * row + x * together + c % together]`.
 */
export interface TensorView {
  readonly data: Float32Array;
  /** Channels that lie side by side at each voxel: 1 of dense values. */
  readonly together: number;
  readonly start: number;
  readonly block: number;
  readonly plane: number;
  readonly row: number;
}

/** A view of dense values (1, C, D, H, W) or (C, D, H, W). @param shape ends with D, H, W */
export function denseView(data: Float32Array, shape: Shape): TensorView {
  const [depth, height, width] = shape.slice(-3) as [number, number, number];
  return { data, together: 1, start: 0, block: depth * height * width, plane: height * width, row: width };
}

/** A copy of what a view shows: (channels, D, H, W). @param size D, H, W */
export function denseValues(
  { data, together, start, block, plane, row }: TensorView,
  channels: number,
  [depth, height, width]: readonly [number, number, number],
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(channels * depth * height * width);
  for (let c = 0, i = 0; c < channels; c++) {
    const first = start + Math.floor(c / together) * block + (c % together);
    for (let z = 0; z < depth; z++)
      for (let y = 0; y < height; y++)
        for (let x = 0, from = first + z * plane + y * row; x < width; x++, i++, from += together) out[i] = data[from];
  }
  return out;
}

/** A program on a device, with its states. It owns memory and threads: `close` gives them back. */
export interface Session {
  /**
   * Runs one graph and resolves to its outputs, dense in the graph's axis order.
   * `inputs` must hold every declared input with exactly its number of elements. `outputs` names those to read back (default: all).
   */
  run(
    graph: string,
    inputs: Readonly<Record<string, Float32Array>>,
    outputs?: readonly string[],
  ): Promise<Record<string, Float32Array>>;
  /**
   * Runs one graph like `run`, and tells which parts of a state it will not change any more while it still computes others: for whoever sends them
   * away meanwhile. Absent: the backend cannot tell.
   * @param parts the state, and as `edges` where its parts begin, in order, from 0; the last is the state's length
   * @param ready called with the index of each part, once, in no order; it may read and write that part, and must return soon
   */
  runTelling?(
    graph: string,
    inputs: Readonly<Record<string, Float32Array>>,
    parts: { readonly state: string; readonly edges: readonly number[] },
    ready: (part: number) => void,
  ): Promise<Record<string, Float32Array>>;
  /**
   * Runs one graph like `run` and resolves to one of its outputs, (1, C, D, H, W), where the session has it: it is overwritten when the session
   * is called again, and not to be written to. Absent: what the session computes must be copied.
   */
  view?(graph: string, inputs: Readonly<Record<string, Float32Array>>, output: string): Promise<TensorView>;
  /**
   * Runs one graph like `run`, every kernel call by itself, and resolves to their times in order; effects take place. Absent: the backend
   * cannot time its kernels. The sum is somewhat longer than a run's time: calls start one by one.
   */
  profile?(graph: string, inputs: Readonly<Record<string, Float32Array>>): Promise<KernelTime[]>;
  /**
   * Runs one graph like `run` and resolves to how long that took, and to the share of its threads' time in which they waited for one another;
   * effects take place. Absent: the backend has no threads of its own.
   */
  waits?(
    graph: string,
    inputs: Readonly<Record<string, Float32Array>>,
  ): Promise<{ readonly seconds: number; readonly waitedShare: number }>;
  /**
   * A state where the session has it, to be read and written while no graph runs that touches it. Absent: it lies in a device's memory, or in
   * another precision.
   */
  stateView?(name: string): Float32Array;
  /** A copy of a state. */
  readState(name: string): Promise<Float32Array>;
  writeState(name: string, values: Float32Array): Promise<void>;
  /** Bytes that the session holds: states, arena, packed weights. */
  readonly memoryBytes: number;
  close(): Promise<void>;
}

export interface Backend {
  /** 'reference', 'cpu', 'webgpu', 'webgpu-f16'. */
  readonly name: string;
  /** Whether features and their gradients are stored in half precision, so that a loss must be scaled to be trained on. */
  readonly half?: boolean;
  /** One line for people: build, threads, device. */
  readonly description: string;
  /** Bytes that `open` would take, without taking them. */
  memoryBytes(program: Program): number;
  /** Whether sessions lie in a device's own memory, not in the machine's. How much that is shows when it refuses. */
  readonly ownMemory?: boolean;
  /** The most bytes that a session may take on this backend, whatever the machine has. */
  readonly memoryLimitBytes: number;
  open(program: Program): Promise<Session>;
}
