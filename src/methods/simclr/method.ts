/**
 * SimCLR (Chen et al., ICML 2020): the two views of an image are to be found among the views of all images of the batch. It trains the encoder
 * alone. The loss compares the whole batch, which is computed at once: memory grows with it, and more accumulated batches are no larger one.
 */
import type { z } from 'zod';
import { contrastiveMethod } from '../contrastive/method.ts';
import { contrastiveKeys } from '../contrastive/views.ts';
import { count, positive, pretrainingSchema } from '../schema-parts.ts';

export const simclrSchema = pretrainingSchema({
  ...contrastiveKeys,
  batch: count(2)
    .default(4)
    .describe('Subjects per step (batch size), two views each; at least 2. All are computed at once, so memory grows with it.'),
  temperature: positive().default(0.5).describe('Temperature of NT-Xent.'),
  projectionOutputs: count(2).max(4096).default(128).describe('Values of the projection that views are compared by.'),
});
export type SimclrConfiguration = z.output<typeof simclrSchema>;

export const simclr = contrastiveMethod<SimclrConfiguration>({
  name: 'simclr',
  title: 'SimCLR',
  module: import.meta.url,
  schema: simclrSchema,
  takes: 'batch',
  projection: ({ projectionOutputs }) => ({ kind: 'simclr', outputs: projectionOutputs }),
  temperature: ({ temperature }) => temperature,
});
export { simclr as method };
