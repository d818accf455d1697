/**
 * The blocked layout's promise: halo and padding channels hold zeros after every kernel, whatever was in that memory before. A sum of
 * squares takes them along, so it must be that of the tensor as it comes out.
 */
import { describe, expect, it } from 'vitest';
import { nodeCpuBackend } from '../../../platform/node/cpu-host.ts';
import { elementCount, Graph, type Program } from '../../graph.ts';
import { fillOp, sumOfSquares } from '../../ops/reduce/reduce.ts';
import { caseProgram, runCase } from '../../testing/case.ts';
import { randomCases, TESTED_OPERATIONS } from '../../testing/random-cases.ts';

/** A graph that writes 7 all over the arena. */
function dirt(floats: number): Graph {
  const graph = new Graph();
  graph.output('dirt', graph.apply(fillOp, [graph.constant([7], [])], { shape: [floats], scale: 1 }));
  return graph;
}

/** The cases' graphs, each result and gradient with the sum of its squares, and 'dirt'. */
function programOf(cases: Parameters<typeof caseProgram>[0]): Program {
  const { states, graphs } = caseProgram(cases);
  for (const graph of graphs.values()) {
    for (const [name, node] of [...graph.outputs]) graph.output(`${name} squares`, sumOfSquares(graph, node));
  }
  const floats = Math.max(
    ...[...graphs.values()].map(({ nodes }) => nodes.reduce((sum, { shape }) => sum + elementCount(shape), 0)),
  );
  return { states, graphs: new Map([...graphs, ['dirt', dirt(40 * floats + 1e5)]]) };
}

describe('blocked tensors', () => {
  it.each(TESTED_OPERATIONS)('%s leaves zeros in halo and padding, result and gradients', async (name) => {
    const cases = randomCases(name, 8, 3);
    const session = await nodeCpuBackend(1).open(programOf(cases));
    const found: string[] = [];
    for (const each of cases) {
      await session.run('dirt', {}, []);
      const results = await runCase(session, each);
      for (const key of Object.keys(results).filter((output) => `${output} squares` in results)) {
        const want = results[key].reduce((sum, value) => sum + value * value, 0);
        const got = results[`${key} squares`][0];
        if (!(Math.abs(got - want) <= 1e-5 * want)) found.push(`${each.title}, ${key}: squares ${got}, want ${want}`);
      }
    }
    await session.close();
    expect(found).toEqual([]);
  });
});
