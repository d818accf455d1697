/**
 * For all tests: arrays of numbers that hold the same bytes are equal. Vitest would compare them number by number, which takes ten seconds for the
 * weights of a small network; where bytes differ it still does.
 */
import { expect } from 'vitest';

expect.addEqualityTesters([
  (a: unknown, b: unknown): true | undefined => {
    if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b)) return undefined;
    if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b) || a.byteLength !== b.byteLength) return undefined;
    const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength);
    return bytesOf(a).equals(bytesOf(b)) || undefined;
  },
]);
