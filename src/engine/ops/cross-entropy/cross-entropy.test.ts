/** Cross-entropy in its two forms: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { binaryCrossEntropyLoss, crossEntropyLoss } from './cross-entropy.ts';

describe('cross-entropy', () => {
  itGives(
    'four equal logits: log 4',
    {
      inputs: { logits: tensor([1, 4, 1, 1, 1], [7, 7, 7, 7]), truth: tensor([1, 4, 1, 1, 1], [0, 1, 0, 0]) },
      wanted: ['logits'],
      outWeight: Float32Array.of(1),
      build: (graph, { logits, truth }) => crossEntropyLoss(graph, logits, truth),
    },
    { out: [Math.log(4)], 'd logits': [0.25, -0.75, 0.25, 0.25] },
  );
  itGives(
    'of whole samples: log 4 of the one that knows nothing, log 2 of the one that is torn between two',
    {
      inputs: { logits: tensor([2, 4], [1, 1, 1, 1, 500, 500, 0, 0]), truth: tensor([2, 4], [0, 0, 1, 0, 1, 0, 0, 0]) },
      wanted: ['logits'],
      outWeight: Float32Array.of(2),
      build: (graph, { logits, truth }) => crossEntropyLoss(graph, logits, truth),
    },
    { out: [Math.log(8) / 2], 'd logits': [0.25, 0.25, -0.75, 0.25, -0.5, 0.5, 0, 0] },
  );
  itGives(
    'a voxel without any truth costs nothing and has no gradient, but counts in the mean',
    {
      inputs: { logits: tensor([1, 2, 1, 1, 2], [3, 7, 3, 1]), truth: tensor([1, 2, 1, 1, 2], [1, 0, 0, 0]) },
      wanted: ['logits'],
      outWeight: Float32Array.of(4),
      build: (graph, { logits, truth }) => crossEntropyLoss(graph, logits, truth),
    },
    { out: [Math.log(2) / 2], 'd logits': [-1, 0, 1, 0] },
  );
  itGives(
    'a certain error costs its distance and does not overflow',
    {
      inputs: { logits: tensor([1, 2, 1, 1, 1], [-500, 500]), truth: tensor([1, 2, 1, 1, 1], [1, 0]) },
      wanted: [],
      build: (graph, { logits, truth }) => crossEntropyLoss(graph, logits, truth),
    },
    { out: [1000] },
  );
  itGives(
    'binary: even odds cost log 2, certain errors their distance',
    {
      inputs: { logits: tensor([2], [0, -600]), truth: tensor([2], [1, 1]) },
      wanted: ['logits'],
      outWeight: Float32Array.of(2),
      build: (graph, { logits, truth }) => binaryCrossEntropyLoss(graph, logits, truth),
    },
    { out: [(Math.log(2) + 600) / 2], 'd logits': [-0.5, -1] },
  );
  itMatchesGolden('crossEntropy', (graph, { logits, truth }) => crossEntropyLoss(graph, logits, truth));
  itMatchesGolden('crossEntropy.rows', (graph, { logits, truth }) => crossEntropyLoss(graph, logits, truth));
  itMatchesGolden('binaryCrossEntropy', (graph, { input, target }) => binaryCrossEntropyLoss(graph, input, target));
  itHasItsGradients('crossEntropy');
  itHasItsGradients('binaryCrossEntropy');
  itAgreesOnRandomShapes('crossEntropy');
  itAgreesOnRandomShapes('binaryCrossEntropy');
  itRefuses(
    'a truth of other classes',
    (graph) => crossEntropyLoss(graph, graph.input('x', [1, 2, 4, 4, 4]), graph.input('g', [1, 3, 4, 4, 4])),
    'crossEntropy: logits and truth must have one shape (N, C, D, H, W) or (N, C), got [1, 2, 4, 4, 4] and [1, 3, 4, 4, 4]',
  );
});
