/**
 * Protocol Buffers' wire format, writing only: what ONNX files and TensorBoard's events need of it. A message is its fields one after the other, each a key
 * (field number and wire type) and a value; large byte strings are not copied but kept as pieces.
 * Reference: protobuf.dev/programming-guides/encoding.
 */

/** Pieces of a message, and how long they are together. */
export interface Message {
  readonly pieces: readonly Uint8Array[];
  readonly sizeBytes: number;
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** Seven bits a byte, the lowest first; negative numbers as 64-bit two's complement. */
function varint(value: number): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}

const join = (parts: readonly Message[]): Message => ({
  pieces: parts.flatMap(({ pieces }) => pieces),
  sizeBytes: parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
});
const small = (bytes: readonly number[]): Message => ({ pieces: [Uint8Array.from(bytes)], sizeBytes: bytes.length });
const key = (field: number, type: number): number[] => varint(field * 8 + type);

/** int32, int64, bool or an enumeration: a whole number. */
export const int = (field: number, value: number): Message => small([...key(field, VARINT), ...varint(value)]);

/** float: 32 bits. */
export function float(field: number, value: number): Message {
  const bytes = new Uint8Array(Float32Array.of(value).buffer);
  return small([...key(field, FIXED32), ...bytes]);
}

/** double: 64 bits. */
export function double(field: number, value: number): Message {
  const bytes = new Uint8Array(Float64Array.of(value).buffer);
  return small([...key(field, FIXED64), ...bytes]);
}

/** bytes. The data are not copied. */
export const bytes = (field: number, data: Uint8Array): Message =>
  join([small([...key(field, LENGTH_DELIMITED), ...varint(data.length)]), { pieces: [data], sizeBytes: data.length }]);

export const string = (field: number, text: string): Message => bytes(field, new TextEncoder().encode(text));

/** A message inside a message. */
export function message(field: number, ...fields: readonly Message[]): Message {
  const body = join(fields);
  return join([small([...key(field, LENGTH_DELIMITED), ...varint(body.sizeBytes)]), body]);
}

/** The whole message, as pieces to be written one after the other. */
export const encode = (...fields: readonly Message[]): Uint8Array[] => [...join(fields).pieces];
