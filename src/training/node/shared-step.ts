/**
 * Steps that several ranks share: each computes whole runs of `gradient`, and all have the sum of the gradients, the same bits as one process alone.
 *
 * The sum goes as in a ring: every rank owns a shard of the flat vector, gets the others' parts of it, adds them as the tree of gradient-tree.ts says,
 * and sends the sum to all. So nearly twice the vector goes out of each rank, however many there are. Numbers are sent from where the session has
 * them and received there (CPU), or through one copy (GPU). On the CPU the exchange begins during the last backward pass: bucket by bucket, as its
 * gradients become final.
 */
import type { Session } from '../../engine/backend.ts';
import { parkState } from '../../model/gradient-parks.ts';
import { STATES } from '../../model/optimizer.ts';
import type { Ranks } from '../../platform/node/ranks/ranks.ts';
import type { Transfer } from '../../platform/node/ranks/transport.ts';
import { halvesOf, type Part, partsWithin, rangeOf } from '../gradient-tree.ts';
import type { GradientOutputs, SharedStep } from '../step.ts';
import type { TrainingState } from './checkpoint.ts';

/** What a step's sharing took. */
export interface SharingTime {
  /** For the slowest rank. */
  readonly waitSeconds: number;
  /** In which nothing was computed. */
  readonly exchangeSeconds: number;
  /** Out of this rank. */
  readonly sentBytes: number;
}

/** The steps of a run, shared by ranks. */
export interface SharedSteps extends SharedStep {
  readonly ranks: Ranks;
  /** The session, whose last run of `gradient` in a step sends away what is final while it goes on. */
  readonly session: Session;
  /** Of the last step. */
  readonly time: SharingTime;
  /** Whether a rank has been asked to stop, as all heard in the last step. */
  readonly stopping: boolean;
  /** Waits for rank 0, which alone judges. @param best of rank 0 @returns the same on every rank */
  agreeOnBest(best: TrainingState['best']): Promise<TrainingState['best']>;
}

/** Numbers of a shard begin at multiples of it, so that they are added side by side. */
const TOGETHER = 16;

/** Where the shard of a rank begins in `length` numbers; that of rank `size` is the end. */
const shardStart = (length: number, rank: number, size: number): number =>
  Math.min(length, TOGETHER * Math.floor((Math.ceil(length / TOGETHER) * rank) / size));

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Named arrays as one message: names and lengths, and all values. */
export function pack(outputs: readonly GradientOutputs[]) {
  const shapes = outputs.map((each) => Object.entries(each).map(([name, { length }]): [string, number] => [name, length]));
  const values = new Float32Array(shapes.flat().reduce((sum, [, length]) => sum + length, 0));
  let at = 0;
  for (const each of outputs)
    for (const array of Object.values(each)) {
      values.set(array, at);
      at += array.length;
    }
  return { shapes, values };
}

export function unpack(shapes: readonly (readonly (readonly [string, number])[])[], values: Float32Array): GradientOutputs[] {
  let at = 0;
  return shapes.map((shape) =>
    Object.fromEntries(
      shape.map(([name, length]) => {
        at += length;
        return [name, values.slice(at - length, at)];
      }),
    ),
  );
}

/** The exchange of a step's sums, part by part of the flat vector ("bucket"). */
interface Exchange {
  /** The bucket's numbers are final here. */
  begin(bucket: number): void;
  /** Lets messages proceed. */
  poll(): void;
  /** Of all buckets, those that have not begun among them. */
  finish(): Promise<void>;
  readonly sentBytes: number;
}

/**
 * The sum over the parts of all ranks, on every rank.
 * @param parts of each rank
 * @param own the values of this rank's parts, of one length; they are used up, and the last is `sum`
 * @param edges where the buckets begin, from 0 on; the last is the length
 */
export function openExchange(
  ranks: Ranks,
  runs: number,
  parts: readonly (readonly Part[])[],
  own: readonly Float32Array[],
  sum: Float32Array,
  edges: readonly number[],
): Exchange {
  const { rank, size } = ranks;
  const others = Array.from({ length: size - 1 }, (_, i) => (rank + 1 + i) % size);
  const key = ({ from, to }: Part): string => `${from}-${to}`;
  let sentBytes = 0;

  /** Begins with a bucket; gives what says whether it is over, and does what is next. */
  const open = (bucket: number): (() => boolean) => {
    const ofBucket = (values: Float32Array): Float32Array => values.subarray(edges[bucket], edges[bucket + 1]);
    const shardOf = (values: Float32Array, of: number): Float32Array => {
      const { length } = values;
      return values.subarray(shardStart(length, of, size), shardStart(length, of + 1, size));
    };
    const [scatterTag, gatherTag] = [2 * bucket, 2 * bucket + 1];
    const send = (to: number, tag: number, values: Float32Array): Transfer[] => {
      if (values.length === 0) return [];
      sentBytes += values.byteLength;
      return [ranks.send(to, tag, bytesOf(values))];
    };
    const receive = (from: number, tag: number, into: Float32Array): Transfer[] =>
      into.length === 0 ? [] : [ranks.receive(from, tag, bytesOf(into))];
    const mine = shardOf(ofBucket(sum), rank);
    /** Of this rank's shard, by part. */
    const known = new Map<string, Float32Array>();
    parts[rank].forEach((part, i) => {
      known.set(key(part), shardOf(ofBucket(own[i]), rank));
    });
    const scattering = others.flatMap((other) => [
      ...parts[other].flatMap((part) => {
        const values = new Float32Array(new ArrayBuffer(mine.byteLength));
        known.set(key(part), values);
        return receive(other, scatterTag, values);
      }),
      ...own.flatMap((values) => send(other, scatterTag, shardOf(ofBucket(values), other))),
    ]);
    const total = (part: Part): Float32Array => {
      const there = known.get(key(part));
      if (there) return there;
      const [first, second] = halvesOf(part).map(total) as [Float32Array, Float32Array];
      // rounded once, as the kernel does it
      for (let i = 0; i < first.length; i++) first[i] += second[i];
      return first;
    };
    let gathering: Transfer[] | undefined;
    const all = (transfers: readonly Transfer[]): boolean => transfers.reduce((over, each) => each.done() && over, true);
    return () => {
      if (!gathering) {
        if (!all(scattering)) return false;
        mine.set(total({ from: 0, to: runs }));
        known.clear();
        // what was sent from there has gone
        gathering = others.flatMap((other) => [
          ...receive(other, gatherTag, shardOf(ofBucket(sum), other)),
          ...send(other, gatherTag, mine),
        ]);
      }
      return all(gathering);
    };
  };

  const under = new Map<number, () => boolean>();
  const begun = new Set<number>();
  const begin = (bucket: number): void => {
    begun.add(bucket);
    under.set(bucket, open(bucket));
  };
  const poll = (): void => {
    for (const [bucket, isOver] of under) if (isOver()) under.delete(bucket);
  };
  return {
    begin,
    poll,
    finish: async () => {
      for (let bucket = 0; bucket < edges.length - 1; bucket++) if (!begun.has(bucket)) begin(bucket);
      const done = (): boolean => {
        poll();
        return under.size === 0;
      };
      await ranks.finish([{ done }]);
    },
    get sentBytes() {
      return sentBytes;
    },
  };
}

/** So many numbers at least make a bucket, and there are at most so many buckets. */
const [BUCKET, MOST_BUCKETS] = [2 ** 18, 32];

/** Where buckets of a vector begin, and its end. */
function bucketEdges(length: number): number[] {
  const count = Math.max(1, Math.min(MOST_BUCKETS, Math.floor(length / BUCKET)));
  return Array.from({ length: count + 1 }, (_, i) => shardStart(length, i, count));
}

/**
 * Shares the steps of a run.
 * @param length of the flat gradient
 * @param runs of `gradient` in a step @param isStopping whether this rank has been asked to stop
 */
export function shareSteps(
  ranks: Ranks,
  given: Session,
  length: number,
  runs: number,
  isStopping: () => boolean = () => false,
): SharedSteps {
  const { rank, size } = ranks;
  const parts = Array.from({ length: size }, (_, each) => partsWithin(runs, rangeOf(runs, each, size)));
  const names = parts[rank].map((_, i) => (i < parts[rank].length - 1 ? parkState(i) : STATES.gradients));
  const edges = bucketEdges(length);
  let [waitSeconds, exchangeSeconds, sentBytes] = [0, 0, 0];
  let stopping = false;
  /** The step's exchange, where its numbers lie in the session. */
  let exchange: Exchange | undefined;
  let overlapping = false;
  const secondsSince = (ms: number): number => (performance.now() - ms) / 1000;
  const inPlace = (): Exchange | undefined => {
    const { stateView } = given;
    return stateView && openExchange(ranks, runs, parts, names.map(stateView), stateView(STATES.gradients), edges);
  };
  const { runTelling } = given;
  const session: Session = {
    ...given,
    run: async (graph, inputs, outputs) => {
      if (!overlapping || graph !== 'gradient' || !runTelling) return given.run(graph, inputs, outputs);
      overlapping = false;
      const begun = inPlace();
      exchange = begun;
      return runTelling(graph, inputs, { state: STATES.gradients, edges }, (bucket) => {
        const startMs = performance.now();
        begun?.begin(bucket);
        begun?.poll();
        exchangeSeconds += secondsSince(startMs);
      });
    },
  };
  return {
    ranks,
    session,
    runs,
    range: rangeOf(runs, rank, size),
    get time() {
      return { waitSeconds, exchangeSeconds, sentBytes };
    },
    get stopping() {
      return stopping;
    },
    beforeLast: () => {
      overlapping = true;
      exchangeSeconds = 0;
    },
    outputsOfAll: async (own) => {
      const startMs = performance.now();
      if (!exchange) exchangeSeconds = 0;
      const { shapes, values } = pack(own);
      const told = await ranks.gather({ data: { stop: isStopping(), shapes }, values });
      stopping = told.some(({ data }) => data.stop);
      waitSeconds = secondsSince(startMs);
      return told.flatMap(({ data, values: theirs }) => unpack(data.shapes, theirs!));
    },
    addUp: async () => {
      const startMs = performance.now();
      exchange ??= inPlace();
      if (exchange) await exchange.finish();
      else {
        const own: Float32Array[] = [];
        for (const name of names) own.push(await given.readState(name));
        const sum = own.at(-1) ?? (await given.readState(STATES.gradients));
        exchange = openExchange(ranks, runs, parts, own, sum, edges);
        await exchange.finish();
        await given.writeState(STATES.gradients, sum);
      }
      ({ sentBytes } = exchange);
      exchange = undefined;
      overlapping = false;
      exchangeSeconds += secondsSince(startMs);
    },
    agreeOnBest: async (best) => (await ranks.gather({ data: best }))[0].data,
  };
}
