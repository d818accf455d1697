/** What the elements of a data set say: numbers, codes, text in its character set, items of sequences. */
import type { DataSet } from 'dicom-parser';
import { RunError } from '../../common/errors.ts';

/** Numbers of a textual or binary element, null if it is absent or not all are numbers. */
export function numbersOf(data: DataSet, tag: string): number[] | null {
  const element = data.elements[tag];
  if (!element || element.length === 0) return null;
  const binary: Readonly<Record<string, readonly [number, (k: number) => number | undefined]>> = {
    US: [2, (k) => data.uint16(tag, k)],
    SS: [2, (k) => data.int16(tag, k)],
    UL: [4, (k) => data.uint32(tag, k)],
    SL: [4, (k) => data.int32(tag, k)],
    FL: [4, (k) => data.float(tag, k)],
    FD: [8, (k) => data.double(tag, k)],
  };
  const known = binary[element.vr ?? BINARY_TAGS[tag] ?? ''];
  const values = known
    ? Array.from({ length: Math.floor(element.length / known[0]) }, (_, k) => known[1](k) ?? Number.NaN)
    : (data.string(tag)?.split('\\') ?? []).map((text) => (text.trim() === '' ? Number.NaN : Number(text)));
  return values.length > 0 && values.every(Number.isFinite) ? values : null;
}

/**
 * Numbers without which values or places would be wrong: null only if the file does not state them.
 * @throws RunError if what it states are no numbers (a decimal comma, say)
 */
export function statedNumbers(data: DataSet, tag: string): number[] | null {
  const numbers = numbersOf(data, tag);
  const stated = text(data, tag);
  if (numbers || stated === '') return numbers;
  throw new RunError(`its element (${tag.slice(1, 5)},${tag.slice(5)}) is "${stated.slice(0, 40)}", expected numbers: damaged`);
}

/** Binary elements that are read here: without the VR (implicit transfer syntax) their kind must be known. */
const BINARY_TAGS: Readonly<Record<string, string>> = {
  x00209057: 'UL',
  x00209128: 'UL',
  x00209156: 'US',
  x00209157: 'UL',
  x00209153: 'FD',
  x0020930d: 'FD',
  x00189082: 'FD',
  x00189087: 'FD',
  x00189089: 'FD',
  x00189079: 'FD',
  x00409224: 'FD',
  x00409225: 'FD',
  x00540010: 'US',
  x00540020: 'US',
  x00540030: 'US',
  x00540060: 'US',
  x00540070: 'US',
  x00540080: 'US',
  x00540090: 'US',
};

/** As it stands, for codes and UIDs; of names see textOf. */
export const text = (data: DataSet | undefined, tag: string): string => data?.string(tag)?.trim() ?? '';
/** Of a sequence. */
export const item = (data: DataSet | undefined, tag: string, k = 0): DataSet | undefined =>
  data?.elements[tag]?.items?.[k]?.dataSet;

/** Character sets of PS3.3 C.12.1.1.2 as the Encoding Standard names them. */
const CHARACTER_SETS: readonly (readonly [string, string])[] = [
  ['IR 192', 'utf-8'],
  ['GB18030', 'gb18030'],
  ['GBK', 'gbk'],
  ['IR 87', 'iso-2022-jp'],
  ['IR 149', 'euc-kr'],
  ['IR 58', 'gbk'],
  ['IR 13', 'shift_jis'],
  ['IR 101', 'iso-8859-2'],
  ['IR 144', 'iso-8859-5'],
  ['IR 127', 'iso-8859-6'],
  ['IR 126', 'iso-8859-7'],
  ['IR 138', 'iso-8859-8'],
];

/** Text in the file's own character set (0008,0005). */
export function textOf(data: DataSet, tag: string): string {
  const element = data.elements[tag];
  if (!element) return '';
  const sets = text(data, 'x00080005');
  const label = CHARACTER_SETS.find(([set]) => sets.includes(set))?.[1] ?? 'iso-8859-1';
  const bytes = (data.byteArray as Uint8Array).subarray(element.dataOffset, element.dataOffset + element.length);
  return new TextDecoder(label).decode(bytes).replace(/\0.*$/s, '').trim();
}
