/** Zero padding and cropping on any axes. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import { elementCount, type Shape } from '../../graph.ts';
import type { Margins } from './shape.ts';

/** Calls `visit` for each element of a box that starts at `before` in an outer tensor: its flat index in the box and outside. */
function forEachInside(box: Shape, outer: Shape, before: Shape, visit: (inside: number, outside: number) => void): void {
  const count = elementCount(box);
  for (let inside = 0; inside < count; inside++) {
    let [rest, outside, stride] = [inside, 0, 1];
    for (let axis = box.length - 1; axis >= 0; axis--) {
      outside += ((rest % box[axis]) + before[axis]) * stride;
      rest = Math.floor(rest / box[axis]);
      stride *= outer[axis];
    }
    visit(inside, outside);
  }
}

export const pad: ReferenceKernel<Margins> = ({ inputs: [x], inputShapes: [xShape], out, shape, attributes: { before } }) => {
  forEachInside(xShape, shape, before, (inside, outside) => {
    out[outside] = x[inside];
  });
};

export const crop: ReferenceKernel<Margins> = ({ inputs: [x], inputShapes: [xShape], out, shape, attributes: { before } }) => {
  forEachInside(shape, xShape, before, (inside, outside) => {
    out[inside] = x[outside];
  });
};
