/** Max-pooling: in the head, against PyTorch, central differences, and between backends. */
import { describe, expect, it } from 'vitest';
import { referenceBackend } from '../../backends/reference/backend.ts';
import { type Build, runCases, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { maxPool } from './pool.ts';

const build: Build = (graph, { x }) => maxPool(graph, x);

describe('pool', () => {
  itGives(
    'the greatest of 2x2x2; the odd last column is dropped',
    { inputs: { x: tensor([1, 1, 2, 2, 3], [1, 2, 90, 3, 4, 90, 5, 8, 90, 7, 6, 90]) }, outWeight: Float32Array.of(5), build },
    { out: [8], 'd x': [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0] },
  );
  itGives(
    'of equal voxels the first in (z, y, x) order gets the gradient',
    { inputs: { x: tensor([1, 1, 2, 2, 2], [0, 7, 7, 0, 7, 7, 7, 7]) }, outWeight: Float32Array.of(1), build },
    { out: [7], 'd x': [0, 1, 0, 0, 0, 0, 0, 0] },
  );
  it('of nearly equal voxels the second gets it where the reference is told so, of equal ones never', async () => {
    const x = tensor([1, 1, 2, 2, 4], [1, 2, 7, 3, 5, 2, 7, 3, 1, 5.0625, 7, 3, 1, 2, 7, 3]);
    const gaps: number[] = [];
    const takesOther = (gap: number): boolean => gaps.push(gap) > 0;
    const one = { title: 'near-tie', inputs: { x }, outWeight: Float32Array.of(1, 1), build };
    const [result] = await runCases(referenceBackend({ ties: { tolerance: 0.1, takesOther } }), [one]);
    expect([...result.out.values]).toEqual([5.0625, 7]);
    expect([...result['d x'].values]).toEqual([0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(gaps).toEqual([0.0625]);
  });
  itMatchesGolden('maxPool', build);
  itHasItsGradients('maxPool');
  itAgreesOnRandomShapes('maxPool', 20);
  itRefuses(
    'an axis of one voxel',
    (graph) => maxPool(graph, graph.input('x', [1, 8, 1, 4, 4])),
    'maxPool: needs (N, C, D, H, W) of 2 voxels and more, got [1, 8, 1, 4, 4]',
  );
});
