/** The benchmark's logic: what it counts, how it compares, how it says it. Times themselves are never judged. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SILENT } from '../../common/progress.ts';
import { Graph } from '../../engine/graph.ts';
import { conv3d, conv3dWeightGradientOp } from '../../engine/ops/conv3d/conv3d.ts';
import { tanh } from '../../engine/ops/elementwise/elementwise.ts';
import { planMemory } from '../../engine/plan.ts';
import { noWebGpu } from '../../engine/testing/backends.ts';
import { nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import { boundOf } from './bound.ts';
import { compareResults, readResults } from './compare.ts';
import { inTwoRounds, joined } from './in-turn.ts';
import { machineText, median } from './machine.ts';
import { memoryText, peakOf, planReport } from './memory.ts';
import { measureGpuPeaks, measurePeaks } from './peaks.ts';
import { checkPeer, findPython, measurePeer, PEER_SCRIPT } from './peer.ts';
import { directFlops, kernelShares, medianTimes, sharesByKernel } from './profile.ts';
import { type Ratio, ratioOf } from './ratios.ts';
import { measureStep, requireBenchMemory } from './step.ts';
import type { SuiteResult, SuiteRow } from './suite.ts';
import { comparisonText, markdown, stepTable, suiteText } from './tables.ts';

const row = (size: number, ours: number, theirs?: number): SuiteRow => ({
  kind: 'step',
  size,
  width: 1,
  gvsl: { seconds: [ours], medianS: ours, peakBytes: 2 ** 30, planBytes: 2 ** 29 },
  peer: theirs === undefined ? null : { name: 'PyTorch 2.0', seconds: [theirs], medianS: theirs, peakBytes: 2 ** 31 },
});
const resultOf = (rows: SuiteRow[], machine: Partial<SuiteResult['machine']> = {}): SuiteResult => ({
  format: 'gvsl-bench',
  command: 'gvsl bench',
  leftOut: ['step 96^3: --full adds it'],
  machine: {
    gvsl: '1.0.0',
    node: 'v24.1.0',
    v8: '13.6',
    system: 'Linux',
    cpu: 'A processor',
    cores: 2,
    memoryBytes: 2 ** 33,
    build: 'avx2',
    threads: 2,
    date: '2026-01-01',
    ...machine,
  },
  peaks: { gflopsPerThread: 100, copyGbPerS: 20 },
  rows,
  profiles: [
    { size: 64, width: 1, profile: [{ what: 'conv', calls: 2, seconds: 0.5, share: 0.5, gflops: 400, gbPerS: 8 }], kernels: [] },
  ],
  data: null,
});

describe('median', () => {
  it('is the middle value, or the mean of the middle two', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
});

describe('kernelShares', () => {
  it('counts the direct sum of a convolution once for all its kernels, and bytes of the rest', () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 8, 4, 5, 6]);
    const y = conv3d(graph, x, graph.input('weight', [16, 8, 3, 3, 3]));
    const z = tanh(graph, y);
    const times = [
      { kernel: 'winogradWeights', node: y, seconds: 0.1 },
      { kernel: 'winograd', node: y, seconds: 0.3 },
      { kernel: 'unary', node: z, seconds: 0.1 },
    ];
    const shares = kernelShares(times);
    const products = 2 * 16 * 8 * 27 * 120;
    expect(shares.map(({ what, calls }) => [what, calls])).toEqual([
      ['conv 3^3 8 -> 16 at 2 x 4x5x6, forward', 1],
      ['unary', 1],
    ]);
    expect(shares[0].gflops).toBeCloseTo((2 * products) / 0.4 / 1e9, 6);
    expect(shares[0].gbPerS).toBeCloseTo((4 * (2 * 24 * 120 + 16 * 8 * 27)) / 0.4 / 1e9, 6);
    expect(shares[1].gflops).toBeUndefined();
    expect(sharesByKernel(times)).toEqual([
      { what: 'winograd', calls: 1, seconds: 0.3, share: expect.closeTo(0.6) },
      { what: 'winogradWeights', calls: 1, seconds: 0.1, share: expect.closeTo(0.2) },
      { what: 'unary', calls: 1, seconds: 0.1, share: expect.closeTo(0.2) },
    ]);
    expect(shares[1].gbPerS).toBeCloseTo((2 * 4 * 2 * 16 * 120) / 0.1 / 1e9, 6);
    expect(shares[0].share + shares[1].share).toBeCloseTo(1);
    expect(directFlops(graph.apply(conv3dWeightGradientOp, [x, y], { kernel: 3 }))).toBe(2 * products);
  });
});

describe('medianTimes', () => {
  it('is the median of each call over the rounds', () => {
    const node = new Graph().input('x', [1]);
    const round = (...seconds: number[]) => seconds.map((each, i) => ({ kernel: `k${i}`, node, seconds: each }));
    expect(medianTimes([round(1, 9), round(3, 8), round(2, 1)])).toEqual(round(2, 8));
    expect(medianTimes([])).toEqual([]);
  });
});

describe('in turn', () => {
  it('counts as many steps as were asked for, in two rounds', () => {
    expect([1, 2, 5, 6].map(inTwoRounds)).toEqual([[1], [1, 1], [3, 2], [3, 3]]);
  });
  it('joins rounds: all their steps, the larger peak', () => {
    const rounds = [
      { seconds: [1, 5], medianS: 3, peakBytes: 10 },
      { seconds: [2], medianS: 2, peakBytes: 20 },
    ];
    expect(joined(rounds)).toEqual({ seconds: [1, 5, 2], medianS: 2, peakBytes: 20 });
  });
});

describe('compareResults', () => {
  const [was, noisy] = [ratioOf('a over b', [0.5, 0.52, 0.48]), ratioOf('c over d', [0.5, 0.9, 0.7])];
  it('calls a ratio worse if all its rounds lie above all of before, and a time of the same machine slower', () => {
    const larger = row(32, 1.05);
    const rows = [{ ...larger, gvsl: { ...larger.gvsl, peakBytes: 1.25 * 2 ** 30 } }, row(48, 2), row(64, 6)];
    const ratios = [ratioOf('a over b', [0.6, 0.57, 0.63]), ratioOf('c over d', [0.8, 0.95, 1]), ratioOf('new', [1])];
    const comparison = compareResults(
      { ...resultOf(rows), ratios },
      { ...resultOf([row(32, 1), row(64, 5)]), ratios: [was, noisy] },
    );
    expect(comparison).toMatchObject({
      differences: [],
      ratios: [
        { what: 'a over b', worse: true },
        { what: 'c over d', worse: false },
      ],
      times: [
        { what: 'step 32^3, width 1', time: 1.05, memory: 1.25, slower: false, larger: true },
        { what: 'step 64^3, width 1', time: 1.2, memory: 1, slower: true, larger: false },
      ],
      worse: true,
    });
    const text = comparisonText(comparison, 'before.json');
    expect(text).toContain('a over b: 0.600 (0.570 to 0.630), was 0.500 (0.480 to 0.520)  WORSE');
    expect(text).toContain('step 32^3, width 1: 1.05 of the time, 1.25 of the memory  LARGER');
    expect(text).toContain('step 64^3, width 1: 1.20 of the time (slower), 1.00 of the memory');
    expect(text).toMatch(/worse: a over b; memory of step 32\^3, width 1$/);
  });
  it('tells a slow day from a slow change', () => {
    const [now, before] = [resultOf([row(64, 6)]), resultOf([row(64, 5)])];
    const verdict = (ratios: [Ratio[], Ratio[]]): string => {
      const comparison = compareResults({ ...now, ratios: ratios[0] }, { ...before, ratios: ratios[1] });
      expect(comparison.worse).toBe(false);
      return comparisonText(comparison, 'before.json').split('\n').at(-1)!;
    };
    expect(verdict([[was], [was]])).toBe('no ratio is worse, 1 of 1 rows are slower: probably a slower machine today');
    expect(verdict([[], []])).toMatch(/a slower machine or a slower program, this comparison cannot tell/);
    // beyond all rounds of before, but by less than a twentieth
    expect(verdict([[ratioOf('a over b', [0.521])], [was]])).toMatch(/probably a slower machine today$/);
    const same = compareResults({ ...now, ratios: [was] }, { ...now, ratios: [was] });
    expect(comparisonText(same, 'before.json')).toMatch(/\nno regression$/);
  });
  it.each([
    [{ cpu: 'Another' }, 'on another processor (Another)'],
    [{ node: 'v20.1.0' }, 'with Node v20.1.0'],
    [{ build: 'relaxed' as const }, 'with build relaxed'],
    [{ threads: 4 }, 'with threads 4'],
  ])('compares no times with results that were taken otherwise: %o', (machine, reason) => {
    const comparison = compareResults(
      { ...resultOf([row(32, 1)]), ratios: [was] },
      { ...resultOf([row(32, 2)], machine), ratios: [was] },
    );
    expect(comparison).toMatchObject({ differences: [reason], times: [], ratios: [{ worse: false }] });
    expect(comparisonText(comparison, 'before.json')).toContain(`measured ${reason}: ratios may differ for that reason`);
  });
  it('takes another release of the same Node for the same', () => {
    expect(compareResults(resultOf([]), resultOf([], { node: 'v24.9.9' })).differences).toEqual([]);
  });
  it('refuses a file that holds no results', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gvsl-bench-'));
    const path = join(folder, 'results.json');
    await expect(readResults(path)).rejects.toThrow(
      /results\.json: no such file; expected results written by `gvsl bench --out`/,
    );
    await writeFile(path, '{"format": "other"}');
    await expect(readResults(path)).rejects.toThrow(/: expected results written by/);
    await writeFile(path, JSON.stringify(resultOf([row(32, 1)])));
    expect((await readResults(path)).rows).toHaveLength(1);
    await rm(folder, { recursive: true });
  });
});

describe('tables', () => {
  it('stand PyTorch beside gvsl with the ratios', () => {
    expect(markdown(stepTable([row(64, 2, 8), row(96, 3)]))).toBe(
      [
        '|  | gvsl | peak memory | PyTorch 2.0 | its memory | time ratio | memory ratio |',
        '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
        '| step 64^3, width 1 | 2.00 s | 1 GiB | 8.00 s | 2 GiB | 0.25 | 0.50 |',
        '| step 96^3, width 1 | 3.00 s | 1 GiB | - | - | - | - |',
      ].join('\n'),
    );
    expect(stepTable([row(64, 2)]).headings).toEqual(['', 'gvsl', 'peak memory']);
  });
  it('say of results of another machine nothing that is true of this one only', () => {
    expect(machineText(resultOf([]).machine)).toBe(
      'gvsl 1.0.0, 2026-01-01: A processor, 2 cores; Node v24.1.0 (V8 13.6); avx2 build, 2 threads',
    );
    expect(machineText(resultOf([], { buildWhy: 'wide' }).machine)).toContain('avx2 build (wide), 2 threads');
  });
  it('say machine, peaks and the fraction of them', () => {
    const text = suiteText(resultOf([row(64, 2)]), markdown);
    expect(text).toContain('A processor, 2 cores; Node v24.1.0');
    expect(text).toContain(
      'convolutions: 200 GFLOP as direct sums in 0.500 s of 0.500 s; at 8 times the measured peak they would take 0.125 s',
    );
    expect(text).toContain('| conv | 2 | 500.0 | 50.0 % | 400 | 2.00 | 8.0 | 0.40 |');
    expect(text).toContain('command: gvsl bench');
    expect(text).toContain('Skipped: step 96^3: --full adds it');
    expect(text).not.toContain('The same time by kernels');
  });
});

describe('planReport', () => {
  const report = planReport('step', 16, 0.125, 1);
  it('lists every tensor with its layer, and what is alive at the peak', () => {
    const sum = report.peak.alive.reduce((all, { sizeBytes }) => all + sizeBytes, 0);
    expect(sum).toBe(report.aliveBytes);
    expect(report.arenaBytes).toBeGreaterThanOrEqual(report.aliveBytes);
    expect(report.totalBytes).toBeGreaterThan(report.arenaBytes + report.stateBytes);
    expect(report.tensors.some(({ layer }) => layer === 'unet.up4.conv.double_conv.0')).toBe(true);
    expect(memoryText(report)).toMatch(/^step at 16\^3, width 0\.125: .* of states and .* of arena/);
  });
  it('finds the peak of a plan', () => {
    const graph = new Graph();
    const x = graph.input('x', [16]);
    graph.output('y', tanh(graph, tanh(graph, tanh(graph, x))));
    const plan = planMemory(
      graph,
      () => 64,
      ({ id }) => (id === 2 ? 256 : 0),
    );
    expect(peakOf(graph, plan)).toEqual({ node: 2, aliveBytes: 64 + 64 + 256 });
  });
});

describe('measureStep', () => {
  it.each(['step', 'forward'] as const)('measures a %s and its kernels', async (kind) => {
    const shape = { kind, size: 16, width: 0.125, threads: 1, steps: 2, warmup: 0 };
    const request = { ...shape, backend: 'cpu', build: 'portable', profile: true } as const;
    const result = await measureStep(request, SILENT);
    expect(result.seconds).toHaveLength(2);
    expect(result.medianS).toBeGreaterThan(0);
    expect(result.peakBytes).toBeGreaterThan(result.planBytes);
    expect(result.machine).toMatchObject({ build: 'portable', threads: 1, node: process.version });
    for (const shares of [result.profile!, result.kernels!])
      expect(shares.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(result.waitShare).toBeUndefined();
    // the whole step is timed, not its gradient alone
    expect(result.profile!.some(({ what }) => what === 'adam')).toBe(kind === 'step');
    expect(result.machine.buildWhy).toBeTruthy();
  });
  it('measures how long threads wait for one another', async () => {
    const shape = { kind: 'step', size: 16, width: 0.125, threads: 2, steps: 1, warmup: 0 } as const;
    const { waitShare } = await measureStep({ ...shape, backend: 'cpu', build: 'portable', profile: true }, SILENT);
    expect(waitShare).toBeGreaterThan(0);
    expect(waitShare).toBeLessThan(1);
  });
  it('refuses what does not fit, with the size that would', () => {
    expect(() => requireBenchMemory(nodeCpuBackend(1), 'step', 256, 1)).toThrow(/not enough memory: size 256.*`size` \d+ \(/);
  });
});

const skipped = noWebGpu === undefined ? '' : `: ${noWebGpu}`;
describe(`on a GPU${skipped}`, () => {
  it.skipIf(skipped !== '')('measures a forward pass, its kernels and the peaks', async () => {
    const shape = { kind: 'forward', size: 16, width: 0.125, threads: 1, build: 'portable', steps: 1, warmup: 0 } as const;
    const result = await measureStep({ ...shape, backend: 'webgpu', profile: true }, SILENT);
    expect(result.machine.gpu).toMatch(/^WebGPU, /);
    expect(result.profile!.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(result.kernels!.some(({ what }) => what === 'conv3d')).toBe(true);
    const peaks = await measureGpuPeaks();
    expect(peaks.gflopsPerThread).toBeGreaterThan(0);
    expect(peaks.copyGbPerS).toBeGreaterThan(0);
  });
  it('plans its memory without one', () => {
    const report = planReport('step', 32, 0.125, 1, 'webgpu');
    expect(report.arenaBytes).toBeGreaterThanOrEqual(report.aliveBytes);
    expect(report.totalBytes).toBeGreaterThanOrEqual(report.arenaBytes + report.stateBytes);
  });
});

describe('measurePeaks', () => {
  it('finds arithmetic and bandwidth', async () => {
    const peaks = await measurePeaks('portable', 1);
    expect(peaks.gflopsPerThread).toBeGreaterThan(0);
    expect(peaks.copyGbPerS).toBeGreaterThan(0);
  });
});

describe('PyTorch', () => {
  it('is refused without torch where a Python was asked for by name', async () => {
    await expect(findPython('/nowhere/python')).rejects.toThrow(/--python \/nowhere\/python: cannot import torch.*--no-peer/);
  });
  it('is compared with only if it is a network of as many parameters', () => {
    expect(() => checkPeer({ parameters: 32440739 }, 1)).not.toThrow();
    expect(() => checkPeer({ parameters: 32440738 }, 1)).toThrow(/expected a network of 32440739 parameters, got 32440738/);
  });
  it('computes the golden step: the same loss and gradients', async ({ skip }) => {
    const python = await findPython();
    if (python === undefined) skip('needs a Python with torch');
    const golden = fileURLToPath(new URL('../../../test/goldens/gvsl-tiny.safetensors', import.meta.url));
    const { stdout } = spawnSync(python!, [PEER_SCRIPT, '--check', golden], { encoding: 'utf8' });
    const { lossDifference, worstGradientDifference } = JSON.parse(stdout);
    expect(lossDifference).toBeLessThan(1e-5);
    expect(worstGradientDifference).toBeLessThan(1e-5);
  });
  it('is timed in a process of its own, and what it says is told if it fails', async ({ skip }) => {
    const python = await findPython();
    if (python === undefined) skip('needs a Python with torch');
    const shape = { kind: 'step', size: 16, width: 0.125, threads: 1, steps: 2, warmup: 0 } as const;
    const request = { ...shape, device: 'cpu', amp: false } as const;
    const signal = new AbortController().signal;
    const result = await measurePeer(python!, request, signal);
    expect(result).toMatchObject({
      peer: expect.stringMatching(/^PyTorch /),
      threads: 1,
      seconds: [expect.any(Number), expect.any(Number)],
    });
    expect(result.peakBytes).toBeGreaterThan(0);
    await expect(measurePeer(python!, { ...request, threads: -1 }, signal)).rejects.toThrow(/bench-torch\.py failed: /);
  });
});

describe('boundOf', () => {
  const peaks = { gflops: 1000, gbPerS: 100 };

  it('adds up dispatches, each at its own limit, and halves with twice the GPU', () => {
    const bound = boundOf(32, 0.125, 'webgpu', peaks);
    expect(bound.rows.reduce((sum, { seconds }) => sum + seconds, 0)).toBeCloseTo(bound.seconds, 12);
    expect(bound.seconds).toBeGreaterThanOrEqual(Math.max(bound.gflop / peaks.gflops, bound.gb / peaks.gbPerS));
    expect(bound.seconds).toBeLessThanOrEqual(bound.gflop / peaks.gflops + bound.gb / peaks.gbPerS);
    expect(boundOf(32, 0.125, 'webgpu', { gflops: 2000, gbPerS: 200 }).seconds).toBeCloseTo(bound.seconds / 2, 12);
  });

  it('counts fewer multiplications with Winograd, and less traffic and memory in half precision', () => {
    const [single, half] = [boundOf(64, 1, 'webgpu', peaks), boundOf(64, 1, 'webgpu-f16', peaks)];
    expect(single.gflop).toBeLessThan(0.8 * single.directGflop);
    expect(half.gb).toBeLessThan(single.gb);
    expect(half.memoryBytes).toBeLessThan(single.memoryBytes);
  });
});
