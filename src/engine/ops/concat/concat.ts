/** Joining tensors along an axis, and cutting a part out: each is the other's adjoint. */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';
import { pad } from '../shape/shape.ts';

/** Two or more tensors that agree in every axis but `axis` (0 batch, 1 channels). */
export const concatOp: Operation<{ readonly axis: 0 | 1 }> = {
  name: 'concat',
  recompute: true,
  shape: (inputs, { axis }) => {
    const first = inputs[0];
    const rest = (shape: readonly number[]) => shape.filter((_, i) => i !== axis);
    checkShape(
      inputs.every((each) => sameShape(rest(each), rest(first))),
      'concat',
      () => `inputs must agree but for axis ${axis}, got ${inputs.map(formatShape).join(', ')}`,
    );
    return first.map((size, i) => (i === axis ? inputs.reduce((sum, each) => sum + each[axis], 0) : size));
  },
  gradient: (graph, { inputs, attributes: { axis } }, dOut, needs) => {
    let start = 0;
    return inputs.map((each, i) => {
      const length = each.shape[axis];
      start += length;
      return needs[i] ? slice(graph, dOut, axis, start - length, length) : undefined;
    });
  },
};

export interface SliceAttributes {
  readonly axis: 0 | 1;
  readonly start: number;
  readonly length: number;
}

/** x[start .. start + length) along the batch or the channels. */
export const sliceOp: Operation<SliceAttributes> = {
  name: 'slice',
  recompute: true,
  shape: ([x], { axis, start, length }) => {
    checkShape(
      start >= 0 && length > 0 && start + length <= x[axis],
      'slice',
      () => `${start} .. ${start + length} is not inside axis ${axis} of ${formatShape(x)}`,
    );
    return x.map((size, i) => (i === axis ? length : size));
  },
  gradient: (graph, { inputs: [x], attributes: { axis, start, length } }, dOut) => {
    const before = x.shape.map((_, i) => (i === axis ? start : 0));
    const after = x.shape.map((size, i) => (i === axis ? size - start - length : 0));
    return [pad(graph, dOut, before, after)];
  },
};

export const concat = (graph: Graph, axis: 0 | 1, ...inputs: readonly Node[]): Node => graph.apply(concatOp, inputs, { axis });
export const slice = (graph: Graph, x: Node, axis: 0 | 1, start: number, length: number): Node =>
  graph.apply(sliceOp, [x], { axis, start, length });
