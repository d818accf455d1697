import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RunError } from '../../../common/errors.ts';
import { openRandomAccess } from '../../../platform/node/random-access.ts';
import { type End, type Entry, zipByHand } from './testing/zip-by-hand.ts';
import { openZip, zipStored } from './zip.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-zip-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Every entry of an archive of these bytes. */
async function readAll(bytes: Uint8Array): Promise<Record<string, number[]>> {
  const path = join(folder, 'made.zip');
  await writeFile(path, bytes);
  const file = await openRandomAccess(path, 'a zip file');
  try {
    const archive = await openZip(file);
    const found: Record<string, number[]> = {};
    for (const entry of archive.entries.values()) found[entry.name] = [...(await archive.read(entry))];
    return found;
  } finally {
    await file.close();
  }
}

const DATA = Uint8Array.of(1, 2, 3, 4, 5);
const entries: Entry[] = [
  { name: 'a/one', data: DATA },
  { name: 'a/empty', data: new Uint8Array() },
];
const zip64 = (...numbers: number[]): Uint8Array => {
  const out = Buffer.alloc(4 + 8 * numbers.length);
  out.writeUInt16LE(1, 0);
  out.writeUInt16LE(8 * numbers.length, 2);
  numbers.forEach((number, i) => void out.writeBigUInt64LE(BigInt(number), 4 + 8 * i));
  return out;
};

describe('zip', () => {
  it('reads what was stored, a comment at the end or not', async () => {
    const bytes = zipByHand(entries);
    expect(await readAll(bytes)).toEqual({ 'a/one': [...DATA], 'a/empty': [] });
    bytes.writeUInt16LE(3, bytes.length - 2);
    expect(Object.keys(await readAll(Buffer.concat([bytes, Buffer.from('abc')])))).toHaveLength(2);
  });

  it('reads zip64 sizes of an entry', async () => {
    const entry = { name: 'wide', data: DATA, sizeBytes: 0xffffffff, storedBytes: 0xffffffff, offset: 0xffffffff };
    expect(await readAll(zipByHand([{ ...entry, extra: zip64(5, 5, 0) }]))).toEqual({ wide: [...DATA] });
    await expect(readAll(zipByHand([{ ...entry, extra: zip64(5, 5) }]))).rejects.toThrow('zip64');
    await expect(readAll(zipByHand([{ ...entry, extra: zip64(2 ** 60, 2 ** 60, 0) }]))).rejects.toThrow('outside the file');
  });

  it.each<[string, Entry[], End?]>([
    ['is compressed (Deflate)', [{ name: 'a', data: new Uint8Array(100_000), method: 8 }]],
    ['is compressed (method 77)', [{ name: 'a', data: DATA, method: 77 }]],
    ['is encrypted', [{ name: 'a', data: DATA, flags: 1 }]],
    ['is encrypted', [{ name: 'a', data: DATA, method: 99 }]],
    ['duplicate entry', [...entries, { name: 'a/one', data: DATA }]],
    ['CRC-32', [{ name: 'a', data: DATA, crc: 7 }]],
    ['stored as 5', [{ name: 'a', data: DATA, sizeBytes: 4_000_000_000 }]],
    ['outside the file', [{ name: 'a', data: DATA, sizeBytes: 4_000_000_000, storedBytes: 4_000_000_000 }]],
    ['outside the file', [{ name: 'a', data: DATA, offset: 1000 }]],
    ['not at its position in the directory', [{ name: 'a', data: new Uint8Array(100), offset: 1, sizeBytes: 5, storedBytes: 5 }]],
    [
      'overlap',
      [
        { name: 'a', data: DATA },
        { name: 'b', data: DATA, offset: 1 },
      ],
    ],
    [
      'overlap',
      [
        { name: 'a', data: DATA },
        { name: 'b', data: DATA, offset: 0 },
      ],
    ],
    ['a different name at its data', [{ name: 'a', data: DATA, localName: 'b' }]],
    ['leaves its folder', [{ name: '../a', data: DATA }]],
    ['leaves its folder', [{ name: '/a', data: DATA }]],
    ['leaves its folder', [{ name: 'C:a', data: DATA }]],
    ['leaves its folder', [{ name: 'a\\b', data: DATA }]],
    ['leaves its folder', [{ name: 'a\0b', data: DATA }]],
    ['not UTF-8', [{ name: Buffer.of(0xff, 0xfe), data: DATA }]],
    ['states 3 entries and contains 2', entries, { count: 3 }],
    ['outside the file', entries, { directoryBytes: 4_000_000 }],
    ['more than any network needs', entries, { directoryBytes: 4_000_000_000 }],
    ['outside the file', entries, { directoryOffset: 4_000_000 }],
    ['states 2 entries and contains 0', entries, { directoryOffset: 0 }],
  ])('refuses by name and reason: %s', async (reason, made, end) => {
    const failure = await readAll(zipByHand(made, end)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RunError);
    expect((failure as Error).message).toContain('made.zip');
    expect((failure as Error).message).toContain(reason);
  });

  it('refuses every shorter part of a file', async () => {
    const bytes = zipByHand(entries);
    for (let length = 0; length < bytes.length; length++)
      await expect(readAll(bytes.subarray(0, length)), `${length} bytes`).rejects.toThrow(RunError);
  });

  it('writes stored entries, each at a multiple of 64 bytes, equal bytes for equal entries', async () => {
    const made = [65, 70, 0, 64].map((length, i) => ({ name: `archive/data/${i}`, data: new Uint8Array(length).fill(200 + i) }));
    const bytes = Buffer.concat(zipStored(made));
    expect(bytes.equals(Buffer.concat(zipStored(made)))).toBe(true);
    for (const { data } of made.filter(({ data: { length } }) => length > 0)) expect(bytes.indexOf(data) % 64).toBe(0);
    expect(await readAll(bytes)).toEqual(Object.fromEntries(made.map(({ name, data }) => [name, [...data]])));
  });
});
