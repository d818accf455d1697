/** Losses of pairs of views: in the head, against PyTorch, and at temperatures at which exponentials would overflow. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../engine/testing/case.ts';
import { itGives, itMatchesGolden, itRefuses } from '../../engine/testing/checks.ts';
import { meanCosine, ntXent } from './losses.ts';

const build =
  (temperature: number): Build =>
  (graph, { z }) =>
    ntXent(graph, z, temperature);

describe('losses of pairs', () => {
  const [a, b] = [
    [2, 0],
    [0, 3],
  ];
  itGives(
    'NT-Xent of two samples: a partner with cosine 1, and two others with 0, whatever the lengths',
    { inputs: { z: tensor([4, 2], [a, b, a, b].flat()) }, wanted: [], build: build(1) },
    { out: [Math.log(Math.E + 2) - 1] },
  );
  itGives(
    'NT-Xent at temperature 0.002: cosines that differ by 1 differ by 500',
    { inputs: { z: tensor([4, 2], [a, b, b, a].flat()) }, wanted: [], build: build(0.002) },
    { out: [500] },
  );
  itGives(
    'the cosine has no gradient for what is held constant',
    {
      inputs: { p: tensor([1, 2], [3, 4]), t: tensor([1, 2], [5, 0]) },
      outWeight: Float32Array.of(1),
      wanted: ['p'],
      build: (graph, { p, t }) => meanCosine(graph, p, t),
    },
    { out: [0.6], 'd p': [0.128, -0.096] },
  );
  itMatchesGolden('ntXent', build(0.5));
  itMatchesGolden('ntXent.sharp', build(0.05));
  itMatchesGolden('meanCosine', (graph, { prediction, target }) => meanCosine(graph, prediction, target));
  itRefuses(
    'one sample alone',
    (graph) => ntXent(graph, graph.input('z', [2, 8]), 0.5),
    'ntXent: needs two views of at least two samples (2 N, C), got [2, 8]',
  );
});
