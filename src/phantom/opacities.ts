/**
 * Opacities in the lungs of a chest CT, as an infection leaves them: patches of raised density (ground glass to consolidation) with uneven, soft
 * edges, through which vessels stay visible. Drawn onto the painted image, where the lung's own densities say where lung is.
 */

import type { RandomStream } from '../common/random.ts';
import type { Geometry, Xyz } from '../geometry/volume.ts';
import { rounded } from './anatomy.ts';
import { voxelPosition } from './paint.ts';
import { randomWaves, waveAt } from './waves.ts';

/** Densities (HU) of lung between its vessels; air outside the body is below. */
const LUNG_HU: readonly [number, number] = [-935, -730];
/** No patch becomes denser than soft tissue. */
const DENSEST_HU = 20;

interface Patch {
  readonly centreMm: Xyz;
  readonly radiusMm: number;
  readonly addedHu: number;
}

/**
 * Adds 2 to 7 patches in place.
 * @returns how many, and the share of the lung's voxels whose density they raise by more than 100 HU
 */
export function addOpacities(
  random: RandomStream,
  image: Float32Array,
  grid: Geometry,
): { opacities: number; opacityShare: number } {
  const [nx, ny] = grid.size;
  const isLung = (hu: number): boolean => hu > LUNG_HU[0] && hu < LUNG_HU[1];
  const lung: number[] = [];
  image.forEach((hu, i) => {
    if (isLung(hu)) lung.push(i);
  });
  if (lung.length === 0) return { opacities: 0, opacityShare: 0 };
  const positionOf = (i: number): Xyz => voxelPosition(grid, [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))]);
  const waves = randomWaves(random, 6, 12, 40);
  const patches = Array.from({ length: random.integer(2, 8) }, (): Patch => {
    // of three places the most posterior and lowest: where such patches are found most often
    const places = Array.from({ length: 3 }, () => positionOf(lung[random.integer(0, lung.length)]));
    const centreMm = places.reduce((best, place) => (place[1] - place[2] > best[1] - best[2] ? place : best));
    return { centreMm, radiusMm: random.uniform(12, 36), addedHu: random.uniform(220, 620) };
  });
  let raised = 0;
  for (const i of lung) {
    const p = positionOf(i);
    const unevenness = 1 + 0.3 * waveAt(waves, p[0], p[1], p[2]);
    let added = 0;
    for (const { centreMm, radiusMm, addedHu } of patches) {
      const distance = Math.hypot(p[0] - centreMm[0], p[1] - centreMm[1], p[2] - centreMm[2]) / (radiusMm * unevenness);
      // dense inside, nothing at one and a half radii
      if (distance < 1.5) added = Math.max(added, addedHu * Math.min(1, 1.5 - distance) * (0.85 + 0.15 * unevenness));
    }
    if (added > 100) raised++;
    image[i] = Math.min(DENSEST_HU, image[i] + added);
  }
  return { opacities: patches.length, opacityShare: rounded(raised / lung.length) };
}
