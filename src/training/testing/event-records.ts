/** TensorBoard's event files read by the formats' descriptions alone, knowing nothing of the writer. */
import { readFileSync } from 'node:fs';

export type Message = Map<number, (bigint | Uint8Array)[]>;

/** Any protocol buffer, by field number: written from the wire format's description, knowing nothing of the writer. */
export function decodeMessage(bytes: Uint8Array): Message {
  const fields: Message = new Map();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): Uint8Array => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const field = tag >>> 3;
    const value = [varint, () => take(8), () => take(Number(varint())), undefined, undefined, () => take(4)][tag & 7]!();
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  if (at !== bytes.length) throw new Error(`a message of ${bytes.length} bytes ends at ${at}`);
  return fields;
}

/** Bit by bit, unlike the table of the writer. */
function slowCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const mix = (crc ^ (byte >> bit)) & 1;
      crc = (crc >>> 1) ^ (mix ? 0x82f63b78 : 0);
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}

export function readRecords(path: string): Message[] {
  const file = readFileSync(path);
  const messages: Message[] = [];
  const check = (data: Uint8Array, stored: number): void => {
    const crc = slowCrc32c(data);
    if (stored !== (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0) throw new Error(`${path}: a checksum does not fit`);
  };
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    check(file.subarray(at, at + 8), file.readUInt32LE(at + 8));
    const message = file.subarray(at + 12, at + 12 + length);
    check(message, file.readUInt32LE(at + 12 + length));
    messages.push(decodeMessage(message));
    at += 16 + length;
  }
  return messages;
}

export const bytesOf = (message: Message, field: number, index = 0): Uint8Array => message.get(field)![index] as Uint8Array;
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
export const float = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
export const double = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true);

/** The values of files in their order, by tag, as TensorBoard keeps them: a start takes back what was said of its step and later ones. */
export function keptScalars(paths: readonly string[]): Map<string, { readonly step: number; readonly value: number }[]> {
  const kept = new Map<string, { readonly step: number; readonly value: number }[]>();
  for (const record of paths.flatMap(readRecords)) {
    const step = Number(record.get(2)?.[0] ?? 0n);
    if (record.has(7))
      for (const [tag, values] of kept)
        kept.set(
          tag,
          values.filter((value) => value.step < step),
        );
    for (const value of record.has(5) ? (decodeMessage(bytesOf(record, 5)).get(1) ?? []) : []) {
      const fields = decodeMessage(value as Uint8Array);
      if (!fields.has(2)) continue;
      const tag = text(bytesOf(fields, 1));
      kept.set(tag, [...(kept.get(tag) ?? []), { step, value: float(bytesOf(fields, 2)) }]);
    }
  }
  return kept;
}
