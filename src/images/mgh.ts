/** FreeSurfer's MGH headers (.mgh, .mgz): surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat, big-endian. */
import { RunError } from '../common/errors.ts';
import { applyMatrix3, flipRasLps, geometryOf } from '../geometry/affine.ts';
import { matrix3, type Xyz } from '../geometry/volume.ts';
import { checkedGeometry, withStatedSpacing } from './loaded-image.ts';
import type { StoredImage, StoredType } from './stored-image.ts';

/** Voxels begin here, whatever of it is in use. */
export const MGH_HEADER_BYTES = 284;

const TYPES: Readonly<Record<number, StoredType>> = { 0: 'uint8', 1: 'int32', 3: 'float32', 4: 'int16', 10: 'uint16' };
const OTHER_TYPES: Readonly<Record<number, string>> = {
  2: 'MRI_LONG',
  5: 'MRI_BITMAP',
  6: 'MRI_TENSOR',
  7: 'MRI_FLOAT_COMPLEX',
  8: 'MRI_DOUBLE_COMPLEX',
  9: 'MRI_RGB',
};

/** @throws RunError with the reason, without the file's name */
export function parseMgh(bytes: Uint8Array): StoredImage {
  if (bytes.length < MGH_HEADER_BYTES)
    throw new RunError(`not MGH: ${bytes.length} bytes, expected a header of ${MGH_HEADER_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, nx, ny, nz, frames, code] = [0, 4, 8, 12, 16, 20].map((at) => view.getInt32(at));
  // newer versions of FreeSurfer keep an intent in the upper bytes
  if ((version & 0xff) !== 1 || version < 0) throw new RunError(`not MGH: its version field is ${version}, expected 1`);
  const dims = frames > 1 ? [nx, ny, nz, frames] : [nx, ny, nz];
  if (![nx, ny, nz, frames].every((n) => n > 0)) throw new RunError(`its size is ${[nx, ny, nz, frames].join(' x ')}: damaged`);
  const type = TYPES[code];
  if (!type)
    throw new RunError(
      `its voxels are ${OTHER_TYPES[code] ?? `of type number ${code}`}, expected MRI_UCHAR, MRI_SHORT, MRI_USHRT, MRI_INT or MRI_FLOAT`,
    );
  const warnings: string[] = [];
  const floats = (at: number, count: number): number[] => Array.from({ length: count }, (_, k) => view.getFloat32(at + 4 * k));
  const stated = view.getInt16(28) > 0;
  // setDirectionCosine(MRI_CORONAL) in FreeSurfer's mriio.cpp; nibabel has the same nine numbers transposed
  if (!stated)
    warnings.push(
      'no orientation in its header (goodRASFlag 0): assuming the FreeSurfer default, LIA with 1 mm voxels (nibabel assumes LSP)',
    );
  const spacing = stated ? floats(30, 3) : [1, 1, 1];
  const axes = stated ? floats(42, 9) : [-1, 0, 0, 0, 0, -1, 0, 1, 0];
  const centre = stated ? floats(78, 3) : [0, 0, 0];
  const size: Xyz = [nx, ny, nz];
  // axes stand one after the other in RAS, and the centre is that of the voxel at half the size
  const matrix = matrix3((row, k) => axes[3 * k + row] * spacing[k]);
  const half = applyMatrix3(matrix, [nx / 2, ny / 2, nz / 2]);
  const offset = centre.map((c, row) => c - half[row]) as unknown as Xyz;
  const grid = geometryOf(flipRasLps({ matrix, offset }), size);
  return {
    format: 'MGH',
    geometry: checkedGeometry(withStatedSpacing(grid, spacing)),
    dims,
    type,
    littleEndian: false,
    slope: 1,
    intercept: 0,
    inner: 1,
    outer: frames,
    mayGoOn: true,
    warnings,
  };
}
