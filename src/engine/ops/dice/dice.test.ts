/** Soft Dice: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { diceLoss } from './dice.ts';

const build: Build = (graph, { probabilities, truth }) => diceLoss(graph, probabilities, truth);
const two = (values: number[]) => tensor([1, 2, 1, 1, 2], values);

describe('dice', () => {
  itGives(
    'the truth itself: no loss',
    { inputs: { probabilities: two([1, 0, 0, 1]), truth: two([1, 0, 0, 1]) }, wanted: ['probabilities'], build },
    { out: [0] },
  );
  itGives(
    'the opposite: each class has (0 + 1) / (1 + 1 + 1)',
    {
      inputs: { probabilities: two([0, 1, 1, 0]), truth: two([1, 0, 0, 1]) },
      wanted: ['probabilities'],
      outWeight: Float32Array.of(9),
      build,
    },
    // -9/2 (2 g / 3 - 2 p / 9)
    { out: [2 / 3], 'd probabilities': [-3, 1, 1, -3] },
  );
  itMatchesGolden('dice', build);
  itHasItsGradients('dice');
  itAgreesOnRandomShapes('dice');
  itRefuses(
    'a truth of other classes',
    (graph) => diceLoss(graph, graph.input('p', [1, 2, 4, 4, 4]), graph.input('g', [1, 3, 4, 4, 4])),
    'dice: needs probabilities and truth (N, C, D, H, W), got [1, 2, 4, 4, 4] and [1, 3, 4, 4, 4]',
  );
});
