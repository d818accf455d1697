/** Points: feature vectors of one length, as clustering and probes take them. */

export interface Points {
  readonly count: number;
  readonly dimensions: number;
  /** Row by row: `values[point * dimensions + dimension]`. */
  readonly values: Float32Array | Float64Array;
}

/**
 * Checks that there are as many values as the points say, all of them finite.
 * @throws RangeError naming the caller, what it expected and what came.
 */
export function checkPoints(caller: string, { count, dimensions, values }: Points): void {
  if (values.length !== count * dimensions) {
    throw new RangeError(
      `${caller}: expected ${count * dimensions} values for ${count} points of ${dimensions}, got ${values.length}`,
    );
  }
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new RangeError(`${caller}: expected finite values, got ${values[bad]} in point ${Math.floor(bad / dimensions)}`);
  }
}

/** Points from rows of equal length. @throws RangeError if their lengths differ. */
export function pointsOf(rows: readonly ArrayLike<number>[]): Points & { readonly values: Float64Array } {
  const dimensions = rows[0]?.length ?? 0;
  const values = new Float64Array(rows.length * dimensions);
  rows.forEach((row, i) => {
    if (row.length !== dimensions)
      throw new RangeError(`pointsOf: expected rows of ${dimensions}, got ${row.length} in row ${i}`);
    values.set(row, i * dimensions);
  });
  return { count: rows.length, dimensions, values };
}

/** One point, in place. */
export const rowOf = ({ dimensions, values }: Points, point: number): Float32Array | Float64Array =>
  values.subarray(point * dimensions, (point + 1) * dimensions);

/** Each point divided by its length; a point at the origin stays there. */
export function unitPoints({ count, dimensions, values }: Points): Points & { readonly values: Float64Array } {
  const out = Float64Array.from(values);
  for (let start = 0; start < out.length; start += dimensions) {
    let square = 0;
    for (let j = start; j < start + dimensions; j++) square += out[j] * out[j];
    const length = Math.sqrt(square) || 1;
    for (let j = start; j < start + dimensions; j++) out[j] /= length;
  }
  return { count, dimensions, values: out };
}
