/**
 * 3D convolution (cross-correlation, as in PyTorch), stride 1, kernel 1 or 3 on every axis, zero padding that keeps the size.
 *
 * y[n, o, p] = bias[o] + sum over i, k of weight[o, i, k] x[n, i, p + k - (K - 1) / 2]
 * Its adjoints are operations of their own, because backends compute them by kernels of their own:
 * dx[n, i, q] = sum over o, k of weight[o, i, k] dy[n, o, q - k + (K - 1) / 2]
 * dweight[o, i, k] = sum over n, p of dy[n, o, p] x[n, i, p + k - (K - 1) / 2]
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, type Shape, sameShape } from '../../graph.ts';
import { channelSum } from '../reduce/reduce.ts';

function checkConvolution(op: string, x: Shape, weight: Shape, xChannelAxis: 0 | 1): void {
  const kernel = weight[2];
  checkShape(
    x.length === 5 && weight.length === 5,
    op,
    () => `needs (N, C, D, H, W) and (O, I, K, K, K), got ${formatShape(x)} and ${formatShape(weight)}`,
  );
  checkShape(
    (kernel === 1 || kernel === 3) && weight[3] === kernel && weight[4] === kernel,
    op,
    () => `kernels are 1x1x1 or 3x3x3, got weight ${formatShape(weight)}`,
  );
  checkShape(
    x[1] === weight[xChannelAxis],
    op,
    () =>
      `weight expects ${weight[xChannelAxis]} ${xChannelAxis === 1 ? 'input' : 'output'} channels, got ${x[1]} (tensor ${formatShape(x)}, weight ${formatShape(weight)})`,
  );
}

/** inputs: x (N, I, D, H, W), weight (O, I, K, K, K), bias (O) or none. Result (N, O, D, H, W). */
export const conv3dOp: Operation<undefined> = {
  name: 'conv3d',
  shape: ([x, weight, bias]) => {
    checkConvolution('conv3d', x, weight, 1);
    const out = weight[0];
    checkShape(!bias || sameShape(bias, [out]), 'conv3d', () => `bias expects [${out}], got ${formatShape(bias)}`);
    return [x[0], out, x[2], x[3], x[4]];
  },
  gradient: (graph, { inputs: [x, weight, bias] }, dOut, needs) => {
    // x is not needed any more once the weights' gradient is there: so that comes before dx takes as much memory
    const dWeight = needs[1] ? graph.apply(conv3dWeightGradientOp, [x, dOut], { kernel: weight.shape[2] }) : undefined;
    const dBias = bias && needs[2] ? channelSum(graph, dOut) : undefined;
    return [needs[0] ? graph.apply(conv3dInputGradientOp, [dOut, weight], undefined) : undefined, dWeight, dBias];
  },
};

/** inputs: dy (N, O, D, H, W), weight (O, I, K, K, K). Result dx (N, I, D, H, W). */
export const conv3dInputGradientOp: Operation<undefined> = {
  name: 'conv3dInputGradient',
  shape: ([dOut, weight]) => {
    checkConvolution('conv3dInputGradient', dOut, weight, 0);
    return [dOut[0], weight[1], dOut[2], dOut[3], dOut[4]];
  },
};

/** inputs: x (N, I, D, H, W), dy (N, O, D, H, W). Result dweight (O, I, K, K, K). */
export const conv3dWeightGradientOp: Operation<{ readonly kernel: number }> = {
  name: 'conv3dWeightGradient',
  shape: ([x, dOut], { kernel }) => {
    checkShape(
      x.length === 5 && dOut.length === 5 && x[0] === dOut[0] && sameShape(x.slice(2), dOut.slice(2)),
      'conv3dWeightGradient',
      () => `input and output gradient must agree in batch and size, got ${formatShape(x)} and ${formatShape(dOut)}`,
    );
    return [dOut[1], x[1], kernel, kernel, kernel];
  },
};

/** `convolution` of nodes; see there for the shapes. */
export const conv3d = (graph: Graph, x: Node, weight: Node, bias?: Node): Node =>
  graph.apply(conv3dOp, bias ? [x, weight, bias] : [x, weight], undefined);
