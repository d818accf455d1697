/** Matching without the fundament (the paper's ablation "w/o fundament"). */
import { type PretrainingMethod, pretrainWithHeads } from '../method.ts';

export const matchingOnly: PretrainingMethod = {
  name: 'matching-only',
  title: 'matching only',
  pretrain: (call) => pretrainWithHeads(call, { restoration: false }),
};
