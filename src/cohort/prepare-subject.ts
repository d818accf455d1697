/**
 * Preparing one subject: read, RAS, resample, intensities, crop, store; its label map and landmarks travel along.
 *
 * The record in `subjects/ID.json` is written last, so that a subject counts as done only when all of it lies on disk.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { WorkError } from '../errors/errors.ts';
import { cropPad } from '../geometry/crop.ts';
import { orientationCode, reorientToRas } from '../geometry/orientation.ts';
import { resampleNearest } from '../geometry/resample.ts';
import { labelCodes } from '../geometry/statistics.ts';
import { type Geometry, toZyx, type Volume, type VoxelArray, type Xyz } from '../geometry/volume.ts';
import { readImage } from '../images/node/read.ts';
import { writeFileAtomic } from '../node/files.ts';
import { gridDifference, prepareImage } from '../preparation/prepare-image.ts';
import type { PrepareOptions } from '../preparation/prepare-options.ts';
import { COHORT_FORMAT, imagePath, labelPath, type Subject, subjectSchema } from './cohort.ts';
import type { LabelArray } from './crops.ts';
import { thumbnailOf } from './duplicates.ts';
import type { SubjectTask } from './find-subjects.ts';
import { toHalves } from './float16.ts';
import { readLandmarks } from './landmarks.ts';
import { type NpyType, npyHeader, openNpy } from './npy.ts';
import { contentOf, filesOf } from './source-files.ts';

/** What one subject's preparation leaves for the cohort. */
export interface SubjectRecord {
  /** Of the sources and options: equal keys give equal results. */
  readonly key: string;
  readonly subject: Subject;
  /** See duplicates.ts; base64 of float32. */
  readonly thumbnail: string;
  /** Files beside the image that were taken for its label map but hold an image. */
  readonly notLabels: readonly string[];
}

const recordSchema = z.object({
  key: z.string(),
  subject: subjectSchema,
  thumbnail: z.string(),
  notLabels: z.array(z.string()),
});

/** Raised when the same sources and options would be prepared differently. */
const RECIPE = 2;

const recordPath = (out: string, id: string): string => join(out, 'subjects', `${id}.json`);

/** Identifies the sources (path, size, time of change) and the options. */
export async function keyOf(task: SubjectTask, options: PrepareOptions): Promise<string> {
  const paths = [
    ...(task.image.kind === 'file' ? [task.image.path] : task.image.files.map((file) => file.path)),
    ...task.labels,
    ...(task.landmarksPath ? [task.landmarksPath] : []),
  ];
  const facts = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ size, mtimeMs }) => [path, size, mtimeMs],
        () => [path],
      ),
    ),
  );
  return createHash('sha256')
    .update(JSON.stringify([RECIPE, COHORT_FORMAT, options, task.split, facts]))
    .digest('hex');
}

/** The record of an earlier preparation of the same sources with the same options, if its files are whole; else undefined. */
export async function findRecord(task: SubjectTask, options: PrepareOptions, out: string): Promise<SubjectRecord | undefined> {
  try {
    const record: SubjectRecord = recordSchema.parse(JSON.parse(await readFile(recordPath(out, task.id), 'utf8')));
    if (record.key !== (await keyOf(task, options))) return undefined;
    const paths = [imagePath(out, record.subject), ...(record.subject.labelSource ? [labelPath(out, record.subject)] : [])];
    for (const path of paths) await (await openNpy(path)).handle.close();
    return record;
  } catch {
    return undefined;
  }
}

/** Prepares one subject into the folder `out`. @throws WorkError that names the file and why it is refused */
export async function prepareSubject(task: SubjectTask, options: PrepareOptions, out: string): Promise<SubjectRecord> {
  const key = await keyOf(task, options);
  const loaded = await readImage(task.image);
  const { image, whole, box, intensity, problems } = prepareImage(loaded, options);
  const stored = cropPad(whole, box.start, box.size, 0);
  const label = await findLabel(task, image, problems);
  const storedLabel = label.volume ? cropPad(resampleNearest(label.volume, whole.geometry, 0), box.start, box.size, 0) : null;
  const codes = storedLabel ? [...new Set(storedLabel.data)].sort((a, b) => a - b) : null;
  const lost = label.codes.filter((code) => !codes?.includes(code));
  if (lost.length > 0) problems.push(`label codes ${lost.join(', ')} have no voxel left at this spacing and crop`);
  if (codes?.every((code) => code === 0)) problems.push('its label map is empty');

  const shape = toZyx(stored.geometry.size);
  const halves = bytesOf(toHalves(stored.data));
  const labels = storedLabel ? smallestInteger(storedLabel.data) : null;
  const content = createHash('sha256').update(halves);
  if (labels) content.update(labels.type).update(bytesOf(labels.data));
  const subject: Subject = {
    id: task.id,
    source: task.image.path,
    labelSource: label.path,
    sourceGeometry: loaded.volume.geometry,
    sourceOrientation: orientationCode(loaded.volume.geometry.direction),
    geometry: stored.geometry,
    intensity,
    labelCodes: codes,
    content: {
      image: await contentOf(await filesOf(task.image)),
      label: label.path === null ? null : await contentOf(await filesOf({ kind: 'file', path: label.path })),
      stored: content.digest('hex'),
    },
    patient: null,
    // known of the cohort as a whole: see prepare.ts
    class: null,
    landmarks: task.landmarksPath ? await readLandmarks(task.landmarksPath) : [],
    split: task.split,
    problems,
  };
  await writeFileAtomic(imagePath(out, subject), npyHeader('<f2', shape), halves);
  if (labels) await writeFileAtomic(labelPath(out, subject), npyHeader(labels.type, shape), bytesOf(labels.data));
  const thumbnail = Buffer.from(thumbnailOf(stored.data, stored.geometry.size).buffer as ArrayBuffer).toString('base64');
  const record: SubjectRecord = { key, subject, thumbnail, notLabels: label.notLabels };
  await writeFileAtomic(recordPath(out, task.id), `${JSON.stringify(record)}\n`);
  return record;
}

const bytesOf = (data: LabelArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

interface FoundLabel {
  readonly path: string | null;
  readonly volume: Volume | null;
  readonly codes: readonly number[];
  readonly notLabels: readonly string[];
}

/** The subject's label map in RAS, on the image's grid. Of several possible ones the first that is a label map on that grid. */
async function findLabel(task: SubjectTask, imageGrid: Geometry, problems: string[]): Promise<FoundLabel> {
  const notLabels: string[] = [];
  const kept: { path: string; volume: Volume; codes: readonly number[] }[] = [];
  for (const path of task.labels) {
    try {
      const loaded = await readImage(path);
      const codes = wholeNumbers(loaded.volume.data, loaded.volume.geometry.size, task.labelsAreCertain);
      if (!codes) {
        if (task.labelsAreCertain) throw new WorkError(`${path}: not a label map: expected whole numbers`);
        notLabels.push(path);
        continue;
      }
      const volume = reorientToRas(loaded.volume);
      const difference = gridDifference(volume.geometry, imageGrid);
      if (difference)
        throw new WorkError(
          `${path}: on another grid than its image ${task.image.path}: ${difference}; resample it to the image`,
        );
      kept.push({ path, volume, codes });
    } catch (error) {
      if (task.labelsAreCertain || !(error instanceof WorkError)) throw error;
      problems.push(`without this label map: ${error.message}`);
    }
  }
  if (kept.length === 0) return { path: null, volume: null, codes: [], notLabels };
  const [first, ...rest] = kept;
  if (rest.length > 0)
    problems.push(`several label maps: ${first.path} is used, left out: ${rest.map((label) => label.path).join(', ')}`);
  return { ...first, notLabels };
}

/** Codes of a label map. A file that must be one may have any number of codes. */
function wholeNumbers(data: VoxelArray, size: Xyz, certain: boolean): readonly number[] | null {
  if (!certain) return labelCodes(data, size);
  const codes = new Set(data);
  return [...codes].every(Number.isInteger) ? [...codes] : null;
}

/** Label codes in the smallest integer type that holds them all. */
function smallestInteger(data: VoxelArray): { type: NpyType; data: LabelArray } {
  let low = 0;
  let high = 0;
  for (const code of data) {
    if (code < low) low = code;
    if (code > high) high = code;
  }
  if (low >= 0) {
    if (high < 2 ** 8) return { type: '|u1', data: Uint8Array.from(data) };
    return high < 2 ** 16 ? { type: '<u2', data: Uint16Array.from(data) } : { type: '<u4', data: Uint32Array.from(data) };
  }
  if (low >= -(2 ** 7) && high < 2 ** 7) return { type: '|i1', data: Int8Array.from(data) };
  return low >= -(2 ** 15) && high < 2 ** 15
    ? { type: '<i2', data: Int16Array.from(data) }
    : { type: '<i4', data: Int32Array.from(data) };
}
