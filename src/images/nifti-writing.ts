/** The header of NIfTI-1 files as they are written: little-endian, one file, slope 1, millimetres. Layout: nifti1.h. */
import { UsageError } from '../common/errors.ts';
import {
  type Affine,
  cornerDistanceMm,
  determinant3,
  flipRasLps,
  geometryOf,
  nearestOrthogonal,
  voxelToPhysical,
} from '../geometry/affine.ts';
import { type Geometry, type Matrix3, perAxis, perEntry, type Xyz } from '../geometry/volume.ts';
import { qformAffine } from './nifti-header.ts';
import { STORED_BYTES, type VoxelType } from './stored-image.ts';

/** What lies at each voxel: one number, a vector of three (planes of components, intent 1007, as ITK and ANTs have it), or RGB bytes. */
export type NiftiContent = 'scalar' | 'vector' | 'rgb';

const CODES: Readonly<Record<VoxelType, number>> = {
  uint8: 2,
  int16: 4,
  int32: 8,
  float32: 16,
  float64: 64,
  int8: 256,
  uint16: 512,
  uint32: 768,
};
const RGB24 = 128;
const INTENT_VECTOR = 1007;
/** The qform is left out if it places a corner of the grid further from the sform than this share of a voxel. */
const QFORM_TOLERANCE = 0.01;

/** The header and the four bytes that say that no extension follows; voxels come next. @throws UsageError if the size has no place in it */
export function niftiHeader(geometry: Geometry, type: VoxelType, content: NiftiContent): Uint8Array<ArrayBuffer> {
  const { size, spacingMm } = geometry;
  if (size.some((n) => n > 32767)) throw new UsageError(`${size.join(' x ')} voxels: NIfTI-1 takes up to 32767 along an axis`);
  const bytes = new Uint8Array(352);
  const view = new DataView(bytes.buffer);
  const shorts = (at: number, ...values: readonly number[]): void => {
    for (const [k, value] of values.entries()) view.setInt16(at + 2 * k, value, true);
  };
  const floats = (at: number, ...values: readonly number[]): void => {
    for (const [k, value] of values.entries()) view.setFloat32(at + 4 * k, value, true);
  };
  const vector = content === 'vector';
  const rgb = content === 'rgb';
  view.setInt32(0, 348, true);
  bytes[38] = 'r'.charCodeAt(0);
  shorts(40, ...(vector ? [5, ...size, 1, 3, 1, 1] : [3, ...size, 1, 1, 1, 1]));
  if (vector) shorts(68, INTENT_VECTOR);
  shorts(70, rgb ? RGB24 : CODES[type], rgb ? 24 : 8 * STORED_BYTES[type]);
  const { sform, qform } = forms(geometry);
  floats(76, qform?.qfac ?? 1, ...spacingMm, 1, 1, 1, 1);
  // where the voxels begin, slope, intercept
  floats(108, bytes.length, 1, 0);
  // millimetres, seconds
  bytes[123] = 2 | 8;
  shorts(252, qform ? 1 : 0, 1);
  if (qform) floats(256, ...qform.bcd, ...sform.offset);
  for (let row = 0; row < 3; row++) floats(280 + 16 * row, ...sform.matrix.slice(3 * row, 3 * row + 3), sform.offset[row]);
  bytes.set(new TextEncoder().encode('n+1'), 344);
  return bytes;
}

interface Qform {
  readonly bcd: Xyz;
  readonly qfac: 1 | -1;
}

/** Voxels to RAS in single precision, exactly (sform), and as a rotation, if that says the same: sheared axes have none. */
function forms(geometry: Geometry): { sform: Affine; qform: Qform | null } {
  const { matrix, offset } = flipRasLps(voxelToPhysical(geometry));
  // no minus zeros
  const single = (value: number): number => Math.fround(value) + 0;
  const sform: Affine = { matrix: perEntry(matrix, single), offset: perAxis(offset, single) };
  const { matrix: direction } = flipRasLps({ matrix: geometry.direction, offset });
  const nearest = nearestOrthogonal(direction);
  const qfac = determinant3(nearest) < 0 ? -1 : 1;
  const bcd = quaternionOf(perEntry(nearest, (value, i) => (i % 3 === 2 ? value * qfac : value)));
  const spacing = geometry.spacingMm.map(Math.fround);
  const seen = qformAffine(bcd, qfac, spacing, sform.offset);
  // one voxel further, so that axes of one voxel count too
  const size = perAxis(geometry.size, (n) => n + 1);
  const apart = cornerDistanceMm(geometryOf(seen, size), geometryOf(sform, size));
  return { sform, qform: apart <= QFORM_TOLERANCE * Math.min(...spacing) ? { bcd, qfac } : null };
}

/** (b, c, d) of a rotation's unit quaternion with a >= 0, in single precision, from its largest component for accuracy. */
function quaternionOf(r: Matrix3): Xyz {
  const squares = [1 + r[0] + r[4] + r[8], 1 + r[0] - r[4] - r[8], 1 - r[0] + r[4] - r[8], 1 - r[0] - r[4] + r[8]];
  const largest = squares.indexOf(Math.max(...squares));
  const s = 2 * Math.sqrt(squares[largest]);
  const [yz, zx, xy] = [r[7] - r[5], r[2] - r[6], r[3] - r[1]];
  const [sxy, szx, syz] = [r[1] + r[3], r[2] + r[6], r[5] + r[7]];
  const q = [
    [s / 4, yz / s, zx / s, xy / s],
    [yz / s, s / 4, sxy / s, szx / s],
    [zx / s, sxy / s, s / 4, syz / s],
    [xy / s, szx / s, syz / s, s / 4],
  ][largest];
  const sign = q[0] < 0 ? -1 : 1;
  return q.slice(1).map((value) => Math.fround(sign * value) + 0) as unknown as Xyz;
}
