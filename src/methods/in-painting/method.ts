/** In-painting (Pathak et al., CVPR 2016): the image is asked for of a network that sees it with boxes of noise over about a quarter of it. */
import { z } from 'zod';
import { applyHoles, DEFAULT_HOLES, sampleHoles } from '../augmentation/holes.ts';
import { cropDataSection } from '../crops.ts';
import { judgementSection } from '../judgement/options.ts';
import { restorationMethod } from '../restoration/method.ts';
import { pretrainingSchema, range, section, share } from '../schema-parts.ts';

export const inPaintingSchema = pretrainingSchema({
  data: cropDataSection,
  judgement: judgementSection,
  holes: section('Boxes of the image that are replaced by noise.', {
    coverage: z
      .number()
      .positive()
      .max(0.95)
      .default(DEFAULT_HOLES.coverage)
      .describe('Share of the volume that boxes are drawn to cover.'),
    shares: range(share())
      .default([...DEFAULT_HOLES.shares])
      .describe('Minimum and maximum side of a box, as fractions of the patch side.'),
  }),
  loss: section('Loss.', {
    over: z
      .enum(['all', 'holes'])
      .default('all')
      .describe('Voxels whose squared error is averaged: all, or those of the boxes alone.'),
  }),
});
export type InPaintingConfiguration = z.output<typeof inPaintingSchema>;

export const inPainting = restorationMethod<InPaintingConfiguration>({
  name: 'in-painting',
  title: 'in-painting',
  module: import.meta.url,
  schema: inPaintingSchema,
  masked: ({ loss }) => loss.over === 'holes',
  damage: (image, patch, stream, { holes }) => ({
    ...applyHoles(image, patch, sampleHoles(stream, patch, holes)),
    target: image,
  }),
});
export { inPainting as method };
