/**
 * Messages over plain TCP, for machines without MPI, and for tests: every two ranks have a connection. Rank 0 listens at a known address, where
 * the others say at which they listen themselves.
 *
 * As with MPI over TCP, whoever can reach the ports can take part: for networks of one's own.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../../../common/errors.ts';
import type { Transfer, Transport } from './transport.ts';

/** Every connection begins with it. */
const GREETING = 'gvsl ranks 1';
/** Tag and length before each message. */
const HEAD_BYTES = 12;
/** Ranks may be started some time after one another. */
const MEETING_MS = 120_000;
const RETRY_MS = 200;

interface Arriving {
  readonly bytes: Uint8Array;
  have: number;
}

/** A connection with one other rank, and what has arrived or is waited for by tag. */
class Peer {
  /** Why there is no connection any more. */
  ended: Error | undefined;
  private leaving = false;
  private readonly head = new Uint8Array(HEAD_BYTES);
  private headHave = 0;
  private current: Arriving | undefined;
  private readonly waiting = new Map<number, Arriving[]>();
  private readonly arrived = new Map<number, Arriving[]>();
  private readonly socket: Socket;

  constructor(socket: Socket, name: string) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    const end = (): void => {
      if (!this.leaving) this.ended ??= new RunError(`${name} has ended; the others cannot go on`);
    };
    socket.on('error', end);
    socket.on('close', end);
  }

  send(tag: number, bytes: Uint8Array): Transfer {
    const head = new DataView(new ArrayBuffer(HEAD_BYTES));
    head.setUint32(0, tag);
    head.setFloat64(4, bytes.length);
    let over = false;
    this.socket.write(new Uint8Array(head.buffer));
    // a copy: the system's calls take no memory that threads share
    this.socket.write(bytes.slice(), () => {
      over = true;
    });
    return { done: () => over || this.failing() };
  }

  receive(tag: number, into: Uint8Array): Transfer {
    const early = this.arrived.get(tag)?.shift();
    if (!early) {
      const arriving = { bytes: into, have: 0 };
      const queue = this.waiting.get(tag) ?? [];
      queue.push(arriving);
      this.waiting.set(tag, queue);
      return { done: () => arriving.have === into.length || this.failing() };
    }
    this.check(tag, early.bytes.length, into.length);
    // it may still be coming in
    let copied = false;
    return {
      done: () => {
        if (early.have < early.bytes.length) return this.failing();
        if (!copied) into.set(early.bytes);
        copied = true;
        return true;
      },
    };
  }

  close(): void {
    this.leaving = true;
    this.socket.end();
  }

  private failing(): false {
    if (this.ended) throw this.ended;
    return false;
  }

  private check(tag: number, came: number, expected: number): void {
    if (came !== expected) throw new Error(`a message of tag ${tag} has ${came} bytes, expected ${expected}`);
  }

  private take(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (!this.current) {
        const part = chunk.subarray(at, at + HEAD_BYTES - this.headHave);
        this.head.set(part, this.headHave);
        this.headHave += part.length;
        at += part.length;
        if (this.headHave < HEAD_BYTES) return;
        this.headHave = 0;
        this.begin();
        continue;
      }
      const { bytes, have } = this.current;
      const part = chunk.subarray(at, at + bytes.length - have);
      bytes.set(part, have);
      this.current.have += part.length;
      at += part.length;
      if (this.current.have === bytes.length) this.current = undefined;
    }
  }

  /** A message begins: into the place that waits for it, or aside. */
  private begin(): void {
    const view = new DataView(this.head.buffer);
    const [tag, length] = [view.getUint32(0), view.getFloat64(4)];
    const waiting = this.waiting.get(tag)?.shift();
    if (waiting) this.check(tag, length, waiting.bytes.length);
    this.current = waiting ?? { bytes: new Uint8Array(length), have: 0 };
    if (!waiting) {
      const queue = this.arrived.get(tag) ?? [];
      queue.push(this.current);
      this.arrived.set(tag, queue);
    }
    if (length === 0) this.current = undefined;
  }
}

/** A line of text that opens a connection; what follows it stays in the socket. */
async function readLine(socket: Socket): Promise<string> {
  let line = '';
  for (;;) {
    const byte = socket.read(1) as Buffer | null;
    if (byte === null)
      await Promise.race([once(socket, 'readable'), once(socket, 'close').then(() => Promise.reject(new Error('closed')))]);
    else if (byte[0] === 10) return line;
    else line += byte.toString('latin1');
  }
}

async function connectTo(host: string, port: number, untilMs: number): Promise<Socket> {
  for (;;) {
    const socket = connect({ host, port });
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      socket.destroy();
      if (performance.now() > untilMs)
        throw new RunError(
          `no rank answers at ${host}:${port} (${(error as Error).message}); start all ranks, rank 0 among them`,
        );
      await sleep(RETRY_MS);
    }
  }
}

const listening = async (port: number, host?: string): Promise<Server> => {
  const server = createServer({ pauseOnConnect: true });
  server.listen({ port, ...(host === undefined ? {} : { host }) });
  await once(server, 'listening');
  return server;
};

/** The next `count` connections, by the rank that each says it is of, with what else it says. */
async function welcome(server: Server, count: number): Promise<Map<number, { socket: Socket; port: number }>> {
  const came = new Map<number, { socket: Socket; port: number }>();
  if (count === 0) return came;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new RunError(`only ${came.size} of ${count} other ranks have come; start all of them`)),
      MEETING_MS,
    );
    server.on('connection', (socket: Socket) => {
      socket.on('error', () => {});
      readLine(socket).then(
        (line) => {
          const [greeting, rank, port] = line.split('|');
          if (greeting !== GREETING || came.has(Number(rank))) {
            socket.destroy();
            return;
          }
          came.set(Number(rank), { socket, port: Number(port) });
          if (came.size === count) {
            clearTimeout(timer);
            resolve();
          }
        },
        () => void socket.destroy(),
      );
    });
  });
  return came;
}

/** Opens the connections. @param address of rank 0 */
export async function openTcp({
  rank,
  size,
  address: { host, port },
}: {
  readonly rank: number;
  readonly size: number;
  readonly address: { readonly host: string; readonly port: number };
}): Promise<Transport> {
  const untilMs = performance.now() + MEETING_MS;
  const server = await listening(rank === 0 ? port : 0, rank === 0 ? host : undefined);
  const own = (server.address() as { port: number }).port;
  const sockets = new Map<number, Socket>();
  const say = (socket: Socket): void => void socket.write(`${GREETING}|${rank}|${own}\n`);
  if (rank === 0) {
    const came = await welcome(server, size - 1);
    const table = [...came].map(([other, { socket, port: at }]) => [other, socket.remoteAddress, at]);
    for (const [other, { socket }] of came) {
      socket.write(`${JSON.stringify(table)}\n`);
      sockets.set(other, socket);
    }
  } else {
    const coming = welcome(server, size - 1 - rank);
    coming.catch(() => {});
    const first = await connectTo(host, port, untilMs);
    say(first);
    sockets.set(0, first);
    const table = JSON.parse(await readLine(first)) as [number, string, number][];
    for (const [other, at, otherPort] of table.filter(([each]) => each < rank)) {
      const socket = await connectTo(at, otherPort, untilMs);
      say(socket);
      sockets.set(other, socket);
    }
    for (const [other, { socket }] of await coming) sockets.set(other, socket);
  }
  server.close();
  const peers = new Map([...sockets].map(([other, socket]) => [other, new Peer(socket, `rank ${other} of ${size}`)]));
  return {
    rank,
    size,
    description: 'TCP',
    send: (to, tag, bytes) => peers.get(to)!.send(tag, bytes),
    receive: (from, tag, into) => peers.get(from)!.receive(tag, into),
    end: () => {
      for (const peer of peers.values()) peer.close();
    },
    // the others hear of it by their connections
    abort: () => {},
  };
}
