/** Reading stored voxels of a cohort, wherever it lies: files (`node/crops.ts`), or memory. */
import type { Zyx } from '../geometry/volume.ts';
import type { Subject } from './cohort.ts';

/** Label codes as stored. */
export type LabelArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;

export interface CohortReader {
  /** Channels of a crop; 1 if absent. */
  readonly channels?: number;
  /** `size` voxels from voxel `start` on, (z, y, x), of each channel: intensities in [0, 1], zero outside the volume. The array is the caller's. */
  readCrop(subject: Subject, start: Zyx, size: Zyx): Promise<Float32Array<ArrayBuffer>>;
  /** The same of the label map, codes as they are; null if the subject has none. */
  readLabelCrop(subject: Subject, start: Zyx, size: Zyx): Promise<LabelArray | null>;
}
