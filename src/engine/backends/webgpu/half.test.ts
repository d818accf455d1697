/** Features in half precision: every operation that may store them so reads, computes and writes what the reference does, to half precision. */
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { nodeWebGpuHost } from '../../../platform/node/webgpu-host.ts';
import { differentiate } from '../../autodiff.ts';
import { elementCount, Graph, type Node, type Shape } from '../../graph.ts';
import { concat, slice } from '../../ops/concat/concat.ts';
import { conv3d } from '../../ops/conv3d/conv3d.ts';
import { add, scale } from '../../ops/elementwise/elementwise.ts';
import { groupNorm } from '../../ops/group-norm/group-norm.ts';
import { mseLoss } from '../../ops/mse/mse.ts';
import { maxPool } from '../../ops/pool/pool.ts';
import { globalAverage } from '../../ops/reduce/reduce.ts';
import { upsample } from '../../ops/resize/resize.ts';
import { crop, pad, stopGradient } from '../../ops/shape/shape.ts';
import { softmax } from '../../ops/softmax/softmax.ts';
import { warp } from '../../ops/warp/warp.ts';
import { noWebGpu } from '../../testing/backends.ts';
import { difference } from '../../testing/compare.ts';
import { referenceBackend } from '../reference/backend.ts';
import { webGpuBackend } from './backend.ts';
import { compileProgram } from './compile.ts';
import { halfPrecisionNodes } from './half.ts';

const FEATURES: Shape = [2, 8, 4, 6, 10];
/** A half has 11 binary digits; some three roundings follow one another. */
const TOLERANCE = 2e-3;

type Build = (graph: Graph, features: Node) => Node;
const OPERATIONS: Readonly<Record<string, Build>> = {
  add: (graph, features) => add(graph, features, add(graph, features, features)),
  concat: (graph, features) => concat(graph, 1, features, scale(graph, features, 0.5)),
  'conv3d, Winograd': (graph, features) => conv3d(graph, features, graph.input('w', [9, 8, 3, 3, 3]), graph.input('b', [9])),
  'conv3d, few channels out': (graph, features) => conv3d(graph, features, graph.input('w', [3, 8, 3, 3, 3])),
  'conv3d of points': (graph, features) => conv3d(graph, features, graph.input('w', [12, 8, 1, 1, 1])),
  crop: (graph, features) => crop(graph, features, [0, 0, 1, 0, 2], [0, 0, 0, 1, 2]),
  globalAverage,
  groupNorm: (graph, features) =>
    groupNorm(graph, features, graph.input('gamma', [8]), graph.input('beta', [8]), { groups: 2, eps: 1e-5, slope: 0.2 }),
  maxPool,
  pad: (graph, features) => pad(graph, features, [0, 0, 1, 0, 1], [0, 0, 0, 1, 1]),
  stopGradient: (graph, features) => add(graph, features, stopGradient(graph, add(graph, features, features))),
  slice: (graph, features) => slice(graph, features, 0, 1, 1),
  upsample,
  warp: (graph, features) => warp(graph, features, graph.input('displacement', [2, 3, 4, 6, 10])),
};

/** Features that are halved (a sum of inputs is), the operation on them, and the gradients of a loss by all that it depends on. */
function programOf(build: Build) {
  const graph = new Graph();
  const x = graph.input('x', FEATURES);
  const features = add(graph, x, x);
  const result = build(graph, features);
  // a scaled copy: an output itself is never halved
  graph.output('out', scale(graph, result, 1));
  const target = graph.input('target', result.shape);
  const loss = mseLoss(graph, result, target);
  const wanted = [...graph.inputs].filter(([name]) => !['target', 'displacement'].includes(name));
  const gradients = differentiate(graph, scale(graph, loss, 1000), [features, ...wanted.slice(1).map(([, node]) => node)]);
  gradients.forEach((gradient, i) => {
    graph.output(`d ${i === 0 ? 'features' : wanted[i][0]}`, scale(graph, gradient, 1));
  });
  return { states: new Map(), graphs: new Map([['main', graph]]) };
}

const random = (name: string, shape: Shape): Float32Array => {
  const stream = randomStream(3, name);
  return Float32Array.from({ length: elementCount(shape) }, () => stream.normal());
};

describe('half precision', () => {
  it('is for features and their gradients, and takes half the memory', () => {
    const compiled = (half: boolean) => compileProgram(programOf(OPERATIONS['conv3d, Winograd']), { pageBytes: 2 ** 30, half });
    const of = (half: boolean, name: string): number[] => {
      const { plan, graph } = compiled(half).graphs.get('main')!;
      return graph.nodes.filter(({ op }) => op.name === name).map(({ id }) => plan.tensors.get(id)!.sizeBytes);
    };
    expect(of(true, 'conv3d')[0] / of(false, 'conv3d')[0]).toBeCloseTo(0.5, 1);
    expect(of(true, 'conv3dInputGradient')[0] / of(false, 'conv3dInputGradient')[0]).toBeCloseTo(0.5, 1);
    expect(of(true, 'conv3dWeightGradient')).toEqual(of(false, 'conv3dWeightGradient'));
    expect(of(true, 'input')).toEqual(of(false, 'input'));
  });

  it('is not for what is a result or is made one, be it by way of `stopGradient`', () => {
    const use: Build[] = [(graph, x) => scale(graph, x, 2), softmax, (_graph, x) => x];
    const halved = use.map((build) => {
      const graph = new Graph();
      const x = graph.input('x', FEATURES);
      const features = add(graph, x, x);
      graph.output('out', build(graph, stopGradient(graph, features)));
      return halfPrecisionNodes(graph).has(features);
    });
    expect(halved).toEqual([true, false, false]);
  });
});

describe.skipIf(noWebGpu !== undefined)(`half precision computed${noWebGpu === undefined ? '' : `: ${noWebGpu}`}`, () => {
  for (const [name, build] of Object.entries(OPERATIONS))
    it(name, async () => {
      const program = programOf(build);
      const graph = program.graphs.get('main')!;
      const inputs = Object.fromEntries([...graph.inputs].map(([input, { shape }]) => [input, random(input, shape)]));
      const outputs = [];
      for (const backend of [webGpuBackend(await nodeWebGpuHost(), { half: true }), referenceBackend()]) {
        const session = await backend.open(program);
        outputs.push(await session.run('main', inputs));
        await session.close();
      }
      const [got, want] = outputs as [Record<string, Float32Array>, Record<string, Float32Array>];
      const faults = [...graph.outputs].map(([output, { shape }]) => {
        const fault = difference(got[output], want[output], shape, TOLERANCE);
        return fault && `${output}: ${fault}`;
      });
      expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
      // it was not single after all
      expect(Object.values(got)).not.toEqual(Object.values(want));
    });

  it('turns what is too large into infinity', async () => {
    const graph = new Graph();
    const x = graph.input('x', [1, 8, 1, 1, 2]);
    graph.output('out', scale(graph, add(graph, x, x), 1));
    const session = await webGpuBackend(await nodeWebGpuHost(), { half: true }).open({
      states: new Map(),
      graphs: new Map([['main', graph]]),
    });
    const values = [40000, -40000, 32752, -32752, Number.NaN, 1, 2 ** -15, 0];
    const { out } = await session.run('main', { x: Float32Array.from({ length: 16 }, (_, i) => values[i % 8]) });
    await session.close();
    expect([...out.slice(0, 4)]).toEqual([Infinity, -Infinity, 65504, -65504]);
    expect(Number.isFinite(out[4])).toBe(false);
    expect([...out.slice(5, 8)]).toEqual([2, 2 ** -14, 0]);
  });
});
