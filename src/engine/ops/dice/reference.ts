/** Soft Dice, as the formulas in dice.ts say. */
import type { ReferenceCall, ReferenceKernel } from '../../backends/reference/kernel.ts';

/** Calls `visit` for each sample and class: its first element, the end, 2 I + 1, P + G + 1, and M, how many there are. */
function forEachClass(
  { inputs: [probabilities, truth], inputShapes: [[batch, classes]] }: ReferenceCall<undefined>,
  visit: (from: number, to: number, overlap: number, total: number, count: number) => void,
): void {
  const count = batch * classes;
  const voxels = probabilities.length / count;
  for (let from = 0; from < probabilities.length; from += voxels) {
    let [overlap, total] = [1, 1];
    for (let i = from; i < from + voxels; i++) {
      overlap += 2 * probabilities[i] * truth[i];
      total += probabilities[i] ** 2 + truth[i] ** 2;
    }
    visit(from, from + voxels, overlap, total, count);
  }
}

export const dice: ReferenceKernel<undefined> = (call) => {
  let loss = 1;
  forEachClass(call, (_from, _to, overlap, total, count) => {
    loss -= overlap / total / count;
  });
  call.out[0] = loss;
};

export const diceGradient: ReferenceKernel<undefined> = (call) => {
  const [probabilities, truth, [dOut]] = call.inputs;
  forEachClass(call, (from, to, overlap, total, count) => {
    for (let i = from; i < to; i++) {
      call.out[i] = (-dOut / count) * ((2 * truth[i]) / total - (overlap * 2 * probabilities[i]) / total ** 2);
    }
  });
};
