/** Mean squared error: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { mseLoss } from './mse.ts';

describe('mse', () => {
  itGives(
    'off by 2 in one of 2: mean 2',
    {
      inputs: { a: tensor([2], [1, 2]), b: tensor([2], [3, 2]) },
      outWeight: Float32Array.of(1),
      build: (graph, { a, b }) => mseLoss(graph, a, b),
    },
    { out: [2], 'd a': [-2, 0], 'd b': [2, 0] },
  );
  itMatchesGolden('mse', (graph, { input, target }) => mseLoss(graph, input, target));
  itHasItsGradients('mse');
  itAgreesOnRandomShapes('mse');
  itRefuses(
    'two shapes',
    (graph) => mseLoss(graph, graph.input('a', [2]), graph.input('b', [3])),
    'mse: both inputs must have one shape, got [2] and [3]',
  );
});
