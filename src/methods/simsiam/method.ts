/**
 * SimSiam (Chen and He, CVPR 2021): from the projection of one view that of the other is predicted, which is held constant. There is nothing to
 * be told apart from; what keeps the network from saying the same of all images is the predictor. It trains the encoder alone.
 */
import type { z } from 'zod';
import { contrastiveMethod } from '../contrastive/method.ts';
import { contrastiveKeys, predictorKey } from '../contrastive/views.ts';
import { pretrainingSchema } from '../schema-parts.ts';

export const simsiamSchema = pretrainingSchema({ ...contrastiveKeys, predictor: predictorKey });
export type SimsiamConfiguration = z.output<typeof simsiamSchema>;

export const simsiam = contrastiveMethod<SimsiamConfiguration>({
  name: 'simsiam',
  title: 'SimSiam',
  module: import.meta.url,
  schema: simsiamSchema,
  projection: ({ predictor }, channels) => ({ predictor, kind: 'simsiam', outputs: channels }),
});
export { simsiam as method };
