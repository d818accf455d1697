/**
 * ANTs' pair of files: `0GenericAffine.mat`, an affine in MATLAB's level 4 format as ITK writes it, and `1Warp.nii.gz`, a displacement that points of
 * the fixed image pass before the affine.
 *
 * Level 4 (MathWorks, "MAT-File Format"): matrices one after another; five 32-bit integers (type, rows, columns, complex, length of the name with
 * its final zero), the name, the values. Type is 1000 M + 100 O + 10 P + T; M = 0 little-endian, 1 big-endian; P = 0 double, 1 single; T = 0 full.
 */
import { RunError } from '../../../common/errors.ts';
import { type Affine, applyAffine, invertAffine, voxelToPhysical } from '../../../geometry/affine.ts';
import type { Geometry, Xyz } from '../../../geometry/volume.ts';
import { displacementPlanes, type PhysicalMap, type VectorField } from '../physical-map.ts';
import { affineStep } from './itk-parameters.ts';
import type { Transform } from './transform.ts';

const HEADER_BYTES = 20;
const MOST_VALUES = 64;

function matrixBytes(name: string, values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + name.length + 1 + 8 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of [0, values.length, 1, 0, name.length + 1].entries()) view.setInt32(4 * i, value, true);
  bytes.set(new TextEncoder().encode(name), HEADER_BYTES);
  for (const [i, value] of values.entries()) view.setFloat64(HEADER_BYTES + name.length + 1 + 8 * i, value, true);
  return bytes;
}

/** The file of an affine that maps points of the fixed image to the moving one. @param centreMm as in `itkAffineText` */
export function antsAffineBytes(affine: Affine, centreMm: Xyz): Uint8Array {
  const moved = applyAffine(affine, centreMm);
  const parts = [
    matrixBytes('AffineTransform_double_3_3', [...affine.matrix, ...moved.map((value, k) => value - centreMm[k])]),
    matrixBytes('fixed', centreMm),
  ];
  const bytes = new Uint8Array(parts[0].length + parts[1].length);
  bytes.set(parts[0]);
  bytes.set(parts[1], parts[0].length);
  return bytes;
}

/** The transform of such a file. @throws RunError saying what is wrong */
export function parseAntsAffine(bytes: Uint8Array): Transform {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const matrices: { name: string; values: number[] }[] = [];
  let at = 0;
  const expected = 'expected two matrices of MATLAB level 4, as ITK and ANTs write them';
  while (at < bytes.length) {
    if (at + HEADER_BYTES > bytes.length) throw new RunError(`it ends within a header; ${expected}`);
    // the type of a big-endian file reads as no small number in little-endian order
    const little = view.getUint32(at, true) < 1000;
    const [type, rows, columns, complex, nameLength] = [0, 1, 2, 3, 4].map((k) => view.getInt32(at + 4 * k, little));
    const single = Math.floor(type / 10) % 10 === 1;
    const count = rows * columns;
    if (
      !(type >= 0 && type < 5000) ||
      complex !== 0 ||
      !(count >= 0 && count <= MOST_VALUES) ||
      !(nameLength > 0 && nameLength < 256)
    )
      throw new RunError(`not such a file; ${expected}`);
    const start = at + HEADER_BYTES + nameLength;
    const width = single ? 4 : 8;
    if (start + count * width > bytes.length) throw new RunError(`it ends within a matrix; ${expected}`);
    const name = new TextDecoder().decode(bytes.subarray(at + HEADER_BYTES, start)).replace(/\0.*$/s, '');
    const values = Array.from({ length: count }, (_, i) =>
      single ? view.getFloat32(start + 4 * i, little) : view.getFloat64(start + 8 * i, little),
    );
    matrices.push({ name, values });
    at = start + count * width;
  }
  const fixed = matrices.find(({ name }) => name === 'fixed');
  const parameters = matrices.find(({ name }) => name !== 'fixed');
  if (matrices.length !== 2 || !fixed || !parameters) throw new RunError(`it holds ${matrices.length} matrices; ${expected}`);
  return [affineStep(parameters.name, parameters.values, fixed.values)];
}

/** What a point of the fixed image passes before the map's affine: map(x) = affine(x + warp(x)), mm, on `grid`. */
export function antsWarp(map: PhysicalMap, grid: Geometry): VectorField {
  const { matrix: b, offset } = invertAffine(map.affine);
  const { matrix: m, offset: origin } = voxelToPhysical(grid);
  const [nx, ny, nz] = grid.size;
  const data = new Float32Array(3 * nx * ny * nz);
  const planes = displacementPlanes(map, grid);
  for (let k = 0, at = 0; k < nz; k++) {
    const plane = planes(k);
    for (let j = 0, from = 0; j < ny; j++)
      for (let i = 0; i < nx; i++, from += 3, at += 3) {
        const x = m[0] * i + m[1] * j + m[2] * k + origin[0];
        const y = m[3] * i + m[4] * j + m[5] * k + origin[1];
        const z = m[6] * i + m[7] * j + m[8] * k + origin[2];
        const [px, py, pz] = [x + plane[from], y + plane[from + 1], z + plane[from + 2]];
        data[at] = b[0] * px + b[1] * py + b[2] * pz + offset[0] - x;
        data[at + 1] = b[3] * px + b[4] * py + b[5] * pz + offset[1] - y;
        data[at + 2] = b[6] * px + b[7] * py + b[8] * pz + offset[2] - z;
      }
  }
  return { geometry: grid, data };
}
