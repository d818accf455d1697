/**
 * Which parts of two volumes the network sees together, and how the answers become one.
 *
 * One part if everything fits. Else tiles as in training: of one size, centred at the same relative place of both volumes. They overlap, and
 * each counts most in its middle, where it sees most around.
 */
import { type Affine, applyAffine, applyMatrix3, invert3, multiply3 } from '../../geometry/affine.ts';
import { type Matrix3, perAxis, type Xyz } from '../../geometry/volume.ts';

/** A box of the same size in both volumes; starts in their voxels, x, y, z, negative where a volume is padded. */
export interface Tile {
  readonly fixedStart: Xyz;
  readonly movingStart: Xyz;
}

export interface Tiling {
  /** Voxels of each tile. */
  readonly size: Xyz;
  readonly tiles: readonly Tile[];
}

/** Neighbouring tiles share at least this part of their side. */
const OVERLAP = 1 / 3;

/** The size of a single tile that holds both volumes whole. */
export const wholeSize = (fixed: Xyz, moving: Xyz): Xyz => perAxis(fixed, (n, k) => Math.max(n, moving[k]));

/** Starts of tiles along one axis, in the fixed and in the moving volume. */
function startsAlong(fixed: number, moving: number, side: number): { fixed: number; moving: number }[] {
  const count = fixed <= side ? 1 : 1 + Math.ceil((fixed - side) / (side * (1 - OVERLAP)));
  return Array.from({ length: count }, (_, i) => {
    const start = count === 1 ? Math.floor((fixed - side) / 2) : Math.round((i * (fixed - side)) / (count - 1));
    const relativePlace = count === 1 ? 0.5 : (start + side / 2) / fixed;
    return { fixed: start, moving: start + Math.round(relativePlace * (moving - fixed)) };
  });
}

/** Tiles of at most `size` that cover the whole fixed volume. */
export function planTiles(fixed: Xyz, moving: Xyz, size: Xyz): Tiling {
  const whole = wholeSize(fixed, moving);
  const sides = perAxis(size, (n, k) => Math.min(n, whole[k]));
  const [alongX, alongY, alongZ] = sides.map((side, k) => startsAlong(fixed[k], moving[k], side));
  const tiles = alongZ.flatMap((z) =>
    alongY.flatMap((y) =>
      alongX.map((x): Tile => ({ fixedStart: [x.fixed, y.fixed, z.fixed], movingStart: [x.moving, y.moving, z.moving] })),
    ),
  );
  return { size: sides, tiles };
}

/** How much each voxel of a tile counts along one axis: sin^2, from almost nothing at its ends to 1 in its middle. */
export const tileWeights = (side: number): Float64Array =>
  Float64Array.from({ length: side }, (_, i) => Math.sin((Math.PI * (i + 0.5)) / side) ** 2);

/**
 * The one affine that comes nearest, in the least squares over all points of all boxes, to each box's own. Of one box it is that box's.
 * @param boxes each with its own affine, of equal size, in voxels of the space that the affines act on
 */
export function commonAffine(boxes: readonly { readonly start: Xyz; readonly affine: Affine }[], size: Xyz): Affine {
  // Eight points at these distances from a box's centre have the first and second moments of all its points, which is all that a fit of
  // affine functions by least squares can see.
  const reach = size.map((n) => Math.sqrt((n * n - 1) / 12) || 0.5);
  const points: [Xyz, Xyz][] = boxes.flatMap(({ start, affine }) =>
    Array.from({ length: 8 }, (_, corner): [Xyz, Xyz] => {
      const point = perAxis(start, (s, k) => s + (size[k] - 1) / 2 + (corner & (1 << k) ? reach[k] : -reach[k]));
      return [point, applyAffine(affine, point)];
    }),
  );
  const meanOf = (which: 0 | 1): Xyz =>
    perAxis([0, 1, 2], (k) => points.reduce((sum, pair) => sum + pair[which][k], 0) / points.length);
  const [from, to] = [meanOf(0), meanOf(1)];
  const products = (which: 0 | 1, mean: Xyz): number[] =>
    Array.from({ length: 9 }, (_, i) =>
      points.reduce(
        (sum, pair) => sum + (pair[which][Math.floor(i / 3)] - mean[Math.floor(i / 3)]) * (pair[0][i % 3] - from[i % 3]),
        0,
      ),
    );
  const [spread, moved] = [products(0, from), products(1, to)];
  const matrix = multiply3(moved as unknown as Matrix3, invert3(spread as unknown as Matrix3));
  const shift = applyMatrix3(matrix, from);
  return { matrix, offset: [to[0] - shift[0], to[1] - shift[1], to[2] - shift[2]] };
}
