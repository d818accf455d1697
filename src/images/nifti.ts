/**
 * NIfTI-1, NIfTI-2 and Analyze 7.5 in memory.
 *
 * The header is checked and gives the grid (sform if there is one, else qform, as nibabel does); ITK, wherever it runs, decodes the voxels.
 */
import type { Image } from 'itk-wasm';
import { WorkError } from '../errors/errors.ts';
import { type Affine, cornerDistanceMm, determinant3, geometryOf } from '../geometry/affine.ts';
import { shearAngleDeg } from '../geometry/orientation.ts';
import { type Geometry, IDENTITY_3, type Matrix3, type VoxelArray, voxelCount, type Xyz } from '../geometry/volume.ts';
import { checkedVolume, type LoadedImage, type ReadOptions, scalarData } from './loaded-image.ts';
import { type NiftiHeader, plainHeader, typeName } from './nifti-header.ts';

/** ITK-Wasm's address space is 4 GiB and holds more than one copy; beyond this nothing could be read anyway. */
export const MAX_IMAGE_BYTES = 1.5 * 2 ** 30;

const LPS_FROM_RAS: Matrix3 = [-1, 0, 0, 0, -1, 0, 0, 0, 1];
/** Shear below this is rounding of a header in single precision. */
const SHEAR_DEG = 0.5;

/** A file's bytes, decompressed. */
export interface NiftiBytes {
  /** Names the image in errors and reports. */
  readonly path: string;
  readonly header: NiftiHeader;
  /** The file with the voxels: of a pair the .img. */
  readonly voxelBytes: Uint8Array;
  readonly options: ReadOptions;
  /** ITK's reader of NIfTI for one plain file. */
  readonly decode: (file: Uint8Array) => Promise<Image>;
}

/** @throws WorkError with the reason, without the file's name */
export async function decodeNifti({ path, header, voxelBytes, options, decode }: NiftiBytes): Promise<LoadedImage> {
  const notes: string[] = [];

  const offset = Math.max(0, header.pair ? header.voxOffset : Math.max(header.voxOffset, 352)) || 0;
  const size = [0, 1, 2].map((k) => header.dims[k] ?? 1) as unknown as Xyz;
  const volumesInFile = header.dims.slice(3).reduce((a, b) => a * b, 1);
  const bytesNeeded = voxelCount(size) * header.bytesPerVoxel;
  if (bytesNeeded * volumesInFile > voxelBytes.length - offset) {
    throw new WorkError(
      `its header announces ${header.dims.join(' x ')} voxels of ${header.bytesPerVoxel} bytes (${bytesNeeded * volumesInFile} bytes), but ${Math.max(0, voxelBytes.length - offset)} are there: truncated or damaged`,
    );
  }
  if (bytesNeeded > MAX_IMAGE_BYTES || size.some((n) => n > 32767))
    throw new WorkError(`its size ${size.join(' x ')} is more than can be read here`);
  if (volumesInFile > 1) {
    if (!options.firstVolume)
      throw new WorkError(
        `it holds ${volumesInFile} volumes (${header.dims.join(' x ')}), expected one: save the one that you need as a file of its own`,
      );
    notes.push(`${header.dims.length} dimensions (${header.dims.join(' x ')}): ${volumesInFile} volumes, the first is described`);
  }

  const voxels = voxelBytes.subarray(offset, offset + bytesNeeded);
  const plain = plainHeader(header, size);
  const file = new Uint8Array(plain.length + voxels.length);
  file.set(plain);
  file.set(voxels, plain.length);
  const data = scalarData(await decode(file));
  restoreNonFinite(data, voxels, header);
  const geometry = gridOf(header, size, notes);
  const scaled = header.slope !== 1 || header.intercept !== 0;
  const storedType = `${typeName(header)}${scaled ? ` x ${+header.slope.toPrecision(6)} + ${+header.intercept.toPrecision(6)}` : ''}${header.littleEndian ? '' : ', big-endian'}`;
  return { path, format: header.format, storedType, volume: checkedVolume(geometry, data), volumesInFile, notes };
}

/** ITK's NIfTI library silently reads NaN and infinities as 0; puts them back, so that they can be counted and treated. */
function restoreNonFinite(data: VoxelArray, voxels: Uint8Array, header: NiftiHeader): void {
  if (header.datatype !== 16 && header.datatype !== 64) return;
  const view = new DataView(voxels.buffer, voxels.byteOffset, voxels.byteLength);
  const width = header.bytesPerVoxel;
  const exponentMask = width === 4 ? 0x7f80 : 0x7ff0;
  const high = header.littleEndian ? width - 2 : 0;
  for (let i = 0; i < data.length; i++) {
    const at = i * width;
    if ((view.getUint16(at + high, header.littleEndian) & exponentMask) !== exponentMask) continue;
    data[i] = width === 4 ? view.getFloat32(at, header.littleEndian) : view.getFloat64(at, header.littleEndian);
  }
}

/** The grid in LPS that the header describes, with what is odd about it added to `notes`. */
function gridOf(header: NiftiHeader, size: Xyz, notes: string[]): Geometry {
  const { pixdimMm: pixdim } = header;
  const badPixdim = !pixdim.every((s) => Number.isFinite(s) && s > 0);
  const usable = (affine: Affine | null): affine is Affine =>
    affine !== null &&
    [...affine.matrix, ...affine.offset].every(Number.isFinite) &&
    Math.abs(determinant3(affine.matrix)) > 1e-12;
  const toLps = (affine: Affine): Geometry => {
    const flip = (v: number, row: number): number => LPS_FROM_RAS[row * 4] * v + 0;
    const grid = geometryOf(
      {
        matrix: affine.matrix.map((v, i) => flip(v, Math.floor(i / 3))) as unknown as Matrix3,
        offset: affine.offset.map(flip) as unknown as Xyz,
      },
      size,
    );
    // the stored voxel size, where it says the same, is free of the rounding of a column's length
    const spacingMm = grid.spacingMm.map((s, k) => (Math.abs(s - pixdim[k]) < 1e-5 * s ? pixdim[k] : s)) as unknown as Xyz;
    return { ...grid, spacingMm };
  };
  const sform = usable(header.sform) ? toLps(header.sform) : null;
  const qform = usable(header.qform) && !badPixdim ? toLps(header.qform) : null;
  if (header.sform && !sform) notes.push('its sform is not invertible and was ignored');

  const grid = sform ?? qform;
  if (badPixdim) {
    const stored = pixdim.join(' x ');
    if (!grid)
      throw new WorkError(`its voxel size is ${stored} mm and it has no sform to take it from: correct pixdim in its header`);
    notes.push(
      `its voxel size field is ${stored} mm; ${grid.spacingMm.map((s) => +s.toFixed(4)).join(' x ')} mm is taken from its sform`,
    );
  }
  if (!grid) {
    notes.push(
      'no orientation in its header (qform and sform codes 0): axes taken as LPS as ITK does; left and right may be swapped',
    );
    return { size, spacingMm: pixdim as unknown as Xyz, originMm: [0, 0, 0], direction: IDENTITY_3 };
  }
  if (sform && qform) {
    const distance = cornerDistanceMm(sform, qform);
    if (distance > 0.1 * Math.min(...sform.spacingMm))
      notes.push(`its qform and sform disagree by up to ${distance.toFixed(1)} mm; the sform is used`);
  }
  if (sform && !badPixdim && sform.spacingMm.some((s, k) => Math.abs(s - pixdim[k]) > 0.01 * s))
    notes.push(
      `its voxel size field (${pixdim.map((s) => +s.toFixed(4)).join(' x ')} mm) is not its sform's (${sform.spacingMm.map((s) => +s.toFixed(4)).join(' x ')} mm), which is used`,
    );
  const shear = shearAngleDeg(grid.direction);
  if (shear > SHEAR_DEG) notes.push(`its axes are sheared by ${shear.toFixed(1)} degrees (kept: positions are exact)`);
  return grid;
}
