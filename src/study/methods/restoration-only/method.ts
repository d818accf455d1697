/** The fundament alone (the paper's ablation "w/o Z-matching"). */
import { type PretrainingMethod, pretrainWithHeads } from '../method.ts';

export const restorationOnly: PretrainingMethod = {
  name: 'restoration-only',
  title: 'restoration only',
  pretrain: (call) => pretrainWithHeads(call, { matching: false, affine: false }),
};
