/** conv3d: against a count that one can do in the head, PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../testing/case.ts';
import {
  itAgreesOn,
  itAgreesOnRandomShapes,
  itGives,
  itHasItsGradients,
  itMatchesGolden,
  itRefuses,
} from '../../testing/checks.ts';
import { conv3d } from './conv3d.ts';
import { awkwardConvolutions } from './testing/awkward-cases.ts';

const build: Build = (graph, { x, weight, bias }) => conv3d(graph, x, weight, bias);
const onlyTap = (tap: number) =>
  tensor(
    [1, 1, 3, 3, 3],
    Array.from({ length: 27 }, (_, i) => (i === tap ? 1 : 0)),
  );

describe('conv3d', () => {
  itGives(
    'ones under a kernel of ones count the voxels inside: 8 at the corners of 3x3x3, 27 in the middle',
    {
      inputs: {
        x: tensor([1, 1, 3, 3, 3], new Array(27).fill(1)),
        weight: tensor([1, 1, 3, 3, 3], new Array(27).fill(1)),
        bias: tensor([1], [100]),
      },
      build,
    },
    {
      out: [8, 12, 8, 12, 18, 12, 8, 12, 8, 12, 18, 12, 18, 27, 18, 12, 18, 12, 8, 12, 8, 12, 18, 12, 8, 12, 8].map(
        (n) => 100 + n,
      ),
    },
  );
  itGives(
    'it is a cross-correlation: the first tap reads the voxel before, zero outside',
    { inputs: { x: tensor([1, 1, 3, 1, 1], [1, 2, 3]), weight: onlyTap(4) }, build },
    { out: [0, 1, 2] },
  );
  itGives(
    'a kernel of one voxel mixes channels: 10 a + b + 1',
    {
      inputs: { x: tensor([1, 2, 1, 1, 2], [1, 2, 3, 4]), weight: tensor([1, 2, 1, 1, 1], [10, 1]), bias: tensor([1], [1]) },
      outWeight: Float32Array.of(1, 1),
      build,
    },
    { out: [14, 25], 'd x': [10, 10, 1, 1], 'd weight': [3, 7], 'd bias': [2] },
  );
  for (const name of ['odd', 'wide', 'image', 'flow', 'point']) itMatchesGolden(`conv3d.${name}`, build);
  itHasItsGradients('conv3d', 4);
  itAgreesOnRandomShapes('conv3d', 24);
  itAgreesOn('awkward shapes', awkwardConvolutions);

  itRefuses(
    'other channels than the weight has',
    (graph) => conv3d(graph, graph.input('x', [1, 8, 4, 4, 4]), graph.input('w', [32, 16, 3, 3, 3])),
    'conv3d: weight expects 16 input channels, got 8 (tensor [1, 8, 4, 4, 4], weight [32, 16, 3, 3, 3])',
  );
  itRefuses(
    'kernels of 5',
    (graph) => conv3d(graph, graph.input('x', [1, 1, 4, 4, 4]), graph.input('w', [1, 1, 5, 5, 5])),
    'conv3d: kernels are 1x1x1 or 3x3x3, got weight [1, 1, 5, 5, 5]',
  );
  itRefuses(
    'a bias of another size',
    (graph) => conv3d(graph, graph.input('x', [1, 1, 4, 4, 4]), graph.input('w', [8, 1, 3, 3, 3]), graph.input('b', [1])),
    'conv3d: bias expects [8], got [1]',
  );
});
