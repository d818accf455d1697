/** Denoising (Vincent et al., ICML 2008): the image is asked for of a network that sees it with Gaussian noise. */

import { z } from 'zod';
import { addNoise, DEFAULT_NOISE, sampleNoise } from '../augmentation/noise.ts';
import { cropDataSection } from '../crops.ts';
import { judgementSection } from '../judgement/options.ts';
import { restorationMethod } from '../restoration/method.ts';
import { pretrainingSchema, range, section } from '../schema-parts.ts';

export const denoisingSchema = pretrainingSchema({
  data: cropDataSection,
  judgement: judgementSection,
  noise: section('Noise that the network sees.', {
    deviation: range(z.number().nonnegative().max(10))
      .default([...DEFAULT_NOISE.deviation])
      .describe('Minimum and maximum standard deviation of the noise, for intensities in [0, 1].'),
  }),
});
export type DenoisingConfiguration = z.output<typeof denoisingSchema>;

export const denoising = restorationMethod<DenoisingConfiguration>({
  name: 'denoising',
  title: 'denoising',
  module: import.meta.url,
  schema: denoisingSchema,
  masked: () => false,
  damage: (image, patch, stream, { noise }) => ({ view: addNoise(image, patch, sampleNoise(stream, noise)), target: image }),
});
export { denoising as method };
