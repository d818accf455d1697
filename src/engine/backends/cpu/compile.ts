/**
 * From a program to a memory image: layouts, memory plan, and for every graph a list of kernel calls with addresses.
 *
 * The image, from address 0: a page for the module itself; control words of the threads; thread scratch; states; then descriptors, calls
 * and constants of every graph; then one arena, shared by the graphs since they run one after another. Lowering runs twice: first to
 * learn how much scratch and how many words it wants, then with the real addresses.
 */

import {
  constantOp,
  elementCount,
  type Graph,
  inputOp,
  isOp,
  type Node,
  type Program,
  type Shape,
  stateOp,
} from '../../graph.ts';
import { stopGradientOp, viewOp } from '../../ops/shape/shape.ts';
import { align, type MemoryPlan, planMemory } from '../../plan.ts';
import { FIXED_SCRATCH, FREE_WORDS, JOB, RANGE_BYTES, RANGES, TIMED, WAITED, WAVE } from './constants.ts';
import { KERNEL_ARGUMENTS, STRUCTURES } from './kernel-interface.ts';
import { CPU_KERNELS } from './kernels.ts';
import {
  batchStrideOf,
  blockCount,
  type CpuKernel,
  type CpuTensor,
  type Emitter,
  type KernelName,
  type Place,
  type PlacedForm,
  type TensorForm,
  tensorBytes,
} from './lowering.ts';
import { type Access, sharesOf, slackOf, wavesOf } from './schedule.ts';

/** The threads' control words: see scheduler.as.ts. */
export const CONTROL_ADDRESS = 65536;
/** Within them: what threads wait for. */
export const AWAITED_ADDRESSES = [CONTROL_ADDRESS + WAVE, CONTROL_ADDRESS + JOB];
/** Within them: see threads.ts. */
export const FAULT_ADDRESS = CONTROL_ADDRESS + FREE_WORDS;
/** Within them: see scheduler.as.ts. */
export const TIMED_ADDRESS = CONTROL_ADDRESS + TIMED;
export const WAITED_ADDRESS = CONTROL_ADDRESS + WAITED;
/** Kernels stand in the table from here on: the module's own entries come first. */
export const TABLE_BASE = 64;

/** Names of the kernels that any operation emits, in the order of their table entries. */
export class KernelNames {
  readonly names: string[] = [];
  private readonly indices = new Map<string, number>();
  indexOf(name: string): number {
    const known = this.indices.get(name);
    if (known !== undefined) return known;
    this.indices.set(name, TABLE_BASE + this.names.length);
    this.names.push(name);
    return TABLE_BASE + this.names.length - 1;
  }
}

/** A tensor of a graph: its form, and where it lies in its root's memory. */
interface Placed extends PlacedForm {
  readonly root: Node;
  readonly offsetBytes: number;
  /** What computes the root has computed it. */
  readonly alias: boolean;
}

/** A call of a kernel. */
interface Call {
  readonly kernel: string;
  /** What it is for. */
  readonly node: Node;
  /** Address of its arguments. */
  readonly at: number;
  readonly touches: Access;
  /** Runs as one share. */
  readonly whole: boolean;
}

/** A call with its place in the order of a program. */
export interface ScheduledCall extends Call {
  readonly wave: number;
  readonly shares: number;
}

export interface CompiledGraph {
  readonly graph: Graph;
  readonly plan: MemoryPlan;
  /** Words to copy to `imageAddress`: descriptors, arguments, calls. */
  readonly image: Uint32Array;
  readonly imageAddress: number;
  readonly programAddress: number;
  /** In the order in which they run: wave after wave. */
  readonly calls: readonly ScheduledCall[];
  /** Where inputs are written to and outputs read from. */
  readonly tensorOf: (node: Node) => CpuTensor;
  readonly constants: readonly { readonly address: number; readonly values: Float32Array }[];
}

export interface CompiledProgram {
  readonly graphs: ReadonlyMap<string, CompiledGraph>;
  readonly states: ReadonlyMap<string, { readonly address: number; readonly elements: number }>;
  readonly kernelNames: readonly string[];
  readonly scratchAddress: number;
  /** Of one thread; they lie one after the other. */
  readonly threadScratchBytes: number;
  readonly totalBytes: number;
}

const kernelOf = (node: Node): CpuKernel<unknown> | undefined =>
  (CPU_KERNELS as Readonly<Record<string, CpuKernel<unknown>>>)[node.op.name];

const defaultBlocked = (inputs: readonly TensorForm[], shape: Shape): boolean =>
  inputs[0]?.blocked === true && shape.length === 5 && shape[1] >= 8;

/** Decides the layout of every node, and which results are parts of others. */
function place(graph: Graph): Map<Node, Placed> {
  const placed = new Map<Node, Placed>();
  for (const node of graph.nodes) {
    const { shape } = node;
    const own = (blocked: boolean): Placed => ({
      shape,
      blocked,
      root: node,
      offsetBytes: 0,
      alias: false,
      batchStrideBytes: batchStrideOf({ shape, blocked }),
    });
    if (isOp(node, inputOp)) placed.set(node, own(shape.length === 5 && shape[1] >= 8));
    else if (isOp(node, stateOp) || isOp(node, constantOp)) placed.set(node, own(false));
    else if (isOp(node, stopGradientOp)) placed.set(node, { ...placed.get(node.inputs[0])!, alias: true });
    else if (isOp(node, viewOp)) {
      const { root, offsetBytes } = placed.get(node.inputs[0])!;
      placed.set(node, { ...own(false), root, offsetBytes: offsetBytes + 4 * node.attributes.offset, alias: true });
    } else {
      const kernel = kernelOf(node);
      if (!kernel) throw new Error(`the CPU backend has no kernel for ${node.op.name}`);
      const inputs = node.inputs.map((each) => placed.get(each)!);
      const form = own((kernel.blocked ?? defaultBlocked)(inputs, shape, node.attributes));
      // a part of a state is copied: an effect may change the state before the part is read
      const part =
        inputs[0] && isOp(inputs[0].root, stateOp) ? undefined : kernel.aliasOffsetBytes?.(inputs[0], shape, node.attributes);
      const { root, offsetBytes, batchStrideBytes, blocked } = inputs[0] ?? form;
      const seen = { shape, blocked, root, offsetBytes: offsetBytes + (part ?? 0), alias: true, batchStrideBytes };
      placed.set(node, part === undefined ? form : seen);
    }
  }
  placeParts(graph, placed);
  return placed;
}

/** Where each input of a node can lie in the node's own memory: see `partOffsets`. */
function partOffsets(node: Node, placed: ReadonlyMap<Node, Placed>): readonly (number | undefined)[] {
  const where = placed.get(node)!;
  const inputs = node.inputs.map((each) => placed.get(each)!);
  // kernels take tensors of other layouts by their first byte alone, and would not see the distance between samples
  return (where.blocked && !where.alias && kernelOf(node)?.partOffsets?.(inputs, where, node.attributes)) || [];
}

/**
 * Lets what is joined be written where it will be joined. The last join goes first: a part of it may itself be joined of parts. What others are seen
 * in, what belongs to two joins, and what no kernel computes is copied.
 */
function placeParts(graph: Graph, placed: Map<Node, Placed>): void {
  const seenIn = new Set([...placed.values()].filter(({ alias }) => alias).map(({ root }) => root));
  for (const node of graph.nodes.toReversed()) {
    partOffsets(node, placed).forEach((offset, i) => {
      const { root, offsetBytes, batchStrideBytes } = placed.get(node)!;
      const part = node.inputs[i];
      const form = placed.get(part)!;
      if (offset === undefined || form.root !== part || !form.blocked || seenIn.has(part) || !kernelOf(part)) return;
      placed.set(part, { ...form, root, offsetBytes: offsetBytes + offset, batchStrideBytes });
    });
  }
}

/** The words of a structure of scheduler.as.ts or common.as.ts, in its order. */
const wordsOf = <Name extends keyof typeof STRUCTURES>(
  name: Name,
  values: Readonly<Record<keyof (typeof STRUCTURES)[Name], number>>,
): number[] => Object.keys(STRUCTURES[name]).map((field) => values[field as keyof typeof values]);

/** Words of a call in a program. */
export const CALL_WORDS = Object.keys(STRUCTURES.Call).length;

/** The order of the calls. */
function schedule(calls: readonly Call[], threads: number): ScheduledCall[] {
  const bytesOf = ({ reads, writes }: Access): number => [...reads, ...writes].reduce((sum, { from, to }) => sum + to - from, 0);
  const waves = wavesOf(calls.map(({ touches }) => touches));
  return calls
    .map((call, i) => ({
      ...call,
      wave: waves[i],
      shares: call.whole ? 1 : sharesOf(bytesOf(call.touches), threads),
    }))
    .sort((a, b) => a.wave - b.wave);
}

/** The calls as the scheduler reads them; shares are counted over the program. */
function callWords(calls: readonly ScheduledCall[], names: KernelNames): number[] {
  const waveShares: number[] = [];
  for (const { wave, shares } of calls) waveShares[wave] = (waveShares[wave] ?? 0) + shares;
  let [first, end, current] = [0, 0, -1];
  return calls.flatMap(({ kernel, at, wave, shares }) => {
    if (wave !== current) end += waveShares[wave];
    current = wave;
    first += shares;
    return wordsOf('Call', {
      kernel: names.indexOf(kernel),
      args: at,
      firstShare: first - shares,
      shares,
      wave,
      waveEnd: end,
    });
  });
}

type Argument = number | Place | CpuTensor;
type NamedArguments = Readonly<Record<string, Argument | undefined>>;

/** The bits of a float as a word of arguments. */
const floatBits = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0];

/** A kernel's arguments in the order of its fields, floats as their bits, and 0 for what is not there. */
const inOrder = (kernel: KernelName, args: NamedArguments): Argument[] =>
  Object.entries(KERNEL_ARGUMENTS[kernel]).map(([name, type]) => {
    const value = args[name] ?? 0;
    return type === 'f32' ? floatBits(value as number) : value;
  });

/** Collects words and scratch while operations are lowered. Addresses of tensors come from `addressOf`. */
function lower(
  graph: Graph,
  placed: ReadonlyMap<Node, Placed>,
  addressOf: (root: Node) => number,
  scratchOf: (node: Node) => number,
  imageAddress: number,
) {
  const words: number[] = [];
  const calls: Call[] = [];
  const scratchBytes = new Map<Node, number>();
  let threadScratchBytes = FIXED_SCRATCH;
  const here = (): number => imageAddress + 4 * words.length;

  const describe = (form: TensorForm, data: number, batchStrideBytes: number): CpuTensor => {
    const { shape, blocked } = form;
    const [n, c, d, h, w] =
      shape.length === 5
        ? shape
        : [
            shape.length < 2 ? 1 : shape[0],
            shape.length < 2 ? elementCount(shape) : shape[1],
            1,
            1,
            shape.length > 2 ? elementCount(shape.slice(2)) : 1,
          ];
    const descriptor = here();
    const blocks = blocked ? blockCount(c) : 0;
    words.push(...wordsOf('Tensor', { data, n: n, c: c, d: d, h: h, w: w, batchStride: batchStrideBytes, blocks }));
    const sizeBytes = (n - 1) * batchStrideBytes + batchStrideOf(form);
    return { shape, blocked, data: { address: data, sizeBytes }, batchStrideBytes, descriptor };
  };

  const tensors = new Map<Node, CpuTensor>();
  const tensorOf = (node: Node): CpuTensor => {
    const known = tensors.get(node);
    if (known) return known;
    const where = placed.get(node)!;
    const tensor = describe(where, addressOf(where.root) + where.offsetBytes, where.batchStrideBytes);
    tensors.set(node, tensor);
    return tensor;
  };

  for (const node of graph.nodes) {
    tensorOf(node);
    const kernel = kernelOf(node);
    if (!kernel || placed.get(node)!.alias) continue;
    let used = 0;
    const scratch = (sizeBytes: number): Place => {
      const address = scratchOf(node) + used;
      used += align(sizeBytes);
      return { address, sizeBytes };
    };
    const scratchTensor = (shape: Shape, blocked: boolean): CpuTensor =>
      describe({ shape, blocked }, scratch(tensorBytes({ shape, blocked })).address, batchStrideOf({ shape, blocked }));
    // what an effect writes comes first among its inputs; scratch is written by one call and read by another
    const readOnly = new Set(node.inputs.slice(node.op.writes ?? 0).map((each) => tensorOf(each).data));
    const append = (kernel: KernelName, named: NamedArguments, { whole = false, besideLast = false } = {}): void => {
      const args = inOrder(kernel, named);
      const places = args.filter((each) => typeof each !== 'number').map((each) => ('descriptor' in each ? each.data : each));
      const regions = (some: readonly Place[]) =>
        some.map(({ address, sizeBytes }) => ({ from: address, to: address + sizeBytes }));
      const touches = {
        besideLast,
        reads: regions(places.filter((each) => readOnly.has(each))),
        writes: regions(places.filter((each) => !readOnly.has(each))),
      };
      calls.push({ kernel, node, at: here(), touches, whole });
      words.push(
        ...args.map((each) => (typeof each === 'number' ? each : 'descriptor' in each ? each.descriptor : each.address)),
      );
    };
    const convert = (tensor: CpuTensor, blocked: boolean): CpuTensor => {
      if (tensor.blocked === blocked) return tensor;
      const copy = scratchTensor(tensor.shape, blocked);
      append(blocked ? 'toBlocked' : 'toPlain', { from: tensor, to: copy });
      return copy;
    };
    const emitter: Emitter = {
      emit: (kernel, args) => append(kernel, args),
      emitBeside: (kernel, args) => append(kernel, args, { besideLast: true }),
      emitWhole: (kernel, args) => append(kernel, args, { whole: true }),
      scratch,
      threadScratch: (sizeBytes) => {
        threadScratchBytes = Math.max(threadScratchBytes, align(sizeBytes));
      },
      scratchTensor,
      toBlocked: (tensor) => convert(tensor, true),
      toPlain: (tensor) => convert(tensor, false),
    };
    const own = placed.get(node)!;
    const offsets = partOffsets(node, placed);
    const inPlace = node.inputs.map((each, i) => {
      const { root, offsetBytes } = placed.get(each)!;
      return root === own.root && offsetBytes === own.offsetBytes + (offsets[i] ?? Number.NaN);
    });
    kernel.lower({ inputs: node.inputs.map(tensorOf), out: tensorOf(node), attributes: node.attributes, inPlace }, emitter);
    scratchBytes.set(node, used);
  }
  return { words, scratchBytes, threadScratchBytes, calls, tensorOf };
}

/** Where everything of a verified program will lie: all that is asked for before it is compiled. */
export function planProgram(program: Program, threads: number) {
  const dryRuns = [...program.graphs].map(([name, graph]) => {
    const placed = place(graph);
    const dry = lower(
      graph,
      placed,
      () => 0,
      () => 0,
      0,
    );
    return { name, graph, placed, dry };
  });
  const threadScratchBytes = dryRuns.reduce((most, { dry }) => Math.max(most, dry.threadScratchBytes), FIXED_SCRATCH);

  let at = CONTROL_ADDRESS + RANGES + threads * RANGE_BYTES;
  const scratchAddress = at;
  at += threads * threadScratchBytes;
  const states = new Map<string, { address: number; elements: number }>();
  for (const [name, shape] of program.states) {
    states.set(name, { address: at, elements: elementCount(shape) });
    at += align(4 * elementCount(shape));
  }

  const drafts = dryRuns.map(({ name, graph, placed, dry }) => {
    const ownBytes = (node: Node): number => {
      const where = placed.get(node)!;
      const kept = isOp(node, stateOp) || isOp(node, constantOp) || where.root !== node;
      return kept ? 0 : tensorBytes(where);
    };
    const plan = planMemory(
      graph,
      ownBytes,
      (node) => dry.scratchBytes.get(node) ?? 0,
      (node) => placed.get(node)!.root,
      threads > 1 ? { slackOf } : {},
    );
    const imageAddress = at;
    at += align(4 * (dry.words.length + CALL_WORDS * dry.calls.length));
    const constants = graph.nodes
      .filter((node) => isOp(node, constantOp))
      .map((node) => {
        const { values } = node.attributes;
        const address = at;
        at += align(4 * values.length);
        return { node, address, values };
      });
    return { name, graph, placed, plan, imageAddress, constants };
  });

  const arena = align(at);
  const totalBytes = arena + drafts.reduce((most, { plan }) => Math.max(most, plan.arenaBytes), 0);
  return { states, scratchAddress, threadScratchBytes, drafts, arena, totalBytes };
}

/** Compiles a verified program for `threads` threads. Takes no memory itself. */
export function compileProgram(program: Program, threads: number): CompiledProgram {
  const { drafts, arena, states, ...rest } = planProgram(program, threads);
  const names = new KernelNames();
  const graphs = new Map<string, CompiledGraph>();
  for (const { name, graph, placed, plan, imageAddress, constants } of drafts) {
    const constantAt = new Map<Node, number>(constants.map(({ node, address }) => [node, address]));
    const addressOf = (root: Node): number => {
      if (isOp(root, stateOp)) return states.get(root.attributes.name)!.address;
      return constantAt.get(root) ?? arena + (plan.tensors.get(root.id)?.offset ?? 0);
    };
    const scratchOf = (node: Node): number => arena + (plan.scratch.get(node.id)?.offset ?? 0);
    const { words, calls: emitted, tensorOf } = lower(graph, placed, addressOf, scratchOf, imageAddress);
    const calls = schedule(emitted, threads);
    graphs.set(name, {
      graph,
      plan,
      image: Uint32Array.from([...words, ...callWords(calls, names)]),
      imageAddress,
      programAddress: imageAddress + 4 * words.length,
      calls,
      tensorOf,
      constants,
    });
  }
  return { graphs, states, kernelNames: names.names, ...rest };
}
