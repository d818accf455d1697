/**
 * JPEG frames of one component with Huffman coding (ITU T.81): lossless (process 14, all predictors) and sequential DCT of 8 or 12 bits
 * (processes 1, 2 and 4). Written here because the JavaScript decoder of lossless JPEG gives wrong samples of 8 bits, and the
 * WebAssembly builds of libjpeg read 8 bits alone.
 */
import { RunError } from '../../common/errors.ts';

export interface JpegFrame {
  /** n of the frame marker SOFn: 0 and 1 sequential DCT, 2 progressive, 3 lossless. */
  readonly process: number;
  readonly precision: number;
  readonly width: number;
  readonly height: number;
  readonly components: number;
}

interface Header extends JpegFrame {
  /** Of the component: which table of quantisation. */
  readonly quantisation: number;
}

/** A code's length in bits and its value, by the next 16 bits: length << 8 | value; 0 where there is no such code. */
type HuffmanTable = Uint16Array;

/** Annex F.2.2.3, C. @throws RunError */
function huffmanTable(bytes: Uint8Array, at: number, end: number): { table: HuffmanTable; next: number } {
  const table = new Uint16Array(65536);
  let code = 0;
  let value = at + 16;
  for (let length = 1; length <= 16; length++, code <<= 1) {
    for (let k = 0; k < bytes[at + length - 1]; k++, code++) {
      const from = code << (16 - length);
      if (value >= end || from >= 65536) throw new RunError('a JPEG frame has a damaged Huffman table');
      table.fill((length << 8) | bytes[value++], from, from + (1 << (16 - length)));
    }
  }
  return { table, next: value };
}

/** The entropy-coded bits of a scan, without stuffed bytes; behind a marker or the end there are zeros, and not many may be taken. */
class Bits {
  private held = 0;
  private count = 0;
  private beyond = 0;
  private readonly bytes: Uint8Array;
  private at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Makes at least 16 bits available. */
  private fill(): void {
    while (this.count <= 16) {
      let byte = 0;
      if (this.at >= this.bytes.length || (this.bytes[this.at] === 0xff && this.bytes[this.at + 1] !== 0)) {
        if (++this.beyond > 8) throw new RunError('a JPEG frame ends before its last pixel: truncated or damaged');
      } else {
        byte = this.bytes[this.at];
        this.at += byte === 0xff ? 2 : 1;
      }
      this.held = (this.held << 8) | byte;
      this.count += 8;
    }
  }

  code(table: HuffmanTable): number {
    this.fill();
    const entry = table[(this.held >>> (this.count - 16)) & 0xffff];
    if (entry === 0) throw new RunError('a JPEG frame has an undefined Huffman code: damaged');
    this.count -= entry >> 8;
    return entry & 0xff;
  }

  /** A difference of `size` bits (F.2.2.1), of which lossless JPEG has one of 16 without bits (H.1.2.2). */
  difference(size: number): number {
    if (size === 0) return 0;
    if (size === 16) return 32768;
    if (size > 16) throw new RunError('a JPEG frame has a difference of more than 16 bits: damaged');
    this.fill();
    this.count -= size;
    const value = (this.held >>> this.count) & ((1 << size) - 1);
    return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
  }

  /** Goes behind the restart marker that must follow (E.2.4). */
  restart(): void {
    this.held = 0;
    this.count = 0;
    this.beyond = 0;
    while (this.at + 1 < this.bytes.length && !(this.bytes[this.at] === 0xff && (this.bytes[this.at + 1] & 0xf8) === 0xd0))
      this.at++;
    this.at += 2;
  }
}

interface Scan {
  readonly bits: Bits;
  readonly restartInterval: number;
  /** Ss and Al of the scan header: predictor and point transform of a lossless one. */
  readonly start: number;
  readonly low: number;
  readonly dc: HuffmanTable;
  readonly ac: HuffmanTable;
  readonly quantisation: Int32Array;
}

/** What a JPEG stream says of its frame. @throws RunError if it says nothing */
export const jpegFrame = (bytes: Uint8Array): JpegFrame => readMarkers(bytes, false).header;

/** The samples of a stream of process 0, 1 or 3 with one component. @throws RunError */
export function decodeJpegFrame(bytes: Uint8Array): Uint8Array | Uint16Array {
  const { header, scan } = readMarkers(bytes, true);
  const { width, height, precision, process } = header;
  const out = precision <= 8 ? new Uint8Array(width * height) : new Uint16Array(width * height);
  if (process === 3) lossless(header, scan!, out);
  else sequential(header, scan!, out);
  return out;
}

function readMarkers(bytes: Uint8Array, withScan: boolean): { header: Header; scan?: Scan } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const huffman = new Map<number, HuffmanTable>();
  const quantisations = new Map<number, Int32Array>();
  let header: Header | undefined;
  let restartInterval = 0;
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8)
    throw new RunError('a frame is not JPEG, as its transfer syntax says: damaged');
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++;
      continue;
    }
    const end = at + 2 + view.getUint16(at + 2);
    if (end > bytes.length) break;
    let p = at + 4;
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc && end - at >= 13) {
      header = {
        process: marker - 0xc0,
        precision: bytes[p],
        height: view.getUint16(p + 1),
        width: view.getUint16(p + 3),
        components: bytes[p + 5],
        quantisation: bytes[p + 8],
      };
      if (!withScan) return { header };
    } else if (marker === 0xc4) {
      while (p + 17 <= end) {
        const { table, next } = huffmanTable(bytes, p + 1, end);
        huffman.set(bytes[p], table);
        p = next;
      }
    } else if (marker === 0xdb) {
      while (p < end) {
        const wide = bytes[p] >> 4;
        if (p + 1 + 64 * (1 + wide) > end) break;
        quantisations.set(
          bytes[p] & 15,
          Int32Array.from({ length: 64 }, (_, k) => (wide ? view.getUint16(p + 1 + 2 * k) : bytes[p + 1 + k])),
        );
        p += 1 + 64 * (1 + wide);
      }
    } else if (marker === 0xdd) restartInterval = view.getUint16(p);
    else if (marker === 0xda && header) {
      const tables = bytes[p + 2];
      const dc = huffman.get(tables >> 4);
      const ac = huffman.get(0x10 | (tables & 15));
      const quantisation = quantisations.get(header.quantisation);
      if (bytes[p] !== 1 || !dc || (header.process !== 3 && !(ac && quantisation)))
        throw new RunError('a JPEG frame lacks a table that its scan needs, or has several components: damaged');
      const [start, low] = [bytes[p + 3], bytes[p + 5] & 15];
      const none = new Uint16Array();
      const scan = { bits: new Bits(bytes, end), restartInterval, start, low, dc, ac: ac ?? none };
      return { header, scan: { ...scan, quantisation: quantisation ?? new Int32Array(64) } };
    }
    at = end;
  }
  throw new RunError(`a JPEG frame has no ${header ? 'scan' : 'frame header'}: truncated or damaged`);
}

/** Annex H.1. */
function lossless({ width, height, precision }: Header, scan: Scan, out: Uint8Array | Uint16Array): void {
  const { bits, dc, start: predictor, low: shift, restartInterval } = scan;
  if (predictor < 1 || predictor > 7) throw new RunError(`a lossless JPEG frame has predictor ${predictor}, expected 1 to 7`);
  const initial = 1 << (precision - shift - 1);
  // lines without the point transform, as predictions take them
  let above = new Int32Array(width);
  let line = new Int32Array(width);
  let isFirstLine = true;
  for (let y = 0, done = 0; y < height; y++) {
    for (let x = 0; x < width; x++, done++) {
      if (restartInterval > 0 && done > 0 && done % restartInterval === 0) {
        bits.restart();
        isFirstLine = true;
      }
      const [a, b, c] = [line[x - 1], above[x], above[x - 1]];
      let predicted: number;
      if (isFirstLine) predicted = x === 0 || (restartInterval > 0 && done % restartInterval === 0) ? initial : a;
      else if (x === 0) predicted = b;
      else if (predictor === 1) predicted = a;
      else if (predictor === 2) predicted = b;
      else if (predictor === 3) predicted = c;
      else if (predictor === 4) predicted = a + b - c;
      else if (predictor === 5) predicted = a + ((b - c) >> 1);
      else if (predictor === 6) predicted = b + ((a - c) >> 1);
      else predicted = (a + b) >> 1;
      line[x] = (predicted + bits.difference(bits.code(dc))) & 0xffff;
      out[y * width + x] = line[x] << shift;
    }
    [above, line] = [line, above];
    isFirstLine = false;
  }
}

/** Where the coefficients of a block come, along the diagonals (figure A.6). */
const ZIGZAG: readonly number[] = (() => {
  const cells = Array.from({ length: 64 }, (_, k) => [k >> 3, k & 7] as const);
  cells.sort(([v, u], [w, t]) => v + u - (w + t) || ((v + u) % 2 === 0 ? w - v : v - w));
  return cells.map(([v, u]) => 8 * v + u);
})();

/** cos((2x + 1) u pi / 16), halved and with the factor 1/sqrt(2) of u = 0 (A.3.3): by u, then x. */
const COSINES = Float64Array.from({ length: 64 }, (_, k) => {
  const [u, x] = [k >> 3, k & 7];
  return (Math.cos(((2 * x + 1) * u * Math.PI) / 16) * (u === 0 ? Math.SQRT1_2 : 1)) / 2;
});

/** Annex F.2. */
function sequential({ width, height, precision }: Header, scan: Scan, out: Uint8Array | Uint16Array): void {
  const { bits, dc, ac, quantisation, restartInterval } = scan;
  const [across, down] = [Math.ceil(width / 8), Math.ceil(height / 8)];
  const block = new Float64Array(64);
  const half = new Float64Array(64);
  const [middle, most] = [2 ** (precision - 1), 2 ** precision - 1];
  let last = 0;
  for (let n = 0; n < across * down; n++) {
    if (restartInterval > 0 && n > 0 && n % restartInterval === 0) {
      bits.restart();
      last = 0;
    }
    block.fill(0);
    last += bits.difference(bits.code(dc));
    block[0] = last * quantisation[0];
    for (let k = 1; k < 64; k++) {
      const symbol = bits.code(ac);
      const [run, size] = [symbol >> 4, symbol & 15];
      if (size === 0 && run < 15) break;
      k += run;
      if (size > 0 && k < 64) block[ZIGZAG[k]] = bits.difference(size) * quantisation[k];
    }
    for (let v = 0; v < 8; v++)
      for (let x = 0; x < 8; x++) {
        let sum = 0;
        for (let u = 0; u < 8; u++) sum += block[8 * v + u] * COSINES[8 * u + x];
        half[8 * v + x] = sum;
      }
    const [x0, y0] = [8 * (n % across), 8 * Math.floor(n / across)];
    for (let y = 0; y < 8 && y0 + y < height; y++)
      for (let x = 0; x < 8 && x0 + x < width; x++) {
        let sum = middle;
        for (let v = 0; v < 8; v++) sum += half[8 * v + x] * COSINES[8 * v + y];
        out[(y0 + y) * width + x0 + x] = Math.max(0, Math.min(most, Math.round(sum)));
      }
  }
}
