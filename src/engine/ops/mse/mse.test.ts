/** Mean squared error: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { add, scale } from '../elementwise/elementwise.ts';
import { maskedMseLoss, mseLoss } from './mse.ts';

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

describe('masked mse', () => {
  const inputs = { a: tensor([2, 3], [1, 2, 9, 5, 5, 5]), b: tensor([2, 3], [3, 2, 0, 6, 0, 0]) };
  const build: Build = (graph, { a, b, mask }) => maskedMseLoss(graph, a, b, mask);
  const wanted = ['a', 'b'];
  itGives(
    'off by 2 in one of 2, and by 1 in one of 1: the mean of 2 and 1',
    { inputs: { ...inputs, mask: tensor([2, 3], [1, 1, 0, 1, 0, 0]) }, wanted, outWeight: Float32Array.of(1), build },
    { out: [1.5], 'd a': [-1, 0, 0, -1, 0, 0], 'd b': [1, 0, 0, 1, 0, 0] },
  );
  itGives(
    'a sample whose mask is empty counts as 0',
    { inputs: { ...inputs, mask: tensor([2, 3], [0, 0, 0, 1, 0, 0]) }, wanted, outWeight: Float32Array.of(1), build },
    { out: [0.5], 'd a': [0, 0, 0, -1, 0, 0], 'd b': [0, 0, 0, 1, 0, 0] },
  );
  itGives(
    'a mask of ones leaves the mean of all',
    {
      inputs: { ...inputs, mask: tensor([2, 3], [1, 1, 1, 1, 1, 1]) },
      wanted,
      outWeight: Float32Array.of(3),
      build: (graph, nodes) => add(graph, build(graph, nodes), scale(graph, mseLoss(graph, nodes.a, nodes.b), -1)),
    },
    { out: [0], 'd a': [0, 0, 0, 0, 0, 0], 'd b': [0, 0, 0, 0, 0, 0] },
  );
  itMatchesGolden('maskedMse', (graph, { a, b, mask }) => maskedMseLoss(graph, a, b, mask));
  itHasItsGradients('maskedMse');
  itAgreesOnRandomShapes('maskedMse');
  itRefuses(
    'a mask of another size',
    (graph) => maskedMseLoss(graph, graph.input('a', [2, 3]), graph.input('b', [2, 3]), graph.input('m', [2, 1])),
    'maskedMse: both inputs and the mask must have one shape (N, ...), got [2, 3], [2, 3], [2, 1]',
  );
});
