/** The sweep itself: chains, nodes used more than once, what is refused, and a small network whole. */
import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import { differentiate } from './autodiff.ts';
import { referenceBackend } from './backends/reference/backend.ts';
import { Graph, ShapeError } from './graph.ts';
import { affineDisplacement, affineMatrix } from './ops/affine/affine.ts';
import { concat, slice } from './ops/concat/concat.ts';
import { conv3d } from './ops/conv3d/conv3d.ts';
import { add, multiply, scale, tanh } from './ops/elementwise/elementwise.ts';
import { groupNorm } from './ops/group-norm/group-norm.ts';
import { linear } from './ops/linear/linear.ts';
import { mseLoss } from './ops/mse/mse.ts';
import { maxPool } from './ops/pool/pool.ts';
import { channelSum, globalAverage, mean } from './ops/reduce/reduce.ts';
import { upsample } from './ops/resize/resize.ts';
import { stopGradient } from './ops/shape/shape.ts';
import { smoothnessLoss } from './ops/smoothness/smoothness.ts';
import { warp } from './ops/warp/warp.ts';
import { itOnEveryBackend } from './testing/backends.ts';
import { type Build, type CaseResult, type OperationCase, runCases, type Tensor, tensor } from './testing/case.ts';
import { centralDifferences } from './testing/central-difference.ts';
import { itGives } from './testing/checks.ts';
import { difference } from './testing/compare.ts';

/** Everything at once: features at two levels, an affine from their average, a flow, a warped image, two losses. */
const network: Build = (graph, { image, stem, gamma, beta, deep, fc, bias, head }) => {
  const features = tanh(graph, groupNorm(graph, conv3d(graph, image, stem), gamma, beta, { groups: 2, eps: 1e-5, slope: 1 }));
  const low = conv3d(graph, maxPool(graph, features), deep);
  const joined = concat(graph, 1, features, upsample(graph, low));
  const parameters = scale(graph, tanh(graph, linear(graph, globalAverage(graph, low), fc, bias)), 0.1);
  const matrix = affineMatrix(
    graph,
    slice(graph, parameters, 1, 0, 3),
    scale(graph, slice(graph, parameters, 1, 3, 3), 1, 1),
    slice(graph, parameters, 1, 6, 3),
    slice(graph, parameters, 1, 9, 6),
  );
  const flow = scale(graph, tanh(graph, conv3d(graph, joined, head)), 0.2);
  const warped = warp(graph, image, affineDisplacement(graph, matrix, [4, 6, 4], flow));
  return add(graph, mseLoss(graph, warped, image), smoothnessLoss(graph, flow));
};

/** Random tensors of the network's inputs; the image is smooth, so that its gradient has weak kinks. */
function networkCase(): OperationCase {
  const random = randomStream(3, 'network');
  const normal = (deviation: number, ...shape: number[]): Tensor =>
    tensor(
      shape,
      Float32Array.from({ length: shape.reduce((product, size) => product * size) }, () => random.normal(0, deviation)),
    );
  const image = tensor(
    [2, 1, 4, 6, 4],
    Float32Array.from({ length: 192 }, (_, i) => Math.sin(0.7 * Math.floor(i / 24)) + Math.cos(0.9 * (i % 24))),
  );
  return {
    title: 'a small network',
    inputs: {
      image,
      stem: normal(0.3, 8, 1, 3, 3, 3),
      gamma: normal(0.5, 8),
      beta: normal(0.5, 8),
      deep: normal(0.1, 8, 8, 3, 3, 3),
      fc: normal(0.5, 15, 8),
      bias: normal(0.5, 15),
      head: normal(0.05, 3, 16, 3, 3, 3),
    },
    parameters: ['stem', 'gamma', 'beta', 'deep', 'fc', 'bias', 'head'],
    wanted: ['stem', 'gamma', 'beta', 'deep', 'fc', 'bias', 'head'],
    outWeight: Float32Array.of(1),
    build: network,
  };
}

describe('differentiate', () => {
  it('computes nothing for what is held constant', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const loss = mean(graph, multiply(graph, scale(graph, x, 2), stopGradient(graph, tanh(graph, x))));
    differentiate(graph, loss, [x]);
    expect(graph.nodes.filter(({ op }) => op.name === 'unaryGradient')).toEqual([]);
    const held = mean(graph, stopGradient(graph, x));
    expect(() => differentiate(graph, held, [x])).toThrow('differentiate: the loss does not depend on node 0 (input [4])');
  });

  itGives(
    'contributions of a node used three times add up: d (x^2 + 3 x) = 2 x + 3',
    {
      inputs: { x: tensor([2], [1, 10]) },
      outWeight: Float32Array.of(1, 1),
      build: (graph, { x }) => add(graph, multiply(graph, x, x), scale(graph, x, 3)),
    },
    { out: [4, 130], 'd x': [5, 23] },
  );

  it('appends nothing but what leads from the wanted nodes to the loss', () => {
    const graph = new Graph();
    const [x, weight] = [graph.input('x', [1, 8, 4, 4, 4]), graph.input('w', [8, 8, 3, 3, 3])];
    const loss = mean(graph, conv3d(graph, x, weight));
    const before = graph.nodes.length;
    differentiate(graph, loss, [weight]);
    expect(graph.nodes.slice(before).map((node) => node.op.name)).toEqual(['constant', 'fill', 'conv3dWeightGradient']);
  });

  it('is 1 for the loss itself', () => {
    const graph = new Graph();
    const loss = mean(graph, graph.input('x', [3]));
    expect(differentiate(graph, loss, [loss])[0].attributes).toEqual({ values: Float32Array.of(1), shape: [] });
  });

  it('refuses a loss that is no scalar, by its shape', () => {
    const graph = new Graph();
    const x = graph.input('x', [3]);
    expect(() => differentiate(graph, x, [x])).toThrow(new ShapeError('differentiate: the loss must be a scalar, got [3]'));
  });

  it('refuses a wanted node that the loss does not depend on', () => {
    const graph = new Graph();
    const [x, other] = [graph.input('x', [3]), graph.input('other', [4])];
    expect(() => differentiate(graph, mean(graph, x), [x, other])).toThrow(
      'differentiate: the loss does not depend on node 1 (input [4])',
    );
  });

  it('refuses to go through an operation without a gradient, by its name', () => {
    const graph = new Graph();
    const x = graph.input('x', [1, 8, 2, 2, 2]);
    expect(() => differentiate(graph, mean(graph, channelSum(graph, x)), [x])).toThrow(
      'differentiate: channelSum has no gradient',
    );
  });

  it('refuses a gradient of another shape than its input, by the operation', () => {
    const graph = new Graph();
    const x = graph.input('x', [3]);
    const broken = graph.apply(
      { name: 'broken', shape: () => [3], gradient: (at: Graph) => [at.constant([1], [1])] },
      [x],
      undefined,
    );
    expect(() => differentiate(graph, mean(graph, broken), [x])).toThrow(
      new ShapeError('broken: the gradient of input 0 is [1], the input [3]'),
    );
  });

  it('a small network: every gradient is the central difference', async () => {
    const checks = await centralDifferences(networkCase(), 6);
    const found = checks.map(({ input, got, want }) => [input, difference(got, want, [got.length], 1e-6)]);
    expect(found.filter(([, fault]) => fault !== undefined)).toEqual([]);
  });

  itOnEveryBackend(
    "a small network: parameters all get a gradient that is not zero, the reference's",
    async (backend, toleranceFactor) => {
      const each = networkCase();
      const [want] = (await runCases(referenceBackend(), [each])) as [CaseResult];
      const [got] = (await runCases(backend, [each])) as [CaseResult];
      for (const [name, { shape, values }] of Object.entries(want)) {
        expect(values.some((value) => Math.abs(value) > 1e-6)).toBe(true);
        expect([name, difference(got[name].values, values, shape, 1e-4 * toleranceFactor)]).toEqual([name, undefined]);
      }
    },
  );
});
