/**
 * Volume Fusion (Wang et al., MIS-FM, 2023): crops of two subjects are fused box by box in five degrees, and the network tells the degree at every
 * voxel: a segmentation that nobody had to draw.
 */
import { z } from 'zod';
import { randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { volumesPicture } from '../../images/pictures/volumes-picture.ts';
import { labelOverlap } from '../../metrics/label-overlap.ts';
import { type Heads, NO_HEADS, scaledArchitecture } from '../../model/architecture.ts';
import { applyFusion, DEFAULT_FUSION, type FusionOptions, sampleFusion } from '../augmentation/volume-fusion.ts';
import { cropDataSection, cropOf } from '../crops.ts';
import { type Judgement, judge } from '../judgement/judge.ts';
import { judgementSection } from '../judgement/options.ts';
import type { ExampleTensors, PretrainingMethod } from '../method.ts';
import { count, pretrainingSchema, range, section, share, toPatchSize } from '../schema-parts.ts';
import { fusionProgram } from './program.ts';

/** What is told apart is no finer than noise allows; and examples hold a channel for each. */
const MAX_LEVELS = 16;

export const volumeFusionSchema = pretrainingSchema({
  data: cropDataSection,
  judgement: judgementSection,
  fusion: section('How two crops are fused.', {
    levels: count(1)
      .max(MAX_LEVELS)
      .default(DEFAULT_FUSION.levels)
      .describe('Degrees of fusion K: the network tells K + 1 classes apart.'),
    boxes: range(z.int().min(0).max(10_000))
      .default([...DEFAULT_FUSION.boxes])
      .describe('Minimum and maximum number of boxes.'),
    shares: range(share())
      .default([...DEFAULT_FUSION.shares])
      .describe('Minimum and maximum side of a box, as fractions of the patch side.'),
  } satisfies Record<keyof FusionOptions, z.ZodType>),
});
export type VolumeFusionConfiguration = z.output<typeof volumeFusionSchema>;

const headsOf = ({ fusion }: VolumeFusionConfiguration): Heads => ({ ...NO_HEADS, segmentation: fusion.levels + 1 });

/** Classes as one-hot channels (classes, D, H, W). */
function oneHot(classes: Uint8Array, count: number): Float32Array {
  const channels = new Float32Array(count * classes.length);
  for (let voxel = 0; voxel < classes.length; voxel++) channels[classes[voxel] * classes.length + voxel] = 1;
  return channels;
}

/** The channel with the greatest value, voxel by voxel; of equals the first. */
function greatestChannel(values: Float32Array, size: Zyx): Uint8Array {
  const voxels = voxelCount(size);
  return Uint8Array.from({ length: voxels }, (_, voxel) => {
    let best = 0;
    for (let c = 1; c * voxels < values.length; c++) if (values[c * voxels + voxel] > values[best * voxels + voxel]) best = c;
    return best;
  });
}

const examples: PretrainingMethod<VolumeFusionConfiguration>['examples'] = (configuration, subjects, reader) => {
  const { seed, fusion } = configuration;
  const patch = toPatchSize(configuration.data.patch);
  return async (step, sample): Promise<ExampleTensors> => {
    const stream = randomStream(seed, 'subjects', step, sample);
    const first = stream.integer(0, subjects.length);
    const other = stream.integer(0, subjects.length - 1);
    const second = other < first ? other : other + 1;
    const a = await cropOf(configuration, subjects[first], reader, ['a', step, sample]);
    const b = await cropOf(configuration, subjects[second], reader, ['b', step, sample]);
    const { fused, classes } = applyFusion(a, b, patch, sampleFusion(randomStream(seed, 'fusion', step, sample), patch, fusion));
    return { view: fused, truth: oneHot(classes, fusion.levels + 1) };
  };
};

export const volumeFusion: PretrainingMethod<VolumeFusionConfiguration, Judgement> = {
  name: 'volume-fusion',
  title: 'VolumeFusion',
  module: import.meta.url,
  schema: volumeFusionSchema,
  heads: headsOf,
  imagesPerExample: 1,
  // the truth, one for each class: as many as there can be
  mapsPerExample: MAX_LEVELS + 1,
  program: (configuration, { patch = toPatchSize(configuration.data.patch), width, inputChannels, lossScaling = false } = {}) =>
    fusionProgram({
      architecture: scaledArchitecture(width ?? configuration.model.width, headsOf(configuration), inputChannels),
      size: patch,
      batch: configuration.batch,
      lossScaling,
    }),
  examples,
  evaluate: (session, configuration, heldOut, reader, request) => {
    const patch = toPatchSize(configuration.data.patch);
    const { levels } = configuration.fusion;
    return judge(
      session,
      { configuration, heads: headsOf(configuration), heldOut, reader, ...request },
      {
        examples,
        leastSubjects: 2,
        measure: ({ truth }, { logits }) => {
          const { meanDice } = labelOverlap(greatestChannel(logits, patch), greatestChannel(truth, patch));
          return { dice: Number.isNaN(meanDice) ? 1 : meanDice };
        },
        picture: ({ view, truth }, { logits }, spacingMm) =>
          volumesPicture(
            patch,
            [
              view,
              Float32Array.from(greatestChannel(logits, patch), (k) => k / levels),
              Float32Array.from(greatestChannel(truth, patch), (k) => k / levels),
            ],
            spacingMm,
          ),
      },
    );
  },
};
export { volumeFusion as method };
