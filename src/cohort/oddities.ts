/** What is odd about an image that was read: its file's notes, its grid, its values. Judged without knowing what it is for. */
import { obliqueAngleDeg } from '../geometry/orientation.ts';
import type { Statistics } from '../geometry/statistics.ts';
import type { LoadedImage } from '../images/loaded-image.ts';

const OBLIQUE_DEG = 1;
const THICK_MM = 10;
const THIN_MM = 0.05;
const ANISOTROPY = 6;

/**
 * Sentences about everything unusual; empty for an ordinary image.
 * @param setTo what NaN and infinities become, where the image is used
 */
export function odditiesOf(image: LoadedImage, statistics: Statistics, setTo?: number): string[] {
  const { size, spacingMm, direction } = image.volume.geometry;
  const odd = [...image.notes];
  const oblique = obliqueAngleDeg(direction);
  if (oblique > OBLIQUE_DEG) odd.push(`oblique by ${oblique.toFixed(0)} degrees`);
  const [thin, thick] = [Math.min(...spacingMm), Math.max(...spacingMm)];
  if (thick > THICK_MM || thin < THIN_MM || thick / thin > ANISOTROPY)
    odd.push(`unusual spacing: ${spacingMm.map((s) => +s.toPrecision(4)).join(' x ')} mm`);
  if (Math.min(...size) === 1) odd.push(`only one voxel along an axis (${size.join(' x ')}): not a volume`);
  if (statistics.nonFinite > 0)
    odd.push(`NaN or infinite voxels: ${statistics.nonFinite}${setTo === undefined ? '' : `, set to ${setTo}`}`);
  if (statistics.min === statistics.max) odd.push(`constant: every voxel is ${statistics.min}`);
  return odd;
}
