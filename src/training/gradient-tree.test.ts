import { describe, expect, it } from 'vitest';
import { type Act, actsOf, halvesOf, type Part, parksOf, partsWithin, rangeOf } from './gradient-tree.ts';

/** The sum as an expression. */
const text = (part: Part): string => (part.to - part.from === 1 ? String(part.from) : `(${halvesOf(part).map(text).join('+')})`);

/** What acts compute: what is parked, and what is in the state at the end, as expressions. */
function compute(acts: readonly Act[]): { parked: string[]; sum: string } {
  const parked: string[] = [];
  let sum = '';
  for (const act of acts) {
    if ('run' in act) sum = sum === '' ? String(act.run) : `(${sum}+${act.run})`;
    else if ('park' in act) {
      parked[act.park] = sum;
      sum = '';
    } else sum = `(${parked.splice(act.fold, 1)[0]}+${sum})`;
  }
  return { parked, sum };
}

describe('the tree of sums', () => {
  it('is one after the other up to three, and balanced for powers of two', () => {
    expect([1, 2, 3, 4, 5, 7].map((to) => text({ from: 0, to }))).toEqual([
      '0',
      '(0+1)',
      '((0+1)+2)',
      '((0+1)+(2+3))',
      '(((0+1)+(2+3))+4)',
      '(((0+1)+(2+3))+((4+5)+6))',
    ]);
  });

  it('is what one process computes, with at most one place fewer than its depth', () => {
    for (let runs = 1; runs <= 40; runs++) {
      const acts = actsOf(partsWithin(runs, { from: 0, to: runs }));
      expect(compute(acts)).toEqual({ parked: [], sum: text({ from: 0, to: runs }) });
      expect(parksOf(acts)).toBeLessThanOrEqual(Math.max(0, Math.ceil(Math.log2(runs)) - 1));
    }
  });

  it('is what several processes compute together, each of them an even share of whole runs', () => {
    for (let runs = 1; runs <= 20; runs++)
      for (let size = 1; size <= 8; size++) {
        const known = new Map<string, string>();
        let at = 0;
        for (let rank = 0; rank < size; rank++) {
          const range = rangeOf(runs, rank, size);
          expect(range.from).toBe(at);
          expect([Math.floor(runs / size), Math.ceil(runs / size)]).toContain(range.to - range.from);
          at = range.to;
          const parts = partsWithin(runs, range);
          const { parked, sum } = compute(actsOf(parts));
          parts.forEach((part, i) => {
            known.set(`${part.from}-${part.to}`, [...parked, sum][i]);
          });
        }
        expect(at).toBe(runs);
        const total = (part: Part): string => known.get(`${part.from}-${part.to}`) ?? `(${halvesOf(part).map(total).join('+')})`;
        expect(total({ from: 0, to: runs })).toBe(text({ from: 0, to: runs }));
      }
  });
});
