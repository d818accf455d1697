/**
 * Zip archives as PyTorch makes them: entries stored as they are, never compressed, never encrypted.
 *
 * Nothing is inflated, so an archive cannot be larger in memory than on the disk; what is left of the format is its directory, whose
 * numbers are all checked against the file, and each entry's CRC-32, so that a damaged file is never a slightly different network.
 * Format: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3 and 4.5.3 (zip64).
 */
import { crc32 } from 'node:zlib';
import { RunError } from '../../../common/errors.ts';
import { quoteJson } from '../../../common/json.ts';
import type { RandomAccessFile } from '../../../platform/node/random-access.ts';

const LOCAL_HEADER = 0x04034b50;
const DIRECTORY_ENTRY = 0x02014b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const END_64_LOCATOR = 0x07064b50;
const LOCAL_HEADER_BYTES = 30;
const DIRECTORY_ENTRY_BYTES = 46;
const END_BYTES = 22;
const END_64_BYTES = 56;
const END_64_LOCATOR_BYTES = 20;
const MAX_COMMENT_BYTES = 0xffff;
/** A directory of a hundred thousand entries; a network has some hundred. Keeps a hostile file from asking for all memory there is. */
const MAX_DIRECTORY_BYTES = 16_000_000;
const ZIP64_FIELD = 0x0001;
const IN_ZIP64 = 0xffff_ffff;
const METHODS: Readonly<Record<number, string>> = { 8: 'Deflate', 9: 'Deflate64', 12: 'bzip2', 14: 'LZMA', 93: 'Zstandard' };

/** What the directory says of an entry, checked. */
export interface ZipEntry {
  readonly name: string;
  readonly sizeBytes: number;
  readonly crc: number;
  /** Where its local header starts. */
  readonly offset: number;
  /** Why it cannot be read; a program of TorchScript has such entries, and ours need not be among them. */
  readonly refusal: string | undefined;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
/** Past 2^53 it loses its last digits, but then it is above any file's size all the same. */
const uint64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

/** Where the directory lies, by the record at the file's end. */
async function findDirectory(
  file: RandomAccessFile,
  refuse: (reason: string) => never,
): Promise<{ offset: number; sizeBytes: number; count: number }> {
  const tailBytes = Math.min(file.sizeBytes, END_BYTES + MAX_COMMENT_BYTES + END_64_LOCATOR_BYTES);
  const tail = viewOf(await file.read(file.sizeBytes - tailBytes, tailBytes));
  let at = tailBytes - END_BYTES;
  // The record ends with a comment of the length that it says, and the file with the comment.
  while (at >= 0 && !(tail.getUint32(at, true) === END && tail.getUint16(at + 20, true) === tailBytes - at - END_BYTES)) at--;
  if (at < 0) return refuse('it has no directory at its end; truncated?');
  const locator = at - END_64_LOCATOR_BYTES;
  if (locator < 0 || tail.getUint32(locator, true) !== END_64_LOCATOR)
    return {
      count: tail.getUint16(at + 10, true),
      sizeBytes: tail.getUint32(at + 12, true),
      offset: tail.getUint32(at + 16, true),
    };
  const end64 = uint64(tail, locator + 8);
  if (end64 > file.sizeBytes - END_64_BYTES) refuse('its zip64 record lies outside the file; truncated?');
  const record = viewOf(await file.read(end64, END_64_BYTES));
  if (record.getUint32(0, true) !== END_64) refuse('its zip64 record is damaged');
  return { count: uint64(record, 32), sizeBytes: uint64(record, 40), offset: uint64(record, 48) };
}

/** The sizes and the offset that did not fit into an entry's 32 bits, from its zip64 field. */
function widen(numbers: readonly number[], extra: DataView): number[] | undefined {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== ZIP64_FIELD) continue;
    let from = at + 4;
    const end = Math.min(from + extra.getUint16(at + 2, true), extra.byteLength);
    const wide = numbers.map((number) => {
      if (number !== IN_ZIP64) return number;
      from += 8;
      return from <= end ? uint64(extra, from - 8) : Number.NaN;
    });
    return wide.some(Number.isNaN) ? undefined : wide;
  }
  return numbers.includes(IN_ZIP64) ? undefined : [...numbers];
}

function nameOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** An archive's entries by name. */
export interface ZipArchive {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** An entry's bytes. @throws RunError naming file and entry if they are compressed, encrypted or damaged */
  read(entry: ZipEntry): Promise<Uint8Array>;
}

/**
 * Reads an archive's directory. `file` stays open, and the caller's.
 * @throws RunError naming the file, and the entry: a directory that is missing or does not describe the file, an entry that stands
 *   there twice
 */
export async function openZip(file: RandomAccessFile): Promise<ZipArchive> {
  const refuse = (reason: string): never => {
    throw new RunError(`${file.path}: damaged zip file: ${reason}`);
  };
  if (file.sizeBytes < END_BYTES) refuse(`too small (${file.sizeBytes} bytes)`);
  const directory = await findDirectory(file, refuse);
  if (directory.sizeBytes > MAX_DIRECTORY_BYTES)
    refuse(`its directory takes ${directory.sizeBytes} bytes, more than any network needs`);
  if (directory.offset + directory.sizeBytes > file.sizeBytes) refuse('its directory lies outside the file; truncated?');
  const bytes = await file.read(directory.offset, directory.sizeBytes);
  const view = viewOf(bytes);
  const entries = new Map<string, ZipEntry>();
  const ranges: { name: string; offset: number; end: number }[] = [];
  let at = 0;
  for (let i = 0; i < directory.count; i++) {
    if (at + DIRECTORY_ENTRY_BYTES > bytes.length || view.getUint32(at, true) !== DIRECTORY_ENTRY)
      refuse(`its directory states ${directory.count} entries and contains ${i}`);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [
      number,
      number,
      number,
    ];
    const nameAt = at + DIRECTORY_ENTRY_BYTES;
    const end = nameAt + nameBytes + extraBytes + commentBytes;
    if (end > bytes.length) refuse('its directory is truncated');
    const name = nameOf(bytes.subarray(nameAt, nameAt + nameBytes)) ?? refuse(`entry ${i + 1} has a name that is not UTF-8`);
    if (/^\/|^[A-Za-z]:|\\|\0|(^|\/)\.\.(\/|$)/.test(name))
      refuse(`the entry ${quoteJson(name)} has a name that leaves its folder`);
    const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
    const refusal =
      (flags & 1) !== 0 || method === 99
        ? 'encrypted; expected a file written by torch.save'
        : method !== 0
          ? `compressed (${METHODS[method] ?? `method ${method}`}), which torch.save never does; save the file with torch.save again`
          : undefined;
    const extra = viewOf(bytes.subarray(nameAt + nameBytes, nameAt + nameBytes + extraBytes));
    const numbers = widen([view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)], extra);
    if (!numbers) return refuse(`the entry ${name} lacks its zip64 sizes`);
    const [sizeBytes, storedBytes, offset] = numbers as [number, number, number];
    if (refusal === undefined && sizeBytes !== storedBytes)
      refuse(`the entry ${name} has ${sizeBytes} bytes, stored as ${storedBytes}`);
    if (offset + LOCAL_HEADER_BYTES + nameBytes + storedBytes > directory.offset)
      refuse(`the entry ${name} lies outside the file; truncated?`);
    if (entries.has(name)) refuse(`duplicate entry ${name}`);
    entries.set(name, { name, sizeBytes, crc: view.getUint32(at + 16, true), offset, refusal });
    ranges.push({ name, offset, end: offset + LOCAL_HEADER_BYTES + nameBytes + storedBytes });
    at = end;
  }
  ranges.sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < ranges.length; i++)
    if (ranges[i].offset < ranges[i - 1].end) refuse(`the entries ${ranges[i - 1].name} and ${ranges[i].name} overlap`);
  return {
    entries,
    read: async ({ name, sizeBytes, crc, offset, refusal }) => {
      if (refusal !== undefined) throw new RunError(`${file.path}: the entry ${name} is ${refusal}`);
      const header = viewOf(await file.read(offset, LOCAL_HEADER_BYTES));
      const nameBytes = header.getUint16(26, true);
      const start = offset + LOCAL_HEADER_BYTES + nameBytes + header.getUint16(28, true);
      if (header.getUint32(0, true) !== LOCAL_HEADER || start + sizeBytes > directory.offset)
        refuse(`the entry ${name} is not at its position in the directory`);
      if (nameOf(await file.read(offset + LOCAL_HEADER_BYTES, nameBytes)) !== name)
        refuse(`the entry ${name} has a different name at its data`);
      const data = await file.read(start, sizeBytes);
      const found = crc32(data);
      if (found !== crc) refuse(`the entry ${name} has the CRC-32 ${found.toString(16)}, the directory says ${crc.toString(16)}`);
      return data;
    },
  };
}

/** Of the data in the file, so that they can be mapped into memory and used as they lie; as PyTorch does. */
const ALIGNMENT_BYTES = 64;
/** 'FB', the field that PyTorch fills the gap with. */
const GAP_FIELD = 0x4246;
/** The first of January 1980, the format's first day: equal contents give equal bytes. */
const NO_DATE = 0x0021;
/** Of the format without zip64. */
const MAX_ARCHIVE_BYTES = 0xffff_ffff;

/**
 * An archive of stored entries in the given order, as pieces to be written one after the other; the data are not copied.
 * @throws RunError if it were larger than 4 GiB
 */
export function zipStored(entries: readonly { readonly name: string; readonly data: Uint8Array }[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { name, data } of entries) {
    const encoded = new TextEncoder().encode(name);
    const unpadded = offset + LOCAL_HEADER_BYTES + encoded.length + 4;
    const gap = (ALIGNMENT_BYTES - (unpadded % ALIGNMENT_BYTES)) % ALIGNMENT_BYTES;
    // version, flags, method, time, date, CRC, size stored, size: the same in both headers
    const shared = new Uint8Array(26);
    const view = viewOf(shared);
    view.setUint16(0, 20, true);
    view.setUint16(8, NO_DATE, true);
    view.setUint32(10, crc32(data), true);
    view.setUint32(14, data.length, true);
    view.setUint32(18, data.length, true);
    view.setUint16(22, encoded.length, true);

    const local = new Uint8Array(LOCAL_HEADER_BYTES + encoded.length + 4 + gap);
    const localView = viewOf(local);
    localView.setUint32(0, LOCAL_HEADER, true);
    local.set(shared, 4);
    localView.setUint16(28, 4 + gap, true);
    local.set(encoded, LOCAL_HEADER_BYTES);
    localView.setUint16(LOCAL_HEADER_BYTES + encoded.length, GAP_FIELD, true);
    localView.setUint16(LOCAL_HEADER_BYTES + encoded.length + 2, gap, true);

    const central = new Uint8Array(DIRECTORY_ENTRY_BYTES + encoded.length);
    const centralView = viewOf(central);
    centralView.setUint32(0, DIRECTORY_ENTRY, true);
    centralView.setUint16(4, 20, true);
    central.set(shared, 6);
    centralView.setUint32(42, offset, true);
    central.set(encoded, DIRECTORY_ENTRY_BYTES);

    pieces.push(local, data);
    directory.push(central);
    offset += local.length + data.length;
    if (offset > MAX_ARCHIVE_BYTES) throw new RunError('a zip file of more than 4 GiB; export the model as safetensors');
  }
  const directoryBytes = directory.reduce((sum, { length }) => sum + length, 0);
  const end = new Uint8Array(END_BYTES);
  const view = viewOf(end);
  view.setUint32(0, END, true);
  view.setUint16(8, entries.length, true);
  view.setUint16(10, entries.length, true);
  view.setUint32(12, directoryBytes, true);
  view.setUint32(16, offset, true);
  return [...pieces, ...directory, end];
}
