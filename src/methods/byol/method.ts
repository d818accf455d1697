/**
 * BYOL (Grill et al., NeurIPS 2020): from one view what a target network makes of the other is predicted. The target follows the network by a
 * moving average, ever slower, and is part of a checkpoint. It trains the encoder alone.
 */
import { z } from 'zod';
import { contrastiveMethod } from '../contrastive/method.ts';
import { TARGET } from '../contrastive/program.ts';
import { contrastiveKeys, predictorKey } from '../contrastive/views.ts';
import { pretrainingSchema, section } from '../schema-parts.ts';

export const byolSchema = pretrainingSchema({
  ...contrastiveKeys,
  predictor: predictorKey,
  target: section('The target network.', {
    tau: z
      .number()
      .min(0)
      .max(1)
      .default(0.99)
      .describe('Share of itself that the target network keeps at the first step; it rises to 1 at the last, along a cosine.'),
  }),
});
export type ByolConfiguration = z.output<typeof byolSchema>;

/** The share of itself that the target keeps after a step (from 0) of so many. */
export const tauOf = (tau: number, step: number, steps: number): number =>
  1 - ((1 - tau) * (Math.cos((Math.PI * step) / steps) + 1)) / 2;

export const byol = contrastiveMethod<ByolConfiguration>({
  name: 'byol',
  title: 'BYOL',
  module: import.meta.url,
  schema: byolSchema,
  projection: ({ predictor }, channels) => ({ predictor, kind: 'byol', outputs: channels / 2 }),
  carried: [TARGET],
  afterUpdate: async (session, { target, steps }, step) => {
    await session.run('follow', { tau: Float32Array.of(tauOf(target.tau, step - 1, steps)) });
  },
});
export { byol as method };
