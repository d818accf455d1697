/** Comparing tensors: how many elements differ, and the worst of them by its place. */
import { formatShape, type Shape } from '../graph.ts';

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
 * Undefined if every element is within tolerance x (|want| + root mean square of want + least), else what is wrong, in one line.
 * The mean square stands for the size of the terms that were summed, which is what rounding errors grow with; `least` is what
 * counts where all that is wanted is zero.
 */
export function difference(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  shape: Shape,
  tolerance: number,
  least = 1e-6,
): string | undefined {
  if (got.length !== want.length) return `${got.length} elements instead of ${want.length}`;
  let squares = 0;
  for (let i = 0; i < want.length; i++) squares += want[i] ** 2;
  const rms = Math.sqrt(squares / want.length);
  let [count, worst, worstExcess] = [0, -1, -1];
  for (let i = 0; i < want.length; i++) {
    const excess = Math.abs(got[i] - want[i]) / (Math.abs(want[i]) + rms + least);
    if (excess <= tolerance) continue;
    count++;
    // A value that is no number is worse than any.
    if (!(excess <= worstExcess)) [worst, worstExcess] = [i, Number.isNaN(excess) ? Number.POSITIVE_INFINITY : excess];
  }
  if (count === 0) return undefined;
  return `${count} of ${want.length} differ by more than ${tolerance} x (|want| + ${rms.toPrecision(3)}); worst at ${placeOf(worst, shape)}: got ${got[worst]}, want ${want[worst]}`;
}
