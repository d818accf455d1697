/** Normalising rows: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { cosineSimilarity, l2Normalize, layerNorm } from './normalize.ts';

describe('normalize', () => {
  itGives(
    'layer norm: mean 102 and deviation 2 make -1 and 1, times gamma, plus beta; a row is normalised by itself',
    {
      inputs: { x: tensor([2, 2], [100, 104, 7, 3]), gamma: tensor([2], [1, 10]), beta: tensor([2], [0, 5]) },
      outWeight: Float32Array.of(1, 1, 0, 1),
      build: (graph, { x, gamma, beta }) => layerNorm(graph, x, gamma, beta),
    },
    { out: [-1, 15, 1, -5], 'd gamma': [-1, 0], 'd beta': [1, 2] },
  );
  itGives(
    'layer norm of a constant row is 0, and its gradient is finite',
    {
      inputs: { x: tensor([1, 2], [3, 3]) },
      outWeight: Float32Array.of(1, 1),
      build: (graph, { x }) => layerNorm(graph, x),
    },
    { out: [0, 0], 'd x': [0, 0] },
  );
  itGives(
    'length 5 becomes 1; what only lengthens the row has no gradient',
    {
      inputs: { x: tensor([2, 2], [3, 4, 3, 4]) },
      outWeight: Float32Array.of(3, 4, 4, -3),
      build: (graph, { x }) => l2Normalize(graph, x),
    },
    { out: [0.6, 0.8, 0.6, 0.8], 'd x': [0, 0, 0.8, -0.6] },
  );
  itGives(
    'a row of zeros stays one',
    {
      inputs: { x: tensor([1, 2], [0, 0]) },
      outWeight: Float32Array.of(1, 2),
      build: (graph, { x }) => l2Normalize(graph, x, 0.5),
    },
    { out: [0, 0], 'd x': [2, 4] },
  );
  itGives(
    'the cosine of equal, opposite and perpendicular rows',
    {
      inputs: { a: tensor([3, 2], [1, 2, 1, 2, 1, 2]), b: tensor([3, 2], [2, 4, -3, -6, -2, 1]) },
      wanted: [],
      build: (graph, { a, b }) => cosineSimilarity(graph, a, b),
    },
    { out: [1, -1, 0] },
  );
  itMatchesGolden('layerNorm', (graph, { x, gamma, beta }) => layerNorm(graph, x, gamma, beta));
  itMatchesGolden('layerNorm.plain', (graph, { x }) => layerNorm(graph, x));
  itMatchesGolden('l2Normalize', (graph, { x }) => l2Normalize(graph, x));
  itMatchesGolden('cosineSimilarity', (graph, { a, b }) => cosineSimilarity(graph, a, b));
  itHasItsGradients('normalize', 8);
  itAgreesOnRandomShapes('normalize', 24);
  itRefuses(
    'features that are no matrix',
    (graph) => layerNorm(graph, graph.input('x', [1, 8, 2, 2, 2])),
    'layerNorm: needs (N, C), got [1, 8, 2, 2, 2]',
  );
  itRefuses(
    'a gamma of another size',
    (graph) => layerNorm(graph, graph.input('x', [2, 8]), graph.input('g', [4]), graph.input('b', [8])),
    'layerNorm: gamma expects [8], got [4]',
  );
  itRefuses('a vector', (graph) => l2Normalize(graph, graph.input('x', [8])), 'l2Normalize: needs (N, C), got [8]');
  itRefuses(
    'cosines between different numbers of rows',
    (graph) => cosineSimilarity(graph, graph.input('a', [2, 8]), graph.input('b', [3, 8])),
    'multiply: both inputs must have one shape, got [2, 8] and [3, 8]',
  );
});
