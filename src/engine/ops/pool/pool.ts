/**
 * Max-pooling by 2: windows of 2x2x2, stride 2, a last odd voxel dropped (as in PyTorch).
 *
 * The gradient goes to the first greatest voxel of each window in (z, y, x) order.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation } from '../../graph.ts';

/** x (N, C, D, H, W) to (N, C, D/2, H/2, W/2). */
export const maxPoolOp: Operation<undefined> = {
  name: 'maxPool',
  shape: ([x]) => {
    checkShape(
      x.length === 5 && x.slice(2).every((size) => size >= 2),
      'maxPool',
      () => `needs (N, C, D, H, W) of 2 voxels and more, got ${formatShape(x)}`,
    );
    return [x[0], x[1], ...x.slice(2).map((size) => Math.floor(size / 2))];
  },
  gradient: (graph, { inputs: [x] }, dOut) => [graph.apply(maxPoolGradientOp, [x, dOut], undefined)],
};

/** inputs: x, dy. Result dx like x. */
export const maxPoolGradientOp: Operation<undefined> = { name: 'maxPoolGradient', shape: ([x]) => x };

export const maxPool = (graph: Graph, x: Node): Node => graph.apply(maxPoolOp, [x], undefined);
