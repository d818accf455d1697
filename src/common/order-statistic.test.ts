import { expect, it } from 'vitest';
import { orderStatistic } from './order-statistic.ts';
import { randomStream } from './random.ts';

it('finds what sorting finds, also among equal values and values in order', () => {
  const random = randomStream(1, 'lists');
  const lists = [
    Float32Array.from({ length: 301 }, () => random.uniform(-1, 1)),
    Float32Array.from({ length: 300 }, () => Math.floor(random.uniform(0, 4))),
    Float32Array.from({ length: 100 }, (_, k) => k),
    Float32Array.from({ length: 100 }, (_, k) => -k),
    Float32Array.of(7, 7, 7, 7),
    Float32Array.of(3),
  ];
  for (const list of lists) {
    const sorted = list.slice().sort();
    for (const place of sorted.keys()) expect(orderStatistic(list.slice(), place)).toBe(sorted[place]);
  }
});
