/**
 * Models Genesis (Zhou et al., Medical Image Analysis 67, 2021): the image is asked for of a network that sees it with changed intensities,
 * shuffled texture, and a part of it replaced by noise.
 */
import type { z } from 'zod';
import { voxelCount } from '../../geometry/volume.ts';
import {
  applyModelsGenesis,
  DEFAULT_MODELS_GENESIS,
  type ModelsGenesisOptions,
  sampleModelsGenesis,
} from '../augmentation/models-genesis.ts';
import { cropDataSection } from '../crops.ts';
import { judgementSection } from '../judgement/options.ts';
import { restorationMethod } from '../restoration/method.ts';
import { count, pretrainingSchema, probability, section, share } from '../schema-parts.ts';

export const modelsGenesisSchema = pretrainingSchema({
  data: cropDataSection,
  judgement: judgementSection,
  damage: section('What is done to the image that the network sees; the flips, to the target too.', {
    flipProbability: probability().default(DEFAULT_MODELS_GENESIS.flipProbability).describe('Probability of a flip, per axis.'),
    intensityProbability: probability()
      .default(DEFAULT_MODELS_GENESIS.intensityProbability)
      .describe('Probability of a random monotone intensity transform (Bezier curve).'),
    descendingProbability: probability()
      .default(DEFAULT_MODELS_GENESIS.descendingProbability)
      .describe('Probability that such a curve descends: dark becomes bright.'),
    shufflingProbability: probability()
      .default(DEFAULT_MODELS_GENESIS.shufflingProbability)
      .describe('Probability of local shuffling.'),
    shufflingBoxes: count()
      .max(1_000_000)
      .default(DEFAULT_MODELS_GENESIS.shufflingBoxes)
      .describe('Number of boxes for local shuffling.'),
    shufflingShare: share()
      .default(DEFAULT_MODELS_GENESIS.shufflingShare)
      .describe('Maximum side of a shuffled box, as a fraction of the patch side (at least 2 voxels).'),
    paintingProbability: probability()
      .default(DEFAULT_MODELS_GENESIS.paintingProbability)
      .describe('Probability that a part of the image is replaced by noise.'),
    outPaintingShare: probability()
      .default(DEFAULT_MODELS_GENESIS.outPaintingShare)
      .describe('Probability that this part is the outer one (out-painting), instead of boxes inside (in-painting).'),
  } satisfies Record<keyof ModelsGenesisOptions, z.ZodType>),
});
export type ModelsGenesisConfiguration = z.output<typeof modelsGenesisSchema>;

export const modelsGenesis = restorationMethod<ModelsGenesisConfiguration>({
  name: 'models-genesis',
  title: 'Models Genesis',
  module: import.meta.url,
  schema: modelsGenesisSchema,
  masked: () => false,
  damage: (image, patch, stream, { damage }) =>
    applyModelsGenesis(image, patch, sampleModelsGenesis(stream, patch, damage, image.length / voxelCount(patch))),
});
export { modelsGenesis as method };
