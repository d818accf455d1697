/** ITK's text form of an affine transform (`.tfm`), as ITK, ANTs, 3D Slicer and SimpleITK read it. */
import { type Affine, applyAffine } from '../../../geometry/affine.ts';
import type { Xyz } from '../../../geometry/volume.ts';

/**
 * The text of a transform that maps points of the fixed image to the moving one, mm, LPS.
 * ITK's form is T(x) = M (x - c) + t + c: nine values of M row by row, t, and the centre c as fixed parameters.
 * @param centreMm changes how the numbers read (t is then how the centre moves), not the map
 */
export function itkAffineText(affine: Affine, centreMm: Xyz): string {
  const moved = applyAffine(affine, centreMm);
  const translation = moved.map((value, k) => value - centreMm[k]);
  return [
    '#Insight Transform File V1.0',
    '#Transform 0',
    'Transform: AffineTransform_double_3_3',
    `Parameters: ${[...affine.matrix, ...translation].join(' ')}`,
    `FixedParameters: ${centreMm.join(' ')}`,
    '',
  ].join('\n');
}
