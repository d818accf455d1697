/** GVSL without the affine part of the matching head (the paper's ablation "w/o affine head"). */
import { type PretrainingMethod, pretrainWithHeads } from '../method.ts';

export const withoutAffine: PretrainingMethod = {
  name: 'without-affine',
  title: 'without affine head',
  pretrain: (call) => pretrainWithHeads(call, { affine: false }),
};
