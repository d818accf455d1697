/**
 * Curves of any length on a screen of so many columns, without losing a spike: in each column a curve keeps its least and its greatest value, in the
 * order in which they came. A mean over the column would hide the one step in a thousand at which a loss jumped, which is what a reader looks for.
 */

/** A curve: a value at each step, ascending; null where there is none. */
export interface Points {
  readonly steps: readonly number[];
  readonly values: readonly (number | null)[];
}

/** Several curves over common steps. */
export interface Aligned {
  readonly steps: readonly number[];
  readonly curves: readonly (readonly (number | null)[])[];
}

/** The first place whose step is at least `step`. */
function placeOf(steps: readonly number[], step: number): number {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The part of a curve from one step to another, and one point on either side, so that its line runs to the edges. */
function part({ steps, values }: Points, from: number, to: number): Points {
  const first = Math.max(0, placeOf(steps, from) - 1);
  const end = Math.min(steps.length, placeOf(steps, to) + 1);
  return { steps: steps.slice(first, end), values: values.slice(first, end) };
}

/** All steps of the curves, once each. */
function exactly(parts: readonly Points[]): Aligned {
  const steps = [...new Set(parts.flatMap((each) => each.steps))].sort((a, b) => a - b);
  const place = new Map(steps.map((step, i) => [step, i]));
  const curves = parts.map((each) => {
    const values = new Array<number | null>(steps.length).fill(null);
    each.steps.forEach((step, i) => {
      values[place.get(step)!] = each.values[i];
    });
    return values;
  });
  return { steps, curves };
}

/** Least and greatest of each column. */
function byColumns(parts: readonly Points[], from: number, width: number, columns: number): Aligned {
  // two places a column; where only one value is, the second stays empty
  const steps = Array.from({ length: 2 * columns }, (_, k) => from + width * ((k >> 1) + (k % 2 === 0 ? 0.25 : 0.75)));
  const curves = parts.map((each) => {
    const found = new Array<number | null>(2 * columns).fill(null);
    let [least, greatest, column] = [-1, -1, -1];
    const finish = (): void => {
      if (least < 0) return;
      found[2 * column] = each.values[Math.min(least, greatest)];
      if (least !== greatest) found[2 * column + 1] = each.values[Math.max(least, greatest)];
    };
    each.steps.forEach((step, i) => {
      const value = each.values[i];
      if (value === null) return;
      const at = Math.min(columns - 1, Math.max(0, Math.floor((step - from) / width)));
      if (at !== column) {
        finish();
        [least, greatest, column] = [i, i, at];
      }
      if (value < each.values[least]!) least = i;
      if (value > each.values[greatest]!) greatest = i;
    });
    finish();
    return found;
  });
  return { steps, curves };
}

/**
 * Curves as `columns` columns of a screen show the steps from one to another: as they are while they fit, else the least and greatest value in each
 * column. Curves may have different steps.
 */
export function aligned(curves: readonly Points[], from: number, to: number, columns: number): Aligned {
  const parts = curves.map((curve) => part(curve, from, to));
  // of curves over the same steps, as those of one run, each step counts once
  const most = Math.max(0, ...parts.map(({ steps }) => steps.length));
  if (most <= 2 * columns) {
    const exact = exactly(parts);
    if (exact.steps.length <= 2 * columns) return exact;
  }
  return byColumns(parts, from, Math.max((to - from) / columns, Number.MIN_VALUE), columns);
}
