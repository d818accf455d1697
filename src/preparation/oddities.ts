/** What is odd about an image that was read: its file's notes, its grid, its values. Judged without knowing what it is for. */
import { obliqueAngleDeg } from '../geometry/orientation.ts';
import type { Statistics } from '../geometry/statistics.ts';
import type { LoadedImage } from '../images/loaded-image.ts';

const OBLIQUE_DEG = 1;
const THICK_MM = 10;
const THIN_MM = 0.05;
const ANISOTROPY = 6;

/** Sentences about everything odd; empty for an ordinary image. `isLabelMap` silences what is normal for label maps. */
export function odditiesOf(image: LoadedImage, statistics: Statistics, isLabelMap: boolean): string[] {
  const { size, spacingMm, direction } = image.volume.geometry;
  const odd = [...image.notes];
  const oblique = obliqueAngleDeg(direction);
  if (oblique > OBLIQUE_DEG) odd.push(`oblique by ${oblique.toFixed(0)} degrees`);
  const [thin, thick] = [Math.min(...spacingMm), Math.max(...spacingMm)];
  if (thick > THICK_MM || thin < THIN_MM || thick / thin > ANISOTROPY)
    odd.push(`odd spacing: ${spacingMm.map((s) => +s.toPrecision(4)).join(' x ')} mm`);
  if (Math.min(...size) === 1) odd.push(`only one voxel along an axis (${size.join(' x ')}): not a volume`);
  if (statistics.nonFinite > 0) odd.push(`NaN or infinite voxels: ${statistics.nonFinite}`);
  if (statistics.min === statistics.max) odd.push(`constant: every voxel is ${statistics.min}`);
  else if (!isLabelMap && /^u?int(16|32)$/.test(image.storedType) && looksShifted(statistics))
    odd.push('looks like CT with a shift: air at 0 and soft tissue near 1000 instead of -1000 and 0');
  return odd;
}

/** CT stored as HU + 1024: no negative value, much air near 0, much soft tissue near 1024, bone above. */
function looksShifted(statistics: Statistics): boolean {
  if (statistics.min < 0 || statistics.max < 1300 || statistics.max > 8000) return false;
  const median = statistics.percentile(0.5);
  const ninth = statistics.percentile(0.9);
  return statistics.percentile(0.05) < 200 && (median < 300 || (median > 850 && median < 1250)) && ninth > 900 && ninth < 1350;
}
