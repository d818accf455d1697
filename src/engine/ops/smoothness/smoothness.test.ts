/** Smoothness: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { smoothnessLoss } from './smoothness.ts';

const build: Build = (graph, { flow }) => smoothnessLoss(graph, flow);

describe('smoothness', () => {
  itGives(
    'a constant flow is smooth',
    { inputs: { flow: tensor([1, 3, 2, 2, 2], new Array(24).fill(7)) }, build },
    { out: [0], 'd flow': new Array(24).fill(0) },
  );
  itGives(
    'one component rising by 3 along x: 9 in one of 3 components, on one of 3 axes; an axis of one voxel adds nothing',
    { inputs: { flow: tensor([1, 3, 1, 1, 2], [0, 0, 0, 0, 0, 3]) }, outWeight: Float32Array.of(9), build },
    { out: [1], 'd flow': [0, 0, 0, 0, -6, 6] },
  );
  itMatchesGolden('smoothness', build);
  itHasItsGradients('smoothness');
  itAgreesOnRandomShapes('smoothness', 20);
  itRefuses(
    'a matrix',
    (graph) => smoothnessLoss(graph, graph.input('f', [3, 4])),
    'smoothness: needs (N, C, D, H, W), got [3, 4]',
  );
});
