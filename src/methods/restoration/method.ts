/** What denoising, in-painting, Models Genesis and MAE have in common: all but the damage. */
import type { z } from 'zod';
import { type RandomStream, randomStream } from '../../common/random.ts';
import { splitChannels } from '../../geometry/channels.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { volumesPicture } from '../../images/pictures/volumes-picture.ts';
import { type Heads, NO_HEADS, scaledArchitecture } from '../../model/architecture.ts';
import { type CropConfiguration, cropOf, drawSubject } from '../crops.ts';
import { type Judgement, judge } from '../judgement/judge.ts';
import type { JudgementConfiguration } from '../judgement/options.ts';
import type { ExampleTensors, PretrainingMethod } from '../method.ts';
import { toPatchSize } from '../schema-parts.ts';
import { restorationProgram } from './program.ts';

export type RestorationConfiguration = CropConfiguration & JudgementConfiguration;

/** What the network is shown, what it is asked for, and, where not all voxels count, those that do. */
export interface Damaged {
  readonly view: Float32Array;
  readonly target: Float32Array;
  /** 1 where the error counts, 0 elsewhere. */
  readonly mask?: Float32Array;
}

export interface RestorationDescription<Configuration extends RestorationConfiguration> {
  readonly name: string;
  readonly title: string;
  /** `import.meta.url` of the method's module. */
  readonly module: string;
  readonly schema: z.ZodType<Configuration>;
  /** Whether only some voxels count: then `damage` gives the mask. */
  masked(configuration: Configuration): boolean;
  /** Changes a crop (C, D, H, W) of intensities in [0, 1], which is the caller's and may be handed on as the target. */
  damage(image: Float32Array, patch: Zyx, stream: RandomStream, configuration: Configuration): Damaged;
}

const HEADS: Heads = { ...NO_HEADS, restoration: true };

/** Mean squared error of the view itself: what a network has that returns what it sees. */
export function unrestoredError({ view, target }: ExampleTensors): number {
  let sum = 0;
  for (let i = 0; i < view.length; i++) sum += (view[i] - target[i]) ** 2;
  return sum / view.length;
}

/**
 * Mean squared error of hidden voxels that are filled with the mean of the others, channel by channel: what a network has that knows an image's
 * brightness alone. The view itself is no measure there: what is put in the place of hidden voxels says nothing of them.
 */
export function meanError({ view, target, mask }: ExampleTensors, patch: Zyx): number {
  let [sum, hidden] = [0, 0];
  const targets = splitChannels(target, patch);
  const masks = splitChannels(mask, patch);
  for (const [c, seen] of splitChannels(view, patch).entries()) {
    let [total, count] = [0, 0];
    for (let i = 0; i < seen.length; i++)
      if (masks[c][i] === 0) {
        total += seen[i];
        count++;
      }
    // of an image that is hidden whole nothing is known
    const mean = count > 0 ? total / count : 0;
    for (let i = 0; i < seen.length; i++)
      if (masks[c][i] !== 0) {
        sum += (mean - targets[c][i]) ** 2;
        hidden++;
      }
  }
  return sum / hidden;
}

/** A method that restores what its damage did to an image. */
export function restorationMethod<Configuration extends RestorationConfiguration>({
  masked,
  damage,
  ...about
}: RestorationDescription<Configuration>): PretrainingMethod<Configuration, Judgement> {
  const examples: PretrainingMethod<Configuration>['examples'] = (configuration, subjects, reader) => {
    const patch = toPatchSize(configuration.data.patch);
    const { seed } = configuration;
    return async (step, sample): Promise<ExampleTensors> => {
      const subject = drawSubject(seed, subjects, step, sample);
      const image = await cropOf(configuration, subject, reader, ['image', step, sample]);
      const { view, target, mask } = damage(image, patch, randomStream(seed, 'damage', step, sample), configuration);
      return { view, target, ...(mask && masked(configuration) ? { mask } : {}) };
    };
  };
  return {
    ...about,
    heads: () => HEADS,
    imagesPerExample: 3,
    program: (configuration, { patch = toPatchSize(configuration.data.patch), width, inputChannels, lossScaling = false } = {}) =>
      restorationProgram({
        architecture: scaledArchitecture(width ?? configuration.model.width, HEADS, inputChannels),
        size: patch,
        batch: configuration.batch,
        masked: masked(configuration),
        lossScaling,
      }),
    examples,
    evaluate: (session, configuration, heldOut, reader, request) =>
      judge(
        session,
        { configuration, heads: HEADS, heldOut, reader, ...request },
        {
          examples,
          measure: (example): Readonly<Record<string, number>> =>
            masked(configuration)
              ? { meanMse: meanError(example, toPatchSize(configuration.data.patch)) }
              : { unrestoredMse: unrestoredError(example) },
          picture: ({ view, target }, { restored }, spacingMm) =>
            volumesPicture(toPatchSize(configuration.data.patch), [view, restored, target], spacingMm),
        },
      ),
  };
}
