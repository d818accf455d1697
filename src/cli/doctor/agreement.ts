/** Whether a backend computes what the reference computes. */
import { randomStream } from '../../common/random.ts';
import type { Backend } from '../../engine/backend.ts';
import { referenceBackend } from '../../engine/backends/reference/backend.ts';
import { elementCount, Graph, type Program } from '../../engine/graph.ts';
import { conv3d } from '../../engine/ops/conv3d/conv3d.ts';

/** Rounding of single precision over the 432 products of a sum comes to some 1e-7; a kernel that is wrong differs by far more. */
const TOLERANCE = 1e-5;

function smallProgram(): Program {
  const graph = new Graph();
  graph.output('y', conv3d(graph, graph.input('x', [2, 16, 6, 7, 8]), graph.input('weight', [24, 16, 3, 3, 3])));
  return { states: new Map(), graphs: new Map([['main', graph]]) };
}

/** The worst difference from the reference backend, relative to the largest value. */
async function worstDifference(backend: Backend): Promise<number> {
  const program = smallProgram();
  const random = randomStream(1, 'doctor');
  const inputs = Object.fromEntries(
    [...program.graphs.get('main')!.inputs].map(([name, { shape }]) => [
      name,
      Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
    ]),
  );
  const run = async (each: Backend): Promise<Float32Array> => {
    const session = await each.open(program);
    try {
      return (await session.run('main', inputs)).y;
    } finally {
      await session.close();
    }
  };
  const [got, want] = [await run(backend), await run(referenceBackend())];
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i])), 0) / largest;
}

/** How far a backend is from the reference. @throws Error if that is more than rounding */
export async function agreement(backend: Backend): Promise<string> {
  const worst = await worstDifference(backend);
  // a NaN is wrong too
  if (!(worst <= TOLERANCE)) throw new Error(`wrong results: differs from the reference by ${worst.toExponential(1)}`);
  return `agrees with the reference to ${worst.toExponential(1)}`;
}
