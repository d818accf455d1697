/** Smoothness of a flow, as the formulas in smoothness.ts say. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

/** Calls `visit` for each forward difference: the flat indices of both voxels, and 1 / (3 M_a) of its axis. */
function forEachDifference(shape: Shape, visit: (at: number, next: number, weight: number) => void): void {
  const count = shape.reduce((product, size) => product * size, 1);
  let stride = 1;
  for (const axis of [4, 3, 2]) {
    const size = shape[axis];
    const weight = size / (3 * count * (size - 1));
    for (let at = 0; at < count; at++) if (Math.floor(at / stride) % size < size - 1) visit(at, at + stride, weight);
    stride *= size;
  }
}

export const smoothness: ReferenceKernel<undefined> = ({ inputs: [flow], inputShapes: [shape], out }) => {
  let sum = 0;
  forEachDifference(shape, (at, next, weight) => {
    sum += weight * (flow[next] - flow[at]) ** 2;
  });
  out[0] = sum;
};

export const smoothnessGradient: ReferenceKernel<undefined> = ({ inputs: [flow, [dOut]], out, shape }) => {
  forEachDifference(shape, (at, next, weight) => {
    const slope = 2 * dOut * weight * (flow[next] - flow[at]);
    out[next] += slope;
    out[at] -= slope;
  });
};
