/** Where a step's time goes: kernel calls timed one by one, put together by operation and shape. */
import type { KernelTime } from '../../engine/backend.ts';
import { elementCount, type Node, type Shape } from '../../engine/graph.ts';
import { median } from './machine.ts';

export interface KernelShare {
  /** The operation, and for convolutions 'in -> out at DxHxW'; or a kernel's name. */
  readonly what: string;
  readonly calls: number;
  readonly seconds: number;
  /** Share of the sum of all kernels. */
  readonly share: number;
  /** Convolutions: multiplications and additions over time, of operations those of the direct sum. */
  readonly gflops?: number;
  /** Bytes of all operands and the result, each once, over time; of operations as single precision. */
  readonly gbPerS?: number;
}

const CONVOLUTIONS = ['conv3d', 'conv3dInputGradient', 'conv3dWeightGradient'];
export const isConvolution = ({ op }: Node): boolean => CONVOLUTIONS.includes(op.name);
const bytesOf = (shape: Shape): number => 4 * elementCount(shape);

/** Arithmetic of a convolution's node as a direct sum. */
export function directFlops({ op, inputs, shape }: Node): number {
  const weight = op.name === 'conv3dWeightGradient' ? shape : inputs[1].shape;
  const image = op.name === 'conv3dWeightGradient' ? inputs[0].shape : shape;
  return 2 * image[0] * elementCount(image.slice(2)) * elementCount(weight);
}

function describe(node: Node): string {
  if (!isConvolution(node)) return node.op.name;
  const weight = node.op.name === 'conv3dWeightGradient' ? node.shape : node.inputs[1].shape;
  const image = node.op.name === 'conv3dWeightGradient' ? node.inputs[0].shape : node.shape;
  const way = { conv3d: 'forward', conv3dInputGradient: 'to the data', conv3dWeightGradient: 'to the weights' }[node.op.name];
  return `conv ${weight[2]}^3 ${weight[1]} -> ${weight[0]} at ${image[0]} x ${image.slice(2).join('x')}, ${way}`;
}

/** What a node must move at least: its operands and its result once; an effect changes its first inputs in place. */
const directBytes = ({ op, inputs, shape }: Node): number =>
  [...inputs, ...inputs.slice(0, op.writes ?? 0)].reduce(
    (sum, each) => sum + bytesOf(each.shape),
    op.writes ? 0 : bytesOf(shape),
  );

/** The median of each call over several rounds of the same calls. */
export const medianTimes = (rounds: readonly (readonly KernelTime[])[]): KernelTime[] =>
  (rounds[0] ?? []).map((call, i) => ({ ...call, seconds: median(rounds.map((round) => round[i].seconds)) }));

interface Group {
  readonly what: string;
  readonly times: readonly KernelTime[];
  readonly seconds: number;
  readonly share: number;
}

/** Of equal names, the slowest first. */
function groupsBy(times: readonly KernelTime[], nameOf: (time: KernelTime) => string): Group[] {
  const secondsOf = (some: readonly KernelTime[]): number => some.reduce((sum, { seconds }) => sum + seconds, 0);
  const total = secondsOf(times);
  const groups = new Map<string, KernelTime[]>();
  for (const time of times) groups.set(nameOf(time), [...(groups.get(nameOf(time)) ?? []), time]);
  return [...groups]
    .map(([what, own]) => ({ what, times: own, seconds: secondsOf(own), share: secondsOf(own) / total }))
    .sort((a, b) => b.seconds - a.seconds);
}

/** By operation and shape, the slowest first. A node's kernels (transformations, the product, conversions) count together, the node's work once. */
export const kernelShares = (times: readonly KernelTime[]): KernelShare[] =>
  groupsBy(times, ({ node }) => describe(node)).map(({ what, times: own, seconds, share }) => {
    const nodes = [...new Set(own.map(({ node }) => node))];
    const rate = (of: (node: Node) => number): number => nodes.reduce((sum, node) => sum + of(node), 0) / seconds / 1e9;
    const convolution = isConvolution(nodes[0]);
    return {
      what,
      calls: nodes.length,
      seconds,
      share,
      ...(convolution && { gflops: rate(directFlops) }),
      gbPerS: rate(directBytes),
    };
  });

/**
 * By the kernels' own names, the slowest first: transformations and matrix products of a convolution apart. Arithmetic is what the kernel
 * itself does, fewer operations than the direct sum where it is Winograd's.
 */
export const sharesByKernel = (times: readonly KernelTime[]): KernelShare[] =>
  groupsBy(times, ({ kernel }) => kernel).map(({ what, times: own, seconds, share }) => {
    const rate = (of: (time: KernelTime) => number | undefined): number =>
      own.reduce((sum, time) => sum + (of(time) ?? 0), 0) / seconds / 1e9;
    return {
      what,
      calls: own.length,
      seconds,
      share,
      ...(own[0].flops !== undefined && { gflops: rate(({ flops }) => flops) }),
      ...(own[0].bytes !== undefined && { gbPerS: rate(({ bytes }) => bytes) }),
    };
  });
