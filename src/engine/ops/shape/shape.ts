/** Zero padding and cropping on any axes (each the other's adjoint), views of flat states, and what is held constant. */
import { checkShape, elementCount, formatShape, type Graph, type Node, type Operation } from '../../graph.ts';

/** How many elements are added (or taken away) before and after, for each axis. */
export interface Margins {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

export const padOp: Operation<Margins> = {
  name: 'pad',
  shape: ([x], { before, after }) => {
    checkShape(
      before.length === x.length && after.length === x.length && [...before, ...after].every((n) => n >= 0),
      'pad',
      () => `margins before ${formatShape(before)} and after ${formatShape(after)} do not fit ${formatShape(x)}`,
    );
    return x.map((size, i) => size + before[i]! + after[i]!);
  },
  gradient: (graph, { attributes: { before, after } }, dOut) => [crop(graph, dOut, before, after)],
};

export const cropOp: Operation<Margins> = {
  name: 'crop',
  recompute: true,
  shape: ([x], { before, after }) => {
    const shape = x.map((size, i) => size - before[i]! - after[i]!);
    checkShape(
      before.length === x.length && [...before, ...after].every((n) => n >= 0) && shape.every((size) => size > 0),
      'crop',
      () => `margins before ${formatShape(before)} and after ${formatShape(after)} leave nothing of ${formatShape(x)}`,
    );
    return shape;
  },
  gradient: (graph, { attributes: { before, after } }, dOut) => [pad(graph, dOut, before, after)],
};

/** Part of a flat state, seen in a shape: no copy. Not differentiable; differentiate with respect to the view itself. */
export const viewOp: Operation<{ readonly offset: number; readonly shape: readonly number[] }> = {
  name: 'view',
  alias: true,
  shape: ([x], { offset, shape }) => {
    checkShape(
      x.length === 1 && offset >= 0 && offset + elementCount(shape) <= x[0],
      'view',
      () => `${formatShape(shape)} at ${offset} is not inside the flat tensor ${formatShape(x)}`,
    );
    return shape;
  },
};

/** x itself, held constant: no copy, and no gradient passes (see autodiff.ts). */
export const stopGradientOp: Operation<undefined> = { name: 'stopGradient', alias: true, recompute: true, shape: ([x]) => x };

const none = (margins: readonly number[]): boolean => margins.every((n) => n === 0);

/** `padOp`, or the node itself where nothing is added. */
export const pad = (graph: Graph, x: Node, before: readonly number[], after: readonly number[]): Node =>
  none(before) && none(after) ? x : graph.apply(padOp, [x], { before, after });
/** `cropOp`, or the node itself where nothing is taken away. */
export const crop = (graph: Graph, x: Node, before: readonly number[], after: readonly number[]): Node =>
  none(before) && none(after) ? x : graph.apply(cropOp, [x], { before, after });
export const view = (graph: Graph, x: Node, offset: number, shape: readonly number[]): Node =>
  graph.apply(viewOp, [x], { offset, shape });
export const stopGradient = (graph: Graph, x: Node): Node => graph.apply(stopGradientOp, [x], undefined);
