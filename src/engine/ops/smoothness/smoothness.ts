/**
 * How rough a flow is: the mean squared forward difference along each axis, averaged over the three axes.
 *
 * loss = 1/3 sum over axes a of 1/M_a sum (f(p + e_a) - f(p))^2, M_a the number of differences along a (an axis of one voxel adds 0).
 * d f(p) = 2 dOut / 3 sum over a of 1/M_a [ (f(p) - f(p - e_a)) - (f(p + e_a) - f(p)) ], terms outside the volume left out.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation } from '../../graph.ts';

/** flow (N, 3, D, H, W) to a scalar. */
export const smoothnessOp: Operation<undefined> = {
  name: 'smoothness',
  shape: ([flow]) => {
    checkShape(flow.length === 5, 'smoothness', () => `needs (N, C, D, H, W), got ${formatShape(flow)}`);
    return [];
  },
  gradient: (graph, { inputs: [flow] }, dOut) => [graph.apply(smoothnessGradientOp, [flow, dOut], undefined)],
};

/** inputs: flow, dOut (scalar). Result d flow. */
export const smoothnessGradientOp: Operation<undefined> = { name: 'smoothnessGradient', shape: ([flow]) => flow };

export const smoothnessLoss = (graph: Graph, flow: Node): Node => graph.apply(smoothnessOp, [flow], undefined);
