/** The examples of training on a task: a crop of a labelled subject, augmented, and its truth. */
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import { type RandomStream, randomStream } from '../../common/random.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import { sampleCropStart } from '../../methods/augmentation/crop-start.ts';
import type { ExampleMaker } from '../../methods/method.ts';
import type { Task } from '../../model/configuration.ts';
import { type AugmentPlan, applyAugmentation, NO_AUGMENTATION, sampleAugmentation } from './augment.ts';
import { classIndices, classTruth } from './classes.ts';
import { isAugmented, type TransferConfiguration, transferPatch } from './configuration.ts';

/** What examples are made of. */
export interface TaskSource {
  /** Gives every channel of an image. */
  readonly reader: CohortReader;
  readonly channels: number;
  readonly subjects: readonly Subject[];
  readonly configuration: TransferConfiguration;
  readonly task: Task;
  /** The image is not needed: features of whole volumes are at hand. */
  readonly withoutImage?: boolean;
}

export interface TaskExample {
  /** (channels, D, H, W), intensities in [0, 1]; empty without. */
  readonly image: Float32Array;
  /** Of segmentation the class index of each voxel (one-hot would be as many times larger as there are classes); else (outputs). */
  readonly truth: Float32Array | Uint16Array;
  /** Where it is from: index of the training subject, start of the crop (z, y, x). */
  readonly subject: number;
  readonly start: Zyx;
}

/** Labelled voxels of a class that a crop can be centred on; so many are remembered for each class of a subject. */
const REMEMBERED_VOXELS = 512;

/** Some voxels (linear indices) of every class but the background, drawn evenly from all of each. */
async function labelledVoxels(
  reader: CohortReader,
  subject: Subject,
  task: Extract<Task, { kind: 'segmentation' }>,
): Promise<readonly (readonly number[])[]> {
  const size = toZyx(subject.geometry.size);
  const classes = classIndices((await reader.readLabelCrop(subject, [0, 0, 0], size))!, task);
  const found: number[][] = task.labels.map(() => []);
  const counts = task.labels.map(() => 0);
  const stream = randomStream(0, 'labelledVoxels', subject.id);
  // reservoir sampling: each voxel of a class is kept with the same probability
  classes.forEach((index, at) => {
    if (index === 0) return;
    const seen = counts[index]++;
    if (seen < REMEMBERED_VOXELS) found[index].push(at);
    else {
      const place = stream.integer(0, seen + 1);
      if (place < REMEMBERED_VOXELS) found[index][place] = at;
    }
  });
  return found.filter((voxels) => voxels.length > 0);
}

/** A start that has `centre` in the crop's middle, as far as the volume allows. */
const around = (centre: number, size: number, side: number): number =>
  size <= side ? 0 - Math.floor((side - size) / 2) : Math.min(size - side, Math.max(0, centre - (side >> 1)));

/** Makes examples on this thread. Everything random about one follows from (seed, step, sample). */
export function taskExamples({
  reader,
  channels,
  subjects,
  configuration,
  task,
  withoutImage = false,
}: TaskSource): ExampleMaker<TaskExample> {
  const patch = transferPatch(configuration);
  const { seed, data } = configuration;
  const { augmentation, foregroundShare } = data;
  const augmented = isAugmented(configuration);
  const foreground = new Map<Subject, Promise<readonly (readonly number[])[]>>();

  const startIn = async (stream: RandomStream, subject: Subject): Promise<Zyx> => {
    const size = toZyx(subject.geometry.size);
    const random = sampleCropStart(stream, size, patch);
    const wanted = stream.chance(foregroundShare);
    if (task.kind !== 'segmentation' || !wanted) return random;
    if (!foreground.has(subject)) foreground.set(subject, labelledVoxels(reader, subject, task));
    const classes = await foreground.get(subject)!;
    if (classes.length === 0) return random;
    const voxels = classes[stream.integer(0, classes.length)];
    const at = voxels[stream.integer(0, voxels.length)];
    const centre = [Math.floor(at / (size[1] * size[2])), Math.floor(at / size[2]) % size[1], at % size[2]];
    return centre.map((c, axis) => around(c, size[axis], patch[axis])) as unknown as Zyx;
  };

  return async (step, sample) => {
    const index = randomStream(seed, 'subject', step, sample).integer(0, subjects.length);
    const subject = subjects[index];
    const start = await startIn(randomStream(seed, 'crop', step, sample), subject);
    const plan: AugmentPlan = augmented
      ? sampleAugmentation(randomStream(seed, 'augmentation', step, sample), patch, augmentation, channels)
      : NO_AUGMENTATION;
    const image = withoutImage ? new Float32Array(0) : await reader.readCrop(subject, start, patch);
    if (task.kind === 'classification')
      return {
        image: applyAugmentation(image, null, patch, plan).image,
        truth: classTruth(subject, task),
        subject: index,
        start,
      };
    const labels = classIndices((await reader.readLabelCrop(subject, start, patch))!, task);
    const changed = withoutImage ? { image, labels } : applyAugmentation(image, labels, patch, plan);
    return { image: changed.image, truth: changed.labels!, subject: index, start };
  };
}

/** Class indices as (classes, voxels) of zeros and ones. */
export function oneHot(indices: ArrayLike<number>, classes: number, voxels: number): Float32Array {
  const out = new Float32Array(classes * voxels);
  for (let i = 0; i < voxels; i++) out[indices[i] * voxels + i] = 1;
  return out;
}
