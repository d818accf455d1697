/** What is joined is written where it will be joined, with the whole's distance between samples: operations must write it as they write a whole. */
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { nodeCpuBackend } from '../../../platform/node/cpu-host.ts';
import { elementCount, Graph, type Node, type Shape } from '../../graph.ts';
import { concat, slice } from '../../ops/concat/concat.ts';
import { leakyRelu } from '../../ops/elementwise/elementwise.ts';
import { maxPool } from '../../ops/pool/pool.ts';
import { upsample } from '../../ops/resize/resize.ts';
import { type Build, caseGraph, type OperationCase, runCases, tensor } from '../../testing/case.ts';
import { difference } from '../../testing/compare.ts';
import { randomCases, TESTED_OPERATIONS } from '../../testing/random-cases.ts';
import { referenceBackend } from '../reference/backend.ts';
import { compileProgram } from './compile.ts';

/** A whole block of channels, so that what comes after it begins one. */
const CHANNELS = 8;

/** The case with its result between two other tensors, if it has channels. */
function joined(each: OperationCase): OperationCase[] {
  const { shape } = caseGraph({ ...each, wanted: [] }).outputs.get('out')!;
  if (shape.length !== 5) return [];
  const beside: Shape = [shape[0], CHANNELS, ...shape.slice(2)];
  const random = randomStream(1, 'beside', each.title);
  const values = Float32Array.from({ length: elementCount(beside) }, () => random.normal());
  return [
    {
      ...each,
      wanted: each.wanted ?? Object.keys(each.inputs),
      inputs: { ...each.inputs, beside: tensor(beside, values) },
      build: (graph, nodes) => {
        const out = each.build(graph, nodes);
        const [before, after] = [0.5, 0.25].map((slope) => leakyRelu(graph, nodes.beside, slope));
        return shape[1] % CHANNELS === 0 ? concat(graph, 1, before, out, after) : concat(graph, 1, before, out);
      },
    },
  ];
}

async function faults(cases: readonly OperationCase[]): Promise<string[]> {
  const want = await runCases(referenceBackend(), cases);
  const got = await runCases(nodeCpuBackend(2), cases);
  return cases.flatMap(({ title, tolerance = 1e-5 }, i) =>
    Object.entries(want[i]).flatMap(([output, { values, shape }]) => {
      const fault = difference(got[i][output].values, values, shape, 2 * tolerance);
      return fault ? [`${title}, ${output}: ${fault}`] : [];
    }),
  );
}

describe('CPU parts', () => {
  it.each(TESTED_OPERATIONS)('%s: joined to others, result and gradients are as the reference says', async (name) => {
    expect(await faults(randomCases(name, 8, 4).flatMap(joined))).toEqual([]);
  });

  const SHAPE = [2, 8, 4, 4, 4] as const;
  const random = randomStream(1, 'parts');
  const x = tensor(
    SHAPE,
    Float32Array.from({ length: elementCount(SHAPE) }, () => random.normal()),
  );
  const relu = (graph: Graph, node: Node): Node => leakyRelu(graph, node, 0.5);
  const copies = (build: Build): number => {
    const graph = new Graph();
    graph.output('out', build(graph, { x: graph.input('x', SHAPE) }));
    const { graphs } = compileProgram({ states: new Map(), graphs: new Map([['main', graph]]) }, 2);
    return graphs.get('main')!.calls.filter(({ kernel }) => kernel === 'copySamples').length;
  };

  it.each<[string, number, Build]>([
    [
      'of a skip and what is brought back to its size',
      0,
      (graph, { x }) => {
        const skip = relu(graph, x);
        return relu(graph, concat(graph, 1, skip, upsample(graph, maxPool(graph, skip))));
      },
    ],
    [
      'of joins',
      0,
      (graph, { x }) => {
        const pair = concat(graph, 1, relu(graph, x), relu(graph, x));
        return concat(graph, 1, pair, concat(graph, 1, relu(graph, x), relu(graph, x)));
      },
    ],
    ['of samples', 0, (graph, { x }) => concat(graph, 0, relu(graph, x), relu(graph, x))],
    [
      'of one tensor twice: the second is a copy',
      1,
      (graph, { x }) => {
        const y = relu(graph, x);
        return concat(graph, 1, y, y);
      },
    ],
    [
      'of one tensor with two others: one of them takes a copy',
      1,
      (graph, { x }) => {
        const y = relu(graph, x);
        const [first, second] = [concat(graph, 1, y, relu(graph, x)), concat(graph, 1, relu(graph, x), y)];
        return concat(graph, 1, first, second);
      },
    ],
    ['of an input, which is a copy', 1, (graph, { x }) => concat(graph, 1, x, relu(graph, x))],
    [
      'of slices, which are copies',
      2,
      (graph, { x }) => {
        const y = relu(graph, concat(graph, 1, relu(graph, x), relu(graph, x)));
        return concat(graph, 1, slice(graph, y, 1, 8, 8), slice(graph, y, 1, 0, 8));
      },
    ],
  ])('a join %s', async (title, count, build) => {
    expect(copies(build)).toBe(count);
    expect(await faults([{ title, inputs: { x }, build }])).toEqual([]);
  });
});
