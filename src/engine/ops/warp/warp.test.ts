/** Trilinear sampling: in the head, exactness on a volume, against PyTorch, central differences, and between backends. */
import { describe, expect } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { referenceBackend } from '../../backends/reference/backend.ts';
import { itOnEveryBackend } from '../../testing/backends.ts';
import { type Build, runCases, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { difference } from '../../testing/compare.ts';
import { warp } from './warp.ts';

const build: Build = (graph, { image, displacement }) => warp(graph, image, displacement);
const line = (values: number[], moves: number[]) => ({
  image: tensor([1, 1, 1, 1, values.length], values),
  displacement: tensor([1, 3, 1, 1, values.length], [...new Array(2 * values.length).fill(0), ...moves]),
});

describe('warp', () => {
  itGives('one voxel on: reads the next; zero outside', { inputs: line([1, 2, 3], [1, 1, 1]), build }, { out: [2, 3, 0] });
  itGives(
    'half a voxel: the mean of both neighbours; half of the last one fades into the zero outside',
    { inputs: line([1, 2, 4], [0.5, 0.5, 0.5]), outWeight: Float32Array.of(1, 1, 1), build },
    // d x displacement is the slope to the next voxel; in z and y the slope to the zero outside.
    { out: [1.5, 3, 2], 'd image': [0.5, 1, 1], 'd displacement': [-1.5, -3, -2, -1.5, -3, -2, 1, 2, -4] },
  );
  itGives(
    'far outside is zero, without a gradient',
    { inputs: line([1, 2], [1e9, -1e30]), build },
    { out: [0, 0], 'd image': [0, 0], 'd displacement': new Array(6).fill(0) },
  );
  itGives(
    'where the displacement is no number or infinite it is zero, without a gradient; others are as they were',
    {
      inputs: line([1, 2, 4, 8, 16], [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3.4e38, -1]),
      outWeight: Float32Array.of(1, 1, 1, 1, 1),
      build,
    },
    {
      out: [0, 0, 0, 0, 8],
      'd image': [0, 0, 0, 1, 0],
      'd displacement': [...[0, 0, 0, 0, -8], ...[0, 0, 0, 0, -8], ...[0, 0, 0, 0, 8]],
    },
  );

  const [depth, height, width] = [16, 32, 64];
  const voxels = depth * height * width;
  const random = randomStream(1, 'volume');
  const volume = Float32Array.from({ length: voxels }, () => random.normal());
  for (const axis of [0, 1, 2]) {
    const displacement = new Float32Array(3 * voxels).fill(1, axis * voxels, (axis + 1) * voxels);
    const [size, stride] = [[depth, height, width][axis], [height * width, width, 1][axis]];
    itGives(
      `a translation by one voxel in ${'zyx'[axis]} is exact on 16x32x64`,
      {
        inputs: {
          image: tensor([1, 1, depth, height, width], volume),
          displacement: tensor([1, 3, depth, height, width], displacement),
        },
        wanted: [],
        tolerance: 1e-12,
        build,
      },
      { out: volume.map((_, at) => (Math.floor(at / stride) % size < size - 1 ? volume[at + stride] : 0)) },
    );
  }
  itGives(
    'no displacement is the identity to 1e-6 on 16x32x64',
    {
      inputs: {
        image: tensor([1, 1, depth, height, width], volume),
        displacement: tensor([1, 3, depth, height, width], new Float32Array(3 * voxels)),
      },
      wanted: [],
      tolerance: 1e-6,
      build,
    },
    { out: volume },
  );
  itOnEveryBackend('rows of 150 voxels, longer than what a backend prepares at once', async (backend) => {
    const cases = [1, 8].map((channels) => ({
      title: `${channels} channels`,
      inputs: {
        image: tensor(
          [1, channels, 2, 3, 150],
          Float32Array.from({ length: channels * 900 }, () => random.normal()),
        ),
        displacement: tensor(
          [1, 3, 2, 3, 150],
          Float32Array.from({ length: 2700 }, () => random.uniform(-2, 2)),
        ),
      },
      build,
    }));
    const want = await runCases(referenceBackend(), cases);
    const got = await runCases(backend, cases);
    const found = want.flatMap((each, i) =>
      Object.entries(each).map(([name, { values, shape }]) => difference(got[i][name].values, values, shape, 1e-5)),
    );
    expect(found.filter((fault) => fault !== undefined)).toEqual([]);
  });
  itMatchesGolden('warp.image', build);
  itMatchesGolden('warp.features', build);
  itHasItsGradients('warp', 5);
  itAgreesOnRandomShapes('warp', 24);
  itAgreesOnRandomShapes('insideMask', 12);
  itRefuses(
    'a displacement of another size',
    (graph) => warp(graph, graph.input('i', [1, 1, 4, 4, 4]), graph.input('d', [1, 3, 4, 4, 5])),
    'warp: image and displacement must agree in size, got [1, 1, 4, 4, 4] and [1, 3, 4, 4, 5]',
  );
  itRefuses(
    'a displacement of two components',
    (graph) => warp(graph, graph.input('i', [1, 1, 4, 4, 4]), graph.input('d', [1, 2, 4, 4, 4])),
    'warp: needs image (N, C, D, H, W) and displacement (N, 3, D, H, W), got [1, 1, 4, 4, 4] and [1, 2, 4, 4, 4]',
  );
});
