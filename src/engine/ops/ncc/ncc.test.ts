/** Local NCC: in the head, bounded on any input, against PyTorch, central differences, and between backends. */
import { describe, expect } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { itOnEveryBackend } from '../../testing/backends.ts';
import { type Build, runCases, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { nccLoss } from './ncc.ts';

const build =
  (window: number): Build =>
  (graph, { a, b }) =>
    nccLoss(graph, a, b, window);

const SHAPE = [1, 1, 11, 12, 13];
const random = randomStream(1, 'ncc');
const field = (value: (index: number) => number) =>
  tensor(
    SHAPE,
    Float32Array.from({ length: 11 * 12 * 13 }, (_, i) => value(i)),
  );
/** Bright and dark halves: a running sum would carry errors of one into the other. */
const EXTREMES = {
  zero: field(() => 0),
  'constant 1': field(() => 1),
  'constant 4095.7': field(() => 4095.7),
  'constant -1024': field(() => -1024),
  'Hounsfield -1024..3071': field(() => random.integer(-1024, 3072)),
  'Hounsfield shifted 0..4096': field(() => random.uniform(0, 4096)),
  'saturated 0 or 1': field(() => random.integer(0, 2)),
  'saturated -1024 or 3071': field((i) => (i % 13 < 7 ? -1024 : 3071)),
  'half bright, half faint': field((i) => (i % 13 < 6 ? random.uniform(0, 4096) : 4e-4 * random.uniform())),
  'nearly constant': field(() => 3000 + 1e-3 * random.integer(0, 2)),
  tiny: field(() => 1e-30 * random.uniform()),
  huge: field(() => 1e18 * random.uniform()),
};

describe('ncc', () => {
  itGives(
    'images that are each other times 2 plus 0 correlate fully',
    {
      inputs: { a: tensor([1, 1, 1, 1, 3], [0, 1, 5]), b: tensor([1, 1, 1, 1, 3], [0, 2, 10]) },
      tolerance: 1e-4,
      wanted: [],
      build: (graph, { a, b }) => nccLoss(graph, a, b, 9),
    },
    { out: [0] },
  );
  itGives(
    'an empty image correlates with nothing: loss 1, no gradient',
    { inputs: { a: tensor([1, 1, 1, 1, 3], [0, 0, 0]), b: tensor([1, 1, 1, 1, 3], [1, 2, 3]) }, build: build(3) },
    { out: [1], 'd a': [0, 0, 0], 'd b': [0, 0, 0] },
  );

  // Windows at the border see the zeros outside, in both images alike; the inner 3^3 windows see nothing but rounding.
  itGives(
    'rounding errors of bright constants do not correlate: 27 of 11^3 windows lose',
    {
      inputs: {
        a: tensor([1, 1, 11, 11, 11], new Array(1331).fill(6934513.5)),
        b: tensor([1, 1, 11, 11, 11], new Array(1331).fill(6749862.5)),
      },
      wanted: [],
      tolerance: 1e-6,
      build: build(9),
    },
    { out: [27 / 1331] },
  );

  itOnEveryBackend('stays in [0, 1] with finite gradients on any two extreme images', async (backend) => {
    const names = Object.keys(EXTREMES) as (keyof typeof EXTREMES)[];
    const cases = names.flatMap((a, i) =>
      names.slice(i).map((b) => ({
        title: `${a}; ${b}`,
        inputs: { a: EXTREMES[a], b: EXTREMES[b] },
        outWeight: Float32Array.of(1),
        build: build(9),
      })),
    );
    const results = await runCases(backend, cases);
    const wrong = cases.filter((_, i) => {
      const { out, 'd a': dA, 'd b': dB } = results[i];
      return !(out.values[0] >= 0 && out.values[0] <= 1) || ![...dA.values, ...dB.values].every(Number.isFinite);
    });
    expect(wrong.map(({ title }) => title)).toEqual([]);
  });

  itOnEveryBackend('bright images correlate with themselves fully', async (backend) => {
    const names = ['Hounsfield -1024..3071', 'Hounsfield shifted 0..4096', 'saturated -1024 or 3071'] as const;
    const results = await runCases(
      backend,
      names.map((name) => ({ title: name, inputs: { a: EXTREMES[name], b: EXTREMES[name] }, wanted: [], build: build(9) })),
    );
    for (const { out } of results) expect(out.values[0]).toBeLessThan(1e-5);
  });

  itMatchesGolden('ncc.nine', build(9), 1e-4);
  itMatchesGolden('ncc.three', build(3), 1e-4);
  itHasItsGradients('ncc', 4);
  itAgreesOnRandomShapes('ncc', 20);
  itRefuses(
    'an even window',
    (graph) => nccLoss(graph, graph.input('a', [1, 1, 4, 4, 4]), graph.input('b', [1, 1, 4, 4, 4]), 8),
    'ncc: the window must be odd, got 8',
  );
  itRefuses(
    'images of several channels',
    (graph) => nccLoss(graph, graph.input('a', [1, 2, 4, 4, 4]), graph.input('b', [1, 2, 4, 4, 4])),
    'ncc: needs two images (N, 1, D, H, W), got [1, 2, 4, 4, 4] and [1, 2, 4, 4, 4]',
  );
});
