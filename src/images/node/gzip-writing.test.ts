import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { joinBytes } from '../bytes.ts';
import { type Content, Deflater, GZIP_HEADER, gzipTrailer } from './gzip-writing.ts';

/** Bytes of several blocks: noise of floats, then a stretch of one value, then rows that repeat. */
function mixed(length: number): Uint8Array {
  const floats = Float32Array.from({ length: length / 4 }, (_, i) => {
    if (i < length / 12) return Math.fround(40 + Math.sin(i * i));
    return i < length / 6 ? 7 : Math.sin(i % 512);
  });
  return new Uint8Array(floats.buffer);
}

/** A gzip file of parts, each given in pieces of odd sizes. */
async function gzipped(parts: readonly Uint8Array[], content: Content): Promise<Uint8Array> {
  const out: Uint8Array[] = [GZIP_HEADER];
  const done = [];
  for (const [k, part] of parts.entries()) {
    const deflater = new Deflater(content, async (bytes) => {
      // whoever writes may take a while
      await new Promise((resolve) => setTimeout(resolve, out.length % 3));
      out.push(bytes);
    });
    const piece = new Uint8Array(77_777);
    for (let at = 0; at < part.length; at += piece.length) {
      const some = part.subarray(at, at + piece.length);
      piece.set(some);
      await deflater.add(piece.subarray(0, some.length));
      piece.fill(0);
    }
    done.push(await deflater.end(k === parts.length - 1));
  }
  return joinBytes([...out, gzipTrailer(done)]);
}

describe('gzip by blocks', () => {
  it.each(['codes', 'numbers'] as const)('is one member with the right checksum, of one part or several: %s', async (content) => {
    const bytes = mixed(5_000_004);
    for (const cuts of [[], [0], [1], [2 ** 20], [2 ** 20 + 1, 3 * 2 ** 20], [5_000_004], [11, 11, 4_000_000]]) {
      const ends = [...cuts, bytes.length];
      const file = await gzipped(
        ends.map((end, k) => bytes.subarray(ends[k - 1] ?? 0, end)),
        content,
      );
      expect(gunzipSync(file).equals(bytes)).toBe(true);
    }
    expect(gunzipSync(await gzipped([new Uint8Array()], content))).toHaveLength(0);
  });

  it('gives the same bytes every time, little larger than searching everywhere', async () => {
    const bytes = mixed(5_000_004);
    const [first, second] = [await gzipped([bytes], 'numbers'), await gzipped([bytes], 'numbers')];
    expect(Buffer.from(first).equals(second)).toBe(true);
    expect(first.length).toBeLessThan(1.1 * gzipSync(bytes, { level: 1 }).length);
  });

  it('tells whoever adds that writing failed, and writes nothing behind that', async () => {
    let calls = 0;
    const deflater = new Deflater('numbers', () => {
      calls++;
      return Promise.reject(new Error('disk full'));
    });
    const adding = async (): Promise<void> => {
      for (let k = 0; k < 100; k++) await deflater.add(mixed(2 ** 20));
    };
    await expect(adding()).rejects.toThrow('disk full');
    expect(calls).toBe(1);
    await expect(new Deflater('codes', () => Promise.reject(new Error('disk full'))).end(true)).rejects.toThrow('disk full');
  });
});
