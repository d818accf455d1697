/** Half-precision floats (IEEE 754 binary16) for storage: numbers of the form k / 2048 with k in 0..2048 are exact in it. */

const value = new Float32Array(1);
const bits = new Uint32Array(value.buffer);

/** The half nearest to the single-precision float with these bits. */
function halfOfBits(single: number): number {
  const sign = (single >>> 16) & 0x8000;
  const magnitude = single & 0x7fffffff;
  if (magnitude >= 0x38800000) {
    if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
    if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to 65536 or more
    // re-bias the exponent and round the 13 bits that go, ties to even
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // below half of the smallest subnormal
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  return sign | ((mantissa + (1 << (shift - 1)) - 1 + ((mantissa >>> shift) & 1)) >>> shift);
}

/** The half nearest to `x`, ties to even; beyond 65504 infinity. */
export function toHalf(x: number): number {
  value[0] = x;
  return halfOfBits(bits[0]);
}

/** `toHalf` of every value. */
export function toHalves(data: Float32Array): Uint16Array {
  const singles = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint16Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = halfOfBits(singles[i]);
  return out;
}

/** The value of each of the 65536 halves. */
export const HALF_VALUES: Float32Array = Float32Array.from({ length: 65536 }, (_, h) => {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const mantissa = h & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
});
