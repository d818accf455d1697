/**
 * TensorBoard's event records as bytes: a frame with checksums (TensorFlow's record format) around a protocol buffer
 * (tensorflow/core/util/event.proto and framework/summary.proto, of which the few fields below). By hand because the official
 * writer is half a gigabyte of Python, and four fields need no library.
 */

/** What an event says; exactly one of them. */
export type EventContent =
  | { readonly fileVersion: string }
  /** Values by tag. */
  | { readonly scalars: Readonly<Record<string, number>> }
  | { readonly tag: string; readonly png: Uint8Array; readonly width: number; readonly height: number }
  /** The run (re)starts at this step: TensorBoard forgets what earlier files say of it and later ones. */
  | { readonly start: true };

export interface LogEvent {
  readonly wallTimeSeconds: number;
  readonly step: number;
  readonly content: EventContent;
}

const concat = (pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
};

/** CRC-32C (Castagnoli), reflected polynomial 0x82f63b78. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}

/** TensorFlow's mask, which keeps the checksum of data that contain checksums from degenerating. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

// Protocol buffers: a field is a varint (number << 3 | wire type), then its value.
const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  // Division, not shifts: a step may exceed 32 bits.
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
const key = (field: number, wireType: number): Uint8Array => varint(field * 8 + wireType);
const integerField = (field: number, value: number): Uint8Array => concat([key(field, VARINT), varint(value)]);
const bytesField = (field: number, value: Uint8Array): Uint8Array => concat([key(field, BYTES), varint(value.length), value]);
const textField = (field: number, value: string): Uint8Array => bytesField(field, new TextEncoder().encode(value));
function floatingField(field: number, value: number, bits: 32 | 64): Uint8Array {
  const view = new DataView(new ArrayBuffer(bits / 8));
  if (bits === 32) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return concat([key(field, bits === 32 ? FIXED_32 : FIXED_64), new Uint8Array(view.buffer)]);
}

const RGBA = 4;
const SESSION_START = 1;

/** Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7. Summary.Value: tag = 1, simple_value = 2, image = 4. */
function encodeContent(content: EventContent): Uint8Array {
  if ('fileVersion' in content) return textField(3, content.fileVersion);
  if ('start' in content) return bytesField(7, integerField(1, SESSION_START));
  if ('scalars' in content) {
    const values = Object.entries(content.scalars).map(([tag, value]) =>
      bytesField(1, concat([textField(1, tag), floatingField(2, value, 32)])),
    );
    return bytesField(5, concat(values));
  }
  const { tag, png, width, height } = content;
  const image = concat([integerField(1, height), integerField(2, width), integerField(3, RGBA), bytesField(4, png)]);
  return bytesField(5, bytesField(1, concat([textField(1, tag), bytesField(4, image)])));
}

/** One event as it stands in the file: length, its checksum, the message, its checksum. */
export function encodeEvent({ wallTimeSeconds, step, content }: LogEvent): Uint8Array<ArrayBuffer> {
  const message = concat([floatingField(1, wallTimeSeconds, 64), integerField(2, step), encodeContent(content)]);
  const frame = new Uint8Array(8 + 4 + message.length + 4);
  const view = new DataView(frame.buffer);
  view.setBigUint64(0, BigInt(message.length), true);
  view.setUint32(8, masked(crc32c(frame.subarray(0, 8))), true);
  frame.set(message, 12);
  view.setUint32(12 + message.length, masked(crc32c(message)), true);
  return frame;
}
