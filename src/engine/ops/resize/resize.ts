/**
 * Trilinear up-sampling by 2 with align_corners=True: output voxel j of 2n lies at input position j (n - 1) / (2n - 1) on each axis
 * (at 0 if n = 1). Its adjoint is written as a gather, so that no two threads write one voxel.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation } from '../../graph.ts';

/** x (N, C, D, H, W) to (N, C, 2D, 2H, 2W). */
export const upsampleOp: Operation<undefined> = {
  name: 'upsample',
  recompute: true,
  shape: ([x]) => {
    checkShape(x.length === 5, 'upsample', () => `needs (N, C, D, H, W), got ${formatShape(x)}`);
    return [x[0], x[1], ...x.slice(2).map((size) => 2 * size)];
  },
  gradient: (graph, _node, dOut) => [graph.apply(upsampleGradientOp, [dOut], undefined)],
};

/** dy (N, C, 2D, 2H, 2W) to dx (N, C, D, H, W). */
export const upsampleGradientOp: Operation<undefined> = {
  name: 'upsampleGradient',
  shape: ([dOut]) => [dOut[0], dOut[1], ...dOut.slice(2).map((size) => size / 2)],
};

export const upsample = (graph: Graph, x: Node): Node => graph.apply(upsampleOp, [x], undefined);
