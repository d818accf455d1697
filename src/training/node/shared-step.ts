/**
 * Steps that several ranks share: each computes whole runs of `gradient`, and all have the sum of the gradients, the same bits as one process alone.
 *
 * The sum goes as in a ring: every rank owns a shard of the flat vector, gets the others' parts of it, adds them as the tree of gradient-tree.ts says,
 * and sends the sum to all. So nearly twice the vector goes out of each rank, however many there are. Numbers are sent from where the session has
 * them and received there (CPU), or through one copy (GPU).
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
  /** Of the last step. */
  readonly time: SharingTime;
  /** Whether a rank has been asked to stop, as all heard in the last step. */
  readonly stopping: boolean;
  /** Waits for rank 0, which alone judges. @param best of rank 0 @returns the same on every rank */
  agreeOnBest(best: TrainingState['best']): Promise<TrainingState['best']>;
}

const [TAG_PARTS, TAG_SUMS] = [1, 2];
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

/**
 * The sum over the parts of all ranks, on every rank.
 * @param parts of each rank @param own the values of this rank's parts, of one length; the last becomes the sum, the others are used up
 * @returns bytes that this rank sent
 */
export async function addUpParts(
  ranks: Ranks,
  runs: number,
  parts: readonly (readonly Part[])[],
  own: readonly Float32Array[],
  sum: Float32Array,
): Promise<number> {
  const { rank, size } = ranks;
  const others = Array.from({ length: size - 1 }, (_, i) => (rank + 1 + i) % size);
  const shardOf = (values: Float32Array, of: number): Float32Array =>
    values.subarray(shardStart(values.length, of, size), shardStart(values.length, of + 1, size));
  let sentBytes = 0;
  const send = (to: number, tag: number, values: Float32Array): Transfer[] => {
    if (values.length === 0) return [];
    sentBytes += values.byteLength;
    return [ranks.send(to, tag, bytesOf(values))];
  };
  const mine = shardOf(sum, rank);
  /** Of this rank's shard, by part. */
  const known = new Map<string, Float32Array>();
  const key = ({ from, to }: Part): string => `${from}-${to}`;
  const scattering: Transfer[] = [];
  for (const other of others) {
    for (const part of parts[other]) {
      const values = new Float32Array(mine.length);
      known.set(key(part), values);
      if (mine.length > 0) scattering.push(ranks.receive(other, TAG_PARTS, bytesOf(values)));
    }
    for (const values of own) scattering.push(...send(other, TAG_PARTS, shardOf(values, other)));
  }
  parts[rank].forEach((part, i) => {
    known.set(key(part), shardOf(own[i], rank));
  });
  await ranks.finish(scattering);
  const total = (part: Part): Float32Array => {
    const there = known.get(key(part));
    if (there) return there;
    const [first, second] = halvesOf(part).map(total) as [Float32Array, Float32Array];
    // rounded once, as the kernel does it
    for (let i = 0; i < first.length; i++) first[i] += second[i];
    return first;
  };
  const added = total({ from: 0, to: runs });
  if (added !== mine) mine.set(added);
  const gathering = others.flatMap((other) => {
    const theirs = shardOf(sum, other);
    return [...(theirs.length > 0 ? [ranks.receive(other, TAG_SUMS, bytesOf(theirs))] : []), ...send(other, TAG_SUMS, mine)];
  });
  await ranks.finish(gathering);
  return sentBytes;
}

/**
 * Shares the steps of a run.
 * @param runs of `gradient` in a step @param isStopping whether this rank has been asked to stop
 */
export function shareSteps(ranks: Ranks, session: Session, runs: number, isStopping: () => boolean = () => false): SharedSteps {
  const { rank, size } = ranks;
  const parts = Array.from({ length: size }, (_, each) => partsWithin(runs, rangeOf(runs, each, size)));
  const names = parts[rank].map((_, i) => (i < parts[rank].length - 1 ? parkState(i) : STATES.gradients));
  let [waitSeconds, exchangeSeconds, sentBytes] = [0, 0, 0];
  let stopping = false;
  const seconds = (sinceMs: number): number => (performance.now() - sinceMs) / 1000;
  return {
    ranks,
    runs,
    range: rangeOf(runs, rank, size),
    get time() {
      return { waitSeconds, exchangeSeconds, sentBytes };
    },
    get stopping() {
      return stopping;
    },
    outputsOfAll: async (own) => {
      const startMs = performance.now();
      const { shapes, values } = pack(own);
      const told = await ranks.gather({ data: { stop: isStopping(), shapes }, values });
      stopping = told.some(({ data }) => data.stop);
      waitSeconds = seconds(startMs);
      return told.flatMap(({ data, values: theirs }) => unpack(data.shapes, theirs!));
    },
    addUp: async () => {
      const startMs = performance.now();
      const { stateView } = session;
      if (stateView) {
        sentBytes = await addUpParts(ranks, runs, parts, names.map(stateView), stateView(STATES.gradients));
      } else {
        const own: Float32Array[] = [];
        for (const name of names) own.push(await session.readState(name));
        const sum = own.at(-1) ?? (await session.readState(STATES.gradients));
        sentBytes = await addUpParts(ranks, runs, parts, own, sum);
        await session.writeState(STATES.gradients, sum);
      }
      exchangeSeconds = seconds(startMs);
    },
    agreeOnBest: async (best) => (await ranks.gather({ data: best }))[0].data,
  };
}
