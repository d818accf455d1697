/** The CPU backend's promise that the number of threads changes no bit of any result. */
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { nodeCpuBackend, runnableBuilds } from '../../../platform/node/cpu-host.ts';
import { Graph, type Program } from '../../graph.ts';
import { accumulate, adam, adamStep } from '../../ops/adam/adam.ts';
import { awkwardConvolutions } from '../../ops/conv3d/testing/awkward-cases.ts';
import { type CaseResult, type OperationCase, runCases } from '../../testing/case.ts';
import { randomCases, TESTED_OPERATIONS } from '../../testing/random-cases.ts';

const THREADS = [1, 2, 3, 4];
const BUILDS = runnableBuilds();

const bits = (values: Float32Array): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
/** Names of the results that are not the same bits. */
const differing = (a: CaseResult, b: CaseResult): string[] =>
  Object.keys(a).filter((name) => !bits(a[name].values).equals(bits(b[name].values)));

const STATES = ['parameters', 'first', 'second', 'gradients'];

/** Sums an input into the gradients, then Adam. */
function trainingProgram(size: number): Program {
  const graph = new Graph();
  const [parameters, first, second, gradients] = STATES.map((name) => graph.state(name, [size]));
  accumulate(graph, gradients, graph.input('values', [size]));
  adam(graph, [parameters, first, second, gradients], graph.input('step', [4]));
  return { states: new Map(STATES.map((name) => [name, [size]])), graphs: new Map([['step', graph]]) };
}

describe('CPU threads', () => {
  /** Results of which the bits differ between numbers of threads, or between two runs with as many. */
  async function changing(build: (typeof BUILDS)[number], cases: readonly OperationCase[]): Promise<string[]> {
    const [one, ...others] = await Promise.all([...THREADS, 2].map((threads) => runCases(nodeCpuBackend(threads, build), cases)));
    return others.flatMap((results) =>
      cases.flatMap((each, i) => differing(one[i], results[i]).map((what) => `${each.title}, ${what}`)),
    );
  }

  it.each(TESTED_OPERATIONS)('%s: 1 to 4 threads give the same bits, result and gradients', async (name) => {
    for (const build of BUILDS) expect(await changing(build, randomCases(name, 6, 2)), build).toEqual([]);
  });
  it.each(BUILDS)('convolutions of every kind: 1 to 4 threads give the same bits (%s)', async (build) => {
    expect(await changing(build, awkwardConvolutions())).toEqual([]);
  });

  it('accumulate and adam: 1 to 4 threads give the same bits', async () => {
    const size = 20001;
    const random = randomStream(1, 'threads');
    const values = Float32Array.from({ length: size }, () => random.normal());
    const after: Buffer[] = [];
    for (const threads of THREADS) {
      const session = await nodeCpuBackend(threads).open(trainingProgram(size));
      for (const t of [1, 2, 3]) await session.run('step', { values, step: adamStep(0.1, t) });
      after.push(bits(await session.readState('parameters')));
      await session.close();
    }
    for (const each of after) expect(each.equals(after[0])).toBe(true);
  });
});
