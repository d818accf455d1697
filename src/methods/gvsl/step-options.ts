/** From a configuration of pre-training to what is computed: the programs of a step, and its examples. */
import type { Zyx } from '../../geometry/volume.ts';
import { scaledArchitecture } from '../../model/architecture.ts';
import { type PretrainConfiguration, patchSize } from './configuration.ts';
import type { ExampleRequest } from './example.ts';
import type { LossOptions, StepOptions } from './program.ts';

/** The step's network, losses and sizes; patch and width may be tried otherwise. */
export function stepOptions(
  configuration: PretrainConfiguration,
  patch = patchSize(configuration),
  width: number = configuration.model.width,
  inputChannels?: number,
): StepOptions {
  const { ncc, affineNcc, affinePose, smooth, mse, nccWindow, nccOver, wideNcc, reverse, inverse, features } = configuration.loss;
  const loss: LossOptions = {
    nccWeight: ncc,
    affineNccWeight: affineNcc,
    affinePoseWeight: affinePose,
    smoothWeight: smooth,
    mseWeight: mse,
    nccWindow,
    nccOver,
    wideNccWeight: wideNcc,
    reverseWeight: reverse,
    inverseWeight: inverse,
    featuresWeight: features,
  };
  return {
    architecture: scaledArchitecture(width, configuration.model.heads, inputChannels),
    loss,
    size: patch,
    samples: 1,
    batch: configuration.batch,
    affineRateFactor: configuration.affineRateFactor,
  };
}

/** What the example of a step and sample is drawn from; `sizes` are the volumes' of the training subjects. */
export function exampleRequest(
  configuration: PretrainConfiguration,
  sizes: readonly Zyx[],
  step: number,
  sample: number,
  channels?: number,
): ExampleRequest {
  const { spatial, damage, jitterVoxels, mirroredPairs } = configuration.data;
  const { enabled, ...damageOptions } = damage;
  const { mode, ...spatialOptions } = spatial;
  return {
    seed: configuration.seed,
    step,
    sample,
    sizes,
    channels,
    patch: patchSize(configuration),
    jitterVoxels,
    mirrored: mirroredPairs,
    damage: enabled ? damageOptions : false,
    spatial: mode === 'none' ? false : mode,
    spatialOptions,
  };
}
