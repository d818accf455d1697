/** The memory plan: chains in the head, and random graphs whose memory is played through. */
import { describe, expect, it } from 'vitest';
import { type RandomStream, randomStream } from '../common/random.ts';
import { elementCount, Graph, type Node, type Operation } from './graph.ts';
import { accumulate } from './ops/adam/adam.ts';
import { scale } from './ops/elementwise/elementwise.ts';
import { view } from './ops/shape/shape.ts';
import { ALIGNMENT_BYTES, type Allocation, type MemoryPlan, planMemory, storageRoot } from './plan.ts';

const sizeOf = (node: Node): number => (['state', 'constant'].includes(node.op.name) ? 0 : 4 * elementCount(node.shape));
const noScratch = (): number => 0;

/** An operation of any inputs, with a result and a scratch of some bytes. */
const work: Operation<{ readonly elements: number; readonly scratchBytes: number }> = {
  name: 'work',
  shape: (_inputs, { elements }) => [elements],
};
const scratchOf = (node: Node): number => (node.op === work ? (node.attributes as { scratchBytes: number }).scratchBytes : 0);

describe('planMemory', () => {
  it('a chain needs two tensors at a time, however long it is', () => {
    const graph = new Graph();
    let node = graph.input('x', [16]);
    for (let i = 0; i < 10; i++) node = scale(graph, node, 2);
    graph.output('y', node);
    expect(planMemory(graph, sizeOf, noScratch).arenaBytes).toBe(2 * 64);
  });

  it('outputs live to the end, so three of them need three places', () => {
    const graph = new Graph();
    const x = graph.input('x', [16]);
    for (const name of ['a', 'b', 'c']) graph.output(name, scale(graph, x, 2));
    expect(planMemory(graph, sizeOf, noScratch).arenaBytes).toBe(4 * 64);
  });

  it('an alias has no memory of its own and keeps its root alive', () => {
    const graph = new Graph();
    const x = scale(graph, graph.input('x', [64]), 2);
    const part = view(graph, view(graph, x, 8, [32]), 4, [16]);
    const other = scale(graph, graph.input('other', [64]), 3);
    scale(graph, other, 4);
    const last = scale(graph, part, 5);
    const { tensors } = planMemory(graph, sizeOf, noScratch);
    expect(storageRoot(part)).toBe(x);
    expect(tensors.has(part.id)).toBe(false);
    expect(tensors.get(x.id)).toMatchObject({ from: x.id, to: last.id });
  });

  it('an output through an alias keeps its root to the end', () => {
    const graph = new Graph();
    const x = scale(graph, graph.input('x', [64]), 2);
    graph.output('part', view(graph, x, 0, [4]));
    expect(planMemory(graph, sizeOf, noScratch).tensors.get(x.id)!.to).toBe(graph.nodes.length);
  });

  it('inputs are there from the first node on, whenever they are declared', () => {
    const graph = new Graph();
    scale(graph, graph.input('x', [16]), 2);
    const late = graph.input('late', [16]);
    expect(planMemory(graph, sizeOf, noScratch).tensors.get(late.id)!.from).toBe(0);
  });

  it('states and effects take nothing; what an effect reads lives until then', () => {
    const graph = new Graph();
    const target = graph.state('g', [16]);
    const values = scale(graph, graph.input('x', [16]), 2);
    scale(graph, graph.input('y', [16]), 2);
    const effect = accumulate(graph, target, values);
    const { tensors } = planMemory(graph, sizeOf, noScratch);
    expect([tensors.has(target.id), tensors.has(effect.id)]).toEqual([false, false]);
    expect(tensors.get(values.id)!.to).toBe(effect.id);
  });

  it('scratch is beside everything that its node reads and writes', () => {
    const graph = new Graph();
    const node = graph.apply(work, [graph.input('x', [16])], { elements: 16, scratchBytes: 100 });
    const { scratch, arenaBytes } = planMemory(graph, sizeOf, scratchOf);
    expect(scratch.get(node.id)).toMatchObject({ sizeBytes: 128, from: node.id, to: node.id });
    expect(arenaBytes).toBe(64 + 64 + 128);
  });

  it.each(Array.from({ length: 40 }, (_, seed) => seed))('random graph %i: nothing overwrites what is still needed', (seed) => {
    const graph = randomGraph(randomStream(seed, 'plan'));
    const plan = planMemory(graph, sizeOf, scratchOf);
    expectNoOverlap(plan);
    expectIntactWhenRead(graph, plan);
  });
});

function randomGraph(random: RandomStream): Graph {
  const graph = new Graph();
  const pick = (): Node => graph.nodes[random.integer(Math.max(0, graph.nodes.length - 12), graph.nodes.length)];
  const readable = (): Node => {
    for (;;) {
      const node = pick();
      if (!node.op.writes) return node;
    }
  };
  graph.input('first', [random.integer(1, 100)]);
  for (let i = 0; i < 80; i++) {
    const kind = random.uniform();
    if (kind < 0.05) graph.input(`x${i}`, [random.integer(1, 300)]);
    else if (kind < 0.1) graph.state(`s${i}`, [random.integer(1, 300)]);
    else if (kind < 0.25) {
      const root = readable();
      const offset = random.integer(0, root.shape[0]);
      view(graph, root, offset, [random.integer(1, root.shape[0] - offset + 1)]);
    } else if (kind < 0.3) {
      const values = readable();
      accumulate(graph, graph.state(`g${i}`, values.shape), values);
    } else {
      const inputs = Array.from({ length: random.integer(1, 4) }, readable);
      graph.apply(work, inputs, {
        elements: random.integer(1, 1000),
        scratchBytes: random.chance(0.3) ? random.integer(1, 3000) : 0,
      });
    }
    const last = graph.nodes.at(-1)!;
    if (random.chance(0.08) && !last.op.writes) graph.output(`out${i}`, last);
  }
  return graph;
}

function expectNoOverlap({ tensors, scratch, arenaBytes }: MemoryPlan): void {
  const all = [...tensors.values(), ...scratch.values()];
  const overlap = (a: Allocation, b: Allocation): boolean =>
    a.from <= b.to && b.from <= a.to && a.offset < b.offset + b.sizeBytes && b.offset < a.offset + a.sizeBytes;
  all.forEach((a, i) => {
    expect(a.offset % ALIGNMENT_BYTES).toBe(0);
    expect(a.offset + a.sizeBytes).toBeLessThanOrEqual(arenaBytes);
    expect(all.slice(i + 1).filter((b) => overlap(a, b))).toEqual([]);
  });
  expect(Math.max(...all.map(({ offset, sizeBytes }) => offset + sizeBytes))).toBe(arenaBytes);
}

/** Plays a graph through, every node writing its id over its memory: who reads must find the writer's id, also in the end. */
function expectIntactWhenRead(graph: Graph, { tensors, scratch, arenaBytes }: MemoryPlan): void {
  const arena = new Int32Array(arenaBytes / 4).fill(-1);
  const placeOf = ({ offset, sizeBytes }: Allocation): Int32Array => arena.subarray(offset / 4, (offset + sizeBytes) / 4);
  const intact = (node: Node): boolean => {
    const root = storageRoot(node);
    const place = tensors.get(root.id);
    return place ? placeOf(place).every((value) => value === root.id) : sizeOf(root) === 0;
  };
  for (const node of graph.inputs.values()) placeOf(tensors.get(node.id)!).fill(node.id);
  for (const node of graph.nodes) {
    const [out, beside] = [tensors.get(node.id), scratch.get(node.id)];
    if (beside) placeOf(beside).fill(-2);
    if (out && node.op.name !== 'input') placeOf(out).fill(node.id);
    expect(node.inputs.filter((each) => !intact(each))).toEqual([]);
    if (beside) expect(placeOf(beside).every((value) => value === -2)).toBe(true);
  }
  expect([...graph.outputs.values()].filter((node) => !intact(node))).toEqual([]);
}
