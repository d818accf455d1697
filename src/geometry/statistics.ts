/** What a volume's values look like: range, percentiles, numbers that are not finite, and whether it is a label map. */
import { orderStatistic } from '../common/order-statistic.ts';
import type { VoxelArray, Xyz } from './volume.ts';

export interface Statistics {
  /** Over finite voxels; 0 if there is none. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly nonFinite: number;
  /** How often each value occurs, where they are whole numbers of 8 or 16 bits; else null. */
  readonly counts: ValueCounts | null;
  /** The value at the given share (0 to 1) of the finite ones in ascending order, linear between two, as NumPy's. Exact, whatever the range. */
  percentile(share: number): number;
}

const BINS = 65_536;

/** Values that are looked at together: as doubles, so that the loops over them see one type whatever the image's, in the first-level cache. */
const AT_ONCE = 2048;
const some = new Float64Array(AT_ONCE);

/** Puts the next of `data` into `some`; gives how many. */
function takeSome(data: VoxelArray, at: number): number {
  const part = data.subarray(at, at + AT_ONCE);
  some.set(part);
  return part.length;
}

/** Counts the first of `some` in: how many were finite, their sum, the lowest and the highest. Doubles throughout, which the engine keeps in registers. */
function widen(state: Float64Array, count: number): void {
  let finite = state[0];
  let sum = state[1];
  let low = state[2];
  let high = state[3];
  for (let i = 0; i < count; i++) {
    const value = some[i];
    // neither NaN nor infinite
    if (value - value !== 0) continue;
    finite++;
    sum += value;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  state[0] = finite;
  state[1] = sum;
  state[2] = low;
  state[3] = high;
}

/** The range of values that come in parts; numbers that are not finite are counted and left out. */
export class ValueRange {
  finite = 0;
  nonFinite = 0;
  sum = 0;
  #low = Number.POSITIVE_INFINITY;
  #high = Number.NEGATIVE_INFINITY;

  add(data: VoxelArray): void {
    const state = Float64Array.of(0, this.sum, this.#low, this.#high);
    for (let at = 0; at < data.length; at += AT_ONCE) widen(state, takeSome(data, at));
    this.finite += state[0];
    this.nonFinite += data.length - state[0];
    [, this.sum, this.#low, this.#high] = state;
  }

  /** 0 if there was no finite value. */
  get min(): number {
    return this.finite === 0 ? 0 : this.#low;
  }
  get max(): number {
    return this.finite === 0 ? 0 : this.#high;
  }
}

/** Bins of equal width from `low` to `high`, both finite: a greater value is never in a lower one, and only equal ends share one. */
class Bins {
  readonly counts = new Uint32Array(BINS);
  readonly #low: number;
  readonly #high: number;
  readonly #width: number;
  /** So that no difference of two doubles is infinite. */
  readonly #scale: number;

  constructor(low: number, high: number) {
    const scale = Number.isFinite(high - low) ? 1 : 0.5;
    const span = high * scale - low * scale;
    [this.#low, this.#high, this.#scale, this.#width] = [low, high, scale, span / (BINS - 1) || span || 1];
  }

  middle(bin: number): number {
    return Math.min(this.#high, this.#low + (bin * this.#width) / this.#scale);
  }

  /** Counts values; those outside, and NaN, are left out. */
  add(data: VoxelArray): void {
    const [counts, low, high, width, scale] = [this.counts, this.#low, this.#high, this.#width, this.#scale];
    for (let at = 0; at < data.length; at += AT_ONCE) {
      const count = takeSome(data, at);
      for (let i = 0; i < count; i++)
        if (some[i] >= low && some[i] <= high) counts[Math.round((some[i] * scale - low * scale) / width)]++;
    }
  }

  /** @returns the bin with the k-th smallest, from 0, of what was counted, and which of the bin's it is */
  find(k: number): { readonly bin: number; readonly rank: number } {
    let [bin, rank] = [0, k];
    while (bin < BINS - 1 && rank >= this.counts[bin]) rank -= this.counts[bin++];
    return { bin, rank };
  }

  /** Of the values of one bin, which holds some: the lowest, the highest, and all of them if they are few. */
  of(bin: number, data: VoxelArray): { readonly low: number; readonly high: number; readonly values: Float64Array | null } {
    const [low, high, width, scale] = [this.#low, this.#high, this.#width, this.#scale];
    const values = this.counts[bin] <= TAKEN ? new Float64Array(this.counts[bin]) : null;
    let [lowest, highest, taken] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
    for (let at = 0; at < data.length; at += AT_ONCE) {
      const count = takeSome(data, at);
      for (let i = 0; i < count; i++) {
        const value = some[i];
        if (!(value >= low && value <= high) || Math.round((value * scale - low * scale) / width) !== bin) continue;
        if (value < lowest) lowest = value;
        if (value > highest) highest = value;
        if (values) values[taken++] = value;
      }
    }
    return { low: lowest, high: highest, values };
  }
}

/** So many values are taken out of a bin. */
const TAKEN = 65_536;

/** At the share of `count` values, of which `smallest` gives the k-th from 0. */
function linearPercentile(share: number, count: number, smallest: (k: number) => number): number {
  const place = share * (count - 1);
  const k = Math.floor(place);
  const low = smallest(k);
  return place === k ? low : low + (place - k) * (smallest(k + 1) - low);
}

/** The k-th smallest, from 0, of the finite values: where one bin holds too many of them, as beside an outlier, it is divided again. */
function smallestOf(data: VoxelArray, whole: Bins, k: number): number {
  let bins = whole;
  for (let left = k; ; ) {
    const { bin, rank } = bins.find(left);
    const { low, high, values } = bins.of(bin, data);
    if (low === high) return low;
    if (values) return orderStatistic(values, rank);
    bins = new Bins(low, high);
    bins.add(data);
    left = rank;
  }
}

/** Percentiles of values that come in parts and whose range is known, to 1/65,535 of it. */
export class Histogram {
  readonly #bins: Bins;
  readonly #finite: number;

  constructor({ min, max, finite }: ValueRange) {
    [this.#bins, this.#finite] = [new Bins(min, max), finite];
  }

  add(data: VoxelArray): void {
    this.#bins.add(data);
  }

  /** The value below which the given share (0 to 1) of all values lies, once all have been added. */
  percentile(share: number): number {
    return this.#bins.middle(this.#bins.find(share * (this.#finite - 1)).bin);
  }
}

/** Whole numbers of which there are so few that each can be counted. */
type CountableArray = Int8Array | Uint8Array | Int16Array | Uint16Array;

const isCountable = (data: VoxelArray): data is CountableArray =>
  data instanceof Int16Array || data instanceof Uint8Array || data instanceof Uint16Array || data instanceof Int8Array;

/** Counts values of 8 or 16 bits, part by part. */
class ValueCounter {
  readonly #kinds: number;
  readonly #signed: boolean;
  /** By a value's bits. Neighbours are often equal, and one count cannot be raised twice at once: they take turns with four tables. */
  readonly #tables: readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array];

  /** @param like values of their type */
  constructor(like: CountableArray) {
    const kinds = 2 ** (8 * like.BYTES_PER_ELEMENT);
    this.#kinds = kinds;
    this.#signed = like instanceof Int8Array || like instanceof Int16Array;
    this.#tables = [new Uint32Array(kinds), new Uint32Array(kinds), new Uint32Array(kinds), new Uint32Array(kinds)];
  }

  add(data: CountableArray): void {
    const mask = this.#kinds - 1;
    const [a, b, c, d] = this.#tables;
    let at = 0;
    if (data.BYTES_PER_ELEMENT === 2 && data.byteOffset % 4 === 0) {
      // two values by one reading; which of them comes first is no matter
      const pairs = new Int32Array(data.buffer, data.byteOffset, 2 * Math.floor(data.length / 4));
      for (let i = 0; i < pairs.length; i += 2) {
        const one = pairs[i];
        const other = pairs[i + 1];
        a[one & 0xffff]++;
        b[one >>> 16]++;
        c[other & 0xffff]++;
        d[other >>> 16]++;
      }
      at = 2 * pairs.length;
    }
    for (; at < data.length; at++) a[data[at] & mask]++;
  }

  /** Of all that was added, which must be something. */
  counts(): ValueCounts {
    const kinds = this.#kinds;
    const lowest = this.#signed ? -kinds / 2 : 0;
    const [a, b, c, d] = this.#tables;
    const counts = new Uint32Array(kinds);
    for (let k = 0; k < kinds; k++) {
      const bits = (k + lowest) & (kinds - 1);
      counts[k] = a[bits] + b[bits] + c[bits] + d[bits];
    }
    return new ValueCounts(counts, lowest);
  }
}

/** How often each value of a volume of 8 or 16 bits occurs: one pass over the voxels tells its range, its percentiles and its codes. */
export class ValueCounts {
  readonly min: number;
  readonly max: number;
  /** How many different values there are. */
  readonly distinct: number;
  readonly #counts: Uint32Array;
  /** The value that the first count is of. */
  readonly #lowest: number;

  /** @param counts not all 0, of the values from `lowest` on */
  constructor(counts: Uint32Array, lowest: number) {
    let [first, last, distinct] = [-1, -1, 0];
    for (let k = 0; k < counts.length; k++) {
      if (counts[k] === 0) continue;
      if (first < 0) first = k;
      last = k;
      distinct++;
    }
    [this.#counts, this.#lowest, this.min, this.max, this.distinct] = [counts, lowest, first + lowest, last + lowest, distinct];
  }

  of(value: number): number {
    return this.#counts[value - this.#lowest] ?? 0;
  }

  /** All values, ascending. */
  values(): number[] {
    const values: number[] = [];
    for (let value = this.min; value <= this.max; value++) if (this.of(value) > 0) values.push(value);
    return values;
  }
}

/** The same figures as of any other volume, from one pass. */
function countedStatistics(counts: ValueCounts, voxels: number): Statistics {
  const { min, max } = counts;
  let sum = 0;
  for (let value = min; value <= max; value++) sum += value * counts.of(value);
  const smallest = (k: number): number => {
    let left = k;
    let value = min;
    while (value < max && left >= counts.of(value)) left -= counts.of(value++);
    return value;
  };
  const percentile = (share: number): number => linearPercentile(share, voxels, smallest);
  return { min, max, mean: sum / voxels, nonFinite: 0, counts, percentile };
}

/** Statistics of a volume whose values come in parts, all of one type. */
export class RunningStatistics {
  readonly #range = new ValueRange();
  #counter: ValueCounter | undefined;

  add(data: VoxelArray): void {
    if (isCountable(data)) {
      this.#counter ??= new ValueCounter(data);
      this.#counter.add(data);
    } else this.#range.add(data);
  }

  /** @param data all that was added */
  of(data: VoxelArray): Statistics {
    if (this.#counter && data.length > 0) return countedStatistics(this.#counter.counts(), data.length);
    const range = this.#range;
    const { min, max, finite, nonFinite, sum } = range;
    if (finite === 0) return { min, max, mean: 0, nonFinite, counts: null, percentile: () => 0 };
    let bins: Bins | undefined;
    const percentile = (share: number): number => {
      if (!bins) {
        bins = new Bins(min, max);
        bins.add(data);
      }
      const whole = bins;
      return linearPercentile(share, finite, (k) => smallestOf(data, whole, k));
    };
    return { min, max, mean: sum / finite, nonFinite, counts: null, percentile };
  }
}

export function statisticsOf(data: VoxelArray): Statistics {
  const running = new RunningStatistics();
  running.add(data);
  return running.of(data);
}

/** How many voxels have each value of a label map. */
export function countVoxels(data: VoxelArray): Map<number, number> {
  const counts = new Map<number, number>();
  const quads = data instanceof Uint8Array && data.byteOffset % 4 === 0 ? inQuads(data) : new Int32Array();
  // regions are large: neighbours mostly have the same value
  for (let start = 0, end = 0; start < data.length; start = end) {
    const code = data[start];
    end = start + 1;
    while (end < data.length && data[end] === code && end % 4 !== 0) end++;
    // codes of one byte four at a time
    for (const four = Math.imul(code, 0x01010101); end % 4 === 0 && quads[end / 4] === four; end += 4);
    while (end < data.length && data[end] === code) end++;
    counts.set(code, (counts.get(code) ?? 0) + end - start);
  }
  return counts;
}

const inQuads = (data: Uint8Array): Int32Array => new Int32Array(data.buffer, data.byteOffset, Math.floor(data.length / 4));

/** More codes than anatomy atlases use; an image has more values. */
const MAX_CODES = 512;
/**
 * Share of equal neighbours along x, among pairs that are not both background, from which values count as regions. Eight structures of a
 * heart at 6 mm come down to 0.58; images of fewer than a hundred grey values come up to 0.17.
 */
const REGIONS = 0.4;

/**
 * The values of a label map in ascending order, or null if the volume does not look like one: a label map holds few whole numbers, in
 * connected regions.
 * @param counts of its values, where they are known
 */
export function labelCodes(data: VoxelArray, size: Xyz, counts: ValueCounts | null = null): number[] | null {
  const sorted = fewValues(data, counts);
  if (sorted === null || sorted.length <= 2) return sorted;
  const background = sorted.includes(0) ? 0 : sorted[0];
  let pairs = 0;
  let equal = 0;
  for (let row = 0; row < data.length; row += size[0]) {
    let before = data[row];
    for (let i = row + 1; i < row + size[0]; i++) {
      const value = data[i];
      if (value === before) {
        if (value !== background) {
          pairs++;
          equal++;
        }
      } else pairs++;
      before = value;
    }
  }
  return equal >= REGIONS * pairs ? sorted : null;
}

/** All values, ascending, where they are whole numbers and at most MAX_CODES; else null. */
function fewValues(data: VoxelArray, counts: ValueCounts | null): number[] | null {
  if (counts) return counts.distinct <= MAX_CODES ? counts.values() : null;
  const codes = new Set<number>();
  let last = Number.NaN;
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    // runs of one value are what label maps are made of
    if (value === last) continue;
    last = value;
    if (codes.has(value)) continue;
    if (!Number.isInteger(value) || codes.size >= MAX_CODES) return null;
    codes.add(value);
  }
  return [...codes].sort((a, b) => a - b);
}
