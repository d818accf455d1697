/** Geometric visual similarity learning (docs/method.md), and its ablations by leaving heads out. */
import { toZyx } from '../../geometry/volume.ts';
import { volumesPicture } from '../../images/pictures/volumes-picture.ts';
import { type Judgement, judge } from '../judgement/judge.ts';
import type { PretrainingMethod } from '../method.ts';
import { unrestoredError } from '../restoration/method.ts';
import { type PretrainConfiguration, patchSize, pretrainConfigurationSchema } from './configuration.ts';
import { type Evaluation, evaluatePairs } from './evaluate.ts';
import { evaluationPairs } from './evaluation-pairs.ts';
import { makeExample } from './example.ts';
import { knownPose } from './known-pose.ts';
import { trainingProgram } from './program.ts';
import { exampleRequest, stepOptions } from './step-options.ts';

const examples: PretrainingMethod<PretrainConfiguration>['examples'] = (configuration, training, reader) => {
  const sizes = training.map(({ geometry }) => toZyx(geometry.size));
  return async (step, sample) => {
    const request = exampleRequest(configuration, sizes, step, sample, reader.channels);
    const { moving, movingView, fixed, plan } = await makeExample(
      (subject, start, size) => reader.readCrop(training[subject], start, size),
      request,
    );
    const { matching, affine } = configuration.model.heads;
    if (!matching) return { moving, movingView };
    const withPose = affine && configuration.loss.affinePose > 0;
    return { moving, movingView, fixed, ...(withPose && { pose: knownPose(plan, request) }) };
  };
};

export const gvsl: PretrainingMethod<PretrainConfiguration, Evaluation | Judgement> = {
  name: 'gvsl',
  title: 'GVSL',
  schema: pretrainConfigurationSchema,
  heads: ({ model }) => model.heads,
  imagesPerExample: 3,
  program: (configuration, { patch, width, inputChannels, lossScaling = false } = {}) =>
    trainingProgram({ ...stepOptions(configuration, patch, width, inputChannels), lossScaling }),
  examples,
  evaluate: async (session, configuration, heldOut, reader, request) => {
    const { heads } = configuration.model;
    if (!heads.matching)
      return judge(
        session,
        { configuration, heads, heldOut, reader, ...request },
        {
          examples,
          leastSubjects: 2,
          measure: ({ movingView, moving }) => ({ unrestoredMse: unrestoredError({ view: movingView, target: moving }) }),
          picture: ({ movingView, moving }, { restored }, spacingMm) =>
            volumesPicture(patchSize(configuration), [movingView, restored, moving], spacingMm),
        },
      );
    const pairs = evaluationPairs(heldOut.length, configuration.log.evaluatePairs, configuration.seed);
    if (pairs.length === 0) return null;
    const subjects = pairs.map(([moving, fixed]) => [heldOut[moving], heldOut[fixed]] as const);
    return evaluatePairs(session, reader, subjects, patchSize(configuration), request);
  },
};
