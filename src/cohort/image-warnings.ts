/** Warnings about an image: those of its reader, about its grid, and about its values, whatever it is used for. */
import { obliqueAngleDeg } from '../geometry/orientation.ts';
import type { Statistics } from '../geometry/statistics.ts';
import type { LoadedImage } from '../images/loaded-image.ts';

const OBLIQUE_DEG = 1;
const THICK_MM = 10;
const THIN_MM = 0.05;
const ANISOTROPY = 6;

/** Of NaN and infinities among the voxels, if there are some. @param setTo as in `imageWarnings` */
export const nonFiniteWarning = (nonFinite: number, setTo?: number): string[] =>
  nonFinite > 0 ? [`NaN or infinite voxels: ${nonFinite}${setTo === undefined ? '' : `, set to ${setTo}`}`] : [];

/**
 * A sentence for everything unusual; empty for an ordinary image.
 * @param setTo what NaN and infinities become, where the image is used
 */
export function imageWarnings(image: LoadedImage, statistics: Statistics, setTo?: number): string[] {
  const { size, spacingMm, direction } = image.volume.geometry;
  const warnings = [...image.warnings];
  const oblique = obliqueAngleDeg(direction);
  if (oblique > OBLIQUE_DEG) warnings.push(`oblique by ${oblique.toFixed(0)} degrees`);
  const [thin, thick] = [Math.min(...spacingMm), Math.max(...spacingMm)];
  if (thick > THICK_MM || thin < THIN_MM || thick / thin > ANISOTROPY)
    warnings.push(`unusual spacing: ${spacingMm.map((s) => +s.toPrecision(4)).join(' x ')} mm`);
  if (Math.min(...size) === 1) warnings.push(`only one voxel along an axis (${size.join(' x ')}): not a volume`);
  warnings.push(...nonFiniteWarning(statistics.nonFinite, setTo));
  // what is not finite is counted as 0
  if (statistics.nonFinite < size[0] * size[1] * size[2] && statistics.min === statistics.max)
    warnings.push(`constant: every voxel is ${statistics.min}`);
  return warnings;
}
