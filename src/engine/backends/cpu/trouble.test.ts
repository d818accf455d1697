/** Threads that fail, end or do not start: always an error in words, never a wait without end. */
import { describe, expect, it } from 'vitest';
import { nodeCpuBackend, nodeCpuHost } from '../../../platform/node/cpu-host.ts';
import type { Session } from '../../backend.ts';
import { Graph, type Program } from '../../graph.ts';
import { upsample } from '../../ops/resize/resize.ts';
import { referenceBackend } from '../reference/backend.ts';
import { type CpuHost, cpuBackend } from './backend.ts';
import type { KernelThread } from './threads.ts';

/** Up-sampling, whose threads write into their own scratch, of so many planes: enough of them are cut into parts. */
function program(planes = 8): Program {
  const graph = new Graph();
  graph.output('y', upsample(graph, graph.input('x', [1, 2, planes, 2, 2])));
  return { states: new Map([['s', [3]]]), graphs: new Map([['main', graph]]) };
}
const input = (planes = 8) => ({ x: new Float32Array(2 * planes * 4) });
const BEYOND = 2 ** 32 - 65536;

/** The host of this Node; thread `bad` gets a scratch that lies outside the memory, so that its kernels trap. */
function hostWith({ bad = 0, started = [] }: { bad?: number; started?: KernelThread[] }): CpuHost {
  const host = nodeCpuHost('portable');
  return {
    ...host,
    startThread: async (options) => {
      const thread = await host.startThread(options.thread === bad ? { ...options, scratchAddress: BEYOND } : options);
      // by number: they are ready in any order
      started[options.thread - 1] = thread;
      return thread;
    },
  };
}
const run = (session: Session) => session.run('main', input());

describe('a thread of the CPU backend', () => {
  it.each([
    [2, 1],
    [4, 3],
    [3, 1],
  ])('of %i that traps ends the run, and every later one', async (threads, bad) => {
    const planes = 16_384;
    const session = await cpuBackend(hostWith({ bad }), threads).open(program(planes));
    const expected = `the CPU backend cannot go on: thread ${bad + 1} failed: memory access out of bounds`;
    // it may be that the others leave it no part of a run
    const untilItFails = async (): Promise<void> => {
      for (let i = 0; i < 1000; i++) await session.run('main', input(planes), []);
    };
    await expect(untilItFails()).rejects.toThrow(expected);
    await expect(session.run('main', input(planes))).rejects.toThrow('the CPU backend cannot go on');
    await session.close();
  });

  it('that has ended is told before a run', async () => {
    const started: KernelThread[] = [];
    const session = await cpuBackend(hostWith({ started }), 3).open(program());
    await expect(run(session)).resolves.toBeDefined();
    await started[1].stop();
    await expect(run(session)).rejects.toThrow(/cannot go on: thread 3 ended \(exited with code 1\)/);
    await session.close();
  });

  it('that does not start takes the others with it', async () => {
    const host = nodeCpuHost('portable');
    const started: KernelThread[] = [];
    const failing: CpuHost = {
      ...host,
      startThread: async (options) => {
        if (options.thread === 2) throw new Error('no more threads');
        const thread = await host.startThread(options);
        started.push(thread);
        return thread;
      },
    };
    await expect(cpuBackend(failing, 4).open(program())).rejects.toThrow(
      'the system does not give 4 threads (no more threads); use fewer (`threads`)',
    );
    expect(started.map((thread) => thread.failure())).toEqual(['exited with code 1', 'exited with code 1']);
  });

  it('whose module is damaged does not start', async () => {
    const host = nodeCpuHost('portable');
    const failing: CpuHost = {
      ...host,
      startThread: (options) => host.startThread({ ...options, kernelNames: ['no such kernel'] }),
    };
    await expect(cpuBackend(failing, 2).open(program())).rejects.toThrow('does not give 2 threads');
  });

  it.each([0, -1, 1.5, 257, Number.NaN])('cannot be %d in number', (threads) => {
    expect(() => nodeCpuBackend(threads)).toThrow('threads: expected 1 to 256');
  });
});

describe.each([
  ['cpu', () => nodeCpuBackend(3)],
  ['reference', () => referenceBackend()],
])('a session of the backend %s', (_, backend) => {
  it('that is closed is an error to use, and closes once', async () => {
    const session = await backend().open(program());
    await session.close();
    await session.close();
    await expect(run(session)).rejects.toThrow('the session is closed');
    await expect(session.readState('s')).rejects.toThrow('the session is closed');
    await expect(session.writeState('s', new Float32Array(3))).rejects.toThrow('the session is closed');
    if (session.profile) await expect(session.profile('main', input())).rejects.toThrow('the session is closed');
  });

  it('takes calls that overlap, and finishes them before it closes', async () => {
    const session = await backend().open(program());
    const given = [1, 2, 3].map((k) => Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? k : 0)));
    const results = given.map((x) => session.run('main', { x }));
    const closing = session.close();
    for (const [i, result] of (await Promise.all(results)).entries()) expect(result.y[0]).toBe(i + 1);
    await closing;
  });
});
