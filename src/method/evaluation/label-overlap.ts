/**
 * Label overlap: Dice, 2 |A and B| / (|A| + |B|), of each label of two label maps. Background (0) is not a label.
 *
 * A label that neither map holds has no Dice: it is left out of the mean, and named, not counted as 0 or as 1.
 */

import type { VoxelArray } from '../../geometry/volume.ts';

export interface LabelOverlap {
  /** Labels that at least one map holds, in ascending order. */
  readonly labels: readonly { readonly label: number; readonly dice: number }[];
  /** Labels that were asked for and that neither map holds. */
  readonly absent: readonly number[];
  /** Mean of the Dice above; NaN if there is none. */
  readonly meanDice: number;
}

/**
 * The overlap of two label maps of one grid.
 * @param asked labels to judge; default is all that occur in either.
 * @throws RangeError if the maps differ in length.
 */
export function labelOverlap(a: VoxelArray, b: VoxelArray, asked?: readonly number[]): LabelOverlap {
  if (a.length !== b.length)
    throw new RangeError(`labelOverlap: expected two maps of one grid, got ${a.length} and ${b.length} voxels`);
  /** Voxels of each label: in a and in b together, and where both agree. */
  const counts = new Map<number, { either: number; both: number }>();
  const count = (label: number): { either: number; both: number } => {
    const known = counts.get(label);
    if (known) return known;
    const fresh = { either: 0, both: 0 };
    counts.set(label, fresh);
    return fresh;
  };
  for (let i = 0; i < a.length; i++) {
    if (a[i] === 0 && b[i] === 0) continue;
    const ofA = count(a[i]);
    ofA.either++;
    count(b[i]).either++;
    if (a[i] === b[i]) ofA.both++;
  }
  counts.delete(0);
  const judged = [...new Set(asked ?? counts.keys())].filter((label) => label !== 0).sort((first, second) => first - second);
  const labels = judged.flatMap((label) => {
    const found = counts.get(label);
    return found ? [{ label, dice: (2 * found.both) / found.either }] : [];
  });
  return {
    labels,
    absent: judged.filter((label) => !counts.has(label)),
    meanDice: labels.reduce((sum, { dice }) => sum + dice, 0) / labels.length,
  };
}
