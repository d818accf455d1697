/**
 * Random cases of every operation: awkward shapes on purpose (odd sizes, axes of one voxel, one to three samples, few channels and
 * whole blocks of 8), so that a backend's edges and alignments are met; and long ones (an axis or channels of thousands), so that
 * nothing is longer than what a backend has set aside for it.
 */
import { type RandomStream, randomStream } from '../../common/random.ts';
import { elementCount, type Shape } from '../graph.ts';
import { affineDisplacement, affineMatrix } from '../ops/affine/affine.ts';
import { concat, slice } from '../ops/concat/concat.ts';
import { conv3d } from '../ops/conv3d/conv3d.ts';
import { binaryCrossEntropyLoss, crossEntropyLoss } from '../ops/cross-entropy/cross-entropy.ts';
import { diceLoss } from '../ops/dice/dice.ts';
import { add, leakyRelu, multiply, multiplyByScalar, relu, scale, sigmoid, tanh } from '../ops/elementwise/elementwise.ts';
import { groupNorm } from '../ops/group-norm/group-norm.ts';
import { linear } from '../ops/linear/linear.ts';
import { matmul } from '../ops/matmul/matmul.ts';
import { maskedMseLoss, mseLoss } from '../ops/mse/mse.ts';
import { nccLoss } from '../ops/ncc/ncc.ts';
import { l2Normalize, layerNorm } from '../ops/normalize/normalize.ts';
import { maxPool } from '../ops/pool/pool.ts';
import {
  batchBroadcast,
  batchSum,
  channelSum,
  fillOp,
  globalAverage,
  mean,
  spatialBroadcastOp,
  sumOfSquares,
} from '../ops/reduce/reduce.ts';
import type { OperationName } from '../ops/registry.ts';
import { upsample } from '../ops/resize/resize.ts';
import { crop, pad } from '../ops/shape/shape.ts';
import { smoothnessLoss } from '../ops/smoothness/smoothness.ts';
import { probabilities, softmax } from '../ops/softmax/softmax.ts';
import { insideMask, warp } from '../ops/warp/warp.ts';
import type { OperationCase, Tensor } from './case.ts';

/** All but the adjoints and inner pieces, which the gradients run, and the effects, which have tests of their own. */
export type TestedOperation = Exclude<
  OperationName,
  `${string}Gradient` | 'groupStatistics' | 'groupNormSums' | 'sumPick' | 'accumulate' | 'adam' | 'movingAverage'
>;

type Generated = Omit<OperationCase, 'title'>;
type Size = readonly [number, number, number];
type Kind = 'awkward' | 'smooth' | 'long';

/** Draws the parts of one case. */
class Draw {
  readonly random: RandomStream;
  /** Keep away from kinks, stay small: for central differences. */
  readonly smooth: boolean;
  /** What has thousands: one axis, or channels, until they are drawn. */
  private long: 'axis' | 'channels' | undefined;
  private maxVoxels: number;

  private readonly kind: Kind;

  constructor(random: RandomStream, kind: Kind) {
    this.random = random;
    this.kind = kind;
    this.smooth = kind === 'smooth';
    if (kind === 'long') this.long = this.pick(['axis', 'axis', 'channels']);
    this.maxVoxels = this.smooth ? 30 : 300;
  }

  pick<Choice>(choices: readonly Choice[]): Choice {
    return choices[this.random.integer(0, choices.length)];
  }

  /** Channels of thousands, once, if it is their turn. */
  private manyChannels(): number | undefined {
    if (this.long !== 'channels') return undefined;
    this.long = undefined;
    this.maxVoxels = 8;
    return this.pick([4095, 4097, 5003]);
  }

  batch(): number {
    return this.smooth ? this.random.integer(1, 3) : this.random.integer(1, 4);
  }

  channels(): number {
    const many = this.manyChannels();
    if (many !== undefined) return many;
    return this.pick(this.smooth ? [1, 2, 3, 8] : [1, 2, 3, 5, 8, 16, 24, 32]);
  }

  /** Channels of probabilities. */
  classes(least: 1 | 2 = 2): number {
    return this.manyChannels() ?? this.pick([1, 2, 5, 8, 29].slice(least - 1));
  }

  size(least = 1): Size {
    if (this.long === 'axis') {
      const size: [number, number, number] = [least, least, least];
      size[this.pick([2, 2, 1, 0])] = this.pick([2047, 2048, 2049, 2501, 5003]);
      return size;
    }
    const sizes = (this.smooth ? [1, 2, 3, 4, 5] : [1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 33]).filter(
      (size) => size >= least,
    );
    for (;;) {
      const size: Size = [this.pick(sizes), this.pick(sizes), this.pick(sizes)];
      if (size[0] * size[1] * size[2] <= this.maxVoxels) return size;
    }
  }

  shape(channels = this.channels(), least = 1): [number, number, number, number, number] {
    return [this.batch(), channels, ...this.size(least)];
  }

  tensor(shape: Shape, value: (index: number) => number): Tensor {
    return { shape, values: Float32Array.from({ length: elementCount(shape) }, (_, i) => value(i)) };
  }

  normal(shape: Shape, deviation = 1, middle = 0): Tensor {
    return this.tensor(shape, () => this.random.normal(middle, deviation));
  }

  uniform(shape: Shape, low = 0, high = 1): Tensor {
    return this.tensor(shape, () => this.random.uniform(low, high));
  }

  /** The same, or its first two axes: a matrix (N, C). */
  shapeOrMatrix(channels?: number): number[] {
    const shape = this.shape(channels);
    return this.kind !== 'long' && this.random.chance(0.25) ? shape.slice(0, 2) : shape;
  }

  /** Every value at least 1/8 from every other, and none within 1/16 of zero. */
  separated(shape: Shape): Tensor {
    const order = this.random.permutation(elementCount(shape));
    return this.tensor(shape, (i) => (order[i] - order.length / 2) / 8 + 1 / 16);
  }

  /** One of the classes at every voxel. */
  oneHot([batch, classes, ...size]: Shape): Tensor {
    const voxels = elementCount(size);
    const labels = Array.from({ length: batch * voxels }, () => this.random.integer(0, classes));
    const label = (i: number): number => labels[Math.floor(i / (classes * voxels)) * voxels + (i % voxels)];
    return this.tensor([batch, classes, ...size], (i) => (label(i) === Math.floor(i / voxels) % classes ? 1 : 0));
  }

  /** Displacements of some voxels; also exact voxels and places far outside, unless smooth. */
  displacement(shape: Shape): Tensor {
    return this.tensor(shape, () => {
      const whole = this.random.integer(-2, 3);
      const kind = this.smooth ? 0 : this.random.integer(0, 8);
      if (kind === 6) return whole;
      if (kind === 7) return this.pick([-1e6, 37.25, -37.5, 1e9]);
      return whole + this.random.uniform(0.15, 0.85);
    });
  }

  /** Margins of 0 to 3 on every axis but `fixed` ones; an axis of the outer shape keeps at least one element inside. */
  margins(shape: Shape): { before: number[]; after: number[] } {
    const before = shape.map((size, axis) => (axis < 2 ? 0 : this.random.integer(0, Math.min(3, size - 1) + 1)));
    const after = shape.map((size, axis) => (axis < 2 ? 0 : this.random.integer(0, Math.min(3, size - before[axis] - 1) + 1)));
    return { before, after };
  }
}

const GENERATORS: { readonly [Name in TestedOperation]: (draw: Draw) => Generated } = {
  add: (draw) => {
    const shape = draw.shapeOrMatrix();
    return { inputs: { a: draw.normal(shape), b: draw.normal(shape) }, build: (graph, { a, b }) => add(graph, a, b) };
  },
  multiply: (draw) => {
    const shape = draw.shapeOrMatrix();
    return { inputs: { a: draw.normal(shape), b: draw.normal(shape) }, build: (graph, { a, b }) => multiply(graph, a, b) };
  },
  scale: (draw) => {
    const [factor, shift] = [draw.random.normal(), draw.random.normal()];
    return { inputs: { x: draw.normal(draw.shape()) }, build: (graph, { x }) => scale(graph, x, factor, shift) };
  },
  multiplyByScalar: (draw) => ({
    inputs: { x: draw.normal(draw.shape()), scalar: draw.normal([]) },
    wanted: [],
    build: (graph, { x, scalar }) => multiplyByScalar(graph, x, scalar),
  }),
  unary: (draw) => {
    const f = draw.pick([tanh, sigmoid, leakyRelu, relu]);
    const shape = draw.shape();
    const x = draw.smooth && (f === leakyRelu || f === relu) ? draw.separated(shape) : draw.normal(shape, 2);
    return { inputs: { x }, build: (graph, { x: given }) => f(graph, given) };
  },
  conv3d: (draw) => {
    const [batch, channelsIn, ...size] = draw.shape();
    const channelsOut = draw.channels();
    const kernel = draw.pick([1, 3, 3, 3]);
    const deviation = 1 / Math.sqrt(channelsIn * kernel ** 3);
    const weight = draw.normal([channelsOut, channelsIn, kernel, kernel, kernel], deviation);
    const inputs = { x: draw.normal([batch, channelsIn, ...size]), weight };
    const parameters = draw.pick([[], ['weight', 'bias']]);
    if (draw.random.chance(0.2)) {
      return { inputs, parameters: parameters.slice(0, 1), build: (graph, { x, weight: w }) => conv3d(graph, x, w) };
    }
    return {
      inputs: { ...inputs, bias: draw.normal([channelsOut]) },
      parameters,
      build: (graph, { x, weight: w, bias }) => conv3d(graph, x, w, bias),
    };
  },
  groupNorm: (draw) => {
    const channels = draw.channels();
    const groups = draw.pick([1, 2, 3, 4, 8].filter((count) => channels % count === 0));
    const attributes = { groups, eps: 1e-5, slope: draw.pick([0.2, 1]) };
    const shape = draw.shape(channels, 2);
    // Smooth: beta so large that the activation's input never changes its sign.
    const beta = draw.smooth ? draw.tensor([channels], () => draw.pick([-9, 9])) : draw.normal([channels], 0.3);
    return {
      inputs: { x: draw.normal(shape, 2, 0.5), gamma: draw.normal([channels], 0.3, 1), beta },
      parameters: draw.pick([[], ['gamma', 'beta']]),
      tolerance: 3e-5,
      build: (graph, { x, gamma, beta: b }) => groupNorm(graph, x, gamma, b, attributes),
    };
  },
  maxPool: (draw) => {
    const shape = draw.shape(draw.channels(), 2);
    // Not smooth: few different values, so that windows have several greatest.
    const x = draw.smooth ? draw.separated(shape) : draw.tensor(shape, () => draw.random.integer(-2, 3));
    return { inputs: { x }, build: (graph, { x: given }) => maxPool(graph, given) };
  },
  upsample: (draw) => ({ inputs: { x: draw.normal(draw.shape()) }, build: (graph, { x }) => upsample(graph, x) }),
  concat: (draw) => {
    const axis = draw.pick([0, 1] as const);
    const [batch, channels, ...size] = draw.shapeOrMatrix();
    const shapes = Array.from({ length: draw.random.integer(2, 4) }, () =>
      axis === 0 ? [draw.batch(), channels, ...size] : [batch, draw.channels(), ...size],
    );
    return {
      inputs: Object.fromEntries(shapes.map((shape, i) => [`part${i}`, draw.normal(shape)])),
      build: (graph, parts) => concat(graph, axis, ...shapes.map((_, i) => parts[`part${i}`])),
    };
  },
  slice: (draw) => {
    const axis = draw.pick([0, 1] as const);
    const shape = draw.shapeOrMatrix();
    const start = draw.random.integer(0, shape[axis]);
    const length = draw.random.integer(1, shape[axis] - start + 1);
    return { inputs: { x: draw.normal(shape) }, build: (graph, { x }) => slice(graph, x, axis, start, length) };
  },
  pad: (draw) => {
    const shape = draw.shape();
    const { before, after } = draw.margins([1, 1, 4, 4, 4]);
    return { inputs: { x: draw.normal(shape) }, build: (graph, { x }) => pad(graph, x, before, after) };
  },
  crop: (draw) => {
    const shape = draw.shape();
    const { before, after } = draw.margins(shape);
    return { inputs: { x: draw.normal(shape) }, build: (graph, { x }) => crop(graph, x, before, after) };
  },
  linear: (draw) => {
    const [batch, inSize, outSize] = [draw.batch(), draw.pick([1, 3, 8, 13, 33, 64]), draw.pick([1, 3, 6, 8])];
    return {
      inputs: { x: draw.normal([batch, inSize]), weight: draw.normal([outSize, inSize]), bias: draw.normal([outSize]) },
      parameters: draw.pick([[], ['weight', 'bias']]),
      build: (graph, { x, weight, bias }) => linear(graph, x, weight, bias),
    };
  },
  batchSum: (draw) => ({
    inputs: { x: draw.normal([draw.batch(), draw.random.integer(1, 40)]) },
    build: (graph, { x }) => batchSum(graph, x),
  }),
  batchBroadcast: (draw) => {
    const batch = draw.batch();
    return { inputs: { x: draw.normal([draw.channels()]) }, build: (graph, { x }) => batchBroadcast(graph, x, batch) };
  },
  matmul: (draw) => {
    const transposed = draw.pick(['neither', 'a', 'b'] as const);
    const inner = draw.channels();
    const [rows, columns] = [draw.pick([1, 2, 3, 6, 17]), draw.pick([1, 3, 4, 7, 8, 16, 21])];
    const [a, b] = [draw.normal([rows, inner]), draw.normal([inner, columns])];
    const flipped = ({ shape: [first, second], values }: Tensor): Tensor => ({ shape: [second, first], values });
    return {
      inputs: { a: transposed === 'a' ? flipped(a) : a, b: transposed === 'b' ? flipped(b) : b },
      build: (graph, { a: left, b: right }) => matmul(graph, left, right, transposed),
    };
  },
  normalize: (draw) => {
    const channels = draw.channels();
    // of one or two channels little but the sign is left: their gradients are differences of equals
    const shape = [draw.batch(), channels < 3 ? 7 : channels];
    const x = draw.normal(shape, 2, 0.5);
    if (draw.random.chance(0.5))
      return { inputs: { x }, tolerance: 3e-5, build: (graph, { x: given }) => l2Normalize(graph, given) };
    return {
      inputs: { x, gamma: draw.normal([shape[1]], 0.3, 1), beta: draw.normal([shape[1]]) },
      parameters: draw.pick([[], ['gamma', 'beta']]),
      tolerance: 3e-5,
      build: (graph, { x: given, gamma, beta }) => layerNorm(graph, given, gamma, beta),
    };
  },
  channelSum: (draw) => ({ inputs: { x: draw.normal(draw.shape()) }, wanted: [], build: (graph, { x }) => channelSum(graph, x) }),
  globalAverage: (draw) => ({ inputs: { x: draw.normal(draw.shape()) }, build: (graph, { x }) => globalAverage(graph, x) }),
  spatialBroadcast: (draw) => {
    const attributes = { size: draw.size(), scale: draw.random.normal() };
    return {
      inputs: { x: draw.normal([draw.batch(), draw.channels()]) },
      wanted: [],
      build: (graph, { x }) => graph.apply(spatialBroadcastOp, [x], attributes),
    };
  },
  sumOfSquares: (draw) => ({
    inputs: { x: draw.normal(draw.shape()) },
    wanted: [],
    build: (graph, { x }) => sumOfSquares(graph, x),
  }),
  mean: (draw) => ({ inputs: { x: draw.normal(draw.shape(), 1, 0.5) }, build: (graph, { x }) => mean(graph, x) }),
  fill: (draw) => {
    const attributes = { shape: draw.shape(), scale: draw.random.normal() };
    return {
      inputs: { value: draw.normal([]) },
      wanted: [],
      build: (graph, { value }) => graph.apply(fillOp, [value], attributes),
    };
  },
  affineMatrix: (draw) => {
    const batch = draw.batch();
    return {
      inputs: {
        rotation: draw.normal([batch, 3], 0.5),
        scale: draw.normal([batch, 3], 0.2, 1),
        translation: draw.normal([batch, 3], 4),
        shear: draw.normal([batch, 6], 0.2),
      },
      build: (graph, { rotation, scale: factors, translation, shear }) =>
        affineMatrix(graph, rotation, factors, translation, shear),
    };
  },
  affineDisplacement: (draw) => {
    const [batch, size] = [draw.batch(), draw.size()];
    const matrix = draw.tensor([batch, 3, 4], (i) =>
      draw.random.normal(i % 12 === 0 || i % 12 === 5 || i % 12 === 10 ? 1 : 0, 0.3),
    );
    if (draw.random.chance(0.3))
      return { inputs: { matrix }, build: (graph, { matrix: m }) => affineDisplacement(graph, m, size) };
    return {
      inputs: { matrix, flow: draw.normal([batch, 3, ...size], 2) },
      build: (graph, { matrix: m, flow }) => affineDisplacement(graph, m, size, flow),
    };
  },
  warp: (draw) => {
    const [batch, channels, ...size] = draw.shape();
    return {
      inputs: { image: draw.normal([batch, channels, ...size]), displacement: draw.displacement([batch, 3, ...size]) },
      // Positions of some tens of voxels lose that many digits in single precision.
      tolerance: 5e-5,
      build: (graph, { image, displacement }) => warp(graph, image, displacement),
    };
  },
  ncc: (draw) => {
    const shape = draw.shape(1, draw.smooth ? 2 : 1);
    const window = draw.pick([3, 5, 9]);
    const a = draw.uniform(shape);
    const b = draw.tensor(shape, (i) => 0.5 * a.values[i] + draw.random.uniform(0, 0.5));
    if (draw.random.chance(0.5))
      return { inputs: { a, b }, tolerance: 1e-4, build: (graph, { a: left, b: right }) => nccLoss(graph, left, right, window) };
    const mask = draw.tensor(shape, () => (draw.random.chance(0.7) ? 1 : 0));
    return {
      inputs: { a, b, mask },
      wanted: ['a', 'b'],
      tolerance: 1e-4,
      build: (graph, { a: left, b: right, mask: m }) => nccLoss(graph, left, right, window, m),
    };
  },
  insideMask: (draw) => {
    const [batch, , ...size] = draw.shape();
    return {
      inputs: { displacement: draw.displacement([batch, 3, ...size]) },
      wanted: [],
      build: (graph, { displacement }) => insideMask(graph, displacement),
    };
  },
  smoothness: (draw) => ({
    inputs: { flow: draw.normal(draw.shape(3)) },
    build: (graph, { flow }) => smoothnessLoss(graph, flow),
  }),
  mse: (draw) => {
    const shape = draw.shape();
    return { inputs: { a: draw.normal(shape), b: draw.normal(shape) }, build: (graph, { a, b }) => mseLoss(graph, a, b) };
  },
  maskedMse: (draw) => {
    const shape = draw.shapeOrMatrix();
    const mask = draw.tensor(shape, () => (draw.random.chance(0.3) ? draw.random.uniform(0.5, 2) : 0));
    return {
      inputs: { a: draw.normal(shape), b: draw.normal(shape), mask },
      wanted: ['a', 'b'],
      build: (graph, { a, b, mask: m }) => maskedMseLoss(graph, a, b, m),
    };
  },
  dice: (draw) => {
    const shape = draw.shape(draw.classes());
    return {
      inputs: { probabilities: draw.uniform(shape), truth: draw.oneHot(shape) },
      wanted: ['probabilities'],
      build: (graph, { probabilities, truth }) => diceLoss(graph, probabilities, truth),
    };
  },
  softmax: (draw) => {
    const shape = draw.shapeOrMatrix(draw.classes(1));
    // of few rows all may be sure of a class: then every gradient is a difference of equals
    const deviation = draw.smooth || shape.length === 2 ? 1 : 10;
    return { inputs: { x: draw.normal(shape, deviation) }, build: (graph, { x }) => softmax(graph, x) };
  },
  probabilities: (draw) => {
    const relative = draw.random.chance(0.5);
    return {
      inputs: { x: draw.normal(draw.shapeOrMatrix(draw.classes(1)), 10) },
      wanted: [],
      build: (graph, { x }) => probabilities(graph, x, { relative }),
    };
  },
  crossEntropy: (draw) => {
    const shape = draw.shapeOrMatrix(draw.classes());
    return {
      inputs: { logits: draw.normal(shape, draw.smooth ? 1 : 10), truth: draw.oneHot(shape) },
      wanted: ['logits'],
      build: (graph, { logits, truth }) => crossEntropyLoss(graph, logits, truth),
    };
  },
  binaryCrossEntropy: (draw) => {
    const shape = [draw.batch(), draw.random.integer(1, 20)];
    return {
      inputs: { logits: draw.normal(shape, draw.smooth ? 1 : 30), truth: draw.uniform(shape) },
      wanted: ['logits'],
      build: (graph, { logits, truth }) => binaryCrossEntropyLoss(graph, logits, truth),
    };
  },
};

export const TESTED_OPERATIONS = Object.keys(GENERATORS) as readonly TestedOperation[];

function generate(name: TestedOperation, count: number, seed: number, kind: Kind): OperationCase[] {
  return Array.from({ length: count }, (_, i) => {
    const each = GENERATORS[name](new Draw(randomStream(seed, name, kind, i), kind));
    const shapes = Object.entries(each.inputs).map(([input, { shape }]) => `${input} [${shape.join(', ')}]`);
    return { ...each, title: `${name} #${i}: ${shapes.join(', ')}` };
  });
}

/** `count` cases of an operation with awkward shapes, kinks and ties; equal seeds give equal cases. */
export const randomCases = (name: TestedOperation, count: number, seed = 1): OperationCase[] =>
  generate(name, count, seed, 'awkward');

/** Cases with an axis or channels of thousands. Positions there lose digits in single precision. */
export const longCases = (name: TestedOperation, count: number, seed = 1): OperationCase[] =>
  generate(name, count, seed, 'long').map((each) => ({ ...each, tolerance: Math.max(each.tolerance ?? 0, 5e-3) }));

/** Small cases without a kink nearby, for central differences. */
export const smoothCases = (name: TestedOperation, count: number, seed = 1): OperationCase[] =>
  generate(name, count, seed, 'smooth');
