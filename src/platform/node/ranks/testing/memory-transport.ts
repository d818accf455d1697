/** Ranks within one process, whose messages are copied from array to array: what tests of everything above a transport use. */
import { type Ranks, ranksOn } from '../ranks.ts';
import type { Transport } from '../transport.ts';

/** Transports of `size` ranks. */
function memoryTransports(size: number): Transport[] {
  /** By sender, receiver and tag: what has been sent and not received. */
  const boxes = new Map<string, Uint8Array[]>();
  const box = (from: number, to: number, tag: number): Uint8Array[] => {
    const key = `${from}>${to}:${tag}`;
    if (!boxes.has(key)) boxes.set(key, []);
    return boxes.get(key)!;
  };
  return Array.from({ length: size }, (_, rank): Transport => {
    /** Receives that were begun before, by sender and tag: they come first. */
    const turns = new Map<string, { done: boolean }[]>();
    return {
      rank,
      size,
      description: 'one process',
      send: (to, tag, bytes) => {
        box(rank, to, tag).push(bytes.slice());
        return { done: () => true };
      },
      receive: (from, tag, into) => {
        const key = `${from}:${tag}`;
        const queue = turns.get(key) ?? [];
        turns.set(key, queue);
        const turn = { done: false };
        queue.push(turn);
        return {
          done: () => {
            if (turn.done) return true;
            const came = box(from, rank, tag);
            if (queue[0] !== turn || came.length === 0) return false;
            const bytes = came.shift()!;
            if (bytes.length !== into.length) throw new Error(`a message has ${bytes.length} bytes, expected ${into.length}`);
            into.set(bytes);
            queue.shift();
            turn.done = true;
            return true;
          },
        };
      },
      end: () => {},
      abort: () => {},
    };
  });
}

export const memoryRanks = (size: number): Promise<Ranks[]> => Promise.all(memoryTransports(size).map(ranksOn));
