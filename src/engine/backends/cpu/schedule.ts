/**
 * Which kernel calls may run at the same time, and into how many shares each is cut.
 *
 * Calls fall into waves: a call belongs to the first wave after those of all calls before it that write what it touches, or touch what it
 * writes. Within a wave the calls are independent, so threads take shares of any of them; between two waves they wait for one another. So two
 * branches of a network, the gradients of one convolution, or the sums over a hundred parameters need one wait and not one a kernel.
 */

/** Bytes of memory from one address up to another. */
export interface Region {
  readonly from: number;
  readonly to: number;
}

/** What a kernel call touches. */
export interface Access {
  /** Needs nothing that the call before it does, and touches other bytes where both touch the same tensor. */
  readonly besideLast?: boolean;
  readonly reads: readonly Region[];
  readonly writes: readonly Region[];
}

/** A stretch of memory, up to where the next begins, and the last waves that have written and read it (-1: none). */
interface Stretch {
  readonly from: number;
  written: number;
  read: number;
}

/** The waves that have touched every address so far. */
class Touched {
  private readonly stretches: Stretch[] = [{ from: 0, written: -1, read: -1 }];

  /** The last wave that a call must come after which reads the region, or writes it. */
  lastBefore({ from, to }: Region, writes: boolean): number {
    let last = -1;
    for (let i = this.holding(from); i < this.stretches.length && this.stretches[i].from < to; i++) {
      const { written, read } = this.stretches[i];
      last = Math.max(last, written, writes ? read : -1);
    }
    return last;
  }

  read(region: Region, wave: number): void {
    const [first, end] = this.cut(region);
    for (let i = first; i < end; i++) this.stretches[i].read = Math.max(this.stretches[i].read, wave);
  }

  write(region: Region, wave: number): void {
    const [first, end] = this.cut(region);
    this.stretches.splice(first, end - first, { from: region.from, written: wave, read: -1 });
  }

  /** Index of the stretch that holds an address. */
  private holding(address: number): number {
    let [low, high] = [0, this.stretches.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.stretches[middle].from <= address) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Makes stretches begin and end where the region does; their indices, the last excluded. */
  private cut({ from, to }: Region): [number, number] {
    const indexFrom = (address: number): number => {
      const at = this.holding(address);
      if (this.stretches[at].from === address) return at;
      this.stretches.splice(at + 1, 0, { ...this.stretches[at], from: address });
      return at + 1;
    };
    const first = indexFrom(from);
    return [first, indexFrom(to)];
  }
}

/** The wave of every call, in the calls' order; the first is 0, and none is empty. */
export function wavesOf(calls: readonly Access[]): number[] {
  const touched = new Touched();
  const waves: number[] = [];
  for (let first = 0, end = 0; first < calls.length; first = end) {
    do end++;
    while (calls[end]?.besideLast);
    const together = calls.slice(first, end);
    const reads = together.flatMap((call) => call.reads);
    const writes = together.flatMap((call) => call.writes);
    let wave = 0;
    for (const region of reads) wave = Math.max(wave, touched.lastBefore(region, false) + 1);
    for (const region of writes) wave = Math.max(wave, touched.lastBefore(region, true) + 1);
    for (const region of reads) touched.read(region, wave);
    for (const region of writes) touched.write(region, wave);
    for (const _ of together) waves.push(wave);
  }
  return waves;
}

/** Nodes for which a piece of memory is not used again, so that what could run at the same time is not kept apart by that alone. */
export const slackOf = (sizeBytes: number): number => (sizeBytes <= 65_536 ? 64 : sizeBytes <= 2 ** 20 ? 8 : 0);

/** Shares for each thread: who is late leaves some to the others. */
const SHARES_A_THREAD = 8;
/** Bytes that a share touches at least: with fewer, taking shares would cost more than the threads gain. */
const MIN_SHARE_BYTES = 16_384;

/** Into how many shares a call that touches so many bytes is cut. What it computes does not depend on that: see common.as.ts. */
export const sharesOf = (bytes: number, threads: number): number =>
  threads === 1 ? 1 : Math.max(1, Math.min(SHARES_A_THREAD * threads, Math.floor(bytes / MIN_SHARE_BYTES)));

/**
 * After how many calls each region is no longer written: at the end of a wave, where calls may be cut into two jobs.
 * @param calls in the order in which they run
 */
export function lastWrites(
  calls: readonly { readonly wave: number; readonly touches: Access }[],
  regions: readonly Region[],
): number[] {
  const waveEnd = new Map(calls.map(({ wave }, i) => [wave, i + 1]));
  return regions.map(({ from, to }) => {
    const last = calls.findLast(({ touches }) => touches.writes.some((each) => each.from < to && each.to > from));
    return last ? waveEnd.get(last.wave)! : 0;
  });
}
