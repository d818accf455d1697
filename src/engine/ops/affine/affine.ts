/**
 * The affine transformation: its matrix from 15 parameters, and the displacement field that it makes together with a flow.
 *
 * Matrix (paper, equation 11), acting on (x, y, z) about the volume's centre c = (size - 1) / 2, in voxels:
 *   A = Rz Ry Rx S H,  matrix = [A | A t]
 * with rotations by the angles about x, y, z, S = diag(scales), t the translation, and H = [[1, tan yx, tan zx], [tan xy, 1, tan zy],
 * [tan xz, tan yz, 1]] for the shears in the order xy, xz, yx, yz, zx, zy.
 *
 * Displacement (components z, y, x): psi(p) = c + A (p + flow(p) - c) + A t - p. It is computed as (A - I) (p - c) + A flow + A t,
 * which is exactly zero for the identity.  d flow = A^T d psi;  d matrix = sum over p of d psi [p + flow - c, 1]^T.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

/** inputs: rotation (N, 3) radians about x, y, z; scale (N, 3); translation (N, 3) voxels x, y, z; shear (N, 6) radians. Result (N, 3, 4). */
export const affineMatrixOp: Operation<undefined> = {
  name: 'affineMatrix',
  shape: ([rotation, scale, translation, shear]) => {
    const batch = rotation[0];
    checkShape(
      sameShape(rotation, [batch, 3]) &&
        sameShape(scale, [batch, 3]) &&
        sameShape(translation, [batch, 3]) &&
        sameShape(shear, [batch, 6]),
      'affineMatrix',
      () => `expects [N, 3], [N, 3], [N, 3], [N, 6], got ${[rotation, scale, translation, shear].map(formatShape).join(', ')}`,
    );
    return [batch, 3, 4];
  },
  gradient: (graph, { inputs }, dOut) => {
    const partials = ([0, 1, 2, 3] as const).map((of) => graph.apply(affineMatrixGradientOp, [...inputs, dOut], { of }));
    return partials;
  },
};

/** inputs: rotation, scale, translation, shear, d matrix (N, 3, 4). Result: the gradient of input `of`. */
export const affineMatrixGradientOp: Operation<{ readonly of: 0 | 1 | 2 | 3 }> = {
  name: 'affineMatrixGradient',
  shape: (inputs, { of }) => inputs[of],
};

type Size = { readonly size: readonly [number, number, number] };

function displacementShape(op: string): Operation<Size>['shape'] {
  return ([matrix, flow], { size }) => {
    const batch = matrix[0];
    checkShape(sameShape(matrix, [batch, 3, 4]), op, () => `matrix expects [N, 3, 4], got ${formatShape(matrix)}`);
    checkShape(
      !flow || sameShape(flow, [batch, 3, ...size]),
      op,
      () => `flow expects ${formatShape([batch, 3, ...size])}, got ${formatShape(flow)}`,
    );
    return [batch, 3, ...size];
  };
}

/** inputs: matrix (N, 3, 4), and a flow (N, 3, D, H, W) or none. Result psi (N, 3, D, H, W), size = (D, H, W). */
export const affineDisplacementOp: Operation<Size> = {
  name: 'affineDisplacement',
  shape: displacementShape('affineDisplacement'),
  gradient: (graph, { inputs: [matrix, flow], attributes }, dOut, needs) => [
    needs[0] ? graph.apply(affineDisplacementMatrixGradientOp, flow ? [dOut, flow] : [dOut], attributes) : undefined,
    flow && needs[1] ? graph.apply(affineDisplacementFlowGradientOp, [matrix, dOut], attributes) : undefined,
  ],
};

/** inputs: d psi (N, 3, D, H, W), flow or none. Result d matrix (N, 3, 4). */
export const affineDisplacementMatrixGradientOp: Operation<Size> = {
  name: 'affineDisplacementMatrixGradient',
  shape: ([dOut]) => [dOut[0], 3, 4],
};

/** inputs: matrix (N, 3, 4), d psi (N, 3, D, H, W). Result d flow = A^T d psi. */
export const affineDisplacementFlowGradientOp: Operation<Size> = {
  name: 'affineDisplacementFlowGradient',
  shape: ([, dOut]) => dOut,
};

export const affineMatrix = (graph: Graph, rotation: Node, scale: Node, translation: Node, shear: Node): Node =>
  graph.apply(affineMatrixOp, [rotation, scale, translation, shear], undefined);
/** psi of an affine alone, or of an affine after a flow. */
export const affineDisplacement = (graph: Graph, matrix: Node, size: readonly [number, number, number], flow?: Node): Node =>
  graph.apply(affineDisplacementOp, flow ? [matrix, flow] : [matrix], { size });
