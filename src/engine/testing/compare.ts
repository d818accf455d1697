/** Comparing tensors: how many elements differ, and the worst of them by its place. */
import { formatShape, type Shape } from '../graph.ts';

/** Below this, differences are not told apart from zero where everything wanted is zero. */
const SMALLEST = 1e-6;

function placeOf(index: number, shape: Shape): string {
  let rest = index;
  const place = shape.map((size) => size);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    place[axis] = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
  }
  return formatShape(place);
}

/**
 * Undefined if every element is within tolerance x (|want| + root mean square of want), else what is wrong, in one line.
 * The mean square stands for the size of the terms that were summed, which is what rounding errors grow with.
 */
export function difference(got: ArrayLike<number>, want: ArrayLike<number>, shape: Shape, tolerance: number): string | undefined {
  if (got.length !== want.length) return `${got.length} elements instead of ${want.length}`;
  let squares = 0;
  for (let i = 0; i < want.length; i++) squares += want[i] ** 2;
  const rms = Math.sqrt(squares / want.length);
  let [count, worst, worstExcess] = [0, -1, -1];
  for (let i = 0; i < want.length; i++) {
    const excess = Math.abs(got[i] - want[i]) / (Math.abs(want[i]) + rms + SMALLEST);
    if (excess <= tolerance) continue;
    count++;
    // A value that is no number is worse than any.
    if (!(excess <= worstExcess)) [worst, worstExcess] = [i, Number.isNaN(excess) ? Number.POSITIVE_INFINITY : excess];
  }
  if (count === 0) return undefined;
  return `${count} of ${want.length} differ by more than ${tolerance} x (|want| + ${rms.toPrecision(3)}); worst at ${placeOf(worst, shape)}: got ${got[worst]}, want ${want[worst]}`;
}
