/** Labelled images in memory as subjects of a cohort: what training sees of them is what it sees of a prepared cohort's files. */
import { HALF_VALUES, toHalves } from '../common/float16.ts';
import { cropChannels, cropPad } from '../geometry/crop.ts';
import { orientationCode } from '../geometry/orientation.ts';
import { resampleNearest } from '../geometry/resample.ts';
import { toXyz, type Volume, type VoxelArray } from '../geometry/volume.ts';
import type { Subject } from './cohort.ts';
import { channelsOf, type NetworkImage } from './network-image.ts';
import type { CohortReader, LabelArray } from './reader.ts';

export interface MemorySubject {
  readonly subject: Subject;
  /** Values in [0, 1], in the precision of a cohort's files. */
  readonly channels: readonly Volume<Float32Array>[];
  readonly labels: Volume<LabelArray>;
}

const isLabelArray = (data: VoxelArray): data is LabelArray => !(data instanceof Float32Array || data instanceof Float64Array);

/**
 * An image with its label map.
 * @param labels codes on any grid in the patient, as a rule the image's own; 0 where it does not reach
 */
export function memorySubject(id: string, image: NetworkImage, labels: Volume): MemorySubject {
  const { cropped, prepared, volume } = image;
  const found = resampleNearest(labels, cropped.geometry, 0);
  const data = isLabelArray(found.data) ? found.data : Int32Array.from(found.data);
  const subject: Subject = {
    id,
    source: image.path,
    labelSource: id,
    sourceGeometry: volume.geometry,
    sourceOrientation: orientationCode(volume.geometry.direction),
    geometry: cropped.geometry,
    intensity: prepared.intensity,
    labelCodes: [...new Set<number>(data)].sort((a, b) => a - b),
    content: null,
    patient: null,
    class: null,
    landmarks: [],
    split: 'train',
    problems: prepared.problems,
  };
  const rounded = channelsOf(image).map(({ geometry, data: values }) => ({
    geometry,
    data: Float32Array.from(toHalves(values), (half) => HALF_VALUES[half]),
  }));
  return { subject, channels: rounded, labels: { geometry: cropped.geometry, data } };
}

/** Reads them, every channel of an image. */
export function memoryReader(subjects: readonly MemorySubject[]): CohortReader {
  const of = (wanted: Subject): MemorySubject => subjects.find(({ subject }) => subject === wanted)!;
  return {
    readCrop: async (subject, start, size) =>
      cropChannels(of(subject).channels, toXyz(start), toXyz(size)) as Float32Array<ArrayBuffer>,
    readLabelCrop: async (subject, start, size) => cropPad(of(subject).labels, toXyz(start), toXyz(size), 0).data,
  };
}
