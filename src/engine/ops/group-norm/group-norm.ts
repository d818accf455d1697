/**
 * GroupNorm with its LeakyReLU (Wu & He, 2018), in the four pieces that one training step needs.
 *
 * For every sample and group of channels: mean m and r = 1 / sqrt(variance + eps) over the group's voxels; then
 *   h = (x - m) r,  z = gamma h + beta,  y = z where z > 0, else slope z   (slope 1: no activation).
 * Backwards, with dz = dy f'(z) and M voxels in a group:
 *   dgamma = sum dz h,  dbeta = sum dz  (over samples and voxels)
 *   dx = r (gamma dz - [sum gamma dz + h sum gamma dz h] / M)  (sums over the group)
 * Only x and the statistics are kept: z is computed again, which is cheaper than its memory.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, type Shape, sameShape } from '../../graph.ts';

export interface GroupNormAttributes {
  readonly groups: number;
  readonly eps: number;
  /** LeakyReLU's negative slope; 1 leaves the activation out. */
  readonly slope: number;
}

function checkGroups(op: string, x: Shape, groups: number): void {
  checkShape(x.length === 5 && x[1] % groups === 0, op, () => `${groups} groups do not divide the channels of ${formatShape(x)}`);
}

/** inputs: x (N, C, D, H, W). Result (N, G, 2): mean and 1 / sqrt(variance + eps) of each group. */
export const groupStatisticsOp: Operation<GroupNormAttributes> = {
  name: 'groupStatistics',
  shape: ([x], { groups }) => {
    checkGroups('groupStatistics', x, groups);
    return [x[0], groups, 2];
  },
};

/** inputs: x (N, C, D, H, W), statistics (N, G, 2), gamma (C), beta (C). Result y like x. The statistics' gradient is part of x's. */
export const groupNormOp: Operation<GroupNormAttributes> = {
  name: 'groupNorm',
  recompute: true,
  shape: ([x, statistics, gamma, beta], { groups }) => {
    checkGroups('groupNorm', x, groups);
    const channels = x[1];
    checkShape(
      sameShape(statistics, [x[0], groups, 2]),
      'groupNorm',
      () => `statistics expect [${x[0]}, ${groups}, 2], got ${formatShape(statistics)}`,
    );
    checkShape(
      sameShape(gamma, [channels]) && sameShape(beta, [channels]),
      'groupNorm',
      () => `gamma and beta expect [${channels}], got ${formatShape(gamma)} and ${formatShape(beta)}`,
    );
    return x;
  },
  gradient: (graph, { inputs, attributes }, dOut) => {
    const [x, statistics, gamma, beta] = inputs as [Node, Node, Node, Node];
    const sums = graph.apply(groupNormSumsOp, [x, statistics, gamma, beta, dOut], attributes);
    return [
      graph.apply(groupNormInputGradientOp, [x, statistics, gamma, beta, dOut, sums], attributes),
      undefined,
      graph.apply(sumPickOp, [sums], { pick: 1 }),
      graph.apply(sumPickOp, [sums], { pick: 0 }),
    ];
  },
};

/** inputs: x, statistics, gamma, beta, dy. Result (N, C, 2): sum of dz and of dz h over the voxels of each channel. */
export const groupNormSumsOp: Operation<GroupNormAttributes> = {
  name: 'groupNormSums',
  shape: ([x, , , , dOut]) => {
    checkShape(sameShape(x, dOut), 'groupNormSums', () => `x is ${formatShape(x)}, dy ${formatShape(dOut)}`);
    return [x[0], x[1], 2];
  },
};

/** inputs: x, statistics, gamma, beta, dy, sums (N, C, 2). Result dx like x. */
export const groupNormInputGradientOp: Operation<GroupNormAttributes> = {
  name: 'groupNormInputGradient',
  shape: ([x]) => x,
};

/** inputs: sums (N, C, 2). Result (C): the picked sum, added over the batch. */
export const sumPickOp: Operation<{ readonly pick: 0 | 1 }> = {
  name: 'sumPick',
  shape: ([sums]) => [sums[1]],
};

/** GroupNorm, followed by LeakyReLU where a slope is given. x (N, C, D, H, W), gamma (C), beta (C). */
export function groupNorm(
  graph: Graph,
  x: Node,
  gamma: Node,
  beta: Node,
  { groups, eps = 1e-5, slope = 1 }: Pick<GroupNormAttributes, 'groups'> & Partial<GroupNormAttributes>,
): Node {
  const attributes: GroupNormAttributes = { groups, eps, slope };
  const statistics = graph.apply(groupStatisticsOp, [x], attributes);
  return graph.apply(groupNormOp, [x, statistics, gamma, beta], attributes);
}
