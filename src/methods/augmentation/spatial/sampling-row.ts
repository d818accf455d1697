/**
 * Reading volumes at a row of positions: where the eight neighbours lie is worked out once a row and used for every volume
 * that is read there, which makes transforming three images cost little more than transforming one.
 *
 * Trilinear between the eight neighbours, zero outside (docs/method.md, section 2). Positions whose neighbours all lie inside take
 * the fast path; only those at the border ask neighbour by neighbour.
 */

import type { VoxelArray, Zyx } from '../../../geometry/volume.ts';

/** Positions in voxels, and what `locate` makes of them. Fill z, y and x, then call `locate`, then read. */
export interface SamplingRow {
  readonly sizeZyx: Zyx;
  readonly z: Float64Array;
  readonly y: Float64Array;
  readonly x: Float64Array;
  /** Index of the lowest of the eight neighbours, or -1 if not all of them are inside. */
  readonly corner: Int32Array;
  /** Works out `corner` from the positions. */
  locate(): void;
}

/** A row of as many positions as the volume has along x. */
export function samplingRow(sizeZyx: Zyx): SamplingRow {
  const [depth, height, width] = sizeZyx;
  const [z, y, x] = [new Float64Array(width), new Float64Array(width), new Float64Array(width)];
  const corner = new Int32Array(width);
  const locate = (): void => {
    for (let i = 0; i < width; i++) {
      const inside = z[i] >= 0 && z[i] < depth - 1 && y[i] >= 0 && y[i] < height - 1 && x[i] >= 0 && x[i] < width - 1;
      corner[i] = inside ? ((z[i] | 0) * height + (y[i] | 0)) * width + (x[i] | 0) : -1;
    }
  };
  return { sizeZyx, z, y, x, corner, locate };
}

/** Trilinear value of one volume at one position, neighbour by neighbour, zero outside. */
function sampleZeroOutside(image: Float32Array, sizeZyx: Zyx, z: number, y: number, x: number): number {
  const [depth, height, width] = sizeZyx;
  if (!(z > -1 && z < depth && y > -1 && y < height && x > -1 && x < width)) return 0;
  const [lowZ, lowY, lowX] = [Math.floor(z), Math.floor(y), Math.floor(x)];
  let sum = 0;
  for (let neighbour = 0; neighbour < 8; neighbour++) {
    const atZ = lowZ + (neighbour >> 2);
    const atY = lowY + ((neighbour >> 1) & 1);
    const atX = lowX + (neighbour & 1);
    if (atZ < 0 || atZ >= depth || atY < 0 || atY >= height || atX < 0 || atX >= width) continue;
    const weight = (1 - Math.abs(z - atZ)) * (1 - Math.abs(y - atY)) * (1 - Math.abs(x - atX));
    if (weight > 0) sum += weight * image[(atZ * height + atY) * width + atX];
  }
  return sum;
}

/** Writes `image` at the row's positions, trilinear, to out[start ..]. */
export function readRow(image: Float32Array, row: SamplingRow, out: Float32Array, start: number): void {
  const { sizeZyx, z, y, x, corner } = row;
  const below = sizeZyx[2];
  const behind = sizeZyx[1] * sizeZyx[2];
  for (let i = 0; i < below; i++) {
    const at = corner[i];
    if (at < 0) {
      out[start + i] = sampleZeroOutside(image, sizeZyx, z[i], y[i], x[i]);
      continue;
    }
    const alongZ = z[i] - (z[i] | 0);
    const alongY = y[i] - (y[i] | 0);
    const alongX = x[i] - (x[i] | 0);
    const near = at + behind;
    const v00 = image[at] + alongX * (image[at + 1] - image[at]);
    const v01 = image[at + below] + alongX * (image[at + below + 1] - image[at + below]);
    const v10 = image[near] + alongX * (image[near + 1] - image[near]);
    const v11 = image[near + below] + alongX * (image[near + below + 1] - image[near + below]);
    const v0 = v00 + alongY * (v01 - v00);
    const v1 = v10 + alongY * (v11 - v10);
    out[start + i] = v0 + alongZ * (v1 - v0);
  }
}

/** Writes the nearest label at the row's positions to out[start ..], zero outside; halves go up. */
export function readRowNearest(labels: VoxelArray, row: SamplingRow, out: VoxelArray, start: number): void {
  const [depth, height, width] = row.sizeZyx;
  for (let i = 0; i < width; i++) {
    const z = Math.floor(row.z[i] + 0.5);
    const y = Math.floor(row.y[i] + 0.5);
    const x = Math.floor(row.x[i] + 0.5);
    const inside = z >= 0 && z < depth && y >= 0 && y < height && x >= 0 && x < width;
    out[start + i] = inside ? labels[(z * height + y) * width + x] : 0;
  }
}
