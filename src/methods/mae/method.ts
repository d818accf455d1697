/**
 * MAE (He et al., CVPR 2022), on a U-Net: three quarters of the image's cubes are hidden, and asked for. A convolutional network sees the hidden
 * voxels as zeros; nothing is left out of the computation as a transformer would leave it out.
 */
import { z } from 'zod';
import { applyCubeMask, DEFAULT_CUBE_MASK, sampleCubeMask } from '../augmentation/cube-mask.ts';
import { cropDataSection } from '../crops.ts';
import { judgementSection } from '../judgement/options.ts';
import { restorationMethod } from '../restoration/method.ts';
import { count, pretrainingSchema, section, share } from '../schema-parts.ts';

export const maeSchema = pretrainingSchema({
  data: cropDataSection,
  judgement: judgementSection,
  mask: section('Cubes of the image that are hidden (set to 0).', {
    share: share().default(DEFAULT_CUBE_MASK.share).describe('Share of the cubes that are hidden.'),
    sideVoxels: z
      .union([z.literal('auto'), count(1)])
      .default(DEFAULT_CUBE_MASK.sideVoxels)
      .describe('Side of a cube in voxels; auto: 16, or 8 for patches with a side under 64.'),
  }),
});
export type MaeConfiguration = z.output<typeof maeSchema>;

export const mae = restorationMethod<MaeConfiguration>({
  name: 'mae',
  title: 'MAE',
  module: import.meta.url,
  schema: maeSchema,
  masked: () => true,
  damage: (image, patch, stream, { mask }) => ({
    ...applyCubeMask(image, patch, sampleCubeMask(stream, patch, mask)),
    target: image,
  }),
});
export { mae as method };
