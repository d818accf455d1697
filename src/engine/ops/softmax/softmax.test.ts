/** Softmax: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { probabilities, softmax } from './softmax.ts';

const build: Build = (graph, { x }) => softmax(graph, x);

describe('softmax', () => {
  itGives(
    'equal values share, log 3 against 0 is 3 to 1; channels of one voxel lie apart',
    { inputs: { x: tensor([1, 2, 1, 1, 2], [5, Math.log(3), 5, 0]) }, outWeight: Float32Array.of(4, 16, 0, 0), build },
    { out: [0.5, 0.75, 0.5, 0.25], 'd x': [1, 3, -1, -3] },
  );
  itGives('great values do not overflow', { inputs: { x: tensor([1, 2, 1, 1, 1], [1e4, -1e4]) }, build }, { out: [1, 0] });
  itGives(
    'rows of a matrix',
    { inputs: { x: tensor([2, 2], [Math.log(3), 0, 5, 5]) }, outWeight: Float32Array.of(16, 0, 0, 4), build },
    {
      out: [0.75, 0.25, 0.5, 0.5],
      'd x': [3, -3, -1, 1],
    },
  );
  itMatchesGolden('softmax', build);
  itMatchesGolden('softmax.rows', build);
  itHasItsGradients('softmax');
  itAgreesOnRandomShapes('softmax');
  itRefuses('a vector', (graph) => softmax(graph, graph.input('x', [4])), 'softmax: needs (N, C) or (N, C, D, H, W), got [4]');
});

describe('probabilities', () => {
  const x = tensor([2, 1, 1, 1, 2], [0, Math.log(3), -1e4, 1e4]);
  itGives(
    "of logits less the first class's, which is left out",
    { inputs: { x }, wanted: [], build: (graph, { x: logits }) => probabilities(graph, logits, { relative: true }) },
    { out: [0.5, 0.25, 0.5, 0.75, 1, 0, 0, 1] },
  );
  itGives(
    'of all logits',
    { inputs: { x }, wanted: [], build: (graph, { x: logits }) => probabilities(graph, logits, { relative: false }) },
    { out: [1, 1, 1, 1] },
  );
  itAgreesOnRandomShapes('probabilities');
});
