/** Stored values of a file's frames, one frame at a time. */
import { counted } from '../../common/counted.ts';
import { RunError } from '../../common/errors.ts';
import { joinBytes } from '../bytes.ts';
import { decoderOf, type FrameSamples } from './codecs.ts';
import { readDataSet } from './data-set.ts';
import type { DicomFile } from './frames.ts';
import type { RandomAccess } from './random-access.ts';

/** Stored values of a frame in reading order: signed, masked to the bits stored, without overlays; or floating point as they are. */
export type StoredValues = Int32Array | Float32Array | Float64Array;

const UNKNOWN_LENGTH = 0xffffffff;
const ITEM = 0xfffee000;
const SEQUENCE_END = 0xfffee0dd;

/** Bits set outside those stored. */
export interface StrayBits {
  /** Pixels with bits set outside those stored (an overlay, or a wrong header). */
  strayBits: number;
}

/** Gives a frame by its index; the array is filled anew for the next one. @throws RunError without the file's name */
export type StoredFrames = (index: number) => Promise<StoredValues>;

/** Opens the pixels of `file`, whose bytes are `source`: what is compressed is read and inflated once, for all frames. @throws RunError */
export async function storedFrames(
  file: DicomFile,
  source: RandomAccess,
  found: StrayBits = { strayBits: 0 },
): Promise<StoredFrames> {
  // an inflated file is in memory; any other is read again where its pixels are
  const content = file.pixels.encapsulated || !DEFLATED.test(file.transferSyntax) ? source : (await readDataSet(source)).source;
  const samplesOf = file.pixels.encapsulated ? await compressedFrames(file, content) : nativeFrames(file, content);
  const count = file.rows * file.columns;
  let scratch: Int32Array | undefined;
  return async (index) => {
    const samples = await samplesOf(index);
    if (samples.length < count)
      throw new RunError(`a frame decodes to ${samples.length} pixels, expected ${count}: damaged or truncated`);
    if (isFloat(samples)) return samples;
    scratch ??= new Int32Array(count);
    return storedOf(samples, file, scratch, found);
  };
}

const DEFLATED = /^1\.2\.840\.10008\.1\.2\.1\.99$/;
const isFloat = (samples: FrameSamples | Float32Array | Float64Array): samples is Float32Array | Float64Array =>
  samples instanceof Float32Array || samples instanceof Float64Array;

/**
 * Picks the stored bits out of each sample and extends the sign. A lossy decoder may overshoot the stored bits: such samples are
 * clamped, where the same bits in other files are an overlay and left out.
 */
function storedOf(
  samples: FrameSamples,
  { bitsStored, highBit, signed, bitsAllocated, pixels }: DicomFile,
  out: Int32Array,
  found: StrayBits,
): Int32Array | Float64Array {
  const n = out.length;
  if (bitsStored === 32 && !signed) return Float64Array.from({ length: n }, (_, i) => samples[i] >>> 0);
  const down = highBit + 1 - bitsStored;
  const up = 32 - bitsStored;
  const unallocated = 32 - bitsAllocated;
  const allocated = -1 >>> unallocated;
  const clamps = pixels.encapsulated && down === 0;
  const [least, most] = signed ? [-(2 ** (bitsStored - 1)), 2 ** (bitsStored - 1) - 1] : [0, 2 ** bitsStored - 1];
  let stray = 0;
  for (let i = 0; i < n; i++) {
    const sample = samples[i];
    const bits = (sample >>> down) << up;
    const value = signed ? bits >> up : bits >>> up;
    out[i] = value;
    // outside the stored bits there may be nothing but the sign, or zeros instead of it
    if ((((value << down) ^ sample) & allocated) === 0 || (bits >>> up) << down === (sample & allocated)) continue;
    if (clamps) out[i] = Math.max(least, Math.min(most, signed ? (sample << unallocated) >> unallocated : sample));
    else stray++;
  }
  found.strayBits += stray;
  return out;
}

type FrameReader = (index: number) => Promise<FrameSamples | Float32Array | Float64Array>;

function nativeFrames(file: DicomFile, source: RandomAccess): FrameReader {
  const { rows, columns, bitsAllocated, bigEndian, pixels } = file;
  const count = rows * columns;
  if (![1, 8, 16, 32, 64].includes(bitsAllocated)) throw new RunError(`pixels of ${bitsAllocated} bits, expected 1, 8, 16 or 32`);
  const isFloating = pixels.tag !== 'x7fe00010';
  if (bitsAllocated === 64 && !isFloating) throw new RunError('whole numbers of 64 bits, expected at most 32');
  return async (index) => {
    const firstBit = index * count * bitsAllocated;
    const start = pixels.offset + Math.floor(firstBit / 8);
    const end = pixels.offset + Math.ceil((firstBit + count * bitsAllocated) / 8);
    // words of 16 bits are what a byte order swaps, also where two pixels share one
    const swapped = bigEndian && bitsAllocated === 8 && pixels.vr === 'OW';
    const half = swapped ? (start - pixels.offset) % 2 : 0;
    const stored = await source.read(start - half, swapped ? end + 1 : end);
    const bytes = swapped ? swapPairs(stored, half) : stored;
    if (bytes.length < Math.ceil((count * bitsAllocated) / 8))
      throw new RunError(`frame ${index + 1} has ${bytes.length} bytes: truncated`);
    if (bitsAllocated === 8) return bytes;
    if (bitsAllocated === 1) {
      const skip = firstBit % 8;
      return Uint8Array.from({ length: count }, (_, i) => (bytes[(i + skip) >> 3] >> ((i + skip) & 7)) & 1);
    }
    // a copy lies at an address that any element size allows
    const aligned = bytes.slice(0, count * (bitsAllocated / 8));
    if (bigEndian) reverseEach(aligned, bitsAllocated / 8);
    if (isFloating) return bitsAllocated === 64 ? new Float64Array(aligned.buffer) : new Float32Array(aligned.buffer);
    return bitsAllocated === 16 ? new Uint16Array(aligned.buffer) : new Int32Array(aligned.buffer);
  };
}

function swapPairs(bytes: Uint8Array, from: number): Uint8Array {
  const out = bytes.slice();
  for (let i = 0; i + 1 < out.length; i += 2) [out[i], out[i + 1]] = [out[i + 1], out[i]];
  return out.subarray(from);
}

function reverseEach(bytes: Uint8Array, width: number): void {
  for (let at = 0; at + width <= bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

/** Frames in fragments (PS3.5 A.4): by the offset table if there is one, else a fragment or a stream a frame. */
async function compressedFrames(file: DicomFile, source: RandomAccess): Promise<FrameReader> {
  const decode = decoderOf(file.transferSyntax);
  const bytes = await source.read(file.pixels.offset, source.size);
  const { fragments, basicOffsets } = fragmentsOf(bytes);
  const count = file.frames.length;
  const starts = startsOf(file, fragments, basicOffsets);
  const shape = { rows: file.rows, columns: file.columns, bitsAllocated: file.bitsAllocated };
  return async (index) => {
    const own = fragments.slice(starts[index], index + 1 < count ? starts[index + 1] : undefined).map(({ data }) => data);
    if (own.length === 0) throw new RunError(`frame ${index + 1} has no fragment: truncated`);
    const frame = own.length === 1 ? own[0] : joinBytes(own);
    return decode(frame, shape);
  };
}

interface Fragment {
  /** Of its item, from the first fragment's item. */
  readonly offset: number;
  readonly data: Uint8Array;
}

function fragmentsOf(bytes: Uint8Array): { fragments: Fragment[]; basicOffsets: number[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fragments: Fragment[] = [];
  let basicOffsets: number[] | undefined;
  let firstItem = 0;
  for (let at = 0; ; ) {
    if (at + 8 > bytes.length) {
      // a missing end is forgiven where nothing else is missing: every frame is decoded and counted
      if (fragments.length > 0 && at === bytes.length) break;
      throw new RunError('its compressed pixels end in the middle: truncated');
    }
    const tag = view.getUint16(at, true) * 65536 + view.getUint16(at + 2, true);
    const length = view.getUint32(at + 4, true);
    if (tag === SEQUENCE_END) break;
    if (tag !== ITEM || length === UNKNOWN_LENGTH)
      throw new RunError('its compressed pixels are damaged (a fragment is missing)');
    if (at + 8 + length > bytes.length)
      throw new RunError(`a fragment of its pixels states ${length} bytes, but ${bytes.length - at - 8} are present: truncated`);
    if (!basicOffsets) {
      basicOffsets = Array.from({ length: length >> 2 }, (_, k) => view.getUint32(at + 8 + 4 * k, true));
      firstItem = at + 8 + length;
    } else {
      fragments.push({ offset: at - firstItem, data: bytes.subarray(at + 8, at + 8 + length) });
    }
    at += 8 + length;
  }
  if (fragments.length === 0) throw new RunError('its pixel data fragments are empty: truncated?');
  return { fragments, basicOffsets: basicOffsets ?? [] };
}

/** The first fragment of every frame. */
function startsOf(file: DicomFile, fragments: readonly Fragment[], basicOffsets: readonly number[]): number[] {
  const count = file.frames.length;
  // a frame begins where a stream begins: JPEG and JPEG-LS, JPEG 2000 (T.800 A.4.1)
  const begins = fragments.flatMap(({ data }, k) => (isStreamStart(data) ? [k] : []));
  if (begins.length > count)
    throw new RunError(`its header states ${counted(count, 'frame')}, but its pixels are ${begins.length} streams: damaged`);
  if (count === 1) return [0];
  const offsets = file.extendedOffsets ?? basicOffsets;
  if (offsets.length >= count) {
    const starts = offsets.slice(0, count).map((offset) => fragments.findIndex((fragment) => fragment.offset === offset));
    if (starts.every((start, k) => start >= 0 && (k === 0 || start > starts[k - 1]))) return starts;
  }
  if (fragments.length === count) return Array.from({ length: count }, (_, k) => k);
  if (begins.length === count) return begins;
  throw new RunError(
    `it has ${count} frames in ${fragments.length} fragments and no offset table that tells them apart: truncated or damaged`,
  );
}

const isStreamStart = (data: Uint8Array): boolean =>
  data[0] === 0xff && (data[1] === 0xd8 || (data[1] === 0x4f && data[2] === 0xff));
