/**
 * The pose that is known of a pair: what augmentation and jitter did to its two images, as the affine transformation that lays A onto B if both
 * subjects lay alike. They do not, quite; but how they differ has no preferred direction, so the mean over pairs is right. A target for the
 * affine head that does not wait for features to match.
 *
 * The images shown are A'(p) = A(T_A p) and B'(p) = B(T_B p), positions about the patch's centre, and A(q + d) shows what B(q) shows, d the
 * difference of their crops' places. So A'(phi(p)) shows what B'(p) shows for phi(p) = T_A^-1 (T_B p + d). Elastic fields are left out.
 */
import { type Affine, composeAffine, invertAffine } from '../../geometry/affine.ts';
import { affineMatrix } from '../../geometry/affine-matrix.ts';
import { perAxis, perEntry, toXyz, type Zyx } from '../../geometry/volume.ts';
import { IDENTITY_SPATIAL, type SpatialPlan } from '../augmentation/spatial/spatial.ts';
import type { ExamplePlan } from './example.ts';
import type { CropPlace } from './pairs.ts';

const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1] as const;

function affineOf(plan: SpatialPlan): Affine {
  const matrix = affineMatrix(plan);
  return {
    matrix: perEntry(IDENTITY, (_, i) => matrix[4 * Math.floor(i / 3) + (i % 3)]),
    offset: [matrix[3], matrix[7], matrix[11]],
  };
}

/** @returns (3, 4), by rows, acting on (x, y, z) in voxels about the patch's centre, as the affine head's matrix does */
export function knownPose(
  { pair, spatial }: Pick<ExamplePlan, 'pair' | 'spatial'>,
  { sizes, patch }: { readonly sizes: readonly Zyx[]; readonly patch: Zyx },
): Float32Array {
  const { moving = IDENTITY_SPATIAL, fixed = moving } = spatial ?? {};
  const middle = ({ start }: CropPlace, zyx: number): number => start[zyx] + patch[zyx] / 2;
  // the same relative place of both volumes shows the same (pairs.ts)
  const apart = perAxis(patch, (_, zyx) => {
    const place = middle(pair.fixed, zyx) / sizes[pair.fixed.subject][zyx];
    return place * sizes[pair.moving.subject][zyx] - middle(pair.moving, zyx);
  });
  const toA = composeAffine({ matrix: IDENTITY, offset: toXyz(apart) }, affineOf(fixed));
  const { matrix, offset } = composeAffine(invertAffine(affineOf(moving)), toA);
  return Float32Array.from({ length: 12 }, (_, i) =>
    i % 4 === 3 ? offset[Math.floor(i / 4)] : matrix[3 * Math.floor(i / 4) + (i % 4)],
  );
}
