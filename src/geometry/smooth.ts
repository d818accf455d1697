/** Gaussian smoothing of a volume, separably. */
import { type AxisOperator, applySeparable, interpolationOperator } from './axis-operator.ts';
import { type PlaneReader, planeReader, type Volume, type Xyz } from './volume.ts';

/**
 * The volume smoothed with a Gaussian of `sigmaVoxels` along x, y, z, cut off at 4 sigma; 0 leaves an axis as it is.
 * Beyond its borders the volume continues with its border values, so a constant stays constant.
 */
export const smoothGaussian = (volume: Volume, sigmaVoxels: Xyz): Volume<Float32Array> => ({
  geometry: volume.geometry,
  data: smoothPlanes(volume.geometry.size, planeReader(volume), sigmaVoxels),
});

/** The same for a volume of `size` that is read plane by plane. */
export function smoothPlanes(size: Xyz, read: PlaneReader, sigmaVoxels: Xyz): Float32Array<ArrayBuffer> {
  const operators = size.map((n, axis) =>
    interpolationOperator(
      n,
      Float64Array.from({ length: n }, (_, i) => i),
      sigmaVoxels[axis],
    ),
  ) as [AxisOperator, AxisOperator, AxisOperator];
  return applySeparable(operators, read);
}
