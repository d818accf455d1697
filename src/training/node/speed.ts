/**
 * How long a step will take, before the first one: roughly, as the network's arithmetic over the speed of its largest convolution on this
 * backend, or measured on real steps.
 */
import type { Backend } from '../../engine/backend.ts';
import { elementCount, Graph, isOp, type Node, type Shape } from '../../engine/graph.ts';
import { conv3d, conv3dInputGradientOp, conv3dOp, conv3dWeightGradientOp } from '../../engine/ops/conv3d/conv3d.ts';
import type { PretrainConfiguration } from '../../methods/gvsl/configuration.ts';
import { gvsl } from '../../methods/gvsl/method.ts';
import { samplesPerStep } from '../../methods/schema-parts.ts';
import { INITIAL_LOSS_SCALE } from '../../model/loss-scaling.ts';
import { STATES } from '../../model/optimizer.ts';
import { initialParameters } from '../../model/parameters.ts';
import { trainStep } from '../step.ts';
import { openPretrainingExamples, type PretrainingJob } from './pretraining-examples.ts';

/** Multiplications and additions of a graph's convolutions and their adjoints: nearly all of its arithmetic. */
export function convolutionFlops(graph: Graph): number {
  let flops = 0;
  for (const node of graph.nodes) {
    const { inputs, shape } = node;
    if (isOp(node, conv3dOp)) flops += 2 * elementCount(shape) * elementCount(inputs[1].shape.slice(1));
    else if (isOp(node, conv3dInputGradientOp)) flops += (2 * elementCount(shape) * elementCount(inputs[1].shape)) / shape[1];
    else if (isOp(node, conv3dWeightGradientOp))
      flops += 2 * elementCount(shape) * elementCount([inputs[1].shape[0], ...inputs[1].shape.slice(2)]);
  }
  return flops;
}

/** Allows for everything beside convolution, for deeper levels, and for other work on the machine: the estimate only sets expectations. */
const OTHER_WORK = 1.5;

/** Sides beyond this are as fast; smaller inputs are made sooner. */
const MEASURED_SIDE = 32;

/** Measured floating-point operations a second of a convolution of 3x3x3 from one shape (N, C, D, H, W) to some channels, counted as a direct sum. */
export async function measureConvolution(
  backend: Backend,
  shape: Shape = [1, 16, 32, 32, 32],
  channelsOut = 16,
): Promise<number> {
  const graph = new Graph();
  const [batch, channels, ...sides] = shape as [number, number, ...number[]];
  const x = graph.input('x', [batch, channels, ...sides.map((side) => Math.min(side, MEASURED_SIDE))]);
  const weight = graph.state('weight', [channelsOut, channels, 3, 3, 3]);
  for (let i = 0; i < 4; i++) graph.output(`y${i}`, conv3d(graph, x, weight));
  const session = await backend.open({ states: new Map([['weight', weight.shape]]), graphs: new Map([['main', graph]]) });
  try {
    const values = { x: new Float32Array(elementCount(x.shape)) };
    await session.run('main', values, []);
    const start = performance.now();
    let runs = 0;
    for (; runs < 3 || (performance.now() - start < 200 && runs < 50); runs++) await session.run('main', values, []);
    return (convolutionFlops(graph) * runs * 1000) / (performance.now() - start);
  } finally {
    await session.close();
  }
}

/** Seconds that a step of `runs` runs of a gradient graph will take, roughly: its arithmetic at the speed of its largest convolution. */
export async function estimateStepSeconds(backend: Backend, gradient: Graph, runs: number): Promise<number> {
  const work = ({ inputs, shape }: Node): number => elementCount(shape) * elementCount(inputs[1].shape.slice(1));
  const convolutions = gradient.nodes.filter((node) => isOp(node, conv3dOp));
  // a network of the caller's own may have none
  if (convolutions.length === 0) return 0;
  const largest = convolutions.reduce((most, node) => (work(node) > work(most) ? node : most));
  const rate = await measureConvolution(backend, largest.inputs[0].shape, largest.shape[1]);
  return (OTHER_WORK * runs * convolutionFlops(gradient)) / rate;
}

/** A step's code is made quicker while it runs: until then it says little of later steps. */
const WARMUP_MS = 1000;
const MEASURED_MS = 2000;

/** Seconds of a real step of pre-training: on examples as they are made, in a session that is closed again. Takes some seconds. */
export async function measureStepSeconds(
  backend: Backend,
  job: PretrainingJob<PretrainConfiguration>,
  signal?: AbortSignal,
): Promise<number> {
  const { configuration } = job;
  const { learningRate, seed } = configuration;
  const lossScaling = backend.half === true;
  const { program, table } = gvsl.program(configuration, { lossScaling });
  const examples = await openPretrainingExamples(job, 0);
  try {
    const session = await backend.open(program);
    try {
      await session.writeState(STATES.parameters, initialParameters(table, seed));
      let step = 0;
      const stepsFor = async (leastMs: number): Promise<number> => {
        const [start, before] = [performance.now(), step];
        do {
          const taken = await Promise.all(
            Array.from({ length: samplesPerStep(configuration) }, (_, sample) => examples.take(step, sample)),
          );
          await trainStep(
            { session, gradient: (images, scaling) => session.run('gradient', { ...images, ...scaling }) },
            taken,
            { learningRate },
            step++,
            lossScaling ? INITIAL_LOSS_SCALE : undefined,
          );
        } while (performance.now() - start < leastMs && step < configuration.steps - 1 && !signal?.aborted);
        return (performance.now() - start) / 1000 / (step - before);
      };
      const warmup = await stepsFor(WARMUP_MS);
      return step < configuration.steps && !signal?.aborted ? await stepsFor(MEASURED_MS) : warmup;
    } finally {
      await session.close();
    }
  } finally {
    await examples.close();
  }
}
