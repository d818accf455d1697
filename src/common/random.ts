/**
 * Random numbers by counter: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * A stream is named by a seed and a path (say: 'damage', step, sample), never by what was drawn before it. So any piece of
 * work can be done at any time, on any thread, and again after a resume, and gets the same numbers: the random state of a run
 * is its step number. There is no global generator here and no way to make an unseeded one.
 */

/** A stream of random numbers. It owns its position; nothing else does. */
export interface RandomStream {
  /** The next 32 random bits, as an unsigned integer. */
  bits(): number;
  /** Uniform in [low, high). */
  uniform(low?: number, high?: number): number;
  /** Normal with the given mean and standard deviation (Box-Muller). */
  normal(mean?: number, standardDeviation?: number): number;
  /** A whole number in [low, high). */
  integer(low: number, high: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** 0 .. count-1 in random order (Fisher-Yates). */
  permutation(count: number): Uint32Array;
}

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;
const ROUNDS = 10;

/** The upper 32 bits of a 32 x 32 bit product, which Math.imul leaves out, from 16-bit halves. All results are kept in 32 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = Math.imul(aLow, bLow) >>> 16;
  // each sum stays below 2^32: (2^16 - 1)^2 + 2 (2^16 - 1) < 2^32
  const middle = (Math.imul(aHigh, bLow) + low) >>> 0;
  const carry = (Math.imul(aLow, bHigh) + (middle & 0xffff)) >>> 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/** One Philox block: four words of counter and two of key to four random words, written into `out`. */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>, out: Uint32Array): void {
  let c0 = counter[0] | 0;
  let c1 = counter[1] | 0;
  let c2 = counter[2] | 0;
  let c3 = counter[3] | 0;
  let k0 = key[0] | 0;
  let k1 = key[1] | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + KEY_STEP_0) | 0;
    k1 = (k1 + KEY_STEP_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** FNV-1a over the path, run twice with different starts: 64 bits of key, so that streams of different paths do not meet. */
function keyOf(seed: number, path: readonly (string | number)[]): [number, number] {
  const text = `${seed}/${path.map((part) => (typeof part === 'number' ? `#${part}` : `'${part}`)).join('/')}`;
  let first = 0x811c9dc5;
  let second = 0x1b873593;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    first = Math.imul(first ^ code, 0x01000193);
    second = Math.imul(second ^ code, 0x85ebca6b);
    second ^= second >>> 13;
  }
  return [first >>> 0, second >>> 0];
}

/** The stream that belongs to a seed and a path; equal arguments give equal streams. */
export function randomStream(seed: number, ...path: readonly (string | number)[]): RandomStream {
  const key = keyOf(seed, path);
  const counter = new Uint32Array(4);
  const block = new Uint32Array(4);
  let used = 4;
  let spareNormal: number | undefined;

  const bits = (): number => {
    if (used === 4) {
      philox(counter, key, block);
      counter[0] = counter[0] + 1;
      if (counter[0] === 0) counter[1] = counter[1] + 1;
      used = 0;
    }
    return block[used++];
  };
  const unit = (): number => bits() / 0x1_0000_0000;
  const integer = (low: number, high: number): number => low + Math.floor(unit() * (high - low));

  return {
    bits,
    uniform: (low = 0, high = 1) => low + unit() * (high - low),
    normal: (mean = 0, standardDeviation = 1) => {
      if (spareNormal !== undefined) {
        const value = spareNormal;
        spareNormal = undefined;
        return mean + standardDeviation * value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - unit()));
      const angle = 2 * Math.PI * unit();
      spareNormal = radius * Math.sin(angle);
      return mean + standardDeviation * radius * Math.cos(angle);
    },
    integer,
    chance: (probability) => unit() < probability,
    permutation: (count) => {
      const order = Uint32Array.from({ length: count }, (_, i) => i);
      for (let i = count - 1; i > 0; i--) {
        const j = integer(0, i + 1);
        const held = order[i];
        order[i] = order[j];
        order[j] = held;
      }
      return order;
    },
  };
}
