/**
 * Label overlap: Dice, 2 |A and B| / (|A| + |B|), of each label of two label maps. Background (0) is not a label.
 *
 * A label that neither map holds has no Dice: it is left out of the mean, and named, not counted as 0 or as 1.
 */

import type { VoxelArray } from '../geometry/volume.ts';

/** Dice of two sets: twice the size of what both hold over the sum of their sizes; null if both are empty. */
export const diceOf = (both: number, sum: number): number | null => (sum === 0 ? null : (2 * both) / sum);

export interface LabelOverlap {
  /** Labels that at least one map holds, in ascending order. */
  readonly labels: readonly { readonly label: number; readonly dice: number }[];
  /** Labels that were asked for and that neither map holds. */
  readonly absent: readonly number[];
  /** Mean of the Dice above; NaN if there is none. */
  readonly meanDice: number;
}

/** Counts the voxels of two label maps of one grid that come in parts. */
export class OverlapCount {
  /** Voxels of each label: in a and in b together, and where both agree. */
  readonly #counts = new Map<number, { either: number; both: number }>();

  #of(label: number): { either: number; both: number } {
    const known = this.#counts.get(label);
    if (known) return known;
    const fresh = { either: 0, both: 0 };
    this.#counts.set(label, fresh);
    return fresh;
  }

  /** @throws RangeError if the parts differ in length */
  add(a: VoxelArray, b: VoxelArray): void {
    if (a.length !== b.length)
      throw new RangeError(`labelOverlap: expected two maps of one grid, got ${a.length} and ${b.length} voxels`);
    // regions are large: neighbours mostly have the same pair of labels
    for (let start = 0, end = 0; start < a.length; start = end) {
      const [labelA, labelB] = [a[start], b[start]];
      end = start + 1;
      while (end < a.length && a[end] === labelA && b[end] === labelB) end++;
      if (labelA === 0 && labelB === 0) continue;
      const ofA = this.#of(labelA);
      ofA.either += end - start;
      this.#of(labelB).either += end - start;
      if (labelA === labelB) ofA.both += end - start;
    }
  }

  /** @param asked labels to judge; default is all that occurred in either */
  result(asked?: readonly number[]): LabelOverlap {
    const counts = this.#counts;
    const judged = [...new Set(asked ?? counts.keys())].filter((label) => label !== 0).sort((first, second) => first - second);
    const labels = judged.flatMap((label) => {
      const found = counts.get(label);
      return found ? [{ label, dice: diceOf(found.both, found.either)! }] : [];
    });
    return {
      labels,
      absent: judged.filter((label) => !counts.has(label)),
      meanDice: labels.reduce((sum, { dice }) => sum + dice, 0) / labels.length,
    };
  }
}

/**
 * The overlap of two label maps of one grid.
 * @param asked labels to judge; default is all that occur in either.
 * @throws RangeError if the maps differ in length.
 */
export function labelOverlap(a: VoxelArray, b: VoxelArray, asked?: readonly number[]): LabelOverlap {
  const count = new OverlapCount();
  count.add(a, b);
  return count.result(asked);
}
