/** Sums and means over axes, and the broadcasts that are their adjoints. */
import { checkShape, elementCount, formatShape, type Graph, type Node, type Operation } from '../../graph.ts';

/** x (N, C, D, H, W) to (C): the sum over samples and voxels; a bias's gradient. */
export const channelSumOp: Operation<undefined> = {
  name: 'channelSum',
  shape: ([x]) => {
    checkShape(x.length === 5, 'channelSum', () => `needs (N, C, D, H, W), got ${formatShape(x)}`);
    return [x[1]];
  },
};

/** x (N, C) to (C): the sum over samples. d x = dOut in every sample. */
export const batchSumOp: Operation<undefined> = {
  name: 'batchSum',
  shape: ([x]) => {
    checkShape(x.length === 2, 'batchSum', () => `needs (N, C), got ${formatShape(x)}`);
    return [x[1]];
  },
  gradient: (graph, { inputs: [x] }, dOut) => [batchBroadcast(graph, dOut, x.shape[0])],
};

/** x (C) to (N, C): the same in every sample. d x = the sum over samples of dOut. */
export const batchBroadcastOp: Operation<{ readonly batch: number }> = {
  name: 'batchBroadcast',
  shape: ([x], { batch }) => {
    checkShape(x.length === 1, 'batchBroadcast', () => `needs (C), got ${formatShape(x)}`);
    return [batch, x[0]];
  },
  gradient: (graph, _node, dOut) => [batchSum(graph, dOut)],
};

/** x (N, C, D, H, W) to (N, C): the mean over voxels. d x = dOut / voxels everywhere. */
export const globalAverageOp: Operation<undefined> = {
  name: 'globalAverage',
  shape: ([x]) => {
    checkShape(x.length === 5, 'globalAverage', () => `needs (N, C, D, H, W), got ${formatShape(x)}`);
    return [x[0], x[1]];
  },
  gradient: (graph, { inputs: [x] }, dOut) => {
    const [, , depth, height, width] = x.shape;
    const size = [depth, height, width] as const;
    return [graph.apply(spatialBroadcastOp, [dOut], { size, scale: 1 / (depth * height * width) })];
  },
};

/** x (N, C) to (N, C, D, H, W): scale times the value at every voxel. */
export const spatialBroadcastOp: Operation<{ readonly size: readonly [number, number, number]; readonly scale: number }> = {
  name: 'spatialBroadcast',
  shape: ([x], { size }) => [x[0], x[1], ...size],
};

/** Any tensor to a scalar: the sum of its squares, summed in double precision. For gradient norms; not differentiable. */
export const sumOfSquaresOp: Operation<undefined> = { name: 'sumOfSquares', shape: () => [] };

/** Any tensor to a scalar: its mean. d x = dOut / elements everywhere. */
export const meanOp: Operation<undefined> = {
  name: 'mean',
  shape: () => [],
  gradient: (graph, { inputs: [x] }, dOut) => [graph.apply(fillOp, [dOut], { shape: x.shape, scale: 1 / elementCount(x.shape) })],
};

/** A scalar to any shape: scale times it everywhere. */
export const fillOp: Operation<{ readonly shape: readonly number[]; readonly scale: number }> = {
  name: 'fill',
  shape: (_inputs, { shape }) => shape,
};

export const channelSum = (graph: Graph, x: Node): Node => graph.apply(channelSumOp, [x], undefined);
export const batchSum = (graph: Graph, x: Node): Node => graph.apply(batchSumOp, [x], undefined);
export const batchBroadcast = (graph: Graph, x: Node, batch: number): Node => graph.apply(batchBroadcastOp, [x], { batch });
export const globalAverage = (graph: Graph, x: Node): Node => graph.apply(globalAverageOp, [x], undefined);
export const sumOfSquares = (graph: Graph, x: Node): Node => graph.apply(sumOfSquaresOp, [x], undefined);
export const mean = (graph: Graph, x: Node): Node => graph.apply(meanOp, [x], undefined);
