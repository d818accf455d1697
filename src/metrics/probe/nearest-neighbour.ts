/**
 * Nearest neighbours in the space of features: what a representation knows of labels that it was not trained with, without anything to fit
 * (Wu et al., CVPR 2018). Similarity is the cosine.
 *
 * Ties are settled: of equally similar neighbours the one of lower number is nearer; of classes with equally many votes that of the greater
 * sum of similarities wins, then that of lower number.
 */
import { type ClassScores, classScores } from '../classification.ts';
import { checkPoints, type Points, unitPoints } from '../points.ts';

/** Points whose classes are known. */
export interface LabelledPoints {
  readonly points: Points;
  /** Of each point, from 0 on. */
  readonly classes: readonly number[];
  /** Of each point: points of one group (crops of one patient) are never neighbours of each other. Left out: each is by itself. */
  readonly groups?: readonly string[];
}

export interface NearestNeighbourOptions {
  /** How many vote; fewer where there are fewer. */
  readonly neighbours: number;
}

export const DEFAULT_NEAREST_NEIGHBOUR: NearestNeighbourOptions = { neighbours: 5 };

export interface NearestNeighbourScore extends ClassScores {
  /** The class that the neighbours of each query vote for. */
  readonly predicted: readonly number[];
}

/** Checks that each point has a class, and a group if any has. */
export function checkLabelled(caller: string, { points, classes, groups }: LabelledPoints): void {
  checkPoints(caller, points);
  for (const [name, list] of [
    ['classes', classes],
    ['groups', groups ?? classes],
  ] as const) {
    if (list.length !== points.count) throw new RangeError(`${caller}: expected ${points.count} ${name}, got ${list.length}`);
  }
  const bad = classes.find((one) => !(Number.isInteger(one) && one >= 0));
  if (bad !== undefined) throw new RangeError(`${caller}: expected classes from 0 on, got ${bad}`);
}

/** The class with most votes. */
function vote(neighbours: readonly { readonly cosine: number; readonly class: number }[]): number {
  const votes = new Map<number, { count: number; sum: number }>();
  for (const { cosine, class: one } of neighbours) {
    const { count, sum } = votes.get(one) ?? { count: 0, sum: 0 };
    votes.set(one, { count: count + 1, sum: sum + cosine });
  }
  return [...votes].sort(([a, x], [b, y]) => y.count - x.count || y.sum - x.sum || a - b)[0][0];
}

/**
 * Scores of the classes that nearest neighbours vote for.
 * @param reference the points that vote
 * @param queries the points that are classified; left out, each reference point is, by the others (leave-one-out)
 * @throws RangeError if numbers do not fit, values are not finite, or a query has no point that may vote.
 */
export function nearestNeighbourScore(
  reference: LabelledPoints,
  queries?: LabelledPoints,
  options: Partial<NearestNeighbourOptions> = {},
): NearestNeighbourScore {
  const { neighbours } = { ...DEFAULT_NEAREST_NEIGHBOUR, ...options };
  if (!(Number.isInteger(neighbours) && neighbours >= 1)) {
    throw new RangeError(`nearestNeighbourScore: expected at least 1 neighbour, got ${neighbours}`);
  }
  const asked = queries ?? reference;
  for (const labelled of [reference, asked]) checkLabelled('nearestNeighbourScore', labelled);
  const { dimensions } = reference.points;
  if (asked.points.dimensions !== dimensions) {
    throw new RangeError(`nearestNeighbourScore: expected queries of ${dimensions} dimensions, got ${asked.points.dimensions}`);
  }
  const from = unitPoints(reference.points).values;
  const to = queries ? unitPoints(queries.points).values : from;
  const mayVote = (query: number, other: number): boolean =>
    (queries !== undefined || query !== other) &&
    !(asked.groups && reference.groups && asked.groups[query] === reference.groups[other]);
  const predicted = Array.from({ length: asked.points.count }, (_, query) => {
    const candidates: { cosine: number; class: number; index: number }[] = [];
    for (let other = 0; other < reference.points.count; other++) {
      if (!mayVote(query, other)) continue;
      let cosine = 0;
      for (let j = 0; j < dimensions; j++) cosine += to[query * dimensions + j] * from[other * dimensions + j];
      candidates.push({ cosine, class: reference.classes[other], index: other });
    }
    if (candidates.length === 0) {
      throw new RangeError(`nearestNeighbourScore: expected neighbours of another group for point ${query}, got none`);
    }
    return vote(candidates.sort((a, b) => b.cosine - a.cosine || a.index - b.index).slice(0, neighbours));
  });
  return { predicted, ...classScores(predicted, asked.classes) };
}
