/** Gaussian smoothing of a volume, separably. */
import { type AxisOperator, applySeparable, interpolationOperator } from './axis-operator.ts';
import { planeReader, type Volume, type Xyz } from './volume.ts';

/**
 * The volume smoothed with a Gaussian of `sigmaVoxels` along x, y, z, cut off at 4 sigma; 0 leaves an axis as it is.
 * Beyond its borders the volume continues with its border values, so a constant stays constant.
 */
export const smoothGaussian = (volume: Volume, sigmaVoxels: Xyz): Volume<Float32Array> => ({
  geometry: volume.geometry,
  data: applySeparable(smoothingOperators(volume.geometry.size, sigmaVoxels), planeReader(volume)),
});

/** What does that to a volume of `size`, along x, y and z. */
export const smoothingOperators = (size: Xyz, sigmaVoxels: Xyz): [AxisOperator, AxisOperator, AxisOperator] =>
  size.map((n, axis) =>
    interpolationOperator(
      n,
      Float64Array.from({ length: n }, (_, i) => i),
      sigmaVoxels[axis],
    ),
  ) as [AxisOperator, AxisOperator, AxisOperator];
