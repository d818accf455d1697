/**
 * Local normalised cross-correlation as a loss: 1 - mean over voxels of c = cross^2 / (var_a var_b + 1e-5).
 *
 * Sums S run over a window^3 neighbourhood with zeros outside; n = window^3; cross = S_ab - S_a S_b / n, var_a = S_aa - S_a^2 / n.
 * In exact arithmetic 0 <= c <= 1 (Cauchy-Schwarz); in rounded arithmetic a constant or very bright region can break that, so sums are
 * kept in double precision, a variance below its own rounding error counts as zero, and c is clamped to [0, 1].
 * With q = var_a var_b + eps, and for every window w: u = 2 cross / q and v = cross^2 var_b / q^2:
 *   d c_w / d a_p = u (b_p - mean_b) - 2 v (a_p - mean_a)   for p in w
 * so  d a = -dOut / voxels * [ b box(u) - box(u mean_b) - 2 a box(v) + 2 box(v mean_a) ], box being the same window's sum
 * (windows are symmetric). The loss is symmetric in its inputs: the gradient of b is this rule with a and b exchanged.
 *
 * With a mask m of zeros and ones, all sums run over voxels with m = 1, n is their number in the window, and the mean is over the windows
 * whose centre has m = 1 (the loss is 1 if there is none): what lies outside an image is then not darkness to be matched, but left out.
 * The mask has no gradient.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

export interface NccAttributes {
  /** Odd; 9 in the paper. */
  readonly window: number;
}

/** inputs: a, b (N, 1, D, H, W), and a mask of the same shape or none. Result: a scalar in [0, 1]. */
export const nccOp: Operation<NccAttributes> = {
  name: 'ncc',
  shape: ([a, b, mask], { window }) => {
    checkShape(
      a.length === 5 && a[1] === 1 && sameShape(a, b),
      'ncc',
      () => `needs two images (N, 1, D, H, W), got ${formatShape(a)} and ${formatShape(b)}`,
    );
    checkShape(!mask || sameShape(mask, a), 'ncc', () => `mask expects ${formatShape(a)}, got ${formatShape(mask)}`);
    checkShape(window % 2 === 1 && window > 0, 'ncc', () => `the window must be odd, got ${window}`);
    return [];
  },
  gradient: (graph, { inputs: [a, b, mask], attributes }, dOut, needs) => {
    const rest = mask ? [dOut, mask] : [dOut];
    return [
      needs[0] ? graph.apply(nccGradientOp, [a, b, ...rest], attributes) : undefined,
      needs[1] ? graph.apply(nccGradientOp, [b, a, ...rest], attributes) : undefined,
    ];
  },
};

/** inputs: a, b, dOut (scalar), mask or none. Result: d a. */
export const nccGradientOp: Operation<NccAttributes> = { name: 'nccGradient', shape: ([a]) => a };

/** The loss of two images, over all voxels or those of a mask. */
export const nccLoss = (graph: Graph, a: Node, b: Node, window = 9, mask?: Node): Node =>
  graph.apply(nccOp, mask ? [a, b, mask] : [a, b], { window });
