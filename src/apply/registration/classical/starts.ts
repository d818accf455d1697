/** Where an affine registration may start: how two images could lie on one another before anything is known. */
import { type Affine, applyAffine, voxelToPhysical } from '../../../geometry/affine.ts';
import { IDENTITY_3, perAxis, type Volume, type Xyz } from '../../../geometry/volume.ts';
import { centreOf } from '../stages.ts';

/** The centre of an image's values in [0, 1], mm; its grid's centre if it has none. */
function centreOfMassMm({ geometry, data }: Volume<Float32Array>, mask: ArrayLike<number> | undefined): Xyz {
  const [nx, ny, nz] = geometry.size;
  let [sum, sx, sy, sz] = [0, 0, 0, 0];
  for (let z = 0, i = 0; z < nz; z++)
    for (let y = 0; y < ny; y++)
      for (let x = 0; x < nx; x++, i++) {
        if (mask && !mask[i]) continue;
        const value = data[i];
        sum += value;
        sx += value * x;
        sy += value * y;
        sz += value * z;
      }
  const centre = sum > 0 ? ([sx / sum, sy / sum, sz / sum] as const) : centreOf(geometry);
  return applyAffine(voxelToPhysical(geometry), centre);
}

const shift = (from: Xyz, to: Xyz): Affine => ({ matrix: IDENTITY_3, offset: perAxis(to, (value, k) => value - from[k]) });

interface Image {
  readonly image: Volume<Float32Array>;
  readonly mask?: ArrayLike<number> | undefined;
}

/** Grid centre on grid centre, and centre of mass on centre of mass; axes as stored. */
export function usualStarts(fixed: Image, moving: Image): Affine[] {
  const middle = ({ image: { geometry } }: Image): Xyz => applyAffine(voxelToPhysical(geometry), centreOf(geometry));
  return [
    shift(middle(fixed), middle(moving)),
    shift(centreOfMassMm(fixed.image, fixed.mask), centreOfMassMm(moving.image, moving.mask)),
  ];
}
