/** Whether patches fit the images that they are cut from. */
import type { Subject } from '../cohort/cohort.ts';
import { toZyx, voxelCount, type Zyx } from '../geometry/volume.ts';

/** Warned of from this share of padding on, on average over the subjects. */
const MOST_PADDING = 0.5;

/** A warning if most of a patch (z, y, x) lies outside the images on average, where it is padded with zeros; else none. */
export function patchWarnings(patch: Zyx, subjects: readonly Pick<Subject, 'geometry'>[]): string[] {
  const sizes = subjects.map(({ geometry }) => toZyx(geometry.size));
  if (sizes.length === 0) return [];
  const inside = sizes.map((size) => voxelCount([0, 1, 2].map((k) => Math.min(size[k], patch[k])) as unknown as Zyx));
  const padding = 1 - inside.reduce((sum, voxels) => sum + voxels, 0) / sizes.length / voxelCount(patch);
  if (padding < MOST_PADDING) return [];
  const largest = [0, 1, 2].map((k) => Math.max(...sizes.map((size) => size[k])));
  return [
    `\`data.patch\` ${patch.join(' x ')}: ${Math.round(100 * padding)} % of a patch is padding, since the largest image has ${largest.join(' x ')} voxels (z, y, x); a smaller patch costs less`,
  ];
}
