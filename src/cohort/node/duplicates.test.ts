import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { findDuplicates, SAME_CORRELATION, thumbnailOf } from './duplicates.ts';

/** Each pair compared with each other: slow, and certainly right. */
function byAllPairs(thumbnails: readonly Float32Array[]): { index: number; of: number }[] {
  return thumbnails.flatMap((thumbnail, index) => {
    const of = thumbnails.findIndex(
      (other, k) => k < index && other.reduce((sum, v, i) => sum + v * thumbnail[i], 0) > SAME_CORRELATION,
    );
    return of < 0 ? [] : [{ index, of }];
  });
}

describe('duplicates', () => {
  it('are found as by comparing all pairs, the first of each', () => {
    const random = randomStream(3, 'duplicates');
    const base = (): Float32Array => Float32Array.from({ length: 1000 }, () => random.uniform(0, 1));
    const kinds = Array.from({ length: 40 }, base);
    const volumes = Array.from({ length: 300 }, () => {
      const kind = kinds[random.integer(0, kinds.length)];
      const noise = random.uniform(0, 0.06);
      return kind.map((v) => v + random.uniform(-noise, noise));
    });
    const thumbnails = volumes.map((volume) => thumbnailOf(volume, [10, 10, 10]));
    const found = findDuplicates(thumbnails);
    expect(found.map(({ index, of }) => ({ index, of }))).toEqual(byAllPairs(thumbnails));
    expect(found.length).toBeGreaterThan(50);
    expect(findDuplicates([])).toEqual([]);
  });
});
