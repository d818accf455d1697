/** A confusion matrix as a picture. */
import { type Colour, type Picture, paint } from './picture.ts';

const CELL_PIXELS = 24;

/**
 * A square for each pair of classes, the brighter the greater its share of its row; right answers, on the diagonal, in green, wrong ones in orange.
 * @param counts rows of the true class, columns of the predicted one
 */
export function confusionPicture(counts: readonly (readonly number[])[]): Picture {
  const sums = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const side = counts.length * CELL_PIXELS + 1;
  return paint(side, side, (x, y): Colour => {
    if (x % CELL_PIXELS === 0 || y % CELL_PIXELS === 0) return [60, 60, 64];
    const [row, column] = [Math.floor(y / CELL_PIXELS), Math.floor(x / CELL_PIXELS)];
    const share = sums[row] === 0 ? 0 : counts[row][column] / sums[row];
    const level = (most: number): number => Math.round(24 + share * (most - 24));
    return row === column ? [level(60), level(230), level(110)] : [level(255), level(150), level(40)];
  });
}
