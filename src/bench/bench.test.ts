/** The benchmark's logic: what it counts, how it compares, how it says it. Times themselves are never judged. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Graph } from '../engine/graph.ts';
import { conv3d, convolutionWeightGradient } from '../engine/ops/conv3d/conv3d.ts';
import { tanh } from '../engine/ops/elementwise/elementwise.ts';
import { planMemory } from '../engine/plan.ts';
import { nodeCpuBackend } from '../node/cpu-host.ts';
import { SILENT } from '../node/progress.ts';
import { median } from './machine.ts';
import { memoryText, peakOf, planReport } from './memory.ts';
import { findPython } from './peer.ts';
import { directFlops, kernelShares } from './profile.ts';
import { measureStep, requireBenchMemory } from './step.ts';
import { compareResults, readResults, type SuiteResult, type SuiteRow } from './suite.ts';
import { changesText, markdown, stepTable, suiteText } from './tables.ts';

const row = (size: number, ours: number, theirs?: number): SuiteRow => ({
  kind: 'step',
  size,
  width: 1,
  gvsl: { seconds: [ours], medianS: ours, peakBytes: 2 ** 30, planBytes: 2 ** 29 },
  peer: theirs === undefined ? null : { name: 'PyTorch 2.0', seconds: [theirs], medianS: theirs, peakBytes: 2 ** 31 },
});
const resultOf = (rows: SuiteRow[], machine: Partial<SuiteResult['machine']> = {}): SuiteResult => ({
  format: 'gvsl-bench',
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
  profileSize: 64,
  profile: [{ what: 'conv', calls: 2, seconds: 0.5, share: 0.5, gflops: 400 }],
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
    const shares = kernelShares([
      { kernel: 'winogradWeights', node: y, seconds: 0.1 },
      { kernel: 'winograd', node: y, seconds: 0.3 },
      { kernel: 'unary', node: z, seconds: 0.1 },
    ]);
    const products = 2 * 16 * 8 * 27 * 120;
    expect(shares.map(({ what, calls }) => [what, calls])).toEqual([
      ['conv 3^3 8 -> 16 at 2 x 4x5x6, forward', 1],
      ['unary', 1],
    ]);
    expect(shares[0]!.gflops).toBeCloseTo((2 * products) / 0.4 / 1e9, 6);
    expect(shares[1]!.gbPerS).toBeCloseTo((2 * 4 * 2 * 16 * 120) / 0.1 / 1e9, 6);
    expect(shares[0]!.share + shares[1]!.share).toBeCloseTo(1);
    expect(directFlops(graph.apply(convolutionWeightGradient, [x, y], { kernel: 3 }))).toBe(2 * products);
  });
});

describe('compareResults', () => {
  it('gives the ratio of what both have measured, and marks what is more than a tenth slower', () => {
    const changes = compareResults(resultOf([row(32, 1.05), row(48, 2), row(64, 6)]), resultOf([row(32, 1), row(64, 5)]));
    expect(changes).toEqual([
      { what: 'step 32^3, width 1', ratio: 1.05, slower: false },
      { what: 'step 64^3, width 1', ratio: 1.2, slower: true },
    ]);
    expect(changesText(changes)).toContain('step 64^3, width 1: 1.20 of the earlier time  SLOWER');
  });
  it.each([
    [{ cpu: 'Another' }, 'another processor (Another)'],
    [{ node: 'v20.1.0' }, 'Node v20.1.0'],
    [{ build: 'relaxed' as const }, 'build relaxed'],
    [{ threads: 4 }, 'threads 4'],
  ])('compares nothing that was taken otherwise: %o', (machine, reason) => {
    expect(compareResults(resultOf([row(32, 1)]), resultOf([row(32, 1)], machine))).toContain(reason);
  });
  it('refuses a file that holds no results', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gvsl-bench-'));
    const path = join(folder, 'results.json');
    await expect(readResults(path)).rejects.toThrow(
      /results\.json: no such file; expected results that `gvsl bench --out` wrote/,
    );
    await writeFile(path, '{"format": "other"}');
    await expect(readResults(path)).rejects.toThrow(/found something else/);
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
  it('say machine, peaks and the fraction of them', () => {
    const text = suiteText(resultOf([row(64, 2)]), markdown);
    expect(text).toContain('A processor, 2 cores; Node v24.1.0');
    expect(text).toContain(
      'convolutions: 200 GFLOP as direct sums in 0.500 s of 0.500 s; at 3.375 times the measured peak they would take 0.296 s',
    );
    expect(text).toContain('| conv | 2 | 500.0 | 50.0 % | 400 GFLOPS | 2.00 |');
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
    expect(memoryText(report)).toMatch(/^step at 16\^3, width 0\.125: .* of which states .* and arena/);
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
    const request = { kind, size: 16, width: 0.125, threads: 1, build: 'portable', steps: 2, warmup: 0, profile: true } as const;
    const result = await measureStep(request, SILENT);
    expect(result.seconds).toHaveLength(2);
    expect(result.medianS).toBeGreaterThan(0);
    expect(result.peakBytes).toBeGreaterThan(result.planBytes);
    expect(result.machine).toMatchObject({ build: 'portable', threads: 1, node: process.version });
    expect(result.profile!.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });
  it('refuses what does not fit, with the size that would', () => {
    expect(() => requireBenchMemory(nodeCpuBackend(1), 'step', 256, 1)).toThrow(/too little memory: size 256.*--size \d+ \(/);
  });
});

describe('findPython', () => {
  it('refuses a Python without PyTorch that was asked for by name', async () => {
    await expect(findPython('/nowhere/python')).rejects.toThrow(/--python \/nowhere\/python: cannot import torch.*--no-peer/);
  });
});
