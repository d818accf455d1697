/**
 * Non-linear intensity: every value of [0, 1] goes through one monotone cubic Bezier curve from (0, 0) to (1, 1) with two
 * random control points in the unit square (docs/method.md, section 7).
 *
 * Such a curve never turns back, so nothing has to be sorted: with control abscissae a and b in [0, 1] the derivative of x is
 * the Bernstein quadratic with coefficients a, b - a, 1 - b, which is >= 0 as soon as a - b <= sqrt(a (1 - b)); and with
 * u = a, v = 1 - b, (1 - u)(1 - v) >= 0 gives u + v - 1 <= uv <= sqrt(uv). The same holds for y.
 *
 * The curve is evaluated once, densely, into a table over x; images then cost one interpolated look-up a voxel. Values outside
 * [0, 1] take the curve's end values.
 *
 * Models Genesis has curves that fall in half of all cases: such a one is 1 minus a rising one.
 */

import type { RandomStream } from '../../../common/random.ts';

/** The inner control points, each (input intensity, output intensity) in [0, 1]. */
export interface IntensityPlan {
  readonly points: readonly [readonly [number, number], readonly [number, number]];
  /** The curve falls from (0, 1) to (1, 0): 1 minus the one with these points. */
  readonly descending?: true;
}

/** Steps of the table in x: finer than the 4096 levels of a CT in the paper's window have any use for. */
const TABLE_STEPS = 4096;
/** Steps in the curve's parameter: more than the table's, since x runs at up to three times the parameter's pace. */
const CURVE_STEPS = 4 * TABLE_STEPS;

/** Two uniform points of the unit square. The curve falls with the given probability, by default never. */
export function sampleIntensity(stream: RandomStream, descendingProbability = 0): IntensityPlan {
  const point = (): readonly [number, number] => [stream.uniform(), stream.uniform()];
  const points = [point(), point()] as const;
  // nothing is drawn where no curve falls, so that GVSL's plans of a seed stay what they are
  return descendingProbability > 0 && stream.chance(descendingProbability) ? { points, descending: true } : { points };
}

/** y at x = i / (length - 2); the last entry repeats, so that interpolation at x = 1 has a right neighbour. */
export function intensityTable(plan: IntensityPlan): Float64Array {
  const [first, second] = plan.points;
  const table = new Float64Array(TABLE_STEPS + 2).fill(1);
  let x = 0;
  let y = 0;
  let entry = 1;
  table[0] = 0;
  for (let step = 1; step <= CURVE_STEPS; step++) {
    const t = step / CURVE_STEPS;
    const near = 3 * t * (1 - t) * (1 - t);
    const far = 3 * t * t * (1 - t);
    const end = t * t * t;
    const nextX = near * first[0] + far * second[0] + end;
    // Rounding can undo the last digit of a monotone curve where it is flat.
    const nextY = Math.max(y, near * first[1] + far * second[1] + end);
    for (; entry < TABLE_STEPS && entry / TABLE_STEPS <= nextX; entry++) {
      table[entry] = y + ((nextY - y) * (entry / TABLE_STEPS - x)) / (nextX - x);
    }
    x = Math.max(x, nextX);
    y = nextY;
  }
  return plan.descending ? table.map((value) => 1 - value) : table;
}

/** Puts every voxel of `image` (changed in place) through the curve. */
export function changeIntensity(image: Float32Array, plan: IntensityPlan): void {
  const table = intensityTable(plan);
  for (let i = 0; i < image.length; i++) {
    const position = Math.min(1, Math.max(0, image[i])) * TABLE_STEPS;
    const entry = position | 0;
    const low = table[entry];
    image[i] = low + (position - entry) * (table[entry + 1] - low);
  }
}
