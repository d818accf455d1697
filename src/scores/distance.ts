/** Exact Euclidean distances on a grid with its own spacing along each axis (Felzenszwalb & Huttenlocher 2012: lower envelopes of parabolas). */
import { voxelCount, type Zyx } from '../geometry/volume.ts';

/**
 * Squared distance (mm^2) of every voxel to the nearest one that is set; Infinity everywhere if none is.
 * @param spacingMm z, y, x
 */
export function squaredDistances(set: ArrayLike<number | boolean>, size: Zyx, spacingMm: Zyx): Float64Array {
  const out = new Float64Array(voxelCount(size));
  for (let i = 0; i < out.length; i++) out[i] = set[i] ? 0 : Number.POSITIVE_INFINITY;
  const strides = [size[1] * size[2], size[2], 1];
  const longest = Math.max(...size);
  const values = new Float64Array(longest);
  const vertex = new Int32Array(longest);
  const bounds = new Float64Array(longest + 1);
  for (let axis = 2; axis >= 0; axis--) {
    const n = size[axis]!;
    const stride = strides[axis]!;
    const spacing = spacingMm[axis]! ** 2;
    for (let line = 0; line < out.length / n; line++) {
      // the line's first voxel: all indices along the other axes in turn
      const start = Math.floor(line / stride) * stride * n + (line % stride);
      let last = -1;
      for (let q = 0; q < n; q++) {
        const f = out[start + q * stride]!;
        values[q] = f;
        if (f === Number.POSITIVE_INFINITY) continue;
        let from = Number.NEGATIVE_INFINITY;
        for (; last >= 0; last--) {
          const p = vertex[last]!;
          // where the parabola of q falls below that of p
          from = (f - values[p]! + spacing * (q * q - p * p)) / (2 * spacing * (q - p));
          if (from > bounds[last]!) break;
        }
        last++;
        vertex[last] = q;
        bounds[last] = last === 0 ? Number.NEGATIVE_INFINITY : from;
      }
      if (last < 0) continue;
      for (let q = 0, k = 0; q < n; q++) {
        while (k < last && bounds[k + 1]! < q) k++;
        const p = vertex[k]!;
        out[start + q * stride] = values[p]! + spacing * (q - p) ** 2;
      }
    }
  }
  return out;
}
