/** NIfTI-1, NIfTI-2 and Analyze 7.5: what the header says of the voxels and of their grid (sform if there is one, else qform, as nibabel does). */
import { RunError } from '../common/errors.ts';
import { type Affine, cornerDistanceMm, flipRasLps, geometryOf, isFlat } from '../geometry/affine.ts';
import { type Geometry, IDENTITY_3, perAxis, type Xyz } from '../geometry/volume.ts';
import { shearWarnings, withStatedSpacing } from './loaded-image.ts';
import type { NiftiHeader } from './nifti-header.ts';
import type { StoredImage } from './stored-image.ts';

/** @throws RunError with the reason, without the file's name */
export function niftiImage(header: NiftiHeader): StoredImage {
  const warnings: string[] = [];
  const { format, dims, type, littleEndian, slope, intercept } = header;
  const size = perAxis([0, 1, 2], (k) => dims[k] ?? 1);
  if (format === 'Analyze 7.5' && slope !== 1)
    warnings.push(`values are multiplied by ${+slope.toPrecision(6)}, SPM's factor in its Analyze header`);
  if (header.unit) warnings.push(`its lengths are in ${header.unit}: converted to mm, as in ITK (nibabel does not convert them)`);
  return {
    format,
    geometry: gridOf(header, size, warnings),
    dims,
    type,
    littleEndian,
    slope,
    intercept,
    inner: 1,
    outer: dims.slice(3).reduce((a, b) => a * b, 1),
    // vectors take the fifth dimension; the fourth is time
    ...(dims.length === 5 && dims[3] === 1 ? { vectors: header.intent } : {}),
    warnings,
  };
}

/** A unit quaternion's, but for rounding in single precision. */
const LONGEST_QUATERNION = 1.001;

/** The grid in LPS that the header describes, adding to `warnings` what is unusual. */
function gridOf(header: NiftiHeader, size: Xyz, warnings: string[]): Geometry {
  const { pixdimMm: pixdim } = header;
  const badPixdim = !pixdim.every((s) => Number.isFinite(s) && s > 0);
  const usable = (affine: Affine | null): affine is Affine =>
    affine !== null && [...affine.matrix, ...affine.offset].every(Number.isFinite) && !isFlat(affine.matrix);
  const toLps = (affine: Affine): Geometry => withStatedSpacing(geometryOf(flipRasLps(affine), size), pixdim);
  const sform = usable(header.sform) ? toLps(header.sform) : null;
  const qform = usable(header.qform) && !badPixdim ? toLps(header.qform) : null;
  if (header.sform && !sform) warnings.push('its sform is not invertible and was ignored');
  if (header.qform && !usable(header.qform) && !badPixdim)
    warnings.push('its qform holds values that are not numbers and was ignored');

  const grid = sform ?? qform;
  if (!sform && header.unsized.includes(true))
    warnings.push('no voxel size along an axis of one voxel (pixdim) in its header: assuming 1 mm');
  if (grid !== null && grid === qform && header.quaternionLength > LONGEST_QUATERNION)
    warnings.push(
      `its qform's quaternion is no rotation (b, c and d have length ${header.quaternionLength.toFixed(2)}, expected at most 1): the nearest was taken; its orientation may be wrong`,
    );
  if (badPixdim) {
    const stored = pixdim.join(' x ');
    if (!grid) throw new RunError(`its voxel size is ${stored} mm and it has no sform to use instead: fix pixdim in its header`);
    warnings.push(
      `its voxel size field is ${stored} mm; ${grid.spacingMm.map((s) => +s.toFixed(4)).join(' x ')} mm from its sform is used`,
    );
  }
  if (!grid) {
    const why =
      header.sform || header.qform
        ? 'no usable orientation in its header'
        : 'no orientation in its header (qform and sform codes 0)';
    warnings.push(`${why}: axes assumed LPS as ITK does; left and right may be swapped`);
    return { size, spacingMm: pixdim, originMm: [0, 0, 0], direction: IDENTITY_3 };
  }
  if (sform && qform) {
    const distance = cornerDistanceMm(sform, qform);
    if (distance > 0.1 * Math.min(...sform.spacingMm))
      warnings.push(`its qform and sform disagree by up to ${distance.toFixed(1)} mm; the sform is used`);
  }
  if (sform && !badPixdim && sform.spacingMm.some((s, k) => !header.unsized[k] && Math.abs(s - pixdim[k]) > 0.01 * s))
    warnings.push(
      `its voxel size field (${pixdim.map((s) => +s.toFixed(4)).join(' x ')} mm) differs from its sform's (${sform.spacingMm.map((s) => +s.toFixed(4)).join(' x ')} mm), which is used`,
    );
  warnings.push(...shearWarnings(grid));
  return grid;
}
