/**
 * Preparing one subject: read, RAS, resample, intensities, crop, store; its label map and landmarks travel along.
 *
 * The record in `subjects/` is written last, so that a subject counts as done only when all of it lies on disk.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { MachineError, RunError } from '../../common/errors.ts';
import { toHalves } from '../../common/float16.ts';
import { cropPad } from '../../geometry/crop.ts';
import { orientationCode, reorientToRas } from '../../geometry/orientation.ts';
import { resampleNearest } from '../../geometry/resample.ts';
import { type Geometry, toZyx, type Volume, type VoxelArray } from '../../geometry/volume.ts';
import type { LoadedImage, ReadOptions } from '../../images/loaded-image.ts';
import { filesOf } from '../../images/node/files-of.ts';
import { openImage, readImage } from '../../images/node/read.ts';
import { contentOf, writeFileAtomic } from '../../platform/node/files.ts';
import { type CohortProblem, type OtherChannel, problemSchema, type Subject } from '../cohort.ts';
import { distributionOf, isSurelyHounsfield, looksLikeLabelMap } from '../fitness.ts';
import { coversBox, loadLabelMap } from '../label-map.ts';
import { labelValues, labelValuesOf, smallestInteger } from '../label-values.ts';
import { MisfitError, Preparation, type PreparedImage } from '../prepare-image.ts';
import { optionsOfChannel, type PrepareOptions } from '../prepare-options.ts';
import type { LabelArray } from '../reader.ts';
import { REASONS, type Reason } from '../reasons.ts';
import { subjectReader } from '../subject-line.ts';
import { thumbnailOf } from './duplicates.ts';
import { readLandmarks } from './landmarks.ts';
import { describeChannels } from './layouts/dataset.ts';
import { npyHeader, npyTypeOf, openNpy } from './npy.ts';
import { imagePath, labelPath, shardOf } from './open-cohort.ts';
import { type ChannelSource, mayBeImage, type SubjectTask } from './subject-task.ts';

/** What one subject's preparation leaves for the cohort. */
export interface SubjectRecord {
  /** Of the sources and options: equal keys give equal results. */
  readonly key: string;
  readonly subject: Subject;
  /** See duplicates.ts; base64 of float32. */
  readonly thumbnail: string;
  /** Files beside the image that were taken for its label map but hold an image. */
  readonly notLabels: readonly string[];
  /** Reasons for which it was not taken if they were not allowed. */
  readonly overridden: readonly Reason[];
}

const recordSchema = z.object({
  key: z.string(),
  subject: z.unknown().transform(subjectReader()),
  thumbnail: z.string(),
  notLabels: z.array(z.string()),
  overridden: z.array(z.enum(Object.keys(REASONS) as [Reason, ...Reason[]])),
});

const outcomeSchema = z.union([z.object({ key: z.string(), refused: problemSchema }), recordSchema]);

/** Raised when the same sources and options would be prepared differently. */
const RECIPE = [2, 2];

const recordPath = (out: string, id: string): string => join(out, 'subjects', shardOf(id), `${id}.json`);

/** Identifies the sources (path, size, time of change) and the options. */
export async function keyOf(task: SubjectTask, options: PrepareOptions): Promise<string> {
  const labels = await Promise.all(task.labels.map((path) => filesOf({ kind: 'file', path })));
  const paths = [...(await imageFilesOf(task)), ...labels.flat(), ...(task.landmarksPath ? [task.landmarksPath] : [])];
  const facts = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ size, mtimeMs }) => [path, size, mtimeMs],
        () => [path],
      ),
    ),
  );
  return createHash('sha256')
    .update(JSON.stringify([...RECIPE, options, task.split, task.channel ?? null, facts, ...channelFacts(task)]))
    .digest('hex');
}

/** Every file that a task's image is made of, each once. */
async function imageFilesOf({ image, others = [] }: SubjectTask): Promise<string[]> {
  const files = await Promise.all([image, ...others.map((other) => other.image)].map((source) => filesOf(source)));
  return [...new Set(files.flat())];
}

/** The numbers of further channels; nothing where there are none, so that the key is that of older versions. */
const channelFacts = ({ others }: SubjectTask): unknown[] => (others ? [others.map(({ channel }) => channel ?? null)] : []);

/** What an earlier preparation of the same sources with the same options came to. */
export type Outcome = { readonly record: SubjectRecord } | { readonly refused: CohortProblem };

/**
 * Looks for the outcome of an earlier preparation.
 * @param allow reasons that are allowed now
 * @returns the outcome if its files are whole; 'stale' for that of other sources or options, or of damaged files; undefined if there is none
 */
export async function findOutcome(
  task: SubjectTask,
  options: PrepareOptions,
  allow: readonly Reason[],
  out: string,
): Promise<Outcome | 'stale' | undefined> {
  try {
    const text = await readFile(recordPath(out, task.id), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const found = outcomeSchema.parse(JSON.parse(text));
    if (found.key !== (await keyOf(task, options))) return 'stale';
    if ('refused' in found) {
      const { reason } = found.refused;
      return reason !== undefined && allow.includes(reason) ? undefined : { refused: found.refused };
    }
    if (!found.overridden.every((reason) => allow.includes(reason))) return 'stale';
    const [at, { labelSource }] = [{ folder: out }, found.subject];
    const paths = [imagePath(at, found.subject), ...(labelSource ? [labelPath(at, found.subject)] : [])];
    for (const path of paths) await (await openNpy(path)).handle.close();
    return { record: found };
  } catch {
    return 'stale';
  }
}

/** Remembers that a source was refused, for the parts to be merged. */
export async function writeRefusal(
  task: SubjectTask,
  options: PrepareOptions,
  refused: CohortProblem,
  out: string,
): Promise<void> {
  const key = await keyOf(task, options);
  await writeFileAtomic(recordPath(out, task.id), `${JSON.stringify({ key, refused })}\n`);
}

/**
 * Prepares one subject into the folder `out`.
 * @param allow reasons for which an image would not be taken, but is
 * @throws RunError that names the file and why it is refused, MisfitError for a reason that could be allowed, MachineError
 */
export async function prepareSubject(
  task: SubjectTask,
  options: PrepareOptions,
  allow: readonly Reason[],
  out: string,
): Promise<SubjectRecord> {
  const key = await keyOf(task, options);
  const image = await storedImage(task, options, allow);
  const { problems, box, halves, otherChannels } = image;
  const label = await findLabel(task, image.rasGrid, problems);
  const storedLabel = label.volume ? inBox(resampleNearest(label.volume, image.grid, 0), box) : null;
  const codes = storedLabel ? labelValues(storedLabel.data, storedLabel.geometry.size).codes : null;
  const lost = label.codes.filter((code) => !codes?.includes(code));
  if (lost.length > 0) problems.push(`label codes ${lost.join(', ')} have no voxels left at this spacing and crop`);
  if (codes?.every((code) => code === 0) && lost.length === 0)
    problems.push('its label map is empty: kept as a negative subject');

  const shape = toZyx(image.geometry.size);
  const labels = storedLabel ? smallestInteger(storedLabel.data) : null;
  const content = createHash('sha256');
  for (const channel of halves) content.update(channel);
  if (labels) content.update(npyTypeOf(labels)).update(bytesOf(labels));
  const subject: Subject = {
    id: task.id,
    source: task.image.path,
    labelSource: label.path,
    sourceGeometry: image.sourceGeometry,
    sourceOrientation: orientationCode(image.sourceGeometry.direction),
    geometry: image.geometry,
    intensity: image.intensity,
    ...(otherChannels && { otherChannels }),
    labelCodes: codes,
    content: {
      image: await contentOf(await imageFilesOf(task)),
      label: label.path === null ? null : await contentOf(await filesOf({ kind: 'file', path: label.path })),
      stored: content.digest('hex'),
    },
    // known of the cohort as a whole: see prepare.ts
    patient: null,
    class: null,
    landmarks: task.landmarksPath ? await readLandmarks(task.landmarksPath) : [],
    split: task.split,
    problems,
  };
  const stored = otherChannels ? [halves.length, ...shape] : shape;
  await writeFileAtomic(imagePath({ folder: out }, subject), npyHeader('<f2', stored), ...halves);
  if (labels) await writeFileAtomic(labelPath({ folder: out }, subject), npyHeader(npyTypeOf(labels), shape), bytesOf(labels));
  const { thumbnail, overridden } = image;
  const record: SubjectRecord = { key, subject, thumbnail, notLabels: label.notLabels, overridden };
  await writeFileAtomic(recordPath(out, task.id), `${JSON.stringify(record)}\n`);
  return record;
}

const bytesOf = (data: LabelArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** A box of a volume; the volume itself where that is all of it. */
const inBox = <Data extends VoxelArray>(volume: Volume<Data>, { start, size }: PreparedImage['box']): Volume<Data> =>
  start.every((n) => n === 0) && size.every((n, k) => n === volume.geometry.size[k]) ? volume : cropPad(volume, start, size, 0);

/** What is stored of an image, and what its label map must fit. */
interface StoredImage extends Pick<PreparedImage, 'box' | 'intensity' | 'problems'> {
  readonly sourceGeometry: Geometry;
  /** In RAS before resampling; resampled; and of that the box which is stored. */
  readonly rasGrid: Geometry;
  readonly grid: Geometry;
  readonly geometry: Geometry;
  /** Half-precision voxels of each channel. */
  readonly halves: readonly Uint8Array[];
  readonly otherChannels: readonly OtherChannel[] | undefined;
  readonly thumbnail: string;
  readonly overridden: readonly Reason[];
}

/** Reads and prepares the image. A function of its own, so that the voxels are gone before the label map's come. */
async function storedImage(task: SubjectTask, options: PrepareOptions, allow: readonly Reason[]): Promise<StoredImage> {
  const preparation = new Preparation(optionsOfChannel(options, 0));
  const loaded = await readChannel(task, (volume, z) => preparation.add(volume, z));
  const byName = doubtByName(task, loaded, options, allow);
  const { image, whole, box, intensity, problems, doubts } = preparation.finish(loaded, allow);
  if (byName) problems.push(byName);
  const { data, geometry } = inBox(whole, box);
  const overridden = doubts.map(({ reason }) => reason);
  if (task.doubt && allow.includes(task.doubt.reason)) overridden.push(task.doubt.reason);
  const halves = [bytesOf(toHalves(data))];
  const otherChannels: OtherChannel[] = [];
  for (const [k, other] of (task.others ?? []).entries()) {
    const name = options.channels![k + 1].name;
    const further = await furtherChannel(other, task.channelNames, optionsOfChannel(options, k + 1), whole.geometry);
    halves.push(bytesOf(toHalves(inBox(further.whole, box).data)));
    problems.push(...further.problems.map((message) => `channel ${name}: ${message}`));
    otherChannels.push({ source: other.image.path, intensity: further.intensity });
  }
  return {
    sourceGeometry: loaded.volume.geometry,
    rasGrid: image,
    grid: whole.geometry,
    geometry,
    box,
    intensity,
    problems,
    halves,
    otherChannels: task.others && otherChannels,
    thumbnail: Buffer.from(thumbnailOf(data, geometry.size).buffer as ArrayBuffer).toString('base64'),
    overridden,
  };
}

/** A further channel on the grid of the first. What it looks like is only said: PET beside CT, or a map beside MR, are as they are. */
async function furtherChannel(
  source: ChannelSource,
  channelNames: SubjectTask['channelNames'],
  options: PrepareOptions,
  grid: Geometry,
): Promise<PreparedImage> {
  const preparation = new Preparation(options, grid);
  return preparation.finish(await readChannel({ ...source, channelNames }, (volume, z) => preparation.add(volume, z)), 'all');
}

interface FoundLabel {
  readonly path: string | null;
  readonly volume: Volume | null;
  readonly codes: readonly number[];
  readonly notLabels: readonly string[];
}

/**
 * What is said about an image whose name states another modality.
 * @throws MisfitError unless that is allowed, or its values are those of CT beyond doubt
 */
function doubtByName(
  { doubt, image }: SubjectTask,
  { volume }: LoadedImage,
  { modality }: PrepareOptions,
  allow: readonly Reason[],
): string | null {
  if (!doubt) return null;
  if (allow.includes(doubt.reason)) return doubt.message;
  if (modality === 'ct' && isSurelyHounsfield(distributionOf(volume.data)))
    return `${doubt.message}, but its values are in Hounsfield units: included`;
  throw new MisfitError(image.path, doubt);
}

/** The image, or the channel of it that the task names. */
async function readChannel(
  { image, channel, channelNames }: ChannelSource & { readonly channelNames?: SubjectTask['channelNames'] },
  onPlane: NonNullable<ReadOptions['onPlane']>,
): Promise<LoadedImage> {
  try {
    return await readImage(image, { onPlane, ...(channel === undefined ? {} : { channel }) });
  } catch (error) {
    if (!channelNames || !(error instanceof RunError) || !error.message.includes('`channel` N')) throw error;
    throw new RunError(`${error.message}: ${describeChannels(channelNames)}`);
  }
}

/** The subject's label map in RAS, on the image's grid. Of several possible ones the first that is a label map on that grid. */
async function findLabel(task: SubjectTask, imageGrid: Geometry, problems: string[]): Promise<FoundLabel> {
  const notLabels: string[] = [];
  /** The first, and the paths of the others: their voxels would lie in memory together. */
  let first: { path: string; volume: Volume; codes: readonly number[] } | undefined;
  const others: string[] = [];
  for (const path of task.labels) {
    try {
      const read = await loadLabelMap(await openImage(path));
      if (mayBeImage(task, path) && !looksLikeLabelMap({ volume: read }, { min: 0 })) {
        notLabels.push(path);
        continue;
      }
      const { codes, rounded, data } = labelValuesOf(path, read);
      let volume = reorientToRas({ geometry: read.geometry, data });
      const isBox = coversBox(path, volume.geometry, { path: task.image.path, ras: imageGrid });
      if (first) {
        others.push(path);
        continue;
      }
      if (isBox) {
        problems.push(
          `label map ${path}: covers ${volume.geometry.size.join(' x ')} of the image's ${imageGrid.size.join(' x ')} voxels (in RAS); background around it`,
        );
        volume = resampleNearest(volume, imageGrid, 0);
      }
      first = { path, volume, codes };
      if (rounded.voxels > 0)
        problems.push(
          `label map ${path}: ${rounded.voxels} voxels were not whole numbers (off by at most ${+rounded.most.toPrecision(2)}): rounded`,
        );
    } catch (error) {
      if (task.labelsAreCertain || !(error instanceof RunError) || error instanceof MachineError) throw error;
      problems.push(`prepared without its label map: ${error.message}`);
    }
  }
  if (!first) return { path: null, volume: null, codes: [], notLabels };
  if (others.length > 0) problems.push(`several label maps: using ${first.path}, skipping ${others.join(', ')}`);
  return { ...first, notLabels };
}
