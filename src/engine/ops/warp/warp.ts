/**
 * Trilinear sampling (paper, equation 10): y(p) = x(p + displacement(p)), between the eight neighbours, zero outside the volume.
 *
 * A neighbour outside the volume counts as zero, so the value fades to zero over the last voxel. With corner weights w_k(p):
 *   d image (q) = sum over p and corners k that fall on q of w_k(p) dy(p)
 *   d displacement_a (p) = sum over channels and corners of dy(p) x(corner) d w_k / d p_a
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

/** inputs: image (N, C, D, H, W), displacement (N, 3, D', H', W') in voxels, components z, y, x. Result (N, C, D', H', W'). */
export const warpOp: Operation<undefined> = {
  name: 'warp',
  recompute: true,
  shape: ([image, displacement]) => {
    checkShape(
      image.length === 5 && displacement.length === 5 && displacement[1] === 3 && displacement[0] === image[0],
      'warp',
      () =>
        `needs image (N, C, D, H, W) and displacement (N, 3, D, H, W), got ${formatShape(image)} and ${formatShape(displacement)}`,
    );
    checkShape(
      sameShape(image.slice(2), displacement.slice(2)),
      'warp',
      () => `image and displacement must agree in size, got ${formatShape(image)} and ${formatShape(displacement)}`,
    );
    return [image[0], image[1], ...displacement.slice(2)];
  },
  gradient: (graph, { inputs: [image, displacement] }, dOut, needs) => [
    needs[0] ? graph.apply(warpImageGradientOp, [displacement, dOut], undefined) : undefined,
    needs[1] ? graph.apply(warpDisplacementGradientOp, [image, displacement, dOut], undefined) : undefined,
  ],
};

/** inputs: displacement (N, 3, D, H, W), dy (N, C, D, H, W). Result d image (N, C, D, H, W). */
export const warpImageGradientOp: Operation<undefined> = { name: 'warpImageGradient', shape: ([, dOut]) => dOut };

/** inputs: image, displacement, dy. Result d displacement (N, 3, D, H, W). */
export const warpDisplacementGradientOp: Operation<undefined> = {
  name: 'warpDisplacementGradient',
  shape: ([, displacement]) => displacement,
};

export const warp = (graph: Graph, image: Node, displacement: Node): Node =>
  graph.apply(warpOp, [image, displacement], undefined);

/** displacement (N, 3, D, H, W) to (N, 1, D, H, W): 1 where p + displacement(p) lies inside the volume, else 0. Not differentiable. */
export const insideMaskOp: Operation<undefined> = {
  name: 'insideMask',
  shape: ([displacement]) => {
    checkShape(
      displacement.length === 5 && displacement[1] === 3,
      'insideMask',
      () => `needs a displacement (N, 3, D, H, W), got ${formatShape(displacement)}`,
    );
    return [displacement[0], 1, ...displacement.slice(2)];
  },
};

export const insideMask = (graph: Graph, displacement: Node): Node => graph.apply(insideMaskOp, [displacement], undefined);
