/** Writing DICOM files (PS3.10), little-endian, with explicit VR or without. */
import { RunError } from '../../common/errors.ts';

/** [tag, VR, value]: text, numbers, bytes, or items of a sequence. An empty value is one of length 0. */
export type Element = readonly [tag: string, vr: string, value: ElementValue];
export type ElementValue = string | number | readonly number[] | Uint8Array | readonly (readonly Element[])[];

const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'UC', 'UN', 'UR', 'UT', 'SV', 'UV']);
/** Padded with a zero; other text with a space. */
const ZERO_PADDED = new Set(['UI', 'OB', 'UN']);
const BINARY: Readonly<Record<string, readonly [number, (view: DataView, at: number, value: number) => void]>> = {
  US: [2, (view, at, value) => view.setUint16(at, value, true)],
  SS: [2, (view, at, value) => view.setInt16(at, value, true)],
  UL: [4, (view, at, value) => view.setUint32(at, value, true)],
  SL: [4, (view, at, value) => view.setInt32(at, value, true)],
  FL: [4, (view, at, value) => view.setFloat32(at, value, true)],
  FD: [8, (view, at, value) => view.setFloat64(at, value, true)],
};

export const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
export const IMPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2';
/** The root of UIDs that are random numbers (PS3.5 B.2), and this software's own, one of them. */
const IMPLEMENTATION_UID = '2.25.301479868453120117935474402893206117733';

/** A new UID: a random number below 2.25. */
export const newUid = (): string => `2.25.${BigInt(`0x${crypto.randomUUID().replaceAll('-', '')}`)}`;

/** A number as a decimal string of at most 16 characters. */
export function decimal(value: number): string {
  for (let digits = 16; ; digits--) {
    const text = String(+value.toPrecision(digits));
    if (text.length <= 16) return text;
  }
}

function valueBytes(vr: string, value: ElementValue, implicit: boolean): Uint8Array[] {
  if (value instanceof Uint8Array) return [value];
  if (vr === 'SQ') {
    return (value as readonly (readonly Element[])[]).flatMap((elements) => {
      const content = encodeElements(elements, implicit);
      return [
        header(
          'fffee000',
          content.reduce((sum, piece) => sum + piece.length, 0),
        ),
        ...content,
      ];
    });
  }
  if (vr === 'AT') {
    const bytes = new Uint8Array(4);
    writeTag(new DataView(bytes.buffer), value as string);
    return [bytes];
  }
  const binary = BINARY[vr];
  if (binary) {
    const values = typeof value === 'number' ? [value] : (value as readonly number[]);
    const bytes = new Uint8Array(values.length * binary[0]);
    const view = new DataView(bytes.buffer);
    values.forEach((v, k) => {
      binary[1](view, k * binary[0], v);
    });
    return [bytes];
  }
  const text = Array.isArray(value) ? value.map(decimal).join('\\') : typeof value === 'number' ? decimal(value) : String(value);
  return [new TextEncoder().encode(text)];
}

function writeTag(view: DataView, tag: string): void {
  view.setUint16(0, Number.parseInt(tag.slice(0, 4), 16), true);
  view.setUint16(2, Number.parseInt(tag.slice(4), 16), true);
}

/** Of an item or where VRs are implicit (no VR), or of an element. @throws RunError if its length has no place in it: it would wrap */
function header(tag: string, length: number, vr?: string): Uint8Array {
  const long = vr !== undefined && LONG_VRS.has(vr);
  const most = vr === undefined || long ? 0xfffffffe : 0xfffe;
  if (length > most)
    throw new RunError(`its element (${tag.slice(0, 4)},${tag.slice(4)}) has ${length} bytes; DICOM allows ${most}`);
  const bytes = new Uint8Array(long ? 12 : 8);
  const view = new DataView(bytes.buffer);
  writeTag(view, tag);
  if (vr === undefined) view.setUint32(4, length, true);
  else {
    bytes[4] = vr.charCodeAt(0);
    bytes[5] = vr.charCodeAt(1);
    if (long) view.setUint32(8, length, true);
    else view.setUint16(6, length, true);
  }
  return bytes;
}

/** The bytes of elements, in the order of their tags. @param implicit without their VRs */
export function encodeElements(elements: readonly Element[], implicit = false): Uint8Array[] {
  const sorted = elements.toSorted(([a], [b]) => (a < b ? -1 : 1));
  return sorted.flatMap(([tag, vr, value]) => {
    const content = valueBytes(vr, value, implicit);
    const length = content.reduce((sum, piece) => sum + piece.length, 0);
    const padding = length % 2 === 0 ? [] : [Uint8Array.of(ZERO_PADDED.has(vr) || value instanceof Uint8Array ? 0 : 0x20)];
    return [header(tag, length + padding.length, implicit ? undefined : vr), ...content, ...padding];
  });
}

/** The preamble and meta header of a file. */
export function encodeMeta(sopClass: string, sopInstance: string, transferSyntax = EXPLICIT_LITTLE_ENDIAN): Uint8Array[] {
  const meta = encodeElements([
    ['00020001', 'OB', Uint8Array.of(0, 1)],
    ['00020002', 'UI', sopClass],
    ['00020003', 'UI', sopInstance],
    ['00020010', 'UI', transferSyntax],
    ['00020012', 'UI', IMPLEMENTATION_UID],
    ['00020013', 'SH', 'GVSL'],
  ]);
  const length = meta.reduce((sum, piece) => sum + piece.length, 0);
  const start = new Uint8Array(132);
  start.set(new TextEncoder().encode('DICM'), 128);
  return [start, ...encodeElements([['00020000', 'UL', length]]), ...meta];
}
