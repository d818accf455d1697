/**
 * Writing gzip (RFC 1952) with several processors at once: blocks of bytes are compressed side by side in Node's pool of threads. Each is
 * complete deflate data that ends on a whole byte, so that one after the other they are one ordinary stream of one member. Where blocks begin
 * depends on the bytes alone, so equal content gives equal files, whatever the machine.
 */
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw, type ZlibOptions } from 'node:zlib';

/** Enough that beginning anew costs nothing, little enough that small images have several. */
const BLOCK_BYTES = 2 ** 20;
/** Blocks that are compressed or wait to be written at a time: Node's pool has four threads. */
const AT_ONCE = 4;

/** What bytes are: codes in regions are worth an effort; of wider numbers, mostly noise, a high level saves 3 % in 4 times the time. */
export type Content = 'codes' | 'numbers';

const CODES: ZlibOptions = { level: 6 };
const NUMBERS: ZlibOptions = { level: 1 };
/** No search for what was there before: as small for the noise of floating-point fields, and three times as quick. */
const NOISE: ZlibOptions = { level: 1, strategy: constants.Z_HUFFMAN_ONLY };
/** A search must save this share to be made. */
const WORTH = 0.1;
const SAMPLE_BYTES = 2 ** 14;

const deflated = promisify<Uint8Array, ZlibOptions, Uint8Array>(deflateRaw);

const compress = (block: Uint8Array, options: ZlibOptions, last: boolean): Promise<Uint8Array> =>
  deflated(block, {
    ...options,
    memLevel: 9,
    // the result in one piece: each further one is another way through the pool
    chunkSize: block.length + 2 ** 10,
    finishFlush: last ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
  });

/** How to compress a block: two samples of it are tried both ways. */
async function optionsFor(block: Uint8Array, content: Content): Promise<ZlibOptions> {
  if (content === 'codes') return CODES;
  if (block.length < 4 * SAMPLE_BYTES) return NUMBERS;
  const samples = [0.25, 0.75].map((place) => {
    const start = Math.floor(place * block.length) & ~7;
    return block.subarray(start, start + SAMPLE_BYTES);
  });
  const sizeWith = async (options: ZlibOptions): Promise<number> => {
    const sizes = await Promise.all(samples.map((sample) => compress(sample, options, true)));
    return sizes.reduce((sum, { length }) => sum + length, 0);
  };
  const [searched, coded] = await Promise.all([sizeWith(NUMBERS), sizeWith(NOISE)]);
  return searched < (1 - WORTH) * coded ? NUMBERS : NOISE;
}

/** What a part of a stream was made of: its length before compression, and its CRC-32. */
export interface Deflated {
  readonly bytes: number;
  readonly crc: number;
}

/** A part of a deflate stream, compressed block by block while it is given. */
export class Deflater {
  readonly #content: Content;
  readonly #write: (compressed: Uint8Array) => Promise<void>;
  readonly #blocks = Array.from({ length: AT_ONCE }, () => new Uint8Array(0));
  /** Resolve when a block is written. */
  readonly #pending: Promise<void>[] = [];
  #count = 0;
  #filled = 0;
  #bytes = 0;
  #crc = 0;

  /** @param write is called with what was compressed, in order, one call after the other */
  constructor(content: Content, write: (compressed: Uint8Array) => Promise<void>) {
    this.#content = content;
    this.#write = write;
  }

  /** Takes bytes, which may be overwritten when the promise resolves; one call at a time. @throws what `write` throws */
  async add(bytes: Uint8Array): Promise<void> {
    this.#crc = crc32(bytes, this.#crc);
    this.#bytes += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const slot = this.#count % this.#blocks.length;
      if (this.#blocks[slot].length === 0) this.#blocks[slot] = new Uint8Array(BLOCK_BYTES);
      const part = bytes.subarray(at, at + BLOCK_BYTES - this.#filled);
      this.#blocks[slot].set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === BLOCK_BYTES) await this.#compress(false);
    }
  }

  /** Ends the part, with `last` the stream too, once all of it is written. */
  async end(last: boolean): Promise<Deflated> {
    if (last || this.#filled > 0) await this.#compress(last);
    await Promise.all(this.#pending);
    return { bytes: this.#bytes, crc: this.#crc };
  }

  async #compress(last: boolean): Promise<void> {
    const block = this.#blocks[this.#count % this.#blocks.length].subarray(0, this.#filled);
    const before = this.#pending.at(-1);
    const written = Promise.all([
      optionsFor(block, this.#content).then((options) => compress(block, options, last)),
      before,
    ]).then(([compressed]) => this.#write(compressed));
    // who adds next, or ends, is told
    written.catch(() => {});
    this.#pending.push(written);
    this.#count++;
    this.#filled = 0;
    if (this.#pending.length >= AT_ONCE) await this.#pending.shift();
  }
}

/** The ten bytes before the stream: no name, no time. */
export const GZIP_HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);

/** The eight bytes behind a stream of these parts. */
export function gzipTrailer(parts: readonly Deflated[]): Uint8Array {
  const { bytes, crc } = parts.reduce((all, part) => ({
    bytes: all.bytes + part.bytes,
    crc: multiplied(all.crc, power(part.bytes)) ^ part.crc,
  }));
  const trailer = new DataView(new ArrayBuffer(8));
  trailer.setUint32(0, crc, true);
  trailer.setUint32(4, bytes % 2 ** 32, true);
  return new Uint8Array(trailer.buffer);
}

// CRC-32 is arithmetic with polynomials over two elements, the highest power in the lowest bit: bytes behind others multiply these by x^8 each.
const MODULUS = 0xedb88320;
const ONE = 0x80000000;
const X8 = 0x00800000;

function multiplied(a: number, b: number): number {
  let product = 0;
  for (let bit = ONE, left = b; bit !== 0; bit >>>= 1) {
    if (a & bit) product ^= left;
    left = left & 1 ? (left >>> 1) ^ MODULUS : left >>> 1;
  }
  return product;
}

/** x to the power of 8 `count`. */
function power(count: number): number {
  let result = ONE;
  for (let left = count, square = X8; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = multiplied(result, square);
    square = multiplied(square, square);
  }
  return result;
}
