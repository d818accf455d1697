/** Padding, cropping and views: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { concat, slice } from '../concat/concat.ts';
import { add, multiply, scale } from '../elementwise/elementwise.ts';
import { crop, pad, stopGradient, view } from './shape.ts';

describe('shape', () => {
  const x = tensor([1, 1, 1, 1, 3], [1, 2, 3]);
  itGives(
    'zeros before and after',
    {
      inputs: { x },
      outWeight: Float32Array.of(9, 5, 6, 7, 9, 9),
      build: (graph, nodes) => pad(graph, nodes.x, [0, 0, 0, 0, 1], [0, 0, 0, 0, 2]),
    },
    { out: [0, 1, 2, 3, 0, 0], 'd x': [5, 6, 7] },
  );
  itGives(
    'what is cut away has no gradient',
    {
      inputs: { x },
      outWeight: Float32Array.of(5),
      build: (graph, nodes) => crop(graph, nodes.x, [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]),
    },
    { out: [2], 'd x': [0, 5, 0] },
  );
  itGives(
    'parameters are views of one flat state',
    {
      inputs: { a: tensor([3], [1, 2, 3]), b: tensor([2], [4, 5]) },
      parameters: ['a', 'b'],
      outWeight: Float32Array.of(1, 2),
      wanted: ['b'],
      build: (graph, { b }) => scale(graph, b, 10),
    },
    { out: [40, 50], 'd b': [10, 20] },
  );
  itGives(
    'a factor that is held constant has no gradient',
    {
      inputs: { a: tensor([2], [3, 4]) },
      outWeight: Float32Array.of(1, 10),
      build: (graph, { a }) => multiply(graph, stopGradient(graph, a), a),
    },
    { out: [9, 16], 'd a': [3, 40] },
  );
  const channels = Array.from({ length: 8 }, (_, i) => i + 1);
  itGives(
    'what is held constant may be joined and cut, beside what it is held of',
    {
      inputs: { a: tensor([1, 8, 1, 1, 1], channels) },
      outWeight: new Float32Array(8).fill(1),
      build: (graph, { a }) => {
        const twice = scale(graph, a, 2);
        const held = stopGradient(graph, twice);
        const joined = concat(graph, 1, twice, scale(graph, held, 3), held);
        const [first, second, third] = [0, 8, 16].map((start) => slice(graph, joined, 1, start, 8));
        return add(graph, add(graph, first, second), add(graph, third, slice(graph, held, 1, 0, 8)));
      },
    },
    { out: channels.map((value) => 12 * value), 'd a': channels.map(() => 2) },
  );
  itMatchesGolden('pad', (graph, nodes) => pad(graph, nodes.x, [0, 0, 1, 2, 0], [0, 0, 0, 1, 3]));
  itMatchesGolden('crop', (graph, nodes) => crop(graph, nodes.x, [0, 0, 1, 2, 0], [0, 0, 0, 1, 2]));
  itHasItsGradients('pad');
  itHasItsGradients('crop');
  itAgreesOnRandomShapes('pad', 20);
  itAgreesOnRandomShapes('crop', 20);
  itRefuses(
    'margins for fewer axes',
    (graph) => pad(graph, graph.input('x', [1, 1, 4, 4, 4]), [1, 1, 1], [0, 0, 0]),
    'pad: margins before [1, 1, 1] and after [0, 0, 0] do not fit [1, 1, 4, 4, 4]',
  );
  itRefuses(
    'a crop of everything',
    (graph) => crop(graph, graph.input('x', [1, 1, 4, 4, 4]), [0, 0, 2, 0, 0], [0, 0, 2, 0, 0]),
    'crop: margins before [0, 0, 2, 0, 0] and after [0, 0, 2, 0, 0] leave nothing of [1, 1, 4, 4, 4]',
  );
  itRefuses(
    'a view beyond the end',
    (graph) => view(graph, graph.state('p', [10]), 5, [2, 3]),
    'view: [2, 3] at 5 is not inside the flat tensor [10]',
  );
});
