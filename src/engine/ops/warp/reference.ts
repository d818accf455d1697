/** Trilinear sampling and its gradients, as the formulas in warp.ts say. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

/** One of the eight neighbours that a voxel reads, inside the volume. */
interface Corner {
  readonly n: number;
  /** The reading voxel's index in its volume. */
  readonly p: number;
  /** The neighbour's index in its volume. */
  readonly at: number;
  readonly weight: number;
  /** d weight / d position, for z, y, x. */
  readonly slopes: readonly [number, number, number];
}

/** Calls `visit` for every neighbour inside the volume of every voxel; a position that is no number has none. */
function forEachCorner(
  displacement: Float64Array,
  [batch, , depth, height, width]: Shape,
  visit: (corner: Corner) => void,
): void {
  const voxels = depth * height * width;
  for (let n = 0; n < batch; n++)
    for (let z = 0, p = 0; z < depth; z++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++, p++) {
          const [positionZ, positionY, positionX] = [z, y, x].map(
            (place, axis) => place + displacement[(3 * n + axis) * voxels + p],
          );
          const [lowZ, lowY, lowX] = [Math.floor(positionZ), Math.floor(positionY), Math.floor(positionX)];
          for (let k = 0; k < 8; k++) {
            const [i, j, l] = [k >> 2, (k >> 1) & 1, k & 1];
            const [atZ, atY, atX] = [lowZ + i, lowY + j, lowX + l];
            if (!(atZ >= 0 && atZ < depth && atY >= 0 && atY < height && atX >= 0 && atX < width)) continue;
            const [wZ, wY, wX] = [1 - Math.abs(positionZ - atZ), 1 - Math.abs(positionY - atY), 1 - Math.abs(positionX - atX)];
            visit({
              n,
              p,
              at: (atZ * height + atY) * width + atX,
              weight: wZ * wY * wX,
              slopes: [(2 * i - 1) * wY * wX, (2 * j - 1) * wZ * wX, (2 * l - 1) * wZ * wY],
            });
          }
        }
}

export const warp: ReferenceKernel<undefined> = ({
  inputs: [image, displacement],
  inputShapes: [, grid],
  out,
  shape: [batch, channels],
}) => {
  const voxels = out.length / (batch * channels);
  forEachCorner(displacement, grid, ({ n, p, at, weight }) => {
    for (let c = 0; c < channels; c++) {
      const volume = (n * channels + c) * voxels;
      out[volume + p] += weight * image[volume + at];
    }
  });
};

export const warpImageGradient: ReferenceKernel<undefined> = ({
  inputs: [displacement, dOut],
  inputShapes: [grid],
  out,
  shape: [batch, channels],
}) => {
  const voxels = out.length / (batch * channels);
  forEachCorner(displacement, grid, ({ n, p, at, weight }) => {
    for (let c = 0; c < channels; c++) {
      const volume = (n * channels + c) * voxels;
      out[volume + at] += weight * dOut[volume + p];
    }
  });
};

export const warpDisplacementGradient: ReferenceKernel<undefined> = ({
  inputs: [image, displacement, dOut],
  inputShapes: [imageShape],
  out,
  shape,
}) => {
  const channels = imageShape[1];
  const voxels = out.length / (shape[0] * 3);
  forEachCorner(displacement, shape, ({ n, p, at, slopes }) => {
    let inner = 0;
    for (let c = 0; c < channels; c++) {
      const volume = (n * channels + c) * voxels;
      inner += dOut[volume + p] * image[volume + at];
    }
    for (let axis = 0; axis < 3; axis++) out[(3 * n + axis) * voxels + p] += slopes[axis] * inner;
  });
};

export const insideMask: ReferenceKernel<undefined> = ({ inputs: [displacement], out, shape: [batch, , ...size] }) => {
  const [, height, width] = size;
  const voxels = out.length / batch;
  for (let at = 0; at < out.length; at++) {
    const p = at % voxels;
    const place = [Math.floor(p / (height * width)), Math.floor(p / width) % height, p % width];
    const inside = place.every((from, axis) => {
      const to = from + displacement[(3 * Math.floor(at / voxels) + axis) * voxels + p];
      return to >= 0 && to <= size[axis] - 1;
    });
    out[at] = inside ? 1 : 0;
  }
};
