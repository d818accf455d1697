/**
 * Nothing is longer than what a backend has set aside for it: axes of 2047, 2048, 2049, 5003 voxels and thousands of channels, for every
 * operation on the CPU backend and a real GPU (a driver in software takes minutes). Parameters lie in a state of their own, so that what a kernel writes beyond its place is seen.
 */
import { describe, expect, it } from 'vitest';
import { nodeCpuBackend, runnableBuilds } from '../platform/node/cpu-host.ts';
import { nodeWebGpuHost } from '../platform/node/webgpu-host.ts';
import { compileProgram } from './backends/cpu/compile.ts';
import { referenceBackend } from './backends/reference/backend.ts';
import { webGpuBackend } from './backends/webgpu/backend.ts';
import { Graph, type Program, type Shape } from './graph.ts';
import { conv3d } from './ops/conv3d/conv3d.ts';
import { crossEntropyLoss } from './ops/cross-entropy/cross-entropy.ts';
import { upsample } from './ops/resize/resize.ts';
import { noWebGpu } from './testing/backends.ts';
import { runCases } from './testing/case.ts';
import { difference } from './testing/compare.ts';
import { longCases, TESTED_OPERATIONS } from './testing/random-cases.ts';

const programOf = (graph: Graph): Program => ({ states: new Map(), graphs: new Map([['main', graph]]) });

describe('long axes and many channels', () => {
  const gpu = noWebGpu === undefined ? nodeWebGpuHost() : undefined;
  it.each(TESTED_OPERATIONS)('%s gives what the reference gives', async (name) => {
    const cases = longCases(name, 2);
    const want = await runCases(referenceBackend(), cases);
    const host = await gpu;
    const backends = [
      ...runnableBuilds().map((build) => nodeCpuBackend(1, build)),
      ...(host && !host.software ? [webGpuBackend(host)] : []),
    ];
    const found: string[] = [];
    for (const backend of backends)
      for (const [i, result] of (await runCases(backend, cases)).entries())
        for (const [output, { values, shape }] of Object.entries(want[i])) {
          const fault = difference(result[output].values, values, shape, cases[i].tolerance!);
          if (fault) found.push(`${backend.description}: ${cases[i].title}, ${output}: ${fault}`);
        }
    expect(found).toEqual([]);
  });

  it.each(runnableBuilds())('a convolution of a row of 2049 and more leaves the parameters as they are (%s)', async (build) => {
    for (const [kernel, width] of [
      [1, 2048],
      [1, 2049],
      [1, 4099],
      [3, 2049],
      [3, 3],
    ] as const)
      for (const threads of [1, 2]) {
        const graph = new Graph();
        const size = [1, 1, width] as const;
        const state = graph.state('parameters', [3, 5, kernel, kernel, kernel]);
        graph.output('y', conv3d(graph, graph.input('x', [1, 5, ...size]), state));
        const program = { ...programOf(graph), states: new Map([['parameters', [3, 5, kernel, kernel, kernel]]]) };
        const session = await nodeCpuBackend(threads, build).open(program);
        const before = Float32Array.from({ length: 15 * kernel ** 3 }, (_, i) => i + 1);
        await session.writeState('parameters', before);
        const { y } = await session.run('main', { x: new Float32Array(5 * width).fill(1) });
        expect(await session.readState('parameters')).toEqual(before);
        if (kernel === 1) expect(y.every((value, i) => value === [15, 40, 65][Math.floor(i / width)])).toBe(true);
        await session.close();
      }
  });

  it('sets aside for a thread what its longest row and most channels take, and no more', () => {
    const scratch = (build: (graph: Graph) => void): number => {
      const graph = new Graph();
      build(graph);
      return compileProgram(programOf(graph), 1).threadScratchBytes;
    };
    const loss = (graph: Graph, shape: Shape) => crossEntropyLoss(graph, graph.input('x', shape), graph.input('truth', shape));
    expect(scratch((graph) => graph.output('y', loss(graph, [1, 5, 2, 2, 2])))).toBe(65536);
    expect(scratch((graph) => graph.output('y', loss(graph, [1, 10_000, 1, 1, 2])))).toBe(120_000);
    const row = (graph: Graph, width: number) => graph.input('x', [1, 8, 1, 1, width]);
    expect(scratch((graph) => graph.output('y', upsample(graph, row(graph, 5000))))).toBe(320_256);
    expect(scratch((graph) => graph.output('y', conv3d(graph, row(graph, 5000), graph.input('w', [3, 8, 1, 1, 1]))))).toBe(
      160_000,
    );
  });

  it('says which volume is too long to be resized', () => {
    const graph = new Graph();
    graph.output('y', upsample(graph, graph.input('x', [1, 1, 40_000, 1, 1])));
    expect(() => compileProgram(programOf(graph), 1)).toThrow(
      'upsample: the CPU backend resizes volumes of at most 65536 voxels along an axis, got 80000 x 2 x 2',
    );
  });
});
