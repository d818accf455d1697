/** Sums, means and broadcasts: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { channelSum, fillOp, globalAverage, mean, spatialBroadcastOp, sumOfSquares } from './reduce.ts';

describe('reduce', () => {
  const x = tensor([2, 2, 1, 1, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
  itGives(
    'the sum of each channel over samples and voxels',
    { inputs: { x }, wanted: [], build: (graph, nodes) => channelSum(graph, nodes.x) },
    { out: [14, 22] },
  );
  itGives(
    'the mean of each channel of each sample',
    { inputs: { x }, outWeight: Float32Array.of(2, 4, 6, 8), build: (graph, nodes) => globalAverage(graph, nodes.x) },
    { out: [1.5, 3.5, 5.5, 7.5], 'd x': [1, 1, 2, 2, 3, 3, 4, 4] },
  );
  itGives(
    'the mean of all',
    { inputs: { x }, outWeight: Float32Array.of(8), build: (graph, nodes) => mean(graph, nodes.x) },
    { out: [4.5], 'd x': new Array(8).fill(1) },
  );
  itGives(
    '1 + 4 + 9',
    { inputs: { x: tensor([3], [1, 2, 3]) }, wanted: [], build: (graph, nodes) => sumOfSquares(graph, nodes.x) },
    { out: [14] },
  );
  itGives(
    'a scalar everywhere',
    {
      inputs: { x: tensor([], [3]) },
      wanted: [],
      build: (graph, nodes) => graph.apply(fillOp, [nodes.x], { shape: [2, 2], scale: 0.5 }),
    },
    { out: [1.5, 1.5, 1.5, 1.5] },
  );
  itGives(
    'a value a channel at every voxel',
    {
      inputs: { x: tensor([1, 2], [3, 4]) },
      wanted: [],
      build: (graph, nodes) => graph.apply(spatialBroadcastOp, [nodes.x], { size: [1, 1, 2], scale: 10 }),
    },
    { out: [30, 30, 40, 40] },
  );
  itMatchesGolden('globalAverage', (graph, nodes) => globalAverage(graph, nodes.x));
  itMatchesGolden('mean', (graph, nodes) => mean(graph, nodes.x));
  itHasItsGradients('globalAverage');
  itHasItsGradients('mean');
  for (const name of ['channelSum', 'globalAverage', 'mean', 'sumOfSquares', 'fill', 'spatialBroadcast'] as const)
    itAgreesOnRandomShapes(name);
  itRefuses(
    'a matrix',
    (graph) => globalAverage(graph, graph.input('x', [2, 8])),
    'globalAverage: needs (N, C, D, H, W), got [2, 8]',
  );
});
