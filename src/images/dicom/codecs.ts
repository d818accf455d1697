/**
 * Decoders of compressed frames: bytes of one frame in, samples out.
 *
 * RLE, lossless and 12-bit JPEG (jpeg.ts) are written here; JPEG of 8 bits, JPEG-LS, JPEG 2000 and HTJ2K are WebAssembly builds of
 * libjpeg-turbo, CharLS, OpenJPEG and OpenJPH, each loaded when the first frame needs it.
 */
import { RunError } from '../../common/errors.ts';
import { decodeJpegFrame, jpegFrame } from './jpeg.ts';

/** What a frame must decode to. */
export interface FrameShape {
  readonly rows: number;
  readonly columns: number;
  readonly bitsAllocated: number;
}

/** Samples of a frame in reading order. Signed or not is the header's matter: the bits count. */
export type FrameSamples = Uint8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;
export type FrameDecoder = (bytes: Uint8Array, shape: FrameShape) => Promise<FrameSamples>;

const JPEG = '1.2.840.10008.1.2.4.';

const jpegLs = emscripten('JpegLSDecoder', () => import('@cornerstonejs/codec-charls/decodewasmjs'));
const jpeg2000 = emscripten('J2KDecoder', () => import('@cornerstonejs/codec-openjpeg/decodewasmjs'));
const htJpeg2000 = emscripten('HTJ2KDecoder', () => import('@cornerstonejs/codec-openjph/wasmjs'));

/** Decoders by transfer syntax; what is not here is refused by name. */
const DECODERS: Readonly<Record<string, FrameDecoder>> = {
  '1.2.840.10008.1.2.5': async (bytes, shape) => decodeRle(bytes, shape),
  [`${JPEG}50`]: decodeJpeg,
  [`${JPEG}51`]: decodeJpeg,
  [`${JPEG}57`]: decodeJpeg,
  [`${JPEG}70`]: decodeJpeg,
  [`${JPEG}80`]: jpegLs,
  [`${JPEG}81`]: jpegLs,
  [`${JPEG}90`]: jpeg2000,
  [`${JPEG}91`]: jpeg2000,
  [`${JPEG}201`]: htJpeg2000,
  [`${JPEG}202`]: htJpeg2000,
  [`${JPEG}203`]: htJpeg2000,
};

const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/^1\.2\.840\.10008\.1\.2\.4\.(9[2-5])$/, 'multi-component or referenced JPEG 2000'],
  [/^1\.2\.840\.10008\.1\.2\.4\.10\d/, 'video (MPEG, H.264 or H.265)'],
  [/^1\.2\.840\.10008\.1\.2\.4\.11\d/, 'JPEG XL'],
  [/^1\.2\.840\.10008\.1\.2\.4\.(5[2-6]|5[89]|6\d)$/, 'a retired form of JPEG'],
];

/** The decoder of a transfer syntax. @throws RunError for one that is not read here */
export function decoderOf(transferSyntax: string): FrameDecoder {
  const decoder = DECODERS[transferSyntax];
  if (decoder) return transferSyntax.startsWith(JPEG) ? whole(decoder) : decoder;
  const name = REFUSED.find(([pattern]) => pattern.test(transferSyntax))?.[1];
  throw new RunError(
    `its pixel compression is not supported (transfer syntax ${transferSyntax}${name ? `: ${name}` : ''}); decompress it first, for example with gdcmconv --raw`,
  );
}

/**
 * Every stream of the JPEG family ends with the marker FFD9 (EOI, EOC), behind which there may be padding. Decoders make up what is
 * missing of a stream that is cut; here it is refused.
 */
const whole =
  (decode: FrameDecoder): FrameDecoder =>
  async (bytes, shape) => {
    // JPEG 2000 begins with its size (T.800 A.5.1): no memory is taken for one that cannot be right
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length > 24 && view.getUint32(0) === 0xff4fff51) {
      const [width, height] = [view.getUint32(8) - view.getUint32(16), view.getUint32(12) - view.getUint32(20)];
      if (width !== shape.columns || height !== shape.rows)
        throw new RunError(
          `a JPEG 2000 frame has ${width} x ${height} pixels, its header states ${shape.columns} x ${shape.rows}: damaged`,
        );
    }
    for (let at = bytes.length - 2; at >= 0; at--) {
      if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return decode(bytes, shape);
      if (bytes[at + 1] !== 0 && bytes[at + 1] !== 0xff) break;
    }
    throw new RunError('a compressed frame has no end marker: truncated');
  };

/** A decoder of the family that cornerstone builds: one module, made again after a failure (an aborted one answers no more). */
function emscripten(
  name: keyof EmscriptenDecoders,
  load: () => Promise<{ default: EmscriptenFactory | { default: EmscriptenFactory } }>,
): FrameDecoder {
  let module: Promise<EmscriptenDecoders> | undefined;
  return async (bytes, shape) => {
    module ??= load().then(
      ({ default: factory }) => (typeof factory === 'function' ? factory : factory.default)(quiet()),
      (error) => {
        throw new RunError(`the decoder of its compressed frames cannot be loaded${reasonOf(error)}: install gvsl again`);
      },
    );
    let decoder: EmscriptenDecoder | undefined;
    try {
      decoder = new (await module)[name]();
      decoder.getEncodedBuffer(bytes.length).set(bytes);
      decoder.decode();
      const { width, height, bitsPerSample, componentCount } = decoder.getFrameInfo();
      if (width !== shape.columns || height !== shape.rows || componentCount !== 1)
        throw new RunError(
          `a compressed frame has ${width} x ${height} pixels of ${componentCount} values, its header states ${shape.columns} x ${shape.rows} of 1`,
        );
      // a view of the module's memory, which the next frame reuses
      const decoded = decoder.getDecodedBuffer().slice();
      if (bitsPerSample <= 8) return decoded;
      return bitsPerSample <= 16 ? new Uint16Array(decoded.buffer) : new Uint32Array(decoded.buffer);
    } catch (error) {
      if (error instanceof RunError) throw error;
      module = undefined;
      throw new RunError(`a compressed frame cannot be decoded: damaged or truncated${reasonOf(error)}`);
    } finally {
      try {
        decoder?.delete();
      } catch {
        // an aborted module cannot free anything
      }
    }
  };
}

let places: Readonly<Record<string, string>> = {};

/**
 * Where the decoders' WebAssembly lies, in a bundle for browsers, which cannot find it beside the modules; Node needs none of this.
 * @param urls by the files' names, such as 'charlswasm_decode.wasm'
 */
export function codecsLieAt(urls: Readonly<Record<string, string>>): void {
  places = urls;
}

/** A module's settings; it keeps the object and changes it, so each needs its own. */
const quiet = (): object => ({
  print: () => {},
  printErr: () => {},
  locateFile: (name: string, folder: string) => places[name] ?? folder + name,
});
const reasonOf = (error: unknown): string =>
  error instanceof Error && error.message ? ` (${error.message.split('\n')[0].slice(0, 120)})` : '';

const libjpeg = emscripten('JPEGDecoder', () => import('@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs'));

/** JPEG in DICOM is of several processes; the stream itself says of which (its frame marker), the transfer syntax may not. */
async function decodeJpeg(bytes: Uint8Array, shape: FrameShape): Promise<FrameSamples> {
  const { process, precision, width, height, components } = jpegFrame(bytes);
  if (width !== shape.columns || height !== shape.rows || components !== 1)
    throw new RunError(
      `a JPEG frame has ${width} x ${height} pixels of ${components} values, its header states ${shape.columns} x ${shape.rows} of 1`,
    );
  if (process === 3 || (process <= 1 && precision === 12)) return decodeJpegFrame(bytes);
  if (precision === 8 && process <= 2) return libjpeg(bytes, shape);
  throw new RunError(
    `a JPEG frame of process ${process} with ${precision} bits, which is not supported; decompress it first, for example with gdcmconv --raw`,
  );
}

/** RLE of PS3.5 annex G: one PackBits segment a byte plane, the most significant first. */
function decodeRle(bytes: Uint8Array, { rows, columns, bitsAllocated }: FrameShape): FrameSamples {
  const width = bitsAllocated / 8;
  if (width !== 1 && width !== 2 && width !== 4) throw new RunError(`RLE of ${bitsAllocated} bits, expected 8, 16 or 32`);
  if (bytes.length < 64) throw new RunError('an RLE frame is shorter than its header: truncated');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const segments = view.getUint32(0, true);
  if (segments !== width) throw new RunError(`an RLE frame has ${segments} segments, expected ${width}: damaged`);
  const pixels = rows * columns;
  // two bytes give at most 128
  if (pixels * width > bytes.length * 64)
    throw new RunError(`an RLE frame of ${bytes.length} bytes cannot hold ${pixels} pixels: truncated`);
  const out = new Uint8Array(pixels * width);
  for (let segment = 0; segment < segments; segment++) {
    const begin = view.getUint32(4 + 4 * segment, true);
    const end = segment + 1 < segments ? view.getUint32(8 + 4 * segment, true) : bytes.length;
    if (begin < 64 || end > bytes.length || begin > end) throw new RunError('an RLE frame points outside itself: damaged');
    // little-endian samples: the most significant byte is the last
    let to = width - 1 - segment;
    let at = begin;
    let written = 0;
    while (at < end && written < pixels) {
      const code = bytes[at++];
      if (code === 128) continue;
      const count = Math.min(code < 128 ? code + 1 : 257 - code, pixels - written);
      if (code < 128 && at + count > end) break;
      if (code > 128 && at >= end) break;
      for (let k = 0; k < count; k++, to += width) out[to] = code < 128 ? bytes[at + k] : bytes[at];
      at += code < 128 ? code + 1 : 1;
      written += count;
    }
    if (written < pixels) throw new RunError(`an RLE frame holds ${written} of ${pixels} pixels: truncated`);
  }
  return width === 1 ? out : width === 2 ? new Uint16Array(out.buffer) : new Uint32Array(out.buffer);
}
