/** Gaussian smoothing of a volume, separably. */
import { type AxisOperator, applySeparable, interpolationOperator } from './axis-operator.ts';
import type { Volume, Xyz } from './volume.ts';

/**
 * The volume smoothed with a Gaussian of `sigmaVoxels` along x, y, z, cut off at 4 sigma; 0 leaves an axis as it is.
 * Beyond its borders the volume continues with its border values, so a constant stays constant.
 */
export function smoothGaussian(volume: Volume, sigmaVoxels: Xyz): Volume<Float32Array> {
  const operators = volume.geometry.size.map((n, axis) =>
    interpolationOperator(
      n,
      Float64Array.from({ length: n }, (_, i) => i),
      sigmaVoxels[axis],
    ),
  ) as [AxisOperator, AxisOperator, AxisOperator];
  const input = volume.data instanceof Float32Array ? volume.data : Float32Array.from(volume.data);
  const data = applySeparable(operators, input);
  return { geometry: volume.geometry, data: data === volume.data ? data.slice() : data };
}
