/** GroupNorm with LeakyReLU: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { groupNorm } from './group-norm.ts';

const build =
  (groups: number, slope: number): Build =>
  (graph, { x, gamma, beta }) =>
    groupNorm(graph, x, gamma, beta, { groups, eps: 1e-5, slope });

describe('group-norm', () => {
  const inputs = {
    x: tensor([1, 2, 1, 1, 2], [100, 104, 104, 100]),
    gamma: tensor([2], [1, 10]),
    beta: tensor([2], [0, 5]),
  };
  itGives(
    'mean 102 and deviation 2 make -1 and 1, times gamma, plus beta; negatives shrink to a fifth',
    { inputs, build: build(1, 0.2) },
    { out: [-0.2, 1, 15, -1] },
  );
  itGives('slope 1 leaves the activation out', { inputs, build: build(1, 1) }, { out: [-1, 1, 15, -5] });
  itGives(
    'a constant group is beta, and its gradients are finite',
    {
      inputs: { ...inputs, x: tensor([1, 2, 1, 1, 2], [3, 3, 3, 3]), beta: tensor([2], [1, 5]) },
      outWeight: Float32Array.of(1, 1, 1, 1),
      build: build(2, 0.2),
    },
    { out: [1, 1, 5, 5], 'd x': [0, 0, 0, 0], 'd gamma': [0, 0], 'd beta': [2, 2] },
  );
  itMatchesGolden('groupNorm.leaky', build(2, 0.2));
  itMatchesGolden('groupNorm.plain', build(4, 1));
  itHasItsGradients('groupNorm', 4);
  itAgreesOnRandomShapes('groupNorm', 24);
  itRefuses(
    'groups that do not divide the channels',
    (graph) =>
      groupNorm(graph, graph.input('x', [1, 8, 2, 2, 2]), graph.input('g', [8]), graph.input('b', [8]), {
        groups: 3,
        eps: 1e-5,
        slope: 1,
      }),
    'groupStatistics: 3 groups do not divide the channels of [1, 8, 2, 2, 2]',
  );
  itRefuses(
    'a gamma of another size',
    (graph) =>
      groupNorm(graph, graph.input('x', [1, 8, 2, 2, 2]), graph.input('g', [4]), graph.input('b', [8]), {
        groups: 1,
        eps: 1e-5,
        slope: 1,
      }),
    'groupNorm: gamma and beta expect [8], got [4] and [8]',
  );
});
