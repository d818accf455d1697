/**
 * TensorBoard's event records as bytes: a frame with checksums (TensorFlow's record format) around a protocol buffer
 * (tensorflow/core/util/event.proto and framework/summary.proto, of which the few fields below). By hand because the official
 * writer is half a gigabyte of Python, and a dozen fields need no library.
 */

import { bytes, double, encode, float, int, type Message, message, string } from '../../../common/protobuf.ts';

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

/** CRC-32C (Castagnoli), reflected polynomial 0x82f63b78. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff];
  return (crc ^ 0xffffffff) >>> 0;
}

/** TensorFlow's mask, which keeps the checksum of data that contain checksums from degenerating. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

const RGBA = 4;
const SESSION_START = 1;

/** Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7. Summary.Value: tag = 1, simple_value = 2, image = 4. */
function contentField(content: EventContent): Message {
  if ('fileVersion' in content) return string(3, content.fileVersion);
  if ('start' in content) return message(7, int(1, SESSION_START));
  if ('scalars' in content)
    return message(5, ...Object.entries(content.scalars).map(([tag, value]) => message(1, string(1, tag), float(2, value))));
  const { tag, png, width, height } = content;
  const image = message(4, int(1, height), int(2, width), int(3, RGBA), bytes(4, png));
  return message(5, message(1, string(1, tag), image));
}

/** One event as it stands in the file: length, its checksum, the message, its checksum. */
export function encodeEvent({ wallTimeSeconds, step, content }: LogEvent): Uint8Array<ArrayBuffer> {
  const pieces = encode(double(1, wallTimeSeconds), int(2, step), contentField(content));
  const sizeBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const frame = new Uint8Array(8 + 4 + sizeBytes + 4);
  const view = new DataView(frame.buffer);
  view.setBigUint64(0, BigInt(sizeBytes), true);
  view.setUint32(8, masked(crc32c(frame.subarray(0, 8))), true);
  let at = 12;
  for (const piece of pieces) {
    frame.set(piece, at);
    at += piece.length;
  }
  view.setUint32(at, masked(crc32c(frame.subarray(12, at))), true);
  return frame;
}
