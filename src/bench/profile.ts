/** Where a step's time goes: kernel calls timed one by one, put together by operation and shape. */
import type { KernelTime } from '../engine/backend.ts';
import { elementCount, formatShape, type Node, type Shape } from '../engine/graph.ts';

export interface KernelShare {
  /** The operation, and for convolutions 'in -> out at DxHxW'. */
  readonly what: string;
  readonly calls: number;
  readonly seconds: number;
  /** Share of the sum of all kernels. */
  readonly share: number;
  /** Convolutions: multiplications and additions of the direct sum, over time. */
  readonly gflops?: number;
  /** The rest: bytes of all operands and the result, over time. */
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

/** Groups, the slowest first. A node's kernels (transformations, the product, conversions) count together, the node's work once. */
export function kernelShares(times: readonly KernelTime[]): KernelShare[] {
  const total = times.reduce((sum, { seconds }) => sum + seconds, 0);
  const groups = new Map<string, { nodes: Set<Node>; seconds: number }>();
  for (const { node, seconds } of times) {
    const what = describe(node);
    const group = groups.get(what) ?? { nodes: new Set(), seconds: 0 };
    group.nodes.add(node);
    group.seconds += seconds;
    groups.set(what, group);
  }
  return [...groups]
    .map(([what, { nodes, seconds }]): KernelShare => {
      const sum = (of: (node: Node) => number): number => [...nodes].reduce((all, node) => all + of(node), 0);
      const base = { what, calls: nodes.size, seconds, share: seconds / total };
      if (CONVOLUTIONS.includes([...nodes][0]!.op.name)) return { ...base, gflops: sum(directFlops) / seconds / 1e9 };
      // what is written into a state is its part's size
      const moved = sum(({ op, inputs, shape }) =>
        inputs.reduce((all, each) => all + bytesOf(each.shape), op.writes ? 0 : bytesOf(shape)),
      );
      return { ...base, gbPerS: moved / seconds / 1e9 };
    })
    .sort((a, b) => b.seconds - a.seconds);
}

/** For tests and messages: the shape of a node as text. */
export const nodeText = ({ op, shape }: Node): string => `${op.name} ${formatShape(shape)}`;
