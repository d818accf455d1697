/** Half-precision floats (IEEE 754 binary16) for storage: numbers of the form k / 2048 with k in 0..2048 are exact in it. */

const bits = new Uint32Array(1);
const value = new Float32Array(bits.buffer);

/** The half nearest to `x`, ties to even; beyond 65504 infinity. */
export function toHalf(x: number): number {
  value[0] = x;
  const sign = (bits[0] >>> 16) & 0x8000;
  const magnitude = bits[0] & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to 65536 or more
  if (magnitude < 0x33000000) return sign; // below half of the smallest subnormal
  const exponent = (magnitude >>> 23) - 127;
  // a subnormal half keeps fewer bits of the mantissa
  const shift = exponent < -14 ? -exponent - 1 : 13;
  const mantissa = exponent < -14 ? (magnitude & 0x7fffff) | 0x800000 : magnitude - 0x38000000;
  const half = 2 ** (shift - 1);
  const rest = mantissa & (2 ** shift - 1);
  const kept = mantissa >>> shift;
  return sign | (kept + (rest > half || (rest === half && kept % 2 === 1) ? 1 : 0));
}

/** `toHalf` of every value. */
export function toHalves(data: Float32Array): Uint16Array {
  const out = new Uint16Array(data.length);
  for (let i = 0; i < data.length; i++) out[i] = toHalf(data[i]);
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
