/** Geometric visual similarity learning, whole: matching (affine and deformable) with restoration. */
import { type PretrainingMethod, pretrainWithHeads } from '../method.ts';

export const gvsl: PretrainingMethod = {
  name: 'gvsl',
  title: 'GVSL, whole',
  pretrain: (call) => pretrainWithHeads(call, {}),
};
