/** Joining and cutting: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { scale } from '../elementwise/elementwise.ts';
import { concat, slice } from './concat.ts';

describe('concat', () => {
  const inputs = { a: tensor([2, 1, 1, 1, 1], [1, 2]), b: tensor([2, 2, 1, 1, 1], [10, 11, 20, 21]) };
  itGives(
    'channels of each sample stand together',
    { inputs, outWeight: Float32Array.of(1, 2, 3, 4, 5, 6), build: (graph, { a, b }) => concat(graph, 1, a, b) },
    { out: [1, 10, 11, 2, 20, 21], 'd a': [1, 4], 'd b': [2, 3, 5, 6] },
  );
  itGives(
    'a slice of the channels; what it leaves out has no gradient',
    { inputs: { b: inputs.b }, outWeight: Float32Array.of(5, 6), build: (graph, { b }) => slice(graph, b, 1, 1, 1) },
    { out: [11, 21], 'd b': [0, 5, 0, 6] },
  );
  itGives(
    'what is joined may stand in it several times',
    {
      inputs,
      outWeight: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      build: (graph, { a, b }) => {
        const twice = scale(graph, a, 2);
        return concat(graph, 1, twice, b, twice);
      },
    },
    { out: [2, 10, 11, 2, 4, 20, 21, 4], 'd a': [2 * (1 + 4), 2 * (5 + 8)], 'd b': [2, 3, 6, 7] },
  );
  itMatchesGolden('concat.channels', (graph, { a, b }) => concat(graph, 1, a, b));
  itMatchesGolden('concat.batch', (graph, { a, b }) => concat(graph, 0, a, b));
  itMatchesGolden('slice.channels', (graph, { x }) => slice(graph, x, 1, 3, 5));
  itMatchesGolden('slice.batch', (graph, { x }) => slice(graph, x, 0, 1, 2));
  itHasItsGradients('concat');
  itHasItsGradients('slice');
  itAgreesOnRandomShapes('concat', 20);
  itAgreesOnRandomShapes('slice', 20);
  itRefuses(
    'sizes that differ',
    (graph) => concat(graph, 1, graph.input('a', [1, 8, 4, 4, 4]), graph.input('b', [1, 8, 4, 4, 5])),
    'concat: inputs must agree but for axis 1, got [1, 8, 4, 4, 4], [1, 8, 4, 4, 5]',
  );
  itRefuses(
    'a slice that reaches out',
    (graph) => slice(graph, graph.input('x', [2, 8, 4, 4, 4]), 1, 6, 4),
    'slice: 6 .. 10 is not inside axis 1 of [2, 8, 4, 4, 4]',
  );
});
