/**
 * Processes that train together ("ranks"), and what they do with one another: tell one another small things, hand on what rank 0 has, exchange parts
 * of long vectors, end together.
 *
 * Every rank does the same calls in the same order. One that fails says so in its next `gather`, in which the others hear of it; so all end, with its
 * message. One that cannot even say so ends the others by the transport's own means.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { OtherRankError, RunError } from '../../../common/errors.ts';
import type { Transfer, Transport } from './transport.ts';

/** What a rank tells: plain data, and numbers that keep their bits. */
export interface Message<Data> {
  readonly data: Data;
  readonly values?: Float32Array;
}

export interface Ranks {
  readonly rank: number;
  readonly size: number;
  /** 'MPICH 4.0.2'; '' alone. */
  readonly description: string;
  /** Machines that there are ranks on. */
  readonly machines: number;
  /** This rank among those of its machine. */
  readonly local: { readonly rank: number; readonly size: number };
  /** Ranks of this machine that may use the same processors as this one, itself included. */
  readonly processorSharers: number;
  /** What each rank tells, in the order of ranks. It waits for the slowest without taking a processor. @throws OtherRankError if one of them failed */
  gather<Data>(message: Message<Data>): Promise<readonly Message<Data>[]>;
  /** Makes the bytes of rank 0 everybody's. */
  broadcast(bytes: Uint8Array): Promise<void>;
  send(to: number, tag: number, bytes: Uint8Array): Transfer;
  receive(from: number, tag: number, into: Uint8Array): Transfer;
  /** Until all are done; whoever waits takes a processor, so that they are soon. */
  finish(transfers: readonly Transfer[]): Promise<void>;
  /** Tells the others of an error of this rank. @returns what this rank ends with: that error, or an `OtherRankError` if another rank tells the user */
  fail(error: unknown): Promise<unknown>;
  /** Takes leave when all have done their work. */
  end(): Promise<void>;
}

/** Tags of messages that are not the caller's; those of the caller are below. */
export const FIRST_OWN_TAG = 32_000;
const [TAG_HEAD, TAG_REST, TAG_BROADCAST] = [FIRST_OWN_TAG, FIRST_OWN_TAG + 1, FIRST_OWN_TAG + 2];
/** What is sent at once of what a rank tells: nearly everything fits. */
const HEAD_BYTES = 4096;
/** Waits of so long need no processor: a step takes longer. */
const SPIN_MS = 2;
/** How often a rank that waits looks whether the others of its machine still run. */
const LOOK_MS = 1000;
/** A rank that failed waits so long for the others to hear it. */
const FAREWELL_MS = 5000;
/** Whoever leaves the message to another rank lets it speak before the processes are ended. */
const QUIET_MS = 500;
/** Bytes of one message of a broadcast, which goes down a chain: its parts follow one another. */
const BROADCAST_BYTES = 2 ** 22;

/** One rank, which is all there are. */
export const ALONE: Ranks = {
  rank: 0,
  size: 1,
  description: '',
  machines: 1,
  local: { rank: 0, size: 1 },
  processorSharers: 1,
  gather: async (message) => [message],
  broadcast: async () => {},
  send: () => {
    throw new Error('there is no other rank');
  },
  receive: () => {
    throw new Error('there is no other rank');
  },
  finish: async () => {},
  fail: async (error) => error,
  end: async () => {},
};

/** What a rank says of itself. */
interface Self {
  readonly host: string;
  readonly pid: number;
  /** The same for ranks whose process numbers mean the same. */
  readonly processes: string;
  /** Processors that it may use, as the system lists them. */
  readonly processors: string;
}

const contentOf = (read: () => string): string => {
  try {
    return read().trim();
  } catch {
    return '';
  }
};

function describeSelf(): Self {
  const status = contentOf(() => readFileSync('/proc/self/status', 'utf8'));
  const boot = contentOf(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'));
  return {
    host: `${hostname()} ${boot}`,
    pid: process.pid,
    processes: contentOf(() => readlinkSync('/proc/self/ns/pid')),
    processors: /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? '',
  };
}

/** A message as bytes: the length of its data, the data, values from a multiple of 4 on. */
function encode(data: unknown, values: Float32Array = new Float32Array()): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(data) ?? 'null');
  const start = 4 * Math.ceil((4 + text.length) / 4);
  const bytes = new Uint8Array(new ArrayBuffer(start + values.byteLength));
  new Uint32Array(bytes.buffer, 0, 1)[0] = text.length;
  bytes.set(text, 4);
  new Float32Array(bytes.buffer, start).set(values);
  return bytes;
}

function decode(bytes: Uint8Array<ArrayBuffer>): Message<unknown> {
  const [length] = new Uint32Array(bytes.buffer, bytes.byteOffset, 1);
  const data = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))) as unknown;
  const start = bytes.byteOffset + 4 * Math.ceil((4 + length) / 4);
  return { data, values: new Float32Array(bytes.buffer.slice(start, bytes.byteOffset + bytes.byteLength)) };
}

/** What stands around a rank's data. */
type Envelope = { readonly data: unknown } | { readonly failed: string };

/** Whether a process that may be told from others by its number still runs. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** The ranks that a transport connects. */
export async function ranksOn(transport: Transport): Promise<Ranks> {
  const { rank, size } = transport;
  const others = Array.from({ length: size }, (_, i) => i).filter((i) => i !== rank);
  /** Other ranks by the number of their process, where it is known here. */
  const neighbours = new Map<number, number>();
  /** What ended the ranks' work. */
  let failed: string | undefined;
  /** Messages of the caller's that are not over: with some under way nobody can take leave. */
  let open = 0;
  const counted = (transfer: Transfer): Transfer => {
    open++;
    let over = false;
    return {
      done: () => {
        if (over || !transfer.done()) return over;
        over = true;
        open--;
        return true;
      },
    };
  };
  /** After a failure that all have heard of; where that is not possible, the transport ends the processes (open-ranks.ts). */
  const leave = async (speaks: boolean): Promise<void> => {
    if (open === 0) transport.end();
    else if (!speaks) await sleep(QUIET_MS);
  };

  const until = async (transfers: readonly Transfer[], { patient = true, limitMs = Number.POSITIVE_INFINITY } = {}) => {
    const startMs = performance.now();
    let lookedMs = startMs;
    for (;;) {
      let over = true;
      for (const transfer of transfers) if (!transfer.done()) over = false;
      if (over) return true;
      const nowMs = performance.now();
      if (nowMs - startMs > limitMs) return false;
      if (nowMs - lookedMs > LOOK_MS) {
        lookedMs = nowMs;
        for (const [other, pid] of neighbours)
          if (!runs(pid)) throw new RunError(`rank ${other} of ${size} (process ${pid}) has ended; the others cannot go on`);
      }
      if (!patient || nowMs - startMs < SPIN_MS) await nextTurn();
      else await sleep(nowMs - startMs < LOOK_MS ? 1 : 5);
    }
  };

  /** What every rank tells; undefined if some have not told it in time. */
  const exchangeTexts = async (mine: Uint8Array<ArrayBuffer>, limitMs?: number) => {
    const limit = limitMs === undefined ? {} : { limitMs };
    const head = new Uint8Array(new ArrayBuffer(HEAD_BYTES));
    new Uint32Array(head.buffer, 0, 1)[0] = mine.length;
    head.set(mine.subarray(0, HEAD_BYTES - 4), 4);
    const heads = Array.from({ length: size }, (_, i) => (i === rank ? head : new Uint8Array(new ArrayBuffer(HEAD_BYTES))));
    const first = others.flatMap((other) => [
      transport.receive(other, TAG_HEAD, heads[other]),
      transport.send(other, TAG_HEAD, head),
    ]);
    if (!(await until(first, limit))) return undefined;
    const rest: Transfer[] = [];
    const all = heads.map((each, other) => {
      if (other === rank) return mine;
      const [length] = new Uint32Array(each.buffer, 0, 1);
      const bytes = new Uint8Array(new ArrayBuffer(length));
      bytes.set(each.subarray(4, 4 + Math.min(length, HEAD_BYTES - 4)));
      if (length > HEAD_BYTES - 4) rest.push(transport.receive(other, TAG_REST, bytes.subarray(HEAD_BYTES - 4)));
      return bytes;
    });
    if (mine.length > HEAD_BYTES - 4)
      for (const other of others) rest.push(transport.send(other, TAG_REST, mine.subarray(HEAD_BYTES - 4)));
    return (await until(rest, limit)) ? all : undefined;
  };

  const gather = async <Data>({ data, values }: Message<Data>): Promise<readonly Message<Data>[]> => {
    const bytes = encode({ data } satisfies Envelope, values);
    const told = (await exchangeTexts(bytes))!.map(decode) as Message<Envelope>[];
    for (const [other, { data: envelope }] of told.entries()) {
      if (!('failed' in envelope)) continue;
      failed ??= `rank ${other} of ${size}: ${envelope.failed}`;
    }
    if (failed !== undefined) {
      await leave(false);
      throw new OtherRankError(failed);
    }
    return told.map((each, i) => ({
      data: (each.data as { data: Data }).data,
      ...(i === rank ? { values: values ?? new Float32Array() } : { values: each.values! }),
    }));
  };

  const self = describeSelf();
  const everyone = (await gather({ data: self })).map(({ data }) => data);
  everyone.forEach(({ host, pid, processes }, other) => {
    if (other !== rank && host === self.host && processes !== '' && processes === self.processes) neighbours.set(other, pid);
  });
  const here = everyone.flatMap(({ host }, i) => (host === self.host ? [i] : []));

  return {
    rank,
    size,
    description: transport.description,
    machines: new Set(everyone.map(({ host }) => host)).size,
    local: { rank: here.indexOf(rank), size: here.length },
    processorSharers: here.filter((i) => everyone[i].processors === self.processors).length,
    gather,
    broadcast: async (bytes) => {
      // a chain: each rank hands on what it has while the next part arrives
      const sent: Transfer[] = [];
      for (let from = 0; from < bytes.length; from += BROADCAST_BYTES) {
        const part = bytes.subarray(from, from + BROADCAST_BYTES);
        if (rank > 0) await until([transport.receive(rank - 1, TAG_BROADCAST, part)]);
        if (rank < size - 1) sent.push(transport.send(rank + 1, TAG_BROADCAST, part));
      }
      await until(sent);
    },
    send: (to, tag, bytes) => counted(transport.send(to, tag, bytes)),
    receive: (from, tag, into) => counted(transport.receive(from, tag, into)),
    finish: async (transfers) => {
      await until(transfers, { patient: false });
    },
    fail: async (error) => {
      if (failed !== undefined || error instanceof OtherRankError) return error;
      const message = error instanceof Error ? error.message : String(error);
      failed = message;
      const all = await exchangeTexts(encode({ failed: message } satisfies Envelope), FAREWELL_MS).catch(() => undefined);
      if (!all) return error;
      const envelopes = all.map((bytes) => decode(bytes).data as Envelope);
      const first = envelopes.findIndex((each) => 'failed' in each);
      await leave(first === rank);
      return first === rank ? error : new OtherRankError(`rank ${first} of ${size} failed`);
    },
    end: async () => {
      await gather({ data: null });
      transport.end();
    },
  };
}
