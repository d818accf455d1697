/**
 * A DICOM file's data set up to its pixels, whatever its transfer syntax, with or without preamble and meta header.
 *
 * Parsed with dicom-parser, which needs no dictionary. Of a large file only the beginning is read: the pixels are fetched frame by frame
 * later (pixels.ts).
 */
import dicomParser, { type ByteArrayParser, type ByteStream, type DataSet } from 'dicom-parser';
import { Inflate } from 'fflate';
import { RunError } from '../../common/errors.ts';
import { joinBytes } from '../bytes.ts';
import { inMemory, type RandomAccess } from './random-access.ts';

const IMPLICIT = '1.2.840.10008.1.2';
const EXPLICIT = '1.2.840.10008.1.2.1';
const BIG_ENDIAN = '1.2.840.10008.1.2.2';
const DEFLATED = '1.2.840.10008.1.2.1.99';

/** How the elements of a data set are written. */
interface Encoding {
  readonly explicit: boolean;
  readonly bigEndian: boolean;
}

export interface PixelElement {
  readonly tag: string;
  /** Of the first byte of the pixels, in `source`. */
  readonly offset: number;
  readonly length: number;
  /** Pixels in fragments (length not stated). */
  readonly encapsulated: boolean;
  readonly vr: string;
}

export interface DicomDataSet {
  readonly data: DataSet;
  readonly transferSyntax: string;
  readonly bigEndian: boolean;
  /** Absent in a file without pixels. */
  readonly pixels?: PixelElement;
  /** What `pixels.offset` counts in: the file itself, or its inflated content. */
  readonly source: RandomAccess;
}

/** Bytes that `looksLikeDicom` wants to see. */
export const SNIFFED_BYTES = 144;
const FIRST_READ_BYTES = 64 * 1024;
const UNKNOWN_LENGTH = 0xffffffff;
/** An inflated data set beyond this is refused. */
const MAX_INFLATED_BYTES = 1.5 * 2 ** 30;
/** (7FE0,0010), and the pixels of parametric maps as 32-bit and 64-bit floating point. */
const PIXEL_TAGS = ['x7fe00010', 'x7fe00008', 'x7fe00009'];

const VALUE_REPRESENTATIONS = new Set(
  'AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV'.split(' '),
);

const isVr = (bytes: Uint8Array, at: number): boolean =>
  VALUE_REPRESENTATIONS.has(String.fromCharCode(bytes[at] ?? 0, bytes[at + 1] ?? 0));

const hasPreamble = (bytes: Uint8Array): boolean =>
  bytes.length >= 132 && String.fromCharCode(...bytes.subarray(128, 132)) === 'DICM';

/** How the element at `at` is written, if it can be one of the first elements of a DICOM file (groups 2 and 8). */
function encodingAt(bytes: Uint8Array, at: number): Encoding | null {
  if (bytes.length < at + 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
  const group = view.getUint16(0, true);
  if (group === 2 || group === 8) {
    if (view.getUint16(2, true) > 0x0110) return null;
    if (isVr(bytes, at + 4)) return { explicit: true, bigEndian: false };
    const length = view.getUint32(4, true);
    return length % 2 === 0 && length <= 1024 ? { explicit: false, bigEndian: false } : null;
  }
  return view.getUint16(0) === 8 && view.getUint16(2) <= 0x0110 && isVr(bytes, at + 4)
    ? { explicit: true, bigEndian: true }
    : null;
}

/** True if a file that begins with these bytes (SNIFFED_BYTES of them) is DICOM, by its preamble or, without one, by its first element. */
export const looksLikeDicom = (bytes: Uint8Array): boolean => hasPreamble(bytes) || encodingAt(bytes, 0) !== null;

/** @throws RunError with the reason, without the file's name */
export async function readDataSet(source: RandomAccess): Promise<DicomDataSet> {
  if (source.size === 0) throw new RunError('it is empty (0 bytes)');
  for (let length = FIRST_READ_BYTES; ; length *= 8) {
    const bytes = await source.read(0, Math.min(length, source.size));
    const whole = length >= source.size;
    const meta = readMeta(bytes);
    if (meta.transferSyntax === DEFLATED) {
      const all = await source.read(0, source.size);
      const inner = inMemory(source.path, inflate(all.subarray(meta.end)));
      const parsed = parse(await inner.read(0, inner.size), 0, { explicit: true, bigEndian: false });
      if ('damage' in parsed) throw new RunError(`not DICOM, or damaged (${parsed.damage})`);
      return { ...parsed, transferSyntax: DEFLATED, bigEndian: false, source: inner };
    }
    // a wrong statement about implicit and explicit is common, and the first element shows which holds
    const stated: Encoding = { explicit: meta.transferSyntax !== IMPLICIT, bigEndian: meta.transferSyntax === BIG_ENDIAN };
    const encoding = encodingAt(bytes, meta.end) ?? stated;
    const transferSyntax = meta.transferSyntax ?? (encoding.bigEndian ? BIG_ENDIAN : encoding.explicit ? EXPLICIT : IMPLICIT);
    const parsed = parse(bytes, meta.end, encoding);
    if (('damage' in parsed || !parsed.pixels) && !whole) continue;
    if ('damage' in parsed) throw new RunError(`not DICOM, or damaged (${parsed.damage})`);
    return { ...parsed, transferSyntax, bigEndian: encoding.bigEndian, source };
  }
}

function reasonOf(error: unknown): string {
  const text =
    error instanceof Error ? error.message : typeof error === 'string' ? error : (error as { exception?: unknown }).exception;
  return typeof text === 'string' ? text.replace(/^dicomParser[.\w]*: */, '') : 'its header cannot be parsed';
}

/** The meta header (group 2, always explicit little-endian): where it ends, and the transfer syntax if it states one. */
function readMeta(bytes: Uint8Array): { readonly end: number; readonly transferSyntax: string | undefined } {
  let at = hasPreamble(bytes) ? 132 : 0;
  if (at === 0 && !encodingAt(bytes, 0))
    throw new RunError('not DICOM, or damaged (neither "DICM" nor a DICOM element at its start)');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let transferSyntax: string | undefined;
  while (at + 8 <= bytes.length && view.getUint16(at, true) === 2) {
    const explicit = isVr(bytes, at + 4);
    const long = explicit && /OB|OW|UN|SQ|UT/.test(String.fromCharCode(bytes[at + 4], bytes[at + 5]));
    const header = long ? 12 : 8;
    if (at + header > bytes.length) break;
    const length = long ? view.getUint32(at + 8, true) : explicit ? view.getUint16(at + 6, true) : view.getUint32(at + 4, true);
    if (view.getUint16(at + 2, true) === 0x0010)
      transferSyntax = String.fromCharCode(...bytes.subarray(at + header, at + header + Math.min(length, 64))).replace(
        /[\0 ]+$/,
        '',
      );
    at += header + length;
  }
  return { end: at, transferSyntax };
}

/** Exported by dicom-parser, but not declared as the class that it is. */
const { DataSet: DataSetClass } = dicomParser as unknown as {
  DataSet: new (parser: ByteArrayParser, bytes: Uint8Array, elements: object) => DataSet;
};

type Parsed = { readonly data: DataSet; readonly pixels?: PixelElement } | { readonly damage: string };

/** An element before the pixels whose value does not end within the bytes, in sequences too: dicom-parser throws when such a value is asked for. */
function elementBeyond(data: DataSet, end: number): string | undefined {
  for (const { tag, dataOffset, length, hadUndefinedLength, items } of Object.values(data.elements)) {
    if (PIXEL_TAGS.includes(tag)) continue;
    if (hadUndefinedLength !== true && dataOffset + length > end) return `(${tag.slice(1, 5)},${tag.slice(5)})`;
    for (const item of items ?? []) {
      const inner = item.dataSet && elementBeyond(item.dataSet, end);
      if (inner) return inner;
    }
  }
  return undefined;
}

/** The elements from `start` up to the pixels, or why they cannot be parsed. */
function parse(bytes: Uint8Array, start: number, encoding: Encoding): Parsed {
  const parser = encoding.bigEndian ? dicomParser.bigEndianByteArrayParser : dicomParser.littleEndianByteArrayParser;
  const data = new DataSetClass(parser, bytes, {});
  const readElements = encoding.explicit ? dicomParser.parseDicomDataSetExplicit : dicomParser.parseDicomDataSetImplicit;
  try {
    const stream: ByteStream = new dicomParser.ByteStream(parser, bytes, start);
    readElements(data, stream, bytes.length, { untilTag: PIXEL_TAGS[0] });
  } catch (error) {
    return { damage: reasonOf(error) };
  }
  const overrun = elementBeyond(data, bytes.length);
  if (overrun) return { damage: `the element ${overrun} extends beyond the end of the file` };
  for (const tag of PIXEL_TAGS) {
    const element = data.elements[tag];
    if (!element) continue;
    const encapsulated = element.hadUndefinedLength === true || element.length === UNKNOWN_LENGTH;
    return { data, pixels: { tag, offset: element.dataOffset, length: element.length, encapsulated, vr: element.vr ?? 'OW' } };
  }
  return { data };
}

function inflate(deflated: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let done = false;
  const stream = new Inflate((piece, final) => {
    pieces.push(piece);
    length += piece.length;
    done ||= final;
  });
  try {
    for (let at = 0; at < deflated.length && !done; at += 65536) {
      stream.push(deflated.subarray(at, at + 65536), at + 65536 >= deflated.length);
      if (length > MAX_INFLATED_BYTES) throw new RunError('its deflated content is too large');
    }
  } catch (error) {
    if (error instanceof RunError) throw error;
    throw new RunError(`its deflated content is damaged or truncated (${reasonOf(error)})`);
  }
  return joinBytes(pieces);
}
