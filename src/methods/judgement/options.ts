/** What a judgement can be told. */
import { z } from 'zod';
import { count, section } from '../schema-parts.ts';

/** The section `judgement` of a method that is judged by held-out loss and probe. @param examples by default */
export const judgementSectionWith = (examples: number) =>
  section('How evaluations judge the network.', {
    examples: count(1)
      .default(examples)
      .describe('Fixed examples of held-out subjects whose loss is computed, and as many of training subjects.'),
    probe: z
      .boolean()
      .default(true)
      .describe(
        'Where the cohort has label maps or classes: fit a linear probe on features of training subjects, score it on held-out ones, and choose the best checkpoint by it.',
      ),
    probeSubjects: count(1)
      .default(16)
      .describe('Maximum number of labelled subjects a probe is fitted on, and of those it is scored on.'),
  });

export const judgementSection = judgementSectionWith(16);

/** What a judgement reads of a configuration. */
export interface JudgementConfiguration {
  readonly judgement: z.output<typeof judgementSection>;
}
