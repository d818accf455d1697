/**
 * The bytes of image files: in order and in pieces, decompressed where they are compressed, with every damage of the compressed stream
 * named; or part by part wherever they lie (DICOM). A file is opened for each reading, so that no more than one is open at a time.
 */
import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { crc32, createInflate, createInflateRaw, inflateRawSync } from 'node:zlib';
import { RunError } from '../../common/errors.ts';
import { fillFrom } from '../../platform/node/files.ts';
import { isMachineTrouble, machineError, withMachineTrouble } from '../../platform/node/machine.ts';
import { type ByteReader, type ByteSource, headOf, memorySource, readerOf, skipping } from '../bytes.ts';
import type { RandomAccess } from '../dicom/random-access.ts';
import { HEAD_BYTES } from '../file-store.ts';

const PIECE_BYTES = 2 ** 20;
/** Enough that the next piece is decompressed, in Node's pool of threads, while something is done with one. */
const INFLATED_BYTES = 2 ** 20;
/** Files of at most so many bytes are read whole at once, and decompressed at once if that gives no more than {@link SMALL_INFLATED_BYTES}. */
const SMALL_BYTES = 2 ** 20;
const SMALL_INFLATED_BYTES = 2 ** 24;

/** A file as it is. @throws RunError without its name, MachineError */
export async function fileSource(path: string): Promise<ByteSource> {
  const facts = await statOf(path);
  if (!facts.isFile())
    throw new RunError(`it is ${facts.isDirectory() ? 'a folder' : 'neither a file nor a folder'}, expected a file`);
  const { size } = facts;
  return {
    sizeBytes: size,
    storedBytes: size,
    async *pieces(start) {
      const file = await opened(path);
      try {
        const buffer = new Uint8Array(Math.min(PIECE_BYTES, Math.max(size, 1)));
        for (let at = start; at < size; ) {
          const piece = buffer.subarray(0, Math.min(buffer.length, size - at));
          const length = await withMachineTrouble(path, () => fillFrom(file, piece, at));
          if (length === 0) return;
          at += length;
          yield piece.subarray(0, length);
        }
      } finally {
        await file.close();
      }
    },
  };
}

/** A file's parts. @throws RunError without its name, MachineError */
export async function randomAccess(path: string): Promise<RandomAccess> {
  const { size } = await statOf(path);
  return { path, size, read: (start, end) => bytesAt(path, start, Math.max(0, Math.min(end, size) - start)) };
}

/** A file's bytes from `start`, up to `count` of them. @throws RunError without its name, MachineError */
export async function bytesAt(path: string, start: number, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  const file = await opened(path);
  try {
    return bytes.subarray(0, await withMachineTrouble(path, () => fillFrom(file, bytes, start)));
  } finally {
    await file.close();
  }
}

const statOf = (path: string): Promise<Stats> =>
  stat(path).catch((error: NodeJS.ErrnoException) => {
    throw openingError(path, error);
  });

const opened = (path: string): Promise<FileHandle> =>
  open(path).catch((error: NodeJS.ErrnoException) => {
    throw openingError(path, error);
  });

/** Why a file could not be opened: one that is not there or not ours to read is a matter of that file alone. */
export function openingError(path: string, error: NodeJS.ErrnoException): Error {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return new RunError('no such file or folder');
  if (error.code === 'EACCES' || error.code === 'EPERM')
    return new RunError(`no permission to read it (${error.code}): change its permissions`);
  return isMachineTrouble(error) ? machineError(path, error) : new RunError(`cannot be opened (${error.code ?? error.message})`);
}

/** What a compressed stream begins with: gzip (RFC 1952), or zlib (RFC 1950). */
const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/**
 * What decompressing `source` gives, gzip with any number of members or zlib.
 * @param warnings is told of what lies behind the stream, and `stored`, if known, is compared with the stream's length
 */
export const inflatedSource = (source: ByteSource, warnings: Set<string>, stored: number | null = null): ByteSource => ({
  sizeBytes: null,
  storedBytes: source.storedBytes,
  pieces: (start) => skipping(inflated(source, warnings, stored), start),
});

/** A file, decompressed if it begins as gzip does; its beginning is at hand unless it is a large compressed one. @throws RunError without its name */
export async function maybeGzipped(path: string, warnings: Set<string>): Promise<ByteSource & { readonly gzipped: boolean }> {
  const file = await fileSource(path);
  if (file.storedBytes === 0) throw new RunError('it is empty (0 bytes)');
  const head = await headOf(file, file.storedBytes <= SMALL_BYTES ? file.storedBytes : HEAD_BYTES);
  const source = head.length === file.storedBytes ? { ...memorySource(head), head } : { ...file, head };
  if (!isGzip(head)) return { ...source, gzipped: false };
  const whole = head.length === file.storedBytes ? inflatedAtOnce(head) : null;
  if (whole) return { ...memorySource(whole), storedBytes: file.storedBytes, head: whole, gzipped: true };
  return { ...inflatedSource(source, warnings), gzipped: true };
}

/** What a small gzip file of one member holds; null for any other, and for one with any damage or anything odd, which is told while it is read in order. */
function inflatedAtOnce(file: Uint8Array): Uint8Array | null {
  const end = file.length - 8;
  const [, , method, flags] = file;
  // a header with nothing but perhaps a name
  const start = flags === 0 ? 10 : flags === 8 ? file.indexOf(0, 10) + 1 : 0;
  if (method !== 8 || start < 10 || start > end) return null;
  const trailer = new DataView(file.buffer, file.byteOffset + end, 8);
  const length = trailer.getUint32(4, true);
  if (length > SMALL_INFLATED_BYTES) return null;
  try {
    const stream = file.subarray(start, end);
    // with room for one byte more, it is seen to be at its end without a second call
    const options = { info: true, chunkSize: Math.max(64, length + 1), maxOutputLength: Math.max(1, length) };
    const { buffer, engine } = inflateRawSync(stream, options) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    const isWhole = engine.bytesWritten === stream.length && buffer.length === length;
    return isWhole && crc32(buffer) === trailer.getUint32(0, true) ? buffer : null;
  } catch {
    return null;
  }
}

async function* inflated(source: ByteSource, warnings: Set<string>, stored: number | null): AsyncGenerator<Uint8Array> {
  const reader = readerOf(source.pieces(0));
  try {
    const start = new Uint8Array(2);
    const length = await reader.fill(start);
    if (length === 0) throw new RunError('its compressed stream is empty');
    reader.unread(start.subarray(0, length));
    let used = 0;
    if (!isGzip(start)) used = yield* inflateOnce(reader, 'zlib', () => {});
    else used = yield* inflateMembers(reader);
    const rest = await reader.skip(Number.POSITIVE_INFINITY);
    if (rest > 0 && stored === null) warnings.add(`${rest} extra bytes after its compressed stream were ignored`);
    if (stored !== null && stored !== used)
      warnings.add(`its header states ${stored} bytes of compressed voxels, but the stream has ${used}; it was read to its end`);
  } finally {
    await reader.close();
  }
}

/** All members of a gzip stream, each checked; gives the stream's length. Zeros behind it are padding. */
async function* inflateMembers(reader: ByteReader): AsyncGenerator<Uint8Array, number> {
  let used = 0;
  for (;;) {
    used += await passMemberHeader(reader);
    let [sum, length] = [0, 0];
    used += yield* inflateOnce(reader, 'raw', (piece) => {
      sum = crc32(piece, sum);
      length = (length + piece.length) % 2 ** 32;
    });
    const trailer = new Uint8Array(8);
    if ((await reader.fill(trailer)) < 8) throw new RunError('its gzip stream is truncated: its checksum is missing');
    used += 8;
    const view = new DataView(trailer.buffer);
    if (view.getUint32(0, true) !== sum) throw new RunError('its gzip checksum does not match: voxels are damaged');
    if (view.getUint32(4, true) !== length) throw new RunError('its gzip length does not match: voxels are damaged');
    const start = new Uint8Array(2);
    const more = start.subarray(0, await reader.fill(start));
    reader.unread(more);
    if (isGzip(more)) continue;
    if (more.every((byte) => byte === 0)) await passZeros(reader);
    return used;
  }
}

/** RFC 1952, 2.3. Gives the header's length. */
async function passMemberHeader(reader: ByteReader): Promise<number> {
  const take = async (count: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(count);
    if ((await reader.fill(bytes)) < count) throw new RunError('its gzip stream is truncated: its header is not complete');
    return bytes;
  };
  const passText = async (): Promise<number> => {
    for (let length = 1; ; length++) if ((await take(1))[0] === 0) return length;
  };
  const [, , method, flags] = await take(10);
  if (method !== 8) throw new RunError(`its compressed stream is damaged (gzip method ${method}, expected 8)`);
  let length = 10;
  if (flags & 4) {
    const [low, high] = await take(2);
    await take(low + 256 * high);
    length += 2 + low + 256 * high;
  }
  if (flags & 8) length += await passText();
  if (flags & 16) length += await passText();
  if (flags & 2) length += (await take(2)).length;
  return length;
}

async function passZeros(reader: ByteReader): Promise<void> {
  for (let piece = await reader.next(); piece !== null; piece = await reader.next()) {
    const other = piece.findIndex((byte) => byte !== 0);
    if (other < 0) continue;
    reader.unread(piece.subarray(other));
    return;
  }
}

/**
 * One deflate stream. What `reader` holds behind it is left there; gives the stream's length.
 * @param see is shown every piece
 */
async function* inflateOnce(
  reader: ByteReader,
  wrapper: 'raw' | 'zlib',
  see: (piece: Uint8Array) => void,
): AsyncGenerator<Uint8Array, number> {
  const engine =
    wrapper === 'raw' ? createInflateRaw({ chunkSize: INFLATED_BYTES }) : createInflate({ chunkSize: INFLATED_BYTES });
  let fed = 0;
  let stopped = false;
  let failed: unknown;
  const closed = new Promise<false>((done) => engine.once('close', () => done(false)));
  const feed = async (): Promise<void> => {
    while (!stopped) {
      const piece = await reader.next();
      if (piece === null) {
        engine.end();
        return;
      }
      fed += piece.length;
      // The engine may keep it for longer than the reader does. After an error it never calls back, it only closes.
      const written = new Promise<boolean>((done) => engine.write(piece.slice(), (error) => done(!error)));
      if (!(await Promise.race([written, closed]))) return;
      if (engine.bytesWritten < fed) {
        reader.unread(piece.subarray(piece.length - (fed - engine.bytesWritten)));
        return;
      }
    }
  };
  const feeding = feed().catch((error: unknown) => {
    failed = error;
    engine.destroy();
  });
  try {
    for await (const piece of engine as AsyncIterable<Uint8Array>) {
      see(piece);
      yield piece;
    }
    await feeding;
    return engine.bytesWritten;
  } catch (error) {
    if (failed !== undefined) throw failed;
    throw isZlibError(error) ? new RunError(describeZlib(error)) : error;
  } finally {
    stopped = true;
    engine.destroy();
    await feeding;
  }
}

const isZlibError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'code' in error && /^(Z_|ERR_STREAM_PREMATURE_CLOSE)/.test(String(error.code));

/** Node's zlib errors in words. */
function describeZlib(error: NodeJS.ErrnoException): string {
  if (error.code === 'Z_BUF_ERROR') return 'its compressed stream is truncated';
  if (/incorrect data check/.test(error.message)) return 'its zlib checksum does not match: voxels are damaged';
  return `its compressed stream is damaged (${error.message})`;
}
