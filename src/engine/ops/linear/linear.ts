/**
 * A linear layer: y = x weight^T + bias, PyTorch's layout.
 *
 * dx = dy weight,  dweight = dy^T x,  dbias = sum of dy over the batch.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';
import { matmul } from '../matmul/matmul.ts';
import { batchSum } from '../reduce/reduce.ts';

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
    needs[0] ? matmul(graph, dOut, weight) : undefined,
    needs[1] ? matmul(graph, dOut, x, 'a') : undefined,
    needs[2] ? batchSum(graph, dOut) : undefined,
  ],
};

export const linear = (graph: Graph, x: Node, weight: Node, bias: Node): Node =>
  graph.apply(linearOp, [x, weight, bias], undefined);
