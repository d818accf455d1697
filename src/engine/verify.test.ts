/** Each kind of broken graph is refused, by graph, node and reason. */
import { describe, expect, it } from 'vitest';
import { Graph, type Node, type Operation, type Program, type Shape } from './graph.ts';
import { accumulate } from './ops/adam/adam.ts';
import { add, scale } from './ops/elementwise/elementwise.ts';
import { view } from './ops/shape/shape.ts';
import { stateOf, verifyProgram } from './verify.ts';

const STATES: [string, Shape][] = [
  ['weights', [4]],
  ['gradients', [4]],
];
const verify = (graph: Graph, states = STATES): void =>
  verifyProgram({ states: new Map(states), graphs: new Map([['step', graph]]) } satisfies Program);
/** Puts a node into a graph without any check. */
function force(graph: Graph, op: Operation, inputs: readonly Node[], shape: Shape, id = graph.nodes.length): Node {
  const node: Node = { id, op, inputs, attributes: {}, shape };
  graph.nodes.push(node);
  return node;
}
const anything: Operation = { name: 'anything', shape: () => [4] };

describe('verifyProgram', () => {
  it('accepts a graph that reads, computes and then changes states', () => {
    const graph = new Graph();
    const weights = view(graph, graph.state('weights', [4]), 1, [3]);
    graph.output('out', scale(graph, weights, 2));
    accumulate(graph, view(graph, graph.state('gradients', [4]), 0, [3]), weights);
    expect(() => verify(graph)).not.toThrow();
  });

  const refused: [string, (graph: Graph) => void, string][] = [
    [
      'a node out of its place',
      (graph) => force(graph, anything, [], [4], 5),
      "graph 'step', node 5 (anything [4]): stands at place 0",
    ],
    [
      'an input of another graph',
      (graph) => force(graph, anything, [new Graph().input('x', [4])], [4]),
      "graph 'step', node 0 (anything [4]): input input is not of this graph",
    ],
    [
      'an order that cannot be computed',
      (graph) => {
        const later: Node = { id: 1, op: anything, inputs: [], attributes: {}, shape: [4] };
        force(graph, anything, [later], [4]);
        graph.nodes.push(later);
      },
      "graph 'step', node 0 (anything [4]): reads node 1, which comes later",
    ],
    [
      'the result of an effect',
      (graph) => force(graph, anything, [accumulate(graph, graph.state('gradients', [4]), graph.input('x', [4]))], [4]),
      "graph 'step', node 3 (anything [4]): reads the effect accumulate, which has no result",
    ],
    [
      'an effect as an output',
      (graph) => graph.output('out', accumulate(graph, graph.state('gradients', [4]), graph.input('x', [4]))),
      "graph 'step', node 2 (accumulate []): is an effect, so it cannot be output 'out'",
    ],
    [
      "a shape that is not its rule's",
      (graph) => force(graph, anything, [], [5]),
      "graph 'step', node 0 (anything [5]): its shape rule says [4]",
    ],
    [
      'an empty tensor',
      (graph) => graph.input('x', [2, 0]),
      "graph 'step', node 0 (input [2, 0]): sizes must be whole numbers above 0",
    ],
    [
      'a broken size',
      (graph) => graph.input('x', [2.5]),
      "graph 'step', node 0 (input [2.5]): sizes must be whole numbers above 0",
    ],
    ['a size that is no number', (graph) => graph.input('x', [Number.NaN]), "graph 'step', node 0 (input [NaN]): "],
    [
      'a tensor above 4 GiB',
      (graph) => graph.input('x', [2 ** 20, 2 ** 11]),
      "graph 'step', node 0 (input [1048576, 2048]): is larger than 4 GiB",
    ],
    [
      'a state that nobody declares',
      (graph) => graph.state('moments', [4]),
      "graph 'step', node 0 (state [4]): state 'moments' is not declared by the program",
    ],
    [
      'a state of another shape',
      (graph) => graph.state('weights', [5]),
      "graph 'step', node 0 (state [5]): state 'weights' is declared [4]",
    ],
    [
      'a change of what is no state',
      (graph) => accumulate(graph, graph.input('x', [4]), graph.input('y', [4])),
      "graph 'step', node 2 (accumulate []): input 0 is changed, so it must be a state or a view of one",
    ],
    [
      'a read after a change',
      (graph) => {
        const gradients = graph.state('gradients', [4]);
        accumulate(graph, view(graph, gradients, 0, [2]), graph.input('x', [2]));
        graph.output('out', scale(graph, view(graph, gradients, 2, [2]), 2));
      },
      "graph 'step', node 5 (scale [2]): reads state 'gradients' after an effect has changed it",
    ],
    [
      'an effect that reads after a change',
      (graph) => {
        const [weights, gradients] = [graph.state('weights', [4]), graph.state('gradients', [4])];
        accumulate(graph, gradients, graph.input('x', [4]));
        accumulate(graph, weights, gradients);
      },
      "graph 'step', node 4 (accumulate []): reads state 'gradients' after an effect has changed it",
    ],
    [
      'an output of another graph',
      (graph) => {
        graph.input('x', [4]);
        graph.output('out', new Graph().input('x', [4]));
      },
      "graph 'step': output 'out' is not of this graph",
    ],
  ];
  it.each(refused)('refuses %s', (_title, build, message) => {
    const graph = new Graph();
    build(graph);
    expect(() => verify(graph)).toThrow(message);
  });
});

describe('stateOf', () => {
  it('sees a state through views, and none behind a computed tensor', () => {
    const graph = new Graph();
    const weights = graph.state('weights', [4]);
    expect(stateOf(view(graph, weights, 0, [2]))).toBe('weights');
    expect(stateOf(add(graph, weights, weights))).toBeUndefined();
  });
});

describe('Graph', () => {
  it('refuses names that are taken and nodes of other graphs when they are given', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    graph.output('y', x);
    expect(() => graph.input('x', [4])).toThrow("input 'x' is declared twice");
    expect(() => graph.output('y', x)).toThrow("output 'y' is declared twice");
    expect(() => new Graph().apply(anything, [x], undefined)).toThrow('anything: an input (input) belongs to another graph');
    graph.state('w', [4]);
    expect(() => graph.state('w', [5])).toThrow("state 'w' is [4] and [5]");
    expect(() => graph.constant([1, 2], [3])).toThrow('constant: [3] takes 3 values, got 2');
  });
});
