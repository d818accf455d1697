/** A slice is a part of its root's memory, with the root's distance between samples: operations must read it as they read a whole. */
import { describe, expect } from 'vitest';
import { randomStream } from '../../../random/random.ts';
import type { Graph, Node, Shape } from '../../graph.ts';
import { affineDisplacement, affineMatrix } from '../../ops/affine/affine.ts';
import { slice } from '../../ops/concat/concat.ts';
import { nccLoss } from '../../ops/ncc/ncc.ts';
import { maxPool } from '../../ops/pool/pool.ts';
import { upsample } from '../../ops/resize/resize.ts';
import { warp } from '../../ops/warp/warp.ts';
import { itOnEveryBackend } from '../../testing/backends.ts';
import { type OperationCase, runCases } from '../../testing/case.ts';
import { difference } from '../../testing/compare.ts';
import { referenceBackend } from '../reference/backend.ts';

const SIZE = [5, 6, 7];
const random = randomStream(1, 'slices');
const normal = (shape: Shape, deviation = 1) => ({
  shape,
  values: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random.normal(0, deviation)),
});

/** `length` channels from `start` of the last two of three samples. */
const part = (graph: Graph, x: Node, start: number, length: number): Node =>
  slice(graph, slice(graph, x, 0, 1, 2), 1, start, length);

const features = { features: normal([3, 24, ...SIZE]) };
const images = { images: normal([3, 5, ...SIZE]) };
const cases: OperationCase[] = [
  { title: 'maxPool, blocked', inputs: features, build: (g, x) => maxPool(g, part(g, x.features, 8, 16)) },
  { title: 'maxPool, plain', inputs: images, build: (g, x) => maxPool(g, part(g, x.images, 1, 3)) },
  { title: 'upsample, blocked', inputs: features, build: (g, x) => upsample(g, part(g, x.features, 16, 8)) },
  { title: 'upsample, plain', inputs: images, build: (g, x) => upsample(g, part(g, x.images, 2, 2)) },
  {
    title: 'warp, blocked',
    inputs: { ...features, ...images },
    build: (g, x) => warp(g, part(g, x.features, 8, 8), part(g, x.images, 2, 3)),
  },
  {
    title: 'warp, plain',
    inputs: images,
    build: (g, x) => warp(g, part(g, x.images, 0, 2), part(g, x.images, 2, 3)),
  },
  { title: 'ncc', inputs: images, build: (g, x) => nccLoss(g, part(g, x.images, 1, 1), part(g, x.images, 3, 1), 3) },
  {
    title: 'affine',
    inputs: { parameters: normal([3, 15], 0.5), ...images },
    build: (g, x) => {
      const of = (start: number, length: number): Node => part(g, x.parameters, start, length);
      const matrix = affineMatrix(g, of(0, 3), of(3, 3), of(6, 3), of(9, 6));
      return affineDisplacement(g, matrix, [5, 6, 7], part(g, x.images, 1, 3));
    },
  },
];

describe('CPU slices', () => {
  itOnEveryBackend('are read and differentiated as the reference does', async (backend) => {
    const want = await runCases(referenceBackend(), cases);
    const got = await runCases(backend, cases);
    const found = cases.flatMap(({ title }, i) =>
      Object.entries(want[i]).flatMap(([name, { values, shape }]) => {
        const fault = difference(got[i][name].values, values, shape, 5e-5);
        return fault ? [`${title}, ${name}: ${fault}`] : [];
      }),
    );
    expect(found).toEqual([]);
  });
});
