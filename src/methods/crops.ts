/**
 * One training crop: a subject, a place in it, and one spatial transformation, with GVSL's ranges: what every method starts from that looks at
 * one image at a time. Damage, views and turns come after it, so that masks have straight edges and noise is not smoothed.
 *
 * Everything is drawn as a plan first, from a stream of its own: what is done with the crop leaves its random numbers as they are.
 */

import { z } from 'zod';
import type { Subject } from '../cohort/cohort.ts';
import type { CohortReader } from '../cohort/reader.ts';
import { type RandomStream, randomStream } from '../common/random.ts';
import { mergeChannels, splitChannels } from '../geometry/channels.ts';
import { toZyx, type Zyx } from '../geometry/volume.ts';
import { sampleCropStart } from './augmentation/crop-start.ts';
import { applySpatial, type SpatialOptions, type SpatialPlan, sampleSpatial } from './augmentation/spatial/spatial.ts';
import { dataKeys, type PretrainingConfiguration, section, spatialKeys, toPatchSize } from './schema-parts.ts';

/** The section `data` of methods that start from such crops. */
export const cropDataSection = section('Input data.', {
  ...dataKeys,
  spatial: section('Spatial augmentation of each crop.', {
    enabled: z.boolean().default(true).describe('Apply a random spatial transform to each crop.'),
    ...spatialKeys,
  }),
});

/** What is read of the configuration of such a method. */
export interface CropConfiguration extends PretrainingConfiguration {
  readonly data: PretrainingConfiguration['data'] & { readonly spatial: SpatialOptions & { readonly enabled: boolean } };
}

/** Where a crop comes from, and what is done to it. */
export interface CropPlan {
  readonly start: Zyx;
  readonly spatial: SpatialPlan | null;
}

/** Draws the place of a crop in a volume, and its transformation. */
export function planCrop(
  stream: RandomStream,
  { geometry }: Subject,
  patch: Zyx,
  spatial: Partial<SpatialOptions> | false,
): CropPlan {
  return {
    start: sampleCropStart(stream, toZyx(geometry.size), patch),
    spatial: spatial === false ? null : sampleSpatial(stream, patch, spatial),
  };
}

/** Reads a crop as planned, all its channels alike; the array is the caller's. @param adapt changes the voxels before they are transformed, in place */
export async function readPlannedCrop(
  reader: CohortReader,
  subject: Subject,
  patch: Zyx,
  { start, spatial }: CropPlan,
  adapt: (crop: Float32Array<ArrayBuffer>) => void = () => {},
): Promise<Float32Array> {
  const crop = await reader.readCrop(subject, start, patch);
  adapt(crop);
  return spatial ? mergeChannels(applySpatial(splitChannels(crop, patch), patch, spatial).images) : crop;
}

/** A crop of a subject, the streams being those of (seed, step, sample) and of `name`. */
export function cropOf(
  { seed, data }: CropConfiguration,
  subject: Subject,
  reader: CohortReader,
  [name, step, sample]: readonly [name: string, step: number, sample: number],
  adapt?: (crop: Float32Array<ArrayBuffer>) => void,
): Promise<Float32Array> {
  const { enabled, ...ranges } = data.spatial;
  const patch = toPatchSize(data.patch);
  const plan = planCrop(randomStream(seed, 'crop', name, step, sample), subject, patch, enabled && ranges);
  return readPlannedCrop(reader, subject, patch, plan, adapt);
}

/** One of the subjects, each equally likely. */
export const drawSubject = (seed: number, subjects: readonly Subject[], step: number, sample: number): Subject =>
  subjects[randomStream(seed, 'subject', step, sample).integer(0, subjects.length)];
