/**
 * The order in which the gradients of a step are added up: a tree over the places of its runs (of `gradient`), which depends on their number alone.
 * So the sum has the same bits whoever computes which of them, one process or many.
 *
 * The first part of a sum of n is the largest power of two below n: 5 is ((0 + 1) + (2 + 3)) + 4. What belongs together in it, one process adds up by
 * itself; the parts of several are added as the tree says.
 */

/** The runs from `from` up to but not `to`, as one part of the tree. */
export interface Part {
  readonly from: number;
  readonly to: number;
}

/** The two parts that a part of several runs is the sum of. */
export function halvesOf({ from, to }: Part): readonly [Part, Part] {
  let middle = 1;
  while (2 * middle < to - from) middle *= 2;
  return [
    { from, to: from + middle },
    { from: from + middle, to },
  ];
}

/** The largest parts of the tree over `runs` that lie within a range; together they are that range. */
export function partsWithin(runs: number, range: Part): Part[] {
  const within = (part: Part): Part[] => {
    if (part.to <= range.from || part.from >= range.to) return [];
    if (part.from >= range.from && part.to <= range.to) return [part];
    return halvesOf(part).flatMap(within);
  };
  return range.from < range.to ? within({ from: 0, to: runs }) : [];
}

/** The runs of one of several that share a step: in order, as evenly as whole runs allow. */
export function rangeOf(runs: number, rank: number, size: number): Part {
  const from = (each: number): number => each * Math.floor(runs / size) + Math.min(each, runs % size);
  return { from: from(rank), to: from(rank + 1) };
}

/** What is done with the state that gradients are added to: a run adds its own; `park` sets it aside and makes it zero; `fold` adds what was set aside. */
export type Act = { readonly run: number } | { readonly park: number } | { readonly fold: number };

/** How parts are computed, each in the tree's order. All but the last end parked, in places 0, 1, ...; the last in the state itself. */
export function actsOf(parts: readonly Part[]): Act[] {
  let parked = 0;
  const sum = (part: Part): Act[] => {
    if (part.to - part.from === 1) return [{ run: part.from }];
    const [first, second] = halvesOf(part);
    // a single run adds to the sum that is there
    if (second.to - second.from === 1) return [...sum(first), { run: second.from }];
    const before: Act[] = [...sum(first), { park: parked++ }, ...sum(second)];
    parked -= 1;
    return [...before, { fold: parked }];
  };
  return parts.flatMap((part, i) => [...sum(part), ...(i < parts.length - 1 ? [{ park: parked++ }] : [])]);
}

/** Places for what is parked meanwhile. */
export const parksOf = (acts: readonly Act[]): number =>
  acts.reduce((most, act) => ('park' in act ? Math.max(most, act.park + 1) : most), 0);
