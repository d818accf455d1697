/**
 * Reading crops of a prepared cohort without loading whole volumes: only the rows that the crop touches are read.
 *
 * Parts of a crop outside the volume are zero. Crops may be read at the same time from one reader.
 */
import { RunError } from '../../common/errors.ts';
import { HALF_VALUES } from '../../common/float16.ts';
import { toZyx, voxelCount, type Zyx } from '../../geometry/volume.ts';
import type { Cohort, Subject } from '../cohort.ts';
import { channelCount } from '../prepare-options.ts';
import type { CohortReader, LabelArray } from '../reader.ts';
import { INTEGER_ARRAYS, NPY_TYPES, type NpyFile, openNpy } from './npy.ts';
import { imagePath, labelPath } from './open-cohort.ts';

/** What may lie between the parts of two slices that are read together: it is read and left sooner than another read is under way. */
const GAP_BYTES = 65536;
/** Reads under way for one crop; Node has four threads for them. */
const AT_ONCE = 4;

/** The voxels of a crop of a channel as bytes of the file's type, z, y, x in C order, zero outside. */
async function readBytes(file: NpyFile, start: Zyx, size: Zyx, channel = 0): Promise<Uint8Array<ArrayBuffer>> {
  const width = NPY_TYPES[file.type];
  const [depth, height, row] = file.shape;
  const out = new Uint8Array(size[0] * size[1] * size[2] * width);
  const low = Math.max(0, start[2]);
  const high = Math.min(row, start[2] + size[2]);
  const firstY = Math.max(0, start[1]);
  const lastY = Math.min(height, start[1] + size[1]);
  if (low >= high || firstY >= lastY) return out;
  // of each slice, from the first to the last row that is needed
  const perSlice = ((lastY - firstY - 1) * row + high - low) * width;
  const firstZ = Math.max(0, start[0]);
  const slices = Math.min(depth, start[0] + size[0]) - firstZ;
  if (slices <= 0) return out;
  const stride = height * row * width;
  // in one read, or a read a slice, several of them at a time: over a network each takes its round trip
  const together = stride - perSlice <= GAP_BYTES ? slices : 1;
  const one = async (first: number): Promise<void> => {
    const buffer = new Uint8Array((together - 1) * stride + perSlice);
    const position = file.dataOffset + (((channel * depth + firstZ + first) * height + firstY) * row + low) * width;
    const { bytesRead } = await file.handle.read(buffer, 0, buffer.length, position);
    if (bytesRead !== buffer.length) throw new RunError(`${file.path}: truncated while reading; prepare the cohort again`);
    for (let z = first; z < first + together; z++)
      for (let y = firstY; y < lastY; y++) {
        const from = (z - first) * stride + (y - firstY) * row * width;
        const to = (((firstZ + z - start[0]) * size[1] + y - start[1]) * size[2] + low - start[2]) * width;
        out.set(buffer.subarray(from, from + (high - low) * width), to);
      }
  };
  let next = 0;
  const reader = async (): Promise<void> => {
    for (let first = next; first < slices; first = next) {
      next += together;
      await one(first);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, slices / together) }, reader));
  return out;
}

/** How many channels a subject's image has. */
const channelsOf = ({ otherChannels = [] }: Subject): number => 1 + otherChannels.length;

const shapeText = (channels: number, shape: Zyx): string => (channels > 1 ? [channels, ...shape] : shape).join(', ');

async function openStored(path: string, subject: Subject, image: boolean): Promise<NpyFile> {
  const file = await openNpy(path);
  const channels = image ? channelsOf(subject) : 1;
  const expected = toZyx(subject.geometry.size);
  const typeFits = (file.type === '<f2') === image;
  if (typeFits && file.channels === channels && file.shape.every((n, k) => n === expected[k])) return file;
  await file.handle.close();
  throw new RunError(
    `${path}: expected ${image ? '<f2' : 'whole numbers'} of shape (${shapeText(channels, expected)}), got ${file.type} of shape (${shapeText(file.channels, file.shape)}); prepare the cohort again`,
  );
}

/**
 * Reads `size` voxels from voxel `start` (z, y, x; may reach outside) of a subject's image: intensities in [0, 1].
 * @param channel which one of several, from 0; 'all': behind one another, (C, z, y, x)
 * @throws RunError naming the file
 */
export async function readCrop(
  cohort: Cohort,
  subject: Subject,
  start: Zyx,
  size: Zyx,
  channel: number | 'all' = 0,
): Promise<Float32Array<ArrayBuffer>> {
  const file = await openStored(imagePath(cohort, subject), subject, true);
  try {
    const wanted = channel === 'all' ? [...Array(file.channels).keys()] : [channel];
    const voxels = voxelCount(size);
    const out = new Float32Array(wanted.length * voxels);
    let sum = 0;
    for (const [k, each] of wanted.entries()) {
      const halves = new Uint16Array((await readBytes(file, start, size, each)).buffer);
      for (let i = 0, to = k * voxels; i < voxels; i++, to++) {
        out[to] = HALF_VALUES[halves[i]];
        sum += out[to];
      }
    }
    // prepare never writes such values, and one of them spoils whatever is computed from the crop
    if (!Number.isFinite(sum))
      throw new RunError(
        `${file.path}: holds ${out.find((value) => !Number.isFinite(value))}: the file is damaged; prepare the cohort again`,
      );
    return out;
  } finally {
    await file.handle.close();
  }
}

/** The same for the label map, codes as they are; null if the subject has none. @throws RunError naming the file */
export async function readLabelCrop(cohort: Cohort, subject: Subject, start: Zyx, size: Zyx): Promise<LabelArray | null> {
  if (subject.labelSource === null) return null;
  const file = await openStored(labelPath(cohort, subject), subject, false);
  try {
    const bytes = await readBytes(file, start, size);
    return new INTEGER_ARRAYS[file.type as keyof typeof INTEGER_ARRAYS](bytes.buffer);
  } finally {
    await file.handle.close();
  }
}

/** The whole stored image. @param channel see `readCrop` */
export const readWhole = (cohort: Cohort, subject: Subject, channel?: number | 'all'): Promise<Float32Array<ArrayBuffer>> =>
  readCrop(cohort, subject, [0, 0, 0], toZyx(subject.geometry.size), channel);

/** Reads a cohort's files. @param channel of images with several: see `readCrop` */
export const cohortReader = (cohort: Cohort, channel: number | 'all' = 0): CohortReader => ({
  channels: channel === 'all' ? channelCount(cohort.options) : 1,
  readCrop: (subject, start, size) => readCrop(cohort, subject, start, size, channel),
  readLabelCrop: (subject, start, size) => readLabelCrop(cohort, subject, start, size),
});
