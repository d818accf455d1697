/** Where the patient is in an image: the box outside which there is only air or background. */
import { statisticsOf } from '../geometry/statistics.ts';
import type { Geometry, Volume, Xyz } from '../geometry/volume.ts';

/** Kept around the foreground. */
const MARGIN_MM = 5;
/** A slice belongs to the foreground if this share of its voxels does: more than noise and a drip line. */
const SLICE_SHARE = 0.002;
/** -400 HU, between air or lung and tissue, in stored CT intensities. */
const CT_THRESHOLD = (1024 - 400) / 2048;

/** The foreground's box in voxels: for CT what is denser than lung, for MR what is brighter than a tenth of the brightest (99th percentile). */
export function foregroundBox(volume: Volume<Float32Array>, modality: 'ct' | 'mr'): { start: Xyz; size: Xyz } {
  const { geometry, data } = volume;
  const threshold = modality === 'ct' ? CT_THRESHOLD : 0.1 * statisticsOf(data).percentile(0.99);
  const [nx, ny, nz] = geometry.size;
  const counts = [new Float64Array(nx), new Float64Array(ny), new Float64Array(nz)];
  let i = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      let row = 0;
      for (let x = 0; x < nx; x++, i++) {
        if (data[i] <= threshold) continue;
        counts[0][x]++;
        row++;
      }
      counts[1][y] += row;
      counts[2][z] += row;
    }
  }
  const ranges = counts.map((count, axis) => rangeOf(count, axis, geometry));
  return {
    start: ranges.map(([low]) => low) as unknown as Xyz,
    size: ranges.map(([low, high]) => high - low + 1) as unknown as Xyz,
  };
}

function rangeOf(count: Float64Array, axis: number, { size, spacingMm }: Geometry): [number, number] {
  const needed = Math.max(1, (SLICE_SHARE * size[0] * size[1] * size[2]) / size[axis]);
  const first = count.findIndex((n) => n >= needed);
  if (first < 0) return [0, size[axis] - 1];
  const last = count.findLastIndex((n) => n >= needed);
  const margin = Math.ceil(MARGIN_MM / spacingMm[axis]);
  return [Math.max(0, first - margin), Math.min(size[axis] - 1, last + margin)];
}
