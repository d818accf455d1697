import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { evaluationPairs } from './evaluation-pairs.ts';

describe('evaluationPairs', () => {
  it('are those of the whole list, shuffled, while that is short', () => {
    for (const [count, most, seed] of [
      [0, 4, 1],
      [1, 4, 1],
      [2, 10, 1],
      [6, 12, 1],
      [40, 10, 7],
      [256, 5, 3],
    ] as const) {
      const all = Array.from({ length: count * Math.max(0, count - 1) }, (_, i) => {
        const moving = Math.floor(i / (count - 1));
        const rest = i % (count - 1);
        return [moving, rest < moving ? rest : rest + 1];
      });
      const order = randomStream(seed, 'evaluationPairs').permutation(all.length);
      expect(evaluationPairs(count, most, seed)).toEqual(Array.from(order.slice(0, most), (i) => all[i]));
    }
  });

  it('take memory and time by their own number where there are many subjects, each pair once', () => {
    const before = process.memoryUsage().rss;
    const pairs = evaluationPairs(100_000, 2000, 5);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
    expect(pairs).toHaveLength(2000);
    expect(new Set(pairs.map(String)).size).toBe(2000);
    for (const [moving, fixed] of pairs) {
      expect(moving).not.toBe(fixed);
      expect(Math.max(moving, fixed)).toBeLessThan(100_000);
      expect(Math.min(moving, fixed)).toBeGreaterThanOrEqual(0);
    }
    expect(evaluationPairs(100_000, 2000, 5)).toEqual(pairs);
    expect(evaluationPairs(100_000, 10, 5)).toEqual(pairs.slice(0, 10));
    // all of them, where as many are wanted
    expect(new Set(evaluationPairs(260, 1e6, 1).map(String)).size).toBe(260 * 259);
    expect(Math.min(...pairs.map(([moving]) => moving))).toBeLessThan(1000);
    expect(Math.max(...pairs.map(([moving]) => moving))).toBeGreaterThan(99_000);
  });
});
