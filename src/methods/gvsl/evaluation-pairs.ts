/** Which pairs of held-out subjects an evaluation looks at: from the seed alone. */
import { randomStream } from '../../common/random.ts';

/** Up to so many pairs the whole list is shuffled, as it always was: an old run has the same pairs again. */
const SHUFFLED_MOST = 65_536;

/**
 * Ordered pairs (moving, fixed) of different subjects out of `count`, at most `most`, spread at random but the same for a seed. Memory and time
 * grow with `most` alone once there are many subjects.
 */
export function evaluationPairs(count: number, most: number, seed: number): [moving: number, fixed: number][] {
  const total = count * (count - 1);
  const pair = (i: number): [number, number] => {
    const moving = Math.floor(i / (count - 1));
    const rest = i % (count - 1);
    return [moving, rest < moving ? rest : rest + 1];
  };
  const stream = randomStream(seed, 'evaluationPairs');
  if (total <= SHUFFLED_MOST) return Array.from(stream.permutation(total).slice(0, most), pair);
  // the start of a shuffle from the front; `moved` holds what it displaced
  const moved = new Map<number, number>();
  return Array.from({ length: Math.min(most, total) }, (_, i) => {
    const j = stream.integer(i, total);
    const chosen = moved.get(j) ?? j;
    moved.set(j, moved.get(i) ?? i);
    return pair(chosen);
  });
}
