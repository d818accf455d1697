/** What may run at the same time: never two calls of which one writes what the other touches, whatever is planned where. */
import { describe, expect, it } from 'vitest';
import { type RandomStream, randomStream } from '../../../common/random.ts';
import { PAPER_LOSS, trainingProgram } from '../../../methods/gvsl/program.ts';
import { scaledArchitecture } from '../../../model/architecture.ts';
import { nodeCpuBackend, nodeCpuHost } from '../../../platform/node/cpu-host.ts';
import { Graph, type Program } from '../../graph.ts';
import { add, scale } from '../../ops/elementwise/elementwise.ts';
import { caseProgram } from '../../testing/case.ts';
import { randomCases, TESTED_OPERATIONS } from '../../testing/random-cases.ts';
import { bindModule } from './backend.ts';
import { CALL_WORDS, CONTROL_ADDRESS, compileProgram, type ScheduledCall } from './compile.ts';
import { type Access, type Region, sharesOf, wavesOf } from './schedule.ts';

const overlap = (some: readonly Region[], others: readonly Region[]): boolean =>
  some.some((a) => others.some((b) => a.from < b.to && b.from < a.to));
const conflict = (a: Access, b: Access): boolean =>
  overlap(a.writes, b.writes) || overlap(a.writes, b.reads) || overlap(a.reads, b.writes);

const region = (from: number, to: number): Region => ({ from, to });

describe('wavesOf', () => {
  it('lets calls run together that share only what they read', () => {
    const [a, b, c, d] = [0, 100, 200, 300].map((from) => region(from, from + 100)) as [Region, Region, Region, Region];
    const calls: Access[] = [
      { reads: [a], writes: [b] },
      { reads: [a], writes: [c] },
      // needs both
      { reads: [b, c], writes: [d] },
      // must not overtake who reads b
      { reads: [], writes: [b] },
      { reads: [a], writes: [] },
    ];
    expect(wavesOf(calls)).toEqual([0, 0, 1, 2, 0]);
  });

  it('keeps calls together that stand side by side in one tensor', () => {
    const y = region(0, 64);
    const calls: Access[] = [
      { reads: [], writes: [y] },
      { reads: [], writes: [y], besideLast: true },
      { reads: [y], writes: [] },
    ];
    expect(wavesOf(calls)).toEqual([0, 0, 1]);
  });

  it('gives every call the first wave in which it may run, whatever the calls', () => {
    const random = randomStream(1, 'waves');
    const regions = (stream: RandomStream): Region[] =>
      Array.from({ length: stream.integer(0, 2) }, () => {
        const from = 64 * stream.integer(0, 30);
        return region(from, from + 64 * stream.integer(1, 6));
      });
    for (let round = 0; round < 50; round++) {
      const calls: Access[] = Array.from({ length: 60 }, () => ({ reads: regions(random), writes: regions(random) }));
      const waves = wavesOf(calls);
      calls.forEach((call, i) => {
        const before = waves.slice(0, i).filter((_, j) => conflict(calls[j], call));
        expect(waves[i]).toBe(Math.max(-1, ...before) + 1);
      });
    }
  });
});

describe('sharesOf', () => {
  it('cuts nothing for one thread, nothing small, and enough for many', () => {
    expect([sharesOf(1e9, 1), sharesOf(1000, 8), sharesOf(40_000, 8), sharesOf(1e9, 8)]).toEqual([1, 1, 2, 64]);
  });
});

/** Pairs of calls of one wave of which one writes what the other touches; calls of one node that were said to stand side by side left out. */
function clashes(calls: readonly ScheduledCall[]): string[] {
  return calls.flatMap((call, i) =>
    calls
      .slice(i + 1)
      .filter((other) => other.wave === call.wave && !other.touches.besideLast && conflict(call.touches, other.touches))
      .map((other) => `${call.kernel} and ${other.kernel}, wave ${call.wave}`),
  );
}

describe('a compiled program', () => {
  const { program } = trainingProgram({
    architecture: scaledArchitecture(0.125),
    loss: PAPER_LOSS,
    size: [16, 16, 16],
    samples: 2,
    batch: 2,
    lossScaling: false,
  });

  it('has no two calls in a wave that must not run together', () => {
    for (const [name, { calls }] of compileProgram(program, 3).graphs) {
      expect(clashes(calls), name).toEqual([]);
      expect(calls.every(({ wave }, i) => i === 0 || wave === calls[i - 1].wave || wave === calls[i - 1].wave + 1)).toBe(true);
    }
  });

  it('has far fewer waves than calls', () => {
    const { calls } = compileProgram(program, 2).graphs.get('gradient')!;
    expect(calls.at(-1)!.wave).toBeLessThan(calls.length / 2);
  });
});

describe('kernels', () => {
  const { module } = nodeCpuHost('portable');

  it.each(TESTED_OPERATIONS)('%s: every call writes only where it says', (name) => {
    const compiled = compileProgram(caseProgram(randomCases(name, 5, 4)), 2);
    const pages = Math.ceil(compiled.totalBytes / 65536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const words = new Uint32Array(memory.buffer);
    const run = bindModule(module, memory, compiled.kernelNames, () => undefined).run as (...numbers: number[]) => void;
    const { scratchAddress, threadScratchBytes } = compiled;
    const random = randomStream(1, 'dirt');
    const found: string[] = [];
    for (const [title, { image, imageAddress, programAddress, calls, constants }] of compiled.graphs) {
      // numbers that are neither zeros nor of much weight
      const dirt = new Float32Array(memory.buffer, scratchAddress + 2 * threadScratchBytes);
      for (let i = 0; i < dirt.length; i++) dirt[i] = random.uniform(0.5, 1);
      words.set(image, imageAddress / 4);
      for (const { address, values } of constants) new Float32Array(memory.buffer, address, values.length).set(values);
      calls.forEach(({ kernel, touches }, i) => {
        const before = words.slice();
        run(CONTROL_ADDRESS, scratchAddress, programAddress + 4 * CALL_WORDS * i, 1, 1);
        const first = (scratchAddress + 2 * threadScratchBytes) / 4;
        const strayed = before.findIndex(
          (word, at) =>
            at >= first && word !== words[at] && !touches.writes.some(({ from, to }) => 4 * at >= from && 4 * at < to),
        );
        if (strayed >= 0) found.push(`${kernel} of ${title} at ${4 * strayed}`);
      });
    }
    expect(found).toEqual([]);
  });
});

describe('threads', () => {
  /** Many runs of little work, between which threads may fall behind: none may take a share of another run. */
  it('that come late or miss a run change nothing', async () => {
    const chain = (steps: number): Graph => {
      const graph = new Graph();
      let x = graph.input('x', [1, 8, 8, 8, 8]);
      for (let i = 0; i < steps; i++) x = add(graph, x, scale(graph, x, 0.5));
      graph.output('y', x);
      return graph;
    };
    const program: Program = {
      states: new Map(),
      graphs: new Map([
        ['short', chain(1)],
        ['long', chain(9)],
      ]),
    };
    const x = Float32Array.from({ length: 4096 }, (_, i) => i % 17);
    const session = await nodeCpuBackend(4, 'portable').open(program);
    for (let round = 0; round < 400; round++) {
      const [graph, steps] = round % 3 === 0 ? ['long', 9] : ['short', 1];
      const { y } = await session.run(graph as string, { x });
      expect(y.every((value, i) => value === x[i] * 1.5 ** (steps as number))).toBe(true);
    }
    await session.close();
  });
});
