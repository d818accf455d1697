/** Bytes that come in pieces, so that no file need ever be in memory whole. */

/** A file, a part of one, or what decompressing gives. */
export interface ByteSource {
  /** Bytes that `pieces` gives, where that is known without reading: not of compressed ones. */
  readonly sizeBytes: number | null;
  /** Bytes on disk. */
  readonly storedBytes: number;
  /** The file, where it is another than that of the header. */
  readonly name?: string;
  /** Its first bytes, where they are at hand. */
  readonly head?: Uint8Array;
  /** From byte `start` to the end, in order. A piece may be overwritten when the next one is asked for. */
  pieces(start: number): AsyncIterable<Uint8Array>;
}

/** Takes bytes in order from pieces of any length. */
export interface ByteReader {
  /** Fills `target`; gives the number of bytes that there were: fewer than asked for only at the end. */
  fill(target: Uint8Array): Promise<number>;
  /** Passes over up to `count` bytes; gives the number that there were. */
  skip(count: number): Promise<number>;
  /** The next bytes, as many as lie at hand; null at the end. */
  next(): Promise<Uint8Array | null>;
  /** Makes `bytes` the next ones to be read. */
  unread(bytes: Uint8Array): void;
  close(): Promise<void>;
}

const NOTHING = new Uint8Array();

export function readerOf(pieces: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = pieces[Symbol.asyncIterator]();
  let rest: Uint8Array = NOTHING;
  const next = async (): Promise<Uint8Array | null> => {
    while (rest.length === 0) {
      const { done, value } = await iterator.next();
      if (done) return null;
      rest = value;
    }
    const piece = rest;
    rest = NOTHING;
    return piece;
  };
  const take = async (count: number, use: (part: Uint8Array, at: number) => void): Promise<number> => {
    let taken = 0;
    while (taken < count) {
      const piece = await next();
      if (piece === null) break;
      const part = piece.subarray(0, Math.min(piece.length, count - taken));
      use(part, taken);
      taken += part.length;
      rest = piece.subarray(part.length);
    }
    return taken;
  };
  return {
    fill: (target) => take(target.length, (part, at) => target.set(part, at)),
    skip: (count) => take(count, () => {}),
    next,
    unread: (bytes) => {
      const both = new Uint8Array(bytes.length + rest.length);
      both.set(bytes);
      both.set(rest, bytes.length);
      rest = both;
    },
    close: async () => {
      await iterator.return?.();
    },
  };
}

/** One array of them all. */
export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

export const memorySource = (bytes: Uint8Array): ByteSource => ({
  sizeBytes: bytes.length,
  storedBytes: bytes.length,
  async *pieces(start) {
    yield bytes.subarray(start);
  },
});

/** Pieces without their first `count` bytes. */
export async function* skipping(pieces: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let before = count;
  for await (const piece of pieces) {
    const passed = Math.min(before, piece.length);
    before -= passed;
    if (passed < piece.length) yield piece.subarray(passed);
  }
}

/** What follows the first `count` bytes. */
export const sourceFrom = (source: ByteSource, count: number): ByteSource => ({
  ...source,
  head: (source.head ?? NOTHING).subarray(count),
  sizeBytes: source.sizeBytes === null ? null : Math.max(0, source.sizeBytes - count),
  pieces: (start) => source.pieces(start + count),
});

/** One after the other, each of known size: an image whose slices lie in files of their own. */
export const joinedSources = (sources: readonly ByteSource[]): ByteSource => ({
  sizeBytes: sources.reduce<number | null>(
    (sum, { sizeBytes }) => (sum === null || sizeBytes === null ? null : sum + sizeBytes),
    0,
  ),
  storedBytes: sources.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
  async *pieces(start) {
    let before = start;
    for (const source of sources) {
      if (source.sizeBytes !== null && source.sizeBytes <= before) before -= source.sizeBytes;
      else {
        yield* source.pieces(before);
        before = 0;
      }
    }
  },
});

/** The first `limit` bytes, fewer if there are fewer. */
export async function headOf(source: ByteSource, limit: number): Promise<Uint8Array> {
  if (source.head && source.head.length >= limit) return source.head.subarray(0, limit);
  const reader = readerOf(source.pieces(0));
  try {
    const head = new Uint8Array(limit);
    return head.subarray(0, await reader.fill(head));
  } finally {
    await reader.close();
  }
}
