/** Matrix products: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { matmul } from './matmul.ts';

describe('matmul', () => {
  itGives(
    'a row by two columns',
    {
      inputs: { a: tensor([1, 2], [1, 2]), b: tensor([2, 2], [3, 4, 5, 6]) },
      outWeight: Float32Array.of(1, 10),
      build: (graph, { a, b }) => matmul(graph, a, b),
    },
    { out: [13, 16], 'd a': [43, 65], 'd b': [1, 10, 2, 20] },
  );
  itGives(
    'all dot products of two rows: both factors are one node',
    {
      inputs: { u: tensor([2, 2], [1, 2, 3, 4]) },
      outWeight: Float32Array.of(0, 1, 0, 0),
      build: (graph, { u }) => matmul(graph, u, u, 'b'),
    },
    { out: [5, 11, 11, 25], 'd u': [3, 4, 1, 2] },
  );
  itMatchesGolden('matmul', (graph, { a, b }) => matmul(graph, a, b));
  itMatchesGolden('matmul.transposedA', (graph, { a, b }) => matmul(graph, a, b, 'a'));
  itMatchesGolden('matmul.transposedB', (graph, { a, b }) => matmul(graph, a, b, 'b'));
  itHasItsGradients('matmul', 6);
  itAgreesOnRandomShapes('matmul', 24);
  itRefuses(
    'factors that do not fit',
    (graph) => matmul(graph, graph.input('a', [2, 3]), graph.input('b', [2, 3])),
    'matmul: two matrices that can be multiplied, got a [2, 3] and b [2, 3]',
  );
  itRefuses(
    'factors that do not fit transposed',
    (graph) => matmul(graph, graph.input('a', [2, 3]), graph.input('b', [3, 2]), 'b'),
    'matmul: two matrices that can be multiplied, got a [2, 3] and b [3, 2], b transposed',
  );
});
