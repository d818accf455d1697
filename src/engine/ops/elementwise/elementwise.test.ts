/** Element by element: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { add, leakyRelu, multiply, multiplyByScalar, relu, scale, sigmoid, tanh } from './elementwise.ts';

const pair = { a: tensor([2], [1, 2]), b: tensor([2], [10, 20]) };

describe('elementwise', () => {
  itGives(
    'a + b',
    { inputs: pair, outWeight: Float32Array.of(3, 4), build: (graph, { a, b }) => add(graph, a, b) },
    { out: [11, 22], 'd a': [3, 4], 'd b': [3, 4] },
  );
  itGives(
    'a b',
    { inputs: pair, outWeight: Float32Array.of(3, 4), build: (graph, { a, b }) => multiply(graph, a, b) },
    { out: [10, 40], 'd a': [30, 80], 'd b': [3, 8] },
  );
  itGives(
    'a a, one node twice',
    { inputs: { a: pair.a }, outWeight: Float32Array.of(1, 1), build: (graph, { a }) => multiply(graph, a, a) },
    { out: [1, 4], 'd a': [2, 4] },
  );
  itGives(
    '2 a + 1',
    { inputs: { a: pair.a }, outWeight: Float32Array.of(1, 1), build: (graph, { a }) => scale(graph, a, 2, 1) },
    { out: [3, 5], 'd a': [2, 2] },
  );
  itGives(
    'a scalar times a tensor',
    { inputs: { a: pair.a, s: tensor([], [5]) }, wanted: [], build: (graph, { a, s }) => multiplyByScalar(graph, a, s) },
    { out: [5, 10] },
  );
  itGives(
    'leaky ReLU: a fifth below zero',
    { inputs: { a: tensor([3], [-5, 0, 5]) }, outWeight: Float32Array.of(1, 1, 1), build: (graph, { a }) => leakyRelu(graph, a) },
    { out: [-1, 0, 5], 'd a': [0.2, 0.2, 1] },
  );
  itGives(
    'ReLU: nothing below zero, and no gradient at zero',
    { inputs: { a: tensor([3], [-5, 0, 5]) }, outWeight: Float32Array.of(1, 1, 1), build: (graph, { a }) => relu(graph, a) },
    { out: [0, 0, 5], 'd a': [0, 0, 1] },
  );
  itGives(
    'tanh saturates',
    { inputs: { a: tensor([3], [-100, 0, 100]) }, outWeight: Float32Array.of(1, 1, 1), build: (graph, { a }) => tanh(graph, a) },
    { out: [-1, 0, 1], 'd a': [0, 1, 0] },
  );
  itGives(
    'sigmoid saturates',
    {
      inputs: { a: tensor([3], [-200, 0, 200]) },
      outWeight: Float32Array.of(1, 1, 1),
      build: (graph, { a }) => sigmoid(graph, a),
    },
    { out: [0, 0.5, 1], 'd a': [0, 0.25, 0] },
  );

  itMatchesGolden('add', (graph, { a, b }) => add(graph, a, b));
  itMatchesGolden('multiply', (graph, { a, b }) => multiply(graph, a, b));
  itMatchesGolden('scale', (graph, { x }) => scale(graph, x, 2.5, -0.5));
  itMatchesGolden('tanh', (graph, { x }) => tanh(graph, x));
  itMatchesGolden('sigmoid', (graph, { x }) => sigmoid(graph, x));
  itMatchesGolden('leakyRelu', (graph, { x }) => leakyRelu(graph, x));
  itMatchesGolden('relu', (graph, { x }) => relu(graph, x));
  for (const name of ['add', 'multiply', 'scale'] as const) itHasItsGradients(name);
  itHasItsGradients('unary', 8);
  for (const name of ['add', 'multiply', 'scale', 'multiplyByScalar', 'unary'] as const) itAgreesOnRandomShapes(name);

  itRefuses(
    'two shapes',
    (graph) => add(graph, graph.input('a', [2, 3]), graph.input('b', [3, 2])),
    'add: both inputs must have one shape, got [2, 3] and [3, 2]',
  );
  itRefuses(
    'a scalar that is none',
    (graph) => multiplyByScalar(graph, graph.input('a', [2]), graph.input('s', [1])),
    'multiplyByScalar: the second input must be a scalar, got [1]',
  );
});
