/**
 * One training example: the moving patch (clean A), the damaged view of it that both heads work from, and the fixed patch (B),
 * from two different subjects (docs/method.md, section 7).
 *
 * A is damaged first, then one spatial transformation is applied alike to clean A, damaged A and B: so the damage is turned and
 * stretched with the anatomy, and the difference in pose between A and B stays what it was. With `spatial: 'independent'` A and
 * B are transformed each in its own way, so that there is a pose to find (docs/method.md, section 7).
 *
 * The example follows from (seed, step, sample), each part from a stream of its own: switching one part off leaves the others'
 * random numbers as they were. The plans come with it, for a log or a replay. Where voxels come from is the caller's affair.
 */

import { randomStream } from '../../common/random.ts';
import { mergeChannels, splitChannels } from '../../geometry/channels.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { applyDamage, type DamageOptions, type DamagePlan, sampleDamage } from '../augmentation/damage/damage.ts';
import { applySpatial, type SpatialOptions, type SpatialPlan, sampleSpatial } from '../augmentation/spatial/spatial.ts';
import { type PairPlace, type PairRequest, samplePair } from './pairs.ts';

/**
 * Reads `sizeZyx` voxels of a subject from `startZyx` on, of each channel, intensities in [0, 1], zero where that lies outside the volume.
 * The array is not changed, but may be handed on as part of an example.
 */
export type ReadCrop = (subject: number, startZyx: Zyx, sizeZyx: Zyx) => Promise<Float32Array> | Float32Array;

export interface ExampleRequest extends PairRequest {
  /** Channels of the images; 1 if absent. */
  readonly channels?: number | undefined;
  /** False: the view is the clean patch. Options left out are the paper's. */
  readonly damage?: Partial<DamageOptions> | false;
  /** One transformation for both patches (the default), one for each, or none. */
  readonly spatial?: 'shared' | 'independent' | false;
  /** Ranges of the transformation; those left out are the paper's. */
  readonly spatialOptions?: Partial<SpatialOptions>;
  /**
   * Samples 1, 3, ... of a batch are the pairs of the samples before them the other way round. What a pair says of pose in general
   * (its A happens to lie further left) then cancels within the batch, and what remains is how pose follows from the two images.
   */
  readonly mirrored?: boolean;
}

/** What was drawn for an example, as plain data. */
export interface ExamplePlan {
  readonly pair: PairPlace;
  readonly damage: DamagePlan | null;
  readonly spatial: {
    readonly moving: SpatialPlan;
    /** Left out where B is transformed as A is. */
    readonly fixed?: SpatialPlan;
  } | null;
}

/** Three patches of (C, D, H, W) intensities in [0, 1]: three arrays always, so that they can be transferred to another thread. */
export interface Example {
  /** Clean A, x_A. */
  readonly moving: Float32Array;
  /** Damaged A, x_A^t. */
  readonly movingView: Float32Array;
  /** B, x_B. */
  readonly fixed: Float32Array;
  readonly plan: ExamplePlan;
}

/** Draws everything that is random about an example. */
export function planExample(request: ExampleRequest): ExamplePlan {
  const { seed, step, sample, patch, damage = {}, spatial = 'shared', spatialOptions, mirrored = false, channels } = request;
  const damaged = (): DamagePlan | null =>
    damage === false ? null : sampleDamage(randomStream(seed, 'damage', step, sample), patch, damage, channels);
  if (mirrored && sample % 2 === 1) {
    const { pair, spatial: drawn } = planExample({ ...request, sample: sample - 1, damage: false });
    return {
      pair: { moving: pair.fixed, fixed: pair.moving },
      damage: damaged(),
      spatial: drawn?.fixed ? { moving: drawn.fixed, fixed: drawn.moving } : drawn,
    };
  }
  const transformation = (image: 'moving' | 'fixed'): SpatialPlan =>
    sampleSpatial(randomStream(seed, 'spatial', image, step, sample), patch, spatialOptions);
  return {
    pair: samplePair(request),
    damage: damaged(),
    spatial:
      spatial === false
        ? null
        : { moving: transformation('moving'), ...(spatial === 'independent' && { fixed: transformation('fixed') }) },
  };
}

/** Makes the example that a plan describes. */
export async function replayExample(readCrop: ReadCrop, patch: Zyx, plan: ExamplePlan): Promise<Example> {
  const { pair, damage, spatial } = plan;
  const [moving, fixed] = await Promise.all([
    readCrop(pair.moving.subject, pair.moving.start, patch),
    readCrop(pair.fixed.subject, pair.fixed.start, patch),
  ]);
  const movingView = damage ? applyDamage(moving, patch, damage) : moving.slice();
  if (!spatial) return { moving, movingView, fixed, plan };
  /** All images, and all their channels, in one pass. */
  const moved = (images: readonly Float32Array[], by: SpatialPlan): Float32Array[] => {
    const channels = images.map((image) => splitChannels(image, patch));
    const { images: found } = applySpatial(channels.flat(), patch, by);
    return channels.map((of) => mergeChannels(found.splice(0, of.length)));
  };
  if (!spatial.fixed) {
    const images = moved([moving, movingView, fixed], spatial.moving);
    return { moving: images[0], movingView: images[1], fixed: images[2], plan };
  }
  const ofMoving = moved([moving, movingView], spatial.moving);
  const ofFixed = moved([fixed], spatial.fixed);
  return { moving: ofMoving[0], movingView: ofMoving[1], fixed: ofFixed[0], plan };
}

/** The example of one sample of one step. */
export const makeExample = (readCrop: ReadCrop, request: ExampleRequest): Promise<Example> =>
  replayExample(readCrop, request.patch, planExample(request));
