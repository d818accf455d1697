/**
 * Everything that a pre-training run can be told, in one schema: what a key means, what it may be, and what it is when nobody
 * says (the paper's protocol). The reference for users is rendered from it (configuration-reference.ts) and files and options
 * are checked by it (read-configuration.ts); nothing is said twice.
 */
import { z } from 'zod';
import { type DamageOptions, DEFAULT_DAMAGE } from '../augmentation/damage/damage.ts';
import { judgementSection } from '../judgement/options.ts';
import {
  computingKeys,
  count,
  dataKeys,
  logKeys,
  optimiserKeys,
  positive,
  probability,
  range,
  section,
  share,
  spatialKeys,
  toPatchSize,
  updateKeys,
  weight,
  widthKey,
} from '../schema-parts.ts';

/** The schema itself. Unknown keys are refused. */
export const pretrainConfigurationSchema = z
  .strictObject({
    ...optimiserKeys,
    batch: count(1).default(2).describe('Image pairs per step (batch size).'),
    affineRateFactor: positive()
      .default(1)
      .describe('Learning rate of the affine head, as a multiple of the learning rate; 1 as in the paper.'),
    ...updateKeys,
    ...computingKeys,
    model: section('Network architecture.', {
      width: widthKey,
      heads: section('Heads trained on top of the U-Net; keep at least matching or restoration.', {
        affine: z.boolean().default(true).describe('Affine head of Z-matching.'),
        matching: z.boolean().default(true).describe('Z-matching, affine and deformable; off disables the affine head too.'),
        restoration: z.boolean().default(true).describe('Restoration head.'),
      }),
    }),
    data: section('Input data.', {
      ...dataKeys,
      jitterVoxels: count()
        .default(4)
        .describe('Maximum random offset of the two crops of a pair from the same relative position, per axis.'),
      mirroredPairs: z
        .boolean()
        .default(false)
        .describe('Repeat each pair of a batch with moving and fixed swapped, so that pose is learnt from the images alone.'),
      spatial: section('Spatial augmentation.', {
        mode: z
          .enum(['shared', 'independent', 'none'])
          .default('shared')
          .describe(
            'shared: the same transform for both images of a pair; independent: a separate transform for each, so that there is a pose to find; none: no transform.',
          ),
        ...spatialKeys,
      }),
      damage: section('Damage (appearance transformations) of the moving image, which the restoration head learns to undo.', {
        enabled: z.boolean().default(true).describe('Apply damage.'),
        shufflingProbability: probability()
          .default(DEFAULT_DAMAGE.shufflingProbability)
          .describe('Probability of local shuffling.'),
        shufflingBoxes: count()
          .max(1_000_000)
          .default(DEFAULT_DAMAGE.shufflingBoxes)
          .describe('Number of boxes for local shuffling.'),
        shufflingShare: share()
          .default(DEFAULT_DAMAGE.shufflingShare)
          .describe('Maximum side of a shuffled box, as a fraction of the patch side (at least 2 voxels).'),
        intensityProbability: probability()
          .default(DEFAULT_DAMAGE.intensityProbability)
          .describe('Probability of a random monotone intensity transform (Bezier curve).'),
        inPaintingBoxes: count()
          .max(10_000)
          .default(DEFAULT_DAMAGE.inPaintingBoxes)
          .describe('Maximum number of in-painted boxes (filled with noise).'),
        inPaintingProbability: probability()
          .default(DEFAULT_DAMAGE.inPaintingProbability)
          .describe('Probability of adding another in-painted box.'),
        inPaintingShares: range(share())
          .default([...DEFAULT_DAMAGE.inPaintingShares])
          .describe('Minimum and maximum side of an in-painted box, as fractions of the patch side.'),
      } satisfies Record<keyof DamageOptions | 'enabled', z.ZodType>),
    }),
    loss: section('Loss weights.', {
      ncc: weight()
        .default(1)
        .describe('Local normalised cross-correlation (NCC) of the warped moving image and the fixed image.'),
      affineNcc: weight()
        .default(0)
        .describe('NCC after the affine transform alone, a direct training signal for the affine head; 0 as in the paper.'),
      affinePose: weight()
        .default(0)
        .describe(
          'Mean squared distance in voxels of the affine field from the pose that augmentation and jitter gave the pair, as if the subjects lay alike; for `data.spatial.mode` independent. 0 as in the paper.',
        ),
      smooth: weight().default(1).describe('Smoothness of the flow field.'),
      mse: weight().default(1).describe('Mean squared error of the restored image.'),
      nccWindow: z
        .int()
        .min(3)
        .max(31)
        .refine((value) => value % 2 === 1, 'the window must be odd, so that it has a central voxel')
        .default(9)
        .describe('Window side of the NCC in voxels (odd).'),
      nccOver: z
        .enum(['all', 'overlap'])
        .default('all')
        .describe(
          'all: average over all windows, with zeros outside the moving image (as in the paper); overlap: only where the images overlap.',
        ),
      wideNcc: weight().default(0).describe('NCC at a second scale: over windows of side 2 nccWindow + 1; 0 as in the paper.'),
      reverse: weight()
        .default(0)
        .describe(
          'Symmetric matching: NCC and smoothness of the fixed image registered to the moving one, relative to the weights of their counterparts; 0 as in the paper.',
        ),
      inverse: weight()
        .default(0)
        .describe(
          'Inverse consistency: mean squared distance in voxels from where a voxel started to where it ends after the field and the reverse field; 0 as in the paper.',
        ),
      features: weight()
        .default(0)
        .describe(
          'Feature similarity along the field: NCC, channel by channel, of the local features of the warped moving image and of the fixed image; 0 as in the paper.',
        ),
    }),
    judgement: judgementSection.describe(
      'How evaluations judge a network without the matching head; with it, held-out pairs do.',
    ),
    log: section('Logging, evaluation and checkpoint intervals, in steps; 0 disables.', {
      ...logKeys({ everySteps: 1000, what: 'Evaluation on held-out pairs', picture: 'a held-out pair' }),
      evaluatePairs: count(1).default(10).describe('Held-out pairs per evaluation.'),
    }),
  })
  .superRefine((configuration, context) => {
    const { matching, restoration } = configuration.model.heads;
    if (!matching && !restoration)
      context.addIssue({
        code: 'custom',
        path: ['model', 'heads'],
        message: 'with matching and restoration both off there is nothing to learn; enable one of them',
      });
    const { ncc, wideNcc, affineNcc, affinePose, features, mse } = configuration.loss;
    const aims = [...(matching ? [ncc, wideNcc, affineNcc, affinePose, features] : []), ...(restoration ? [mse] : [])];
    if (aims.length > 0 && aims.every((each) => each === 0))
      context.addIssue({
        code: 'custom',
        path: ['loss'],
        message: `there is nothing to learn: give ${matching ? 'ncc, wideNcc, affineNcc, affinePose or features' : 'mse'} a weight${matching && restoration ? ', or mse' : ''}`,
      });
  });

/** A whole, checked configuration. */
export type PretrainConfiguration = z.output<typeof pretrainConfigurationSchema>;

/** The paper's protocol. */
export const DEFAULT_CONFIGURATION: PretrainConfiguration = pretrainConfigurationSchema.parse({});

/** The patch as (z, y, x). */
export const patchSize = ({ data: { patch } }: PretrainConfiguration): readonly [number, number, number] => toPatchSize(patch);
