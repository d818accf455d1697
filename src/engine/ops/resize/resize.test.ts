/** Trilinear up-sampling: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { upsample } from './resize.ts';

const build: Build = (graph, { x }) => upsample(graph, x);

describe('resize', () => {
  itGives(
    'corners stay where they are: 0 and 3 become 0, 1, 2, 3; an axis of one voxel is doubled',
    { inputs: { x: tensor([1, 1, 1, 1, 2], [0, 3]) }, outWeight: Float32Array.from({ length: 16 }, () => 1), build },
    { out: [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3], 'd x': [8, 8] },
  );
  itMatchesGolden('upsample.odd', build);
  itMatchesGolden('upsample.flat', build);
  itHasItsGradients('upsample');
  itAgreesOnRandomShapes('upsample', 20);
  itRefuses(
    'four axes',
    (graph) => upsample(graph, graph.input('x', [1, 8, 4, 4])),
    'upsample: needs (N, C, D, H, W), got [1, 8, 4, 4]',
  );
});
