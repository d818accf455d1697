/** Voxels written as text: numbers, or hexadecimal digits. */
import { RunError } from '../common/errors.ts';
import { type ByteSource, skipping } from './bytes.ts';
import { bytesOf, type StoredType, type VoxelType, voxelArray } from './stored-image.ts';

/** Longer than any number is written. */
const MAX_TOKEN = 400;

/** A source of what `read` makes of the text from its beginning. */
const textSource = (source: ByteSource, read: () => AsyncGenerator<Uint8Array>): ByteSource => ({
  sizeBytes: null,
  storedBytes: source.storedBytes,
  pieces: (start) => skipping(read(), start),
});

/** Numbers between blanks or commas, as little-endian bytes of `type`. */
export const numbersSource = (source: ByteSource, type: StoredType): ByteSource =>
  textSource(source, async function* () {
    if (type === 'int64' || type === 'uint64')
      throw new RunError(`its voxels are ${type} written as text, which is not supported; save them in binary`);
    let token = '';
    for await (const piece of source.pieces(0)) {
      const numbers: number[] = [];
      for (const code of piece) {
        if (code > 32 && code !== 44) {
          token += String.fromCharCode(code);
          if (token.length > MAX_TOKEN) throw notNumber(token, type);
        } else if (token !== '') {
          numbers.push(numberOf(token, type));
          token = '';
        }
      }
      yield encoded(numbers, type);
    }
    if (token !== '') yield encoded([numberOf(token, type)], type);
  });

function encoded(numbers: readonly number[], type: VoxelType): Uint8Array {
  const values = voxelArray(type, numbers.length);
  values.set(numbers);
  return bytesOf(values);
}

const notNumber = (token: string, type: VoxelType): RunError =>
  new RunError(`its voxels hold "${token.slice(0, 40)}", expected ${type} numbers`);

function numberOf(token: string, type: VoxelType): number {
  const special = /^([+-]?)(nan|inf(?:inity)?)$/i.exec(token);
  if (special && /^float/.test(type)) return /^n/i.test(special[2]) ? Number.NaN : Number(`${special[1]}Infinity`);
  const value = Number(token);
  if (Number.isNaN(value) || (!/^float/.test(type) && voxelArray(type, 1).fill(value)[0] !== value)) throw notNumber(token, type);
  return value;
}

/** Pairs of hexadecimal digits, with blanks between them or not. */
export const hexSource = (source: ByteSource): ByteSource =>
  textSource(source, async function* () {
    let half = -1;
    for await (const piece of source.pieces(0)) {
      const bytes: number[] = [];
      for (const code of piece) {
        if (code <= 32) continue;
        const digit = Number.parseInt(String.fromCharCode(code), 16);
        if (Number.isNaN(digit))
          throw new RunError(`its voxels hold "${String.fromCharCode(code)}", expected hexadecimal digits`);
        if (half < 0) half = digit;
        else {
          bytes.push(half * 16 + digit);
          half = -1;
        }
      }
      yield Uint8Array.from(bytes);
    }
  });
