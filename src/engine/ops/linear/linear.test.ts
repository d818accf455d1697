/** The linear layer: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { linear } from './linear.ts';

describe('linear', () => {
  itGives(
    '1 x 3 + 2 x 4 + 5 = 16',
    {
      inputs: { x: tensor([1, 2], [1, 2]), weight: tensor([1, 2], [3, 4]), bias: tensor([1], [5]) },
      outWeight: Float32Array.of(10),
      build: (graph, { x, weight, bias }) => linear(graph, x, weight, bias),
    },
    { out: [16], 'd x': [30, 40], 'd weight': [10, 20], 'd bias': [10] },
  );
  itMatchesGolden('linear', (graph, { input, weight, bias }) => linear(graph, input, weight, bias));
  itHasItsGradients('linear');
  itAgreesOnRandomShapes('linear');
  itRefuses(
    'a weight for other features',
    (graph) => linear(graph, graph.input('x', [2, 8]), graph.input('w', [3, 16]), graph.input('b', [3])),
    'linear: x (N, I), weight (O, I), bias (O) do not fit: [2, 8], [3, 16], [3]',
  );
});
