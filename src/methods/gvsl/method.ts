/** Geometric visual similarity learning (docs/method.md), and its ablations by leaving heads out. */
import { toZyx } from '../../geometry/volume.ts';
import type { PretrainingMethod } from '../method.ts';
import { type PretrainConfiguration, patchSize, pretrainConfigurationSchema } from './configuration.ts';
import { type Evaluation, evaluatePairs } from './evaluate.ts';
import { evaluationPairs } from './evaluation-pairs.ts';
import { makeExample } from './example.ts';
import { trainingProgram } from './program.ts';
import { exampleRequest, stepOptions } from './step-options.ts';

export const gvsl: PretrainingMethod<PretrainConfiguration, Evaluation> = {
  name: 'gvsl',
  title: 'GVSL',
  schema: pretrainConfigurationSchema,
  heads: ({ model }) => model.heads,
  imagesPerExample: 3,
  program: (configuration, { patch, width, lossScaling = false } = {}) =>
    trainingProgram({ ...stepOptions(configuration, patch, width), lossScaling }),
  examples: (configuration, training, reader) => {
    const sizes = training.map(({ geometry }) => toZyx(geometry.size));
    return async (step, sample) => {
      const { moving, movingView, fixed } = await makeExample(
        (subject, start, size) => reader.readCrop(training[subject], start, size),
        exampleRequest(configuration, sizes, step, sample),
      );
      return configuration.model.heads.matching ? { moving, movingView, fixed } : { moving, movingView };
    };
  },
  evaluate: async (session, configuration, heldOut, reader, request) => {
    const pairs = evaluationPairs(heldOut.length, configuration.log.evaluatePairs, configuration.seed);
    if (pairs.length === 0 || !configuration.model.heads.matching) return null;
    const subjects = pairs.map(([moving, fixed]) => [heldOut[moving], heldOut[fixed]] as const);
    return evaluatePairs(session, reader, subjects, patchSize(configuration), request);
  },
};
