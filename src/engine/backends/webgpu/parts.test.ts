import { describe, expect, it } from 'vitest';
import { Graph, type Node } from '../../graph.ts';
import { concat, slice } from '../../ops/concat/concat.ts';
import { scale } from '../../ops/elementwise/elementwise.ts';
import { compileProgram } from './compile.ts';
import { partsOf } from './parts.ts';

const never = (): boolean => false;
const copies = (graph: Graph): string[] => {
  const { graphs } = compileProgram({ states: new Map(), graphs: new Map([['main', graph]]) }, { pageBytes: 2 ** 30 });
  return graphs
    .get('main')!
    .calls.map(({ dispatch }) => dispatch.name)
    .filter((name) => ['concat', 'slice'].includes(name));
};
const steps = (graph: Graph, x: Node, count: number): Node => (count === 0 ? x : steps(graph, scale(graph, x, 2), count - 1));

describe('partsOf', () => {
  it('computes in its place what is joined soon, and copies what was there long before', () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 3, 1, 1, 4]);
    const early = scale(graph, x, 2);
    const late = steps(graph, early, 10);
    const joined = concat(graph, 1, early, late);
    graph.output('y', scale(graph, joined, 2));
    // two samples of 6 x 4 elements, of which the second 3 x 4 are its own
    expect([...partsOf(graph, never)]).toEqual([[late, { whole: joined, offset: 12, pieces: { run: 12, stride: 24 } }]]);
    expect(copies(graph)).toEqual(['concat']);
  });

  it('reads slices where they are cut from, unless they would keep the whole for long, or are results', () => {
    const graph = new Graph();
    const whole = scale(graph, graph.input('x', [2, 3, 1, 1, 4]), 2);
    const [near, far, result] = [slice(graph, whole, 0, 1, 1), slice(graph, whole, 1, 0, 1), slice(graph, whole, 1, 2, 1)];
    graph.output('near', scale(graph, near, 2));
    graph.output('result', result);
    const later = steps(graph, graph.input('z', [2, 1, 1, 1, 4]), 12);
    graph.output('far', concat(graph, 1, later, far));
    // the second sample lies in one piece
    expect([...partsOf(graph, never)].filter(([node]) => node !== later)).toEqual([[near, { whole, offset: 12 }]]);
    expect(copies(graph)).toEqual(['slice', 'slice', 'concat']);
  });

  it('never puts one thing into two places', () => {
    const graph = new Graph();
    const a = scale(graph, graph.input('x', [1, 2, 1, 1, 4]), 2);
    const [first, second] = [concat(graph, 1, a, a), concat(graph, 1, a, scale(graph, a, 3))];
    graph.output('y', scale(graph, concat(graph, 1, first, second), 2));
    const parts = partsOf(graph, never);
    // the first has it twice, and copies it to both places
    expect(parts.get(a)?.whole).toBe(second);
    // wholes of parts are no parts themselves
    for (const { whole } of parts.values()) expect(parts.has(whole)).toBe(false);
  });
});
