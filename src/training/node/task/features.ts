/** Linear evaluation without augmentation: the frozen backbone's local features of whole volumes, computed once, and crops of them. */

import { slideWindows } from '../../../apply/segmentation/sliding-window.ts';
import type { Cohort, Subject } from '../../../cohort/cohort.ts';
import { readCrop } from '../../../cohort/node/crops.ts';
import type { Progress } from '../../../common/progress.ts';
import type { Session } from '../../../engine/backend.ts';
import { toZyx, type Zyx } from '../../../geometry/volume.ts';

/** (channels, D, H, W) of a whole volume. */
export interface VolumeFeatures {
  readonly size: Zyx;
  readonly channels: number;
  readonly data: Float32Array;
}

/** Bytes of the features of all subjects. */
export const featureBytes = (subjects: readonly Subject[], channels: number): number =>
  subjects.reduce((sum, { geometry: { size } }) => sum + 4 * channels * size[0] * size[1] * size[2], 0);

/** The local features of a stored volume, by overlapping windows. Needs the program's graph 'features'. */
export async function featuresOf(
  session: Session,
  cohort: Cohort,
  subject: Subject,
  window: Zyx,
  overlap: number,
  channels: number,
): Promise<VolumeFeatures> {
  const size = toZyx(subject.geometry.size);
  const plane = size[1] * size[2];
  const voxels = size[0] * plane;
  const data = new Float32Array(channels * voxels);
  const predict = async (start: Zyx): Promise<Float32Array> =>
    (await session.run('features', { image: await readCrop(cohort, subject, start, window, 'all') })).local;
  let z = 0;
  for await (const values of slideWindows({ size, window, overlap, channels, predict })) {
    for (let c = 0; c < channels; c++) data.set(values.subarray(c * plane, (c + 1) * plane), c * voxels + z * plane);
    z++;
  }
  return { size, channels, data };
}

/** A crop of features, zero outside the volume. */
export function cropFeatures({ size, channels, data }: VolumeFeatures, start: Zyx, patch: Zyx): Float32Array {
  const out = new Float32Array(channels * patch[0] * patch[1] * patch[2]);
  const low = Math.max(0, start[2]);
  const high = Math.min(size[2], start[2] + patch[2]);
  if (low >= high) return out;
  for (let c = 0; c < channels; c++)
    for (let z = Math.max(0, -start[0]); z < patch[0] && z + start[0] < size[0]; z++)
      for (let y = Math.max(0, -start[1]); y < patch[1] && y + start[1] < size[1]; y++) {
        const row = ((c * size[0] + z + start[0]) * size[1] + y + start[1]) * size[2];
        out.set(data.subarray(row + low, row + high), ((c * patch[0] + z) * patch[1] + y) * patch[2] + low - start[2]);
      }
  return out;
}

/** The frozen backbone's features of several subjects, in their order. */
export async function trainingFeatures(
  session: Session,
  cohort: Cohort,
  subjects: readonly Subject[],
  window: Zyx,
  overlap: number,
  channels: number,
  progress: Progress,
): Promise<VolumeFeatures[]> {
  const features: VolumeFeatures[] = [];
  progress.start(subjects.length, 'feature maps');
  for (const subject of subjects) {
    features.push(await featuresOf(session, cohort, subject, window, overlap, channels));
    progress.advance(1, subject.id);
  }
  return features;
}
