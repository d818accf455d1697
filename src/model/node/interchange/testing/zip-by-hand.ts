/** Zip archives made by hand, honest or not: every number that a header holds can be told otherwise. */
import { crc32, deflateRawSync } from 'node:zlib';

export interface Entry {
  readonly name: string | Uint8Array;
  /** What stands before the data instead; of the same length. */
  readonly localName?: string;
  readonly data: Uint8Array;
  readonly flags?: number;
  /** 0 stored, 8 deflated (and then it is). */
  readonly method?: number;
  /** What the directory says instead. */
  readonly sizeBytes?: number;
  readonly storedBytes?: number;
  readonly crc?: number;
  readonly offset?: number;
  readonly extra?: Uint8Array;
}

export interface End {
  readonly count?: number;
  readonly directoryBytes?: number;
  readonly directoryOffset?: number;
}

const header = (bytes: number, ...fields: [at: number, size: 2 | 4, value: number][]): Buffer => {
  const out = Buffer.alloc(bytes);
  for (const [at, size, value] of fields) out.writeUIntLE(value, at, size);
  return out;
};

export function zipByHand(entries: readonly Entry[], end: End = {}): Buffer {
  const pieces: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const { data, flags = 0, method = 0, extra = new Uint8Array() } = entry;
    const name = Buffer.from(entry.name as string);
    const stored = method === 8 ? deflateRawSync(data) : Buffer.from(data);
    const crc = entry.crc ?? crc32(data);
    const sizeBytes = entry.sizeBytes ?? data.length;
    const storedBytes = entry.storedBytes ?? stored.length;
    const local = header(30, [0, 4, 0x04034b50], [6, 2, flags], [8, 2, method], [26, 2, name.length]);
    pieces.push(local, Buffer.from(entry.localName ?? name), stored);
    directory.push(
      header(
        46,
        [0, 4, 0x02014b50],
        [8, 2, flags],
        [10, 2, method],
        [16, 4, crc],
        [20, 4, storedBytes],
        [24, 4, sizeBytes],
        [28, 2, name.length],
        [30, 2, extra.length],
        [42, 4, entry.offset ?? offset],
      ),
      name,
      Buffer.from(extra),
    );
    offset += local.length + name.length + stored.length;
  }
  const directoryBytes = Buffer.concat(directory).length;
  const count = end.count ?? entries.length;
  return Buffer.concat([
    ...pieces,
    ...directory,
    header(
      22,
      [0, 4, 0x06054b50],
      [8, 2, count],
      [10, 2, count],
      [12, 4, end.directoryBytes ?? directoryBytes],
      [16, 4, end.directoryOffset ?? offset],
    ),
  ]);
}
