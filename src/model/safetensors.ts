/**
 * The safetensors format in memory: an 8-byte length, a JSON header, then the tensors' bytes (huggingface.co/docs/safetensors).
 *
 * Every number of the header is checked before anyone uses it, because model files come from strangers: a header that does not
 * describe the file exactly is refused. Nothing here touches a file (src/model/node/safetensors.ts does), and only F32 is written.
 * Bytes are taken as little-endian, as the format and WebAssembly's memory have them.
 */
import { RunError } from '../common/errors.ts';
import { parseJson, quoteJson } from '../common/json.ts';

/** Bits an element of each type of the format. */
const ELEMENT_BITS = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  C64: 64,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;
export type SafetensorsDtype = keyof typeof ELEMENT_BITS;

/** What the header says about one tensor, checked. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Where its bytes start, counted from the start of the file. */
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes, which is the order they were written in. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** A tensor to write, or one that was read. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Bytes before the header: its length as an unsigned 64-bit integer. */
export const LENGTH_BYTES = 8;
/** The format's own limit: it keeps a hostile length from asking for all memory there is. */
const MAX_HEADER_BYTES = 100_000_000;
/** More axes than any tensor of a network has; a longer shape is a damaged file. */
const MAX_AXES = 16;
const METADATA_NAME = '__metadata__';
/** A shape within an entry within the header is as deep as it gets. */
const MAX_DEPTH = 8;
/** Fifty thousand tensors; a network has some hundred. */
const MAX_VALUES = 500_000;

/**
 * The header's length, from the first 8 bytes of a file of `fileSizeBytes`.
 * @throws RunError naming `source` if they cannot be the start of a safetensors file.
 */
export function readHeaderLength(start: Uint8Array, fileSizeBytes: number, source: string): number {
  if (fileSizeBytes < LENGTH_BYTES + 2 || start.length < LENGTH_BYTES)
    throw new RunError(`${source}: not a safetensors file: ${fileSizeBytes} bytes are too few for a header`);
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES) || length > BigInt(fileSizeBytes - LENGTH_BYTES))
    throw new RunError(
      `${source}: not a safetensors file, or truncated: it states a header of ${length} bytes, the file has ${fileSizeBytes}`,
    );
  return Number(length);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isDtype = (value: unknown): value is SafetensorsDtype => typeof value === 'string' && Object.hasOwn(ELEMENT_BITS, value);

function readMetadata(value: unknown, refuse: (reason: string) => never): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value) || Object.values(value).some((text) => typeof text !== 'string'))
    refuse(`${METADATA_NAME} must map names to strings`);
  return value as Record<string, string>;
}

/**
 * Checks a header against the file it stands in.
 * @param json the bytes between the length and the tensors
 * @throws RunError naming `source` and the reason: bad JSON, a repeated name, an unknown type, a shape that disagrees with its
 *   bytes, ranges that overlap, leave a gap or do not end with the file.
 */
export function parseHeader(json: Uint8Array, fileSizeBytes: number, source: string): SafetensorsHeader {
  const refuse = (reason: string): never => {
    throw new RunError(`${source}: damaged safetensors file: ${reason}`);
  };
  let text = '';
  let parsed: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);
  } catch {
    return refuse('its header is not UTF-8');
  }
  try {
    parsed = parseJson(text, { depth: MAX_DEPTH, values: MAX_VALUES });
  } catch (error) {
    return refuse(`its header is not valid JSON (${(error as Error).message})`);
  }
  if (!isObject(parsed)) return refuse('its header is not a JSON object');
  if (text[0] !== '{') refuse("its header does not start with '{'");

  const dataStart = LENGTH_BYTES + json.length;
  const entries: [string, TensorEntry][] = [];
  for (const [name, entry] of Object.entries(parsed)) {
    if (name === METADATA_NAME) continue;
    const { dtype, shape, data_offsets: range } = isObject(entry) ? entry : {};
    if (!isDtype(dtype))
      return refuse(`tensor "${name}" has type ${quoteJson(dtype)}; supported: ${Object.keys(ELEMENT_BITS).join(', ')}`);
    if (!Array.isArray(shape) || shape.length > MAX_AXES || !shape.every(isSize))
      return refuse(`tensor "${name}" has the shape ${quoteJson(shape)}`);
    if (!Array.isArray(range) || range.length !== 2 || !range.every(isSize) || range[0] > range[1])
      return refuse(`tensor "${name}" has the offsets ${quoteJson(range)}`);
    // A product past 2^53 loses its last digits, but then it is far above any file's size and differs all the same.
    const expected = shape.reduce<number>((product, size) => product * size, ELEMENT_BITS[dtype]) / 8;
    const [begin, end] = range as [number, number];
    if (end - begin !== expected)
      refuse(`tensor "${name}" is ${dtype} [${shape.join(', ')}], so ${expected} bytes; its offsets span ${end - begin}`);
    entries.push([name, { dtype, shape, offset: dataStart + begin, sizeBytes: end - begin }]);
  }

  let covered = dataStart;
  entries.sort(([, a], [, b]) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  for (const [name, { offset, sizeBytes }] of entries) {
    if (offset < covered) refuse(`tensor "${name}" overlaps the one before it`);
    if (offset > covered) refuse(`${offset - covered} bytes before tensor "${name}" belong to no tensor`);
    covered = offset + sizeBytes;
  }
  if (covered > fileSizeBytes) refuse(`truncated: ${covered} bytes are described, the file has ${fileSizeBytes}`);
  if (covered < fileSizeBytes) refuse(`${fileSizeBytes - covered} bytes after the last tensor belong to no tensor`);
  return { metadata: readMetadata(parsed[METADATA_NAME], refuse), tensors: new Map(entries) };
}

/** IEEE half precision to a number: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Types whose values a 32-bit float can stand for; the others are only skipped over. */
export const isReadable = (dtype: SafetensorsDtype): boolean => !/^(F8_|F6_|F4$|C64)/.test(dtype);

/**
 * A tensor's bytes as 32-bit floats. F32, F16, BF16, BOOL and whole numbers of 8 and 16 bits are exact; F64 and longer whole numbers are
 * rounded to the nearest float (up to 2^24 they stay exact). F32 shares the bytes where their alignment allows.
 * @throws Error (a defect of the caller) for a type that is not readable
 */
export function decodeTensor(dtype: SafetensorsDtype, bytes: Uint8Array): Float32Array {
  const count = (bytes.length * 8) / ELEMENT_BITS[dtype];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const each = (value: (at: number) => number): Float32Array => {
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) out[i] = value(i);
    return out;
  };
  switch (dtype) {
    case 'F32':
      if (bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, count);
      return new Float32Array(bytes.slice().buffer);
    case 'F64':
      return each((i) => view.getFloat64(8 * i, true));
    case 'F16':
      return each((i) => fromHalf(view.getUint16(2 * i, true)));
    case 'BF16': {
      // The upper half of a 32-bit float.
      const out = new Uint32Array(count);
      for (let i = 0; i < count; i++) out[i] = view.getUint16(2 * i, true) << 16;
      return new Float32Array(out.buffer);
    }
    case 'I64':
      return each((i) => Number(view.getBigInt64(8 * i, true)));
    case 'U64':
      return each((i) => Number(view.getBigUint64(8 * i, true)));
    case 'I32':
      return each((i) => view.getInt32(4 * i, true));
    case 'U32':
      return each((i) => view.getUint32(4 * i, true));
    case 'I16':
      return each((i) => view.getInt16(2 * i, true));
    case 'U16':
      return each((i) => view.getUint16(2 * i, true));
    case 'I8':
      return each((i) => view.getInt8(i));
    case 'U8':
    case 'BOOL':
      return each((i) => bytes[i]);
    default:
      throw new Error(`safetensors: ${dtype} has no 32-bit float values`);
  }
}

/** A network computes with any bytes: what is damaged must not become an empty label map. @throws RunError naming file and tensor */
export function requireFinite(tensors: Iterable<NamedTensor>, file: string): void {
  for (const { name, data } of tensors) {
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new RunError(`${file}: ${name} holds ${data[bad]} at index ${bad}: the file is damaged; restore it from a copy`);
  }
}

/** Every tensor of a file in memory. @throws RunError naming `source` and what is wrong with it */
export function readTensors(bytes: Uint8Array, source: string): Map<string, NamedTensor> {
  const headerBytes = readHeaderLength(bytes.subarray(0, LENGTH_BYTES), bytes.length, source);
  const { tensors } = parseHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes), bytes.length, source);
  const read = new Map<string, NamedTensor>();
  for (const [name, { dtype, shape, offset, sizeBytes }] of tensors)
    read.set(name, { name, shape, data: decodeTensor(dtype, bytes.slice(offset, offset + sizeBytes)) });
  requireFinite(read.values(), source);
  return read;
}

/**
 * The start of a file that holds these tensors as F32 (or F16), one after the other in the given order: length and header, padded with
 * spaces to 8 bytes. Equal arguments give equal bytes.
 * @throws Error (a defect of the caller) for a repeated or reserved name or a shape that disagrees with the data.
 */
export function encodeHeader(
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
  dtype: 'F32' | 'F16' = 'F32',
): Uint8Array {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [[METADATA_NAME, metadata]] : [];
  const names = new Set([METADATA_NAME]);
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    if (names.has(name)) throw new Error(`safetensors: duplicate name "${name}"`);
    const count = shape.reduce((product, size) => product * size, 1);
    if (count !== data.length)
      throw new Error(`safetensors: "${name}" has shape [${shape.join(', ')}] but ${data.length} values`);
    names.add(name);
    const bytes = (count * ELEMENT_BITS[dtype]) / 8;
    entries.push([name, { dtype, shape, data_offsets: [offset, offset + bytes] }]);
    offset += bytes;
  }
  // Joined by hand: an object would put names like "12" first.
  const json = `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
  const body = new TextEncoder().encode(json);
  const padded = Math.ceil(body.length / 8) * 8;
  const out = new Uint8Array(LENGTH_BYTES + padded).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(body, LENGTH_BYTES);
  return out;
}
