/** Where a step's time goes: kernel calls timed one by one, put together by operation and shape. */
import type { KernelTime } from '../engine/backend.ts';
import { elementCount, type Node, type Shape } from '../engine/graph.ts';
import { median } from './machine.ts';

export interface KernelShare {
  /** The operation, and for convolutions 'in -> out at DxHxW'; or a kernel's name. */
  readonly what: string;
  readonly calls: number;
  readonly seconds: number;
  /** Share of the sum of all kernels. */
  readonly share: number;
  /** Convolutions: multiplications and additions of the direct sum, over time. */
  readonly gflops?: number;
  /** Operations: bytes of all operands and the result, each once, over time. */
  readonly gbPerS?: number;
}

const CONVOLUTIONS = ['conv3d', 'conv3dInputGradient', 'conv3dWeightGradient'];
const bytesOf = (shape: Shape): number => 4 * elementCount(shape);

/** Arithmetic of a convolution's node as a direct sum. */
export function directFlops({ op, inputs, shape }: Node): number {
  const weight = op.name === 'conv3dWeightGradient' ? shape : inputs[1]!.shape;
  const image = op.name === 'conv3dWeightGradient' ? inputs[0]!.shape : shape;
  return 2 * image[0]! * elementCount(image.slice(2)) * elementCount(weight);
}

function describe(node: Node): string {
  if (!CONVOLUTIONS.includes(node.op.name)) return node.op.name;
  const weight = node.op.name === 'conv3dWeightGradient' ? node.shape : node.inputs[1]!.shape;
  const image = node.op.name === 'conv3dWeightGradient' ? node.inputs[0]!.shape : node.shape;
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
  (rounds[0] ?? []).map((call, i) => ({ ...call, seconds: median(rounds.map((round) => round[i]!.seconds)) }));

function shares(times: readonly KernelTime[], nameOf: (time: KernelTime) => string): (KernelShare & { nodes: Set<Node> })[] {
  const total = times.reduce((sum, { seconds }) => sum + seconds, 0);
  const groups = new Map<string, { nodes: Set<Node>; calls: number; seconds: number }>();
  for (const time of times) {
    const group = groups.get(nameOf(time)) ?? { nodes: new Set(), calls: 0, seconds: 0 };
    group.nodes.add(time.node);
    group.calls++;
    group.seconds += time.seconds;
    groups.set(nameOf(time), group);
  }
  return [...groups]
    .map(([what, { nodes, calls, seconds }]) => ({ what, nodes, calls, seconds, share: seconds / total }))
    .sort((a, b) => b.seconds - a.seconds);
}

/** By operation and shape, the slowest first. A node's kernels (transformations, the product, conversions) count together, the node's work once. */
export const kernelShares = (times: readonly KernelTime[]): KernelShare[] =>
  shares(times, ({ node }) => describe(node)).map(({ nodes, ...group }) => {
    const rate = (of: (node: Node) => number): number =>
      [...nodes].reduce((sum, node) => sum + of(node), 0) / group.seconds / 1e9;
    const convolution = CONVOLUTIONS.includes([...nodes][0]!.op.name);
    return { ...group, calls: nodes.size, ...(convolution && { gflops: rate(directFlops) }), gbPerS: rate(directBytes) };
  });

/** By the kernels' own names, the slowest first: transformations and matrix products of a convolution apart. */
export const sharesByKernel = (times: readonly KernelTime[]): KernelShare[] =>
  shares(times, ({ kernel }) => kernel).map(({ nodes: _, ...group }) => group);
