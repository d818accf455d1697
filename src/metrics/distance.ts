/**
 * Exact Euclidean distances on a grid with its own spacing along each axis (Felzenszwalb & Huttenlocher 2012: lower envelopes of parabolas); where axes
 * are not perpendicular, by search.
 */
import { applyMatrix3, cross, voxelToPhysical } from '../geometry/affine.ts';
import type { Geometry, Xyz, Zyx } from '../geometry/volume.ts';

/** Voxels beside one another whose lines along z are read together: those of one cache line. */
const TOGETHER = 8;

/** The lower envelope of parabolas on one line: squared distances along the line, added to those that its voxels have by the other axes. */
class Envelope {
  readonly #values: Float64Array;
  readonly #vertices: Int32Array;
  readonly #bounds: Float64Array;
  readonly #square: number;
  #last = -1;
  #at = 0;

  /** @param length most voxels of a line; @param spacing between them, mm */
  constructor(length: number, spacing: number) {
    this.#values = new Float64Array(length);
    this.#vertices = new Int32Array(length);
    this.#bounds = new Float64Array(length + 1);
    this.#square = spacing ** 2;
  }

  /** Takes the `count` values at `first`, `first + stride`, ...; false if all of them are infinite. */
  take(from: Float64Array, first: number, stride: number, count: number): boolean {
    const values = this.#values;
    const vertices = this.#vertices;
    const bounds = this.#bounds;
    const square = this.#square;
    let last = -1;
    for (let q = 0, i = first; q < count; q++, i += stride) {
      const f = from[i];
      values[q] = f;
      if (f === Number.POSITIVE_INFINITY) continue;
      let start = Number.NEGATIVE_INFINITY;
      for (; last >= 0; last--) {
        const p = vertices[last];
        // where the parabola of q falls below that of p
        start = (f - values[p] + square * (q * q - p * p)) / (2 * square * (q - p));
        if (start > bounds[last]) break;
      }
      last++;
      vertices[last] = q;
      bounds[last] = last === 0 ? Number.NEGATIVE_INFINITY : start;
    }
    this.#last = last;
    this.#at = 0;
    return last >= 0;
  }

  /** The least squared distance of voxel q; to be asked for ascending voxels of a line. */
  of(q: number): number {
    const bounds = this.#bounds;
    let k = this.#at;
    while (k < this.#last && bounds[k + 1] < q) k++;
    this.#at = k;
    const p = this.#vertices[k];
    return this.#values[p] + this.#square * (q - p) ** 2;
  }
}

/**
 * Distance (mm) of every voxel of `from`, in the order in which they lie, to the nearest one of `to`; Infinity if there is none.
 * The lines along x and y are gone through where they matter to `from` alone.
 * @param from 0 or 1 a voxel
 * @param to the same
 * @param size z, y, x
 * @param spacingMm z, y, x
 */
export function surfaceDistances(from: Uint8Array, to: Uint8Array, size: Zyx, spacingMm: Zyx): Float64Array {
  const [depth, height, width] = size;
  const plane = height * width;
  // which lines along z are asked for, and how many voxels
  const isAsked = new Uint8Array(plane);
  let asked = 0;
  for (let z = 0, i = 0; z < depth; z++)
    for (let at = 0; at < plane; at++, i++)
      if (from[i] === 1) {
        isAsked[at] = 1;
        asked++;
      }
  const out = new Float64Array(asked);
  if (asked === 0) return out;

  const squared = new Float64Array(to.length);
  const ofSteps = Float64Array.from({ length: width }, (_, steps) => spacingMm[2] ** 2 * steps ** 2);
  const alongY = new Envelope(height, spacingMm[1]);
  for (let z = 0; z < depth; z++) {
    const start = z * plane;
    for (let y = 0; y < height; y++) alongX(to, squared, start + y * width, width, ofSteps);
    for (let x = 0; x < width; x++) {
      if (!alongY.take(squared, start + x, width, height)) continue;
      for (let y = 0, at = x; y < height; y++, at += width) if (isAsked[at] === 1) squared[start + at] = alongY.of(y);
    }
  }

  const alongZ = new Envelope(depth, spacingMm[0]);
  const lines = new Float64Array(TOGETHER * depth);
  for (let first = 0; first < plane; first += TOGETHER) {
    const count = Math.min(TOGETHER, plane - first);
    let any = 0;
    for (let k = 0; k < count; k++) any |= isAsked[first + k];
    if (any === 0) continue;
    for (let z = 0, i = first; z < depth; z++, i += plane)
      for (let k = 0; k < count; k++) lines[z * TOGETHER + k] = squared[i + k];
    for (let k = 0; k < count; k++) {
      if (isAsked[first + k] === 0 || !alongZ.take(lines, k, TOGETHER, depth)) continue;
      for (let z = 0, i = first + k; z < depth; z++, i += plane) if (from[i] === 1) squared[i] = alongZ.of(z);
    }
  }
  for (let i = 0, k = 0; k < asked; i++) if (from[i] === 1) out[k++] = Math.sqrt(squared[i]);
  return out;
}

/**
 * The same on a grid whose axes need not be perpendicular, where axes cannot be gone through one after another: each voxel looks through the
 * planes from its own on, until the next one is further away than what was found.
 * @param geometry of the grid; its size is not looked at
 */
export function shearedDistances(from: Uint8Array, to: Uint8Array, size: Zyx, geometry: Geometry): Float64Array {
  const [depth] = size;
  const { matrix } = voxelToPhysical(geometry);
  const [queries, targets] = [placesOf(from, size, matrix), placesOf(to, size, matrix)];
  const [x, y, z] = [0, 1, 2].map((k): Xyz => [matrix[k], matrix[k + 3], matrix[k + 6]]);
  const normal = cross(x, y);
  const planesMm = Math.abs(normal[0] * z[0] + normal[1] * z[1] + normal[2] * z[2]) / Math.hypot(...normal);
  const out: number[] = [];
  for (const [plane, places] of queries.entries())
    for (let i = 0; i < places.length; i += 3) {
      let nearest = Number.POSITIVE_INFINITY;
      for (let away = 0; away < depth && (away * planesMm) ** 2 < nearest; away++)
        for (const other of away === 0 ? [plane] : [plane - away, plane + away]) {
          const there = targets[other] ?? [];
          for (let k = 0; k < there.length; k += 3) {
            const square =
              (there[k] - places[i]) ** 2 + (there[k + 1] - places[i + 1]) ** 2 + (there[k + 2] - places[i + 2]) ** 2;
            if (square < nearest) nearest = square;
          }
        }
      out.push(Math.sqrt(nearest));
    }
  return Float64Array.from(out);
}

/** Where the voxels that are set lie, mm, plane by plane: x, y, z one after another. */
function placesOf(set: Uint8Array, [depth, height, width]: Zyx, matrix: Geometry['direction']): number[][] {
  const planes: number[][] = Array.from({ length: depth }, () => []);
  for (let z = 0, i = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) if (set[i] === 1) planes[z].push(...applyMatrix3(matrix, [x, y, z]));
  return planes;
}

/** Squared distance of each voxel of a row to the nearest of it that is set. */
function alongX(set: Uint8Array, out: Float64Array, start: number, width: number, ofSteps: Float64Array): void {
  let last = -1;
  for (let x = 0; x < width; x++) {
    if (set[start + x] === 1) last = x;
    out[start + x] = last < 0 ? Number.POSITIVE_INFINITY : ofSteps[x - last];
  }
  if (last < 0) return;
  for (let x = last - 1, next = last; x >= 0; x--) {
    if (set[start + x] === 1) next = x;
    else {
      const value = ofSteps[next - x];
      if (value < out[start + x]) out[start + x] = value;
    }
  }
}
