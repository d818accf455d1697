/**
 * A linear layer: y = x weight^T + bias, PyTorch's layout.
 *
 * dx = dy weight,  dweight = dy^T x,  dbeta = sum of dy over the batch.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

/** inputs: x (N, I), weight (O, I), bias (O). Result (N, O). */
export const linearOp: Operation<undefined> = {
  name: 'linear',
  shape: ([x, weight, bias]) => {
    checkShape(
      x.length === 2 && weight.length === 2 && x[1] === weight[1] && sameShape(bias, [weight[0]]),
      'linear',
      () => `x (N, I), weight (O, I), bias (O) do not fit: ${formatShape(x)}, ${formatShape(weight)}, ${formatShape(bias)}`,
    );
    return [x[0], weight[0]];
  },
  gradient: (graph, { inputs: [x, weight] }, dOut, needs) => [
    needs[0] ? graph.apply(linearInputGradientOp, [dOut, weight], undefined) : undefined,
    needs[1] ? graph.apply(linearWeightGradientOp, [dOut, x], undefined) : undefined,
    needs[2] ? graph.apply(batchSumOp, [dOut], undefined) : undefined,
  ],
};

/** inputs: dy (N, O), weight (O, I). Result dx (N, I). */
export const linearInputGradientOp: Operation<undefined> = {
  name: 'linearInputGradient',
  shape: ([dOut, weight]) => [dOut[0], weight[1]],
};

/** inputs: dy (N, O), x (N, I). Result dweight (O, I). */
export const linearWeightGradientOp: Operation<undefined> = {
  name: 'linearWeightGradient',
  shape: ([dOut, x]) => [dOut[1], x[1]],
};

/** x (N, O) to (O): the sum over the batch. */
export const batchSumOp: Operation<undefined> = { name: 'batchSum', shape: ([x]) => [x[1]] };

export const linear = (graph: Graph, x: Node, weight: Node, bias: Node): Node =>
  graph.apply(linearOp, [x, weight, bias], undefined);
