import { expect, it } from 'vitest';
import { nodeCpuBackend } from '../../../platform/node/cpu-host.ts';
import { Graph } from '../../graph.ts';
import { scale } from '../../ops/elementwise/elementwise.ts';

it('a view shows what running gives, in blocks of channels or dense', async () => {
  const shapes = [3, 8, 9, 20].map((channels): [number, number, number, number, number] => [1, channels, 4, 3, 5]);
  const graphs = shapes.map((shape) => {
    const graph = new Graph();
    graph.output('twice', scale(graph, graph.input('x', shape), 2));
    return graph;
  });
  const session = await nodeCpuBackend(2).open({
    states: new Map(),
    graphs: new Map(graphs.map((graph, k) => [String(k), graph])),
  });
  for (const [k, [, channels, depth, height, width]] of shapes.entries()) {
    const x = Float32Array.from({ length: channels * depth * height * width }, (_, i) => i);
    const { twice } = await session.run(String(k), { x });
    const { data, together, start, block, plane, row } = await session.view!(String(k), { x }, 'twice');
    const seen: number[] = [];
    for (let c = 0; c < channels; c++)
      for (let z = 0; z < depth; z++)
        for (let y = 0; y < height; y++)
          for (let w = 0; w < width; w++)
            seen.push(data[start + Math.floor(c / together) * block + z * plane + y * row + w * together + (c % together)]);
    expect(seen).toEqual([...twice]);
  }
  await expect(session.view!('0', { x: new Float32Array(180) }, 'thrice')).rejects.toThrow(/no output 'thrice'/);
  await session.close();
});
