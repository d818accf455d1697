/**
 * Matrix products, of which either factor may be taken transposed: its memory is read so, nothing is copied.
 *
 * C = A B:    dA = dC B^T,  dB = A^T dC
 * C = A B^T:  dA = dC B,    dB = dC^T A
 * C = A^T B:  dA = B dC^T,  dB = A dC
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, type Shape } from '../../graph.ts';

export interface MatmulAttributes {
  /** Which factor is taken transposed. */
  readonly transposed: 'neither' | 'a' | 'b';
}

/** Rows of the first factor, what is summed over, and columns of the second, as they stand after transposing. */
export function matmulSizes([a, b]: readonly Shape[], { transposed }: MatmulAttributes) {
  const [rows, inner] = transposed === 'a' ? [a[1], a[0]] : a;
  const [innerB, columns] = transposed === 'b' ? [b[1], b[0]] : b;
  return { rows, inner, innerB, columns };
}

/** inputs: a (M, K) or transposed (K, M), b (K, N) or transposed (N, K). Result (M, N). */
export const matmulOp: Operation<MatmulAttributes> = {
  name: 'matmul',
  shape: (inputs, attributes) => {
    const [a, b] = inputs as [Shape, Shape];
    const { rows, inner, innerB, columns } = matmulSizes(inputs, attributes);
    const which = attributes.transposed === 'neither' ? '' : `, ${attributes.transposed} transposed`;
    checkShape(
      a.length === 2 && b.length === 2 && inner === innerB,
      'matmul',
      () => `two matrices that can be multiplied, got a ${formatShape(a)} and b ${formatShape(b)}${which}`,
    );
    return [rows, columns];
  },
  gradient: (graph, { inputs: [a, b], attributes }, dOut, needs) => {
    const { transposed }: MatmulAttributes = attributes;
    const ofA = {
      neither: () => matmul(graph, dOut, b, 'b'),
      b: () => matmul(graph, dOut, b),
      a: () => matmul(graph, b, dOut, 'b'),
    };
    const ofB = {
      neither: () => matmul(graph, a, dOut, 'a'),
      b: () => matmul(graph, dOut, a, 'a'),
      a: () => matmul(graph, a, dOut),
    };
    return [needs[0] ? ofA[transposed]() : undefined, needs[1] ? ofB[transposed]() : undefined];
  },
};

export const matmul = (graph: Graph, a: Node, b: Node, transposed: MatmulAttributes['transposed'] = 'neither'): Node =>
  graph.apply(matmulOp, [a, b], { transposed });
