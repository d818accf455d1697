/** The header of NIfTI-1, NIfTI-2 and Analyze 7.5 files, field by field, checked. Layouts: nifti1.h and nifti2.h. */
import { RunError } from '../common/errors.ts';
import type { Affine } from '../geometry/affine.ts';
import { type Matrix3, matrix3, perAxis, perEntry, type Xyz } from '../geometry/volume.ts';
import { latin1 } from './data-place.ts';
import type { Intent } from './loaded-image.ts';
import type { StoredType } from './stored-image.ts';

export interface NiftiHeader {
  readonly format: 'NIfTI-1' | 'NIfTI-2' | 'Analyze 7.5';
  /** Voxels in a file of their own (.hdr + .img). */
  readonly pair: boolean;
  readonly littleEndian: boolean;
  /** Sizes of the dimensions in use. */
  readonly dims: readonly number[];
  readonly type: StoredType;
  /** Voxel size as stored, in mm; 1 along axes of one voxel for which none is stored. */
  readonly pixdimMm: Xyz;
  /** Axes (x, y, z) of one voxel whose size is not stored: it may be left out of dimensions that are not in use. */
  readonly unsized: readonly [boolean, boolean, boolean];
  /** Lengths are stored in another unit than mm; they are converted. */
  readonly unit: 'metres' | 'micrometres' | null;
  /** Length of the part of the qform's quaternion that is stored: more than 1 is no rotation. */
  readonly quaternionLength: number;
  /** Where the voxels begin, in the file that holds them. */
  readonly voxOffset: number;
  readonly slope: number;
  readonly intercept: number;
  readonly qformCode: number;
  readonly sformCode: number;
  /** What the values of a voxel mean, where the file says so. */
  readonly intent: Intent;
  /** Voxels to RAS, mm; null where the code is 0. */
  readonly qform: Affine | null;
  readonly sform: Affine | null;
}

/** Types that hold one real number a voxel. */
const TYPES: Readonly<Record<number, StoredType>> = {
  2: 'uint8',
  4: 'int16',
  8: 'int32',
  16: 'float32',
  64: 'float64',
  256: 'int8',
  512: 'uint16',
  768: 'uint32',
  1024: 'int64',
  1280: 'uint64',
};
/** Types that exist but hold something else, or more than can be read here. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  1: 'bits',
  32: 'complex numbers',
  128: 'RGB colours',
  1536: '128-bit floats',
  1792: 'complex numbers',
  2048: 'complex numbers',
  2304: 'RGBA colours',
};

/** A longer header is never needed: NIfTI-2's. */
export const NIFTI_HEADER_BYTES = 540;

/** Whether bytes are those of a text: printable ASCII and white space. */
const isText = (bytes: Uint8Array): boolean => bytes.every((byte) => (byte >= 32 && byte < 127) || (byte >= 9 && byte <= 13));

/** Parses and checks a header. @throws RunError with the reason, without the file's name */
export function parseNiftiHeader(bytes: Uint8Array, hasOwnVoxelFile: boolean): NiftiHeader {
  if (bytes.length < 348) throw new RunError(`not NIfTI: ${bytes.length} bytes, expected a header of at least 348`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sizes = [view.getInt32(0, true), view.getInt32(0, false)];
  const littleEndian = sizes[0] === 348 || sizes[0] === 540;
  const headerBytes = littleEndian ? sizes[0] : sizes[1];
  if (headerBytes !== 348 && headerBytes !== 540 && isText(bytes))
    throw new RunError('not NIfTI: it holds text, expected a header of 348 or 540 bytes and voxels; choose the image itself');
  if (headerBytes !== 348 && headerBytes !== 540)
    throw new RunError(`not NIfTI: its header size field is ${sizes[0]}, expected 348 (NIfTI-1) or 540 (NIfTI-2)`);
  if (bytes.length < headerBytes) throw new RunError(`truncated: ${bytes.length} bytes, expected a header of ${headerBytes}`);
  const two = headerBytes === 540;
  const magic = String.fromCharCode(...bytes.subarray(two ? 4 : 344, two ? 8 : 348));
  const known = two ? ['n+2\0', 'ni2\0'] : ['n+1\0', 'ni1\0'];
  const analyze = !two && !known.includes(magic);
  if (analyze && !(hasOwnVoxelFile && magic.startsWith('\0')))
    throw new RunError(`not NIfTI: its magic is ${JSON.stringify(magic)}, expected "n+1" or "ni1"`);

  const i16 = (at: number): number => view.getInt16(at, littleEndian);
  const i32 = (at: number): number => view.getInt32(at, littleEndian);
  const f32 = (at: number): number => view.getFloat32(at, littleEndian);
  const i64 = (at: number): number => Number(view.getBigInt64(at, littleEndian));
  const f64 = (at: number): number => view.getFloat64(at, littleEndian);
  const real = (at1: number, at2: number, k = 0): number => (two ? f64(at2 + 8 * k) : f32(at1 + 4 * k));

  const rank = two ? i64(16) : i16(40);
  if (!(rank >= 1 && rank <= 7)) throw new RunError(`its number of dimensions is ${rank}, expected 1 to 7: damaged`);
  // 0 beyond the third is common and means 1, as nifti_clib and ITK take it
  const dims = Array.from({ length: rank }, (_, k) => (two ? i64(24 + 8 * k) : i16(42 + 2 * k))).map((n, k) =>
    n === 0 && k >= 3 ? 1 : n,
  );
  if (!dims.every((n) => Number.isSafeInteger(n) && n > 0)) throw new RunError(`its size is ${dims.join(' x ')}: damaged`);
  const datatype = two ? i16(12) : i16(70);
  if (!(datatype in TYPES))
    throw new RunError(
      `its voxels are ${OTHER_TYPES[datatype] ?? `of unknown type ${datatype}`}, expected one real number a voxel; convert it, or choose the image that it was made from`,
    );

  // units: 1 metres, 2 millimetres, 3 micrometres
  const unit = (two ? i32(500) : bytes[123]) & 7;
  const toMm = analyze ? 1 : unit === 1 ? 1000 : unit === 3 ? 0.001 : 1;
  const stored = perAxis([1, 2, 3], (k) => Math.abs(real(76, 104, k)) * toMm);
  const unsized = perAxis(stored, (s, k) => (dims[k] ?? 1) === 1 && !(s > 0 && s < Number.POSITIVE_INFINITY));
  const pixdimMm = perAxis(stored, (s, k) => (unsized[k] ? 1 : s));
  const qformCode = analyze ? 0 : two ? i32(344) : i16(252);
  const sformCode = analyze ? 0 : two ? i32(348) : i16(254);
  const nameAt = two ? 508 : 328;
  const intent: Intent = analyze
    ? { code: 0, name: '' }
    : {
        code: two ? i32(504) : i16(68),
        name: latin1(bytes.subarray(nameAt, nameAt + 16))
          .replace(/\0.*$/s, '')
          .trim(),
      };
  const scaled = (values: readonly number[]): number[] => values.map((v) => v * toMm);
  const rows = [0, 1, 2].map((row) => scaled([0, 1, 2, 3].map((k) => real(280 + 16 * row, 400 + 32 * row, k))));
  const sform: Affine = {
    matrix: matrix3((row, column) => rows[row][column]),
    offset: [rows[0][3], rows[1][3], rows[2][3]],
  };
  const [b, c, d, ...offset] = [0, 1, 2, 3, 4, 5].map((k) => real(256, 352, k));
  const pair = analyze || magic.startsWith('ni');
  const voxOffset = two ? i64(168) : f32(108);
  if (!(voxOffset >= 0 && Number.isInteger(voxOffset)))
    throw new RunError(`its voxels begin at byte ${voxOffset} (vox_offset): damaged`);
  return {
    format: two ? 'NIfTI-2' : analyze ? 'Analyze 7.5' : 'NIfTI-1',
    pair,
    littleEndian,
    dims,
    type: TYPES[datatype],
    pixdimMm,
    unsized,
    unit: toMm === 1000 ? 'metres' : toMm === 0.001 ? 'micrometres' : null,
    quaternionLength: Math.hypot(b, c, d),
    // one file: behind the header and the four bytes that say whether extensions follow
    voxOffset: pair ? voxOffset : Math.max(voxOffset, headerBytes + 4),
    // Analyze has no such fields; SPM keeps a factor there, and says so by using the format's unused field
    ...scaling(real(112, 176), analyze ? 0 : real(116, 184)),
    qformCode,
    sformCode,
    intent,
    qform: qformCode > 0 ? qformAffine([b, c, d], real(76, 104) < 0 ? -1 : 1, pixdimMm, scaled(offset)) : null,
    sform: sformCode > 0 ? sform : null,
  };
}

/** Slope 0, or none (NaN), means that values are stored as they are. @throws RunError for what only damage can be, as nibabel does */
function scaling(slope: number, intercept: number): { slope: number; intercept: number } {
  if (slope === 0 || Number.isNaN(slope)) return { slope: 1, intercept: 0 };
  if (!Number.isFinite(slope) || !Number.isFinite(intercept))
    throw new RunError(`its slope is ${slope} and its intercept ${intercept} (scl_slope, scl_inter): damaged`);
  return { slope, intercept };
}

/** Quaternion (b, c, d; a from unit length) times voxel sizes, third axis times `qfac`: nifti1.h, method 2. */
export function qformAffine(bcd: readonly number[], qfac: number, spacing: readonly number[], offset: readonly number[]): Affine {
  let [b, c, d] = bcd;
  const squares = b * b + c * c + d * d;
  if (squares > 1) {
    const scale = 1 / Math.sqrt(squares);
    [b, c, d] = [b * scale, c * scale, d * scale];
  }
  const a = Math.sqrt(Math.max(0, 1 - Math.min(1, squares)));
  const rotation: Matrix3 = [
    a * a + b * b - c * c - d * d,
    2 * (b * c - a * d),
    2 * (b * d + a * c),
    2 * (b * c + a * d),
    a * a + c * c - b * b - d * d,
    2 * (c * d - a * b),
    2 * (b * d - a * c),
    2 * (c * d + a * b),
    a * a + d * d - b * b - c * c,
  ];
  const scale = [spacing[0], spacing[1], spacing[2] * qfac];
  return {
    matrix: perEntry(rotation, (value, i) => value * scale[i % 3]),
    offset: [offset[0], offset[1], offset[2]],
  };
}
