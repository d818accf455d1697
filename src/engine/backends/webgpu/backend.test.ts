/** What the operations' tests do not see: a GPU that goes away, one that is too small, work that must be cut. */
import { describe, expect, it } from 'vitest';
import { nodeWebGpuHost } from '../../../platform/node/webgpu-host.ts';
import { Graph } from '../../graph.ts';
import { conv3d } from '../../ops/conv3d/conv3d.ts';
import { scale } from '../../ops/elementwise/elementwise.ts';
import { noWebGpu } from '../../testing/backends.ts';
import { webGpuBackend } from './backend.ts';
import { compileProgram } from './compile.ts';
import { openDevice } from './device.ts';
import { MAX_FLOPS } from './kernel.ts';

const only = (graph: Graph) => ({ states: new Map(), graphs: new Map([['main', graph]]) });
const PAGE = 2 ** 31 - 4096;

describe('work of seconds', () => {
  it('is cut into dispatches of at most so much arithmetic, which together are all of it', () => {
    const graph = new Graph();
    const [x, weight, bias] = [
      graph.input('x', [2, 96, 128, 128, 128]),
      graph.input('w', [32, 96, 3, 3, 3]),
      graph.input('b', [32]),
    ];
    graph.output('y', conv3d(graph, x, weight, bias));
    const { calls } = compileProgram(only(graph), { pageBytes: PAGE }).graphs.get('main')!;
    const parts = calls.map(({ dispatch }) => dispatch).filter(({ name }) => name === 'conv3d, Winograd');
    expect(parts.length).toBeGreaterThan(1);
    expect(Math.max(...parts.map(({ flops }) => flops!))).toBeLessThanOrEqual(MAX_FLOPS);
    expect(parts.reduce((sum, { flops }) => sum + flops!, 0)).toBeCloseTo((2 * 27 * 96 * 2 * 32 * 128 ** 3 * 48) / 108, -3);
    // without gaps: each begins where the one before it ends
    parts.slice(1).forEach(({ uints }, i) => {
      expect(uints!.firstBox).toBe(parts[i].uints!.firstBox + parts[i].workgroups[1]);
    });
  });
});

describe('a GPU of small buffers', () => {
  it('is named with what a tensor needs', () => {
    const graph = new Graph();
    graph.output('y', scale(graph, graph.input('x', [1, 8, 64, 64, 64]), 2));
    expect(() => compileProgram(only(graph), { pageBytes: 2 ** 20 })).toThrow(/8 MiB, and this device allows 1 MiB for one/);
  });
});

describe.skipIf(noWebGpu !== undefined)(`a GPU${noWebGpu === undefined ? '' : `: ${noWebGpu}`}`, () => {
  const program = (...shape: number[]) => {
    const graph = new Graph();
    const x = graph.input('x', shape);
    graph.output('y', scale(graph, x, 2));
    return only(graph);
  };

  it('that is lost ends the work in words, at the next call', async () => {
    // a device of its own: the others' must live on
    const { adapter } = (await nodeWebGpuHost()) as unknown as { adapter: GPUAdapter; gpu: GPU };
    const { gpu } = (await nodeWebGpuHost()) as unknown as { gpu: GPU };
    const own = (await gpu.requestAdapter()) ?? adapter;
    const host = await openDevice(own);
    const session = await webGpuBackend(host).open(program(4));
    expect((await session.run('main', { x: Float32Array.of(1, 2, 3, 4) })).y).toEqual(Float32Array.of(2, 4, 6, 8));
    host.device.destroy();
    await host.device.lost;
    await expect(session.run('main', { x: new Float32Array(4) })).rejects.toThrow(/the GPU was lost/);
    await session.close();
  });

  it('is asked about its loss once, however many sessions it has; they take overlapping calls, and close once', async () => {
    const host = await nodeWebGpuHost();
    let asked = 0;
    const device = new Proxy(host.device, {
      get: (target, name) => {
        if (name === 'lost') asked++;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const backend = webGpuBackend({ ...host, device });
    for (let i = 0; i < 5; i++) {
      const session = await backend.open(program(4));
      const results = [1, 2, 3].map((k) => session.run('main', { x: new Float32Array(4).fill(k) }));
      const closing = session.close();
      expect((await Promise.all(results)).map(({ y }) => y[3])).toEqual([2, 4, 6]);
      await closing;
      await session.close();
      await expect(session.run('main', { x: new Float32Array(4) })).rejects.toThrow('the session is closed');
    }
    expect(asked).toBe(1);
  });

  it('that has too little memory is told apart from one that fails, with what to do', async () => {
    const host = await nodeWebGpuHost();
    // the real device, which cannot be brought to run out of memory here, but for what it says of the buffers
    const device = new Proxy(host.device, {
      get: (target, name) => {
        if (name === 'popErrorScope') return async () => ({ message: 'out of memory\n  in the driver' });
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    await expect(webGpuBackend({ ...host, device }).open(program(4))).rejects.toThrow(
      /^the GPU does not give the .* that this needs \(out of memory\): use a smaller patch, .*backend webgpu-f16/,
    );
  });
});
