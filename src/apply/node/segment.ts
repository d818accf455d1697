/**
 * Segmenting images with a trained network: each is prepared as the cohort was and segmented on its own grid (apply/segmentation/segment-volume.ts).
 * Geometry and label codes are those of the input and of the training data.
 */
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { NetworkImage } from '../../cohort/network-image.ts';
import { readForNetwork } from '../../cohort/node/read-for-network.ts';
import type { Progress } from '../../common/progress.ts';
import type { Session } from '../../engine/backend.ts';
import { stoppableSession } from '../../engine/stoppable.ts';
import { countVoxels } from '../../geometry/statistics.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { type Segment, writeDicomSegmentation } from '../../images/node/dicom-segmentation.ts';
import { writeImage, writePlanes } from '../../images/node/write.ts';
import { labelColour } from '../../images/pictures/pair-picture.ts';
import { bytesOf } from '../../images/stored-image.ts';
import type { Task } from '../../model/configuration.ts';
import { jsonText } from '../../model/node/model-folder.ts';
import { type Failure, failureOf } from '../../platform/node/batch.ts';
import { allDone, readAt, withScratch, writeAt, writeFileAtomic } from '../../platform/node/files.ts';
import { guardInputs, modelInputs } from '../../platform/node/guard.ts';
import { isMachineTrouble } from '../../platform/node/machine.ts';
import { inResults } from '../../platform/node/results.ts';
import { type OpenNetwork, type TrainedNetwork, taskOfNetwork, windowsFor } from '../network.ts';
import {
  type ImageToSegment,
  probabilityPlanes,
  type Segmentation,
  segmentationWindows,
  segmentVolume,
} from '../segmentation/segment-volume.ts';
import { windowCount } from '../segmentation/sliding-window.ts';
import { filesOf, type InputImage, inputImages, leftOut } from './inputs.ts';
import { type ApplyCall, modelOf, withNetwork } from './network.ts';

type SegmentationTask = Extract<Task, { kind: 'segmentation' }>;

export interface SegmentCall extends ApplyCall {
  readonly inputs: readonly string[];
  /** Also writes the probability of every class. */
  readonly probabilities?: boolean;
  /** Writes DICOM SEG for DICOM input (beside the NIfTI file). */
  readonly dicom?: boolean;
}

/** What was found in an image. */
export interface SegmentedImage {
  readonly name: string;
  readonly path: string;
  readonly files: readonly string[];
  readonly windows: number;
  readonly structures: readonly {
    readonly code: number;
    readonly name: string;
    readonly voxels: number;
    readonly volumeMl: number;
  }[];
  /** What is unusual about the image. */
  readonly warnings: readonly string[];
}

export interface SegmentReport {
  readonly model: { readonly folder: string; readonly step: number };
  readonly window: Zyx;
  readonly overlap: number;
  readonly images: readonly SegmentedImage[];
  /** Inputs without a result, and why. */
  readonly failed: readonly Failure[];
  /** What concerns no single image: files of a folder that were left out. */
  readonly warnings: readonly string[];
}

const CODE_NAME = /[^\p{L}\p{N}]+/gu;

const REPORT = 'segment.json';
const labelsName = (name: string): string => `${name}.nii.gz`;
const dicomName = (name: string): string => `${name}.dcm`;
const probabilityName = (image: string, { code, name }: SegmentationTask['labels'][number]): string =>
  join('probabilities', `${image}_probability_${code}_${name.replaceAll(CODE_NAME, '-')}.nii.gz`);

/**
 * Segments images. One that cannot be read, prepared or written in a format is listed in `failed`, and the others are done.
 * @throws UsageError before anything is computed; RunError if the model cannot be used, or nothing more can be computed or written
 */
export async function segmentImages(call: SegmentCall): Promise<SegmentReport> {
  return withNetwork(call, (open, progress) => segmentWith(open, progress, call));
}

async function segmentWith(open: OpenNetwork, progress: Progress, call: SegmentCall): Promise<SegmentReport> {
  const { out, probabilities = false, dicom = false, overwrite = false } = call;
  const { network, backend } = open;
  const task = taskOfNetwork(network, 'segmentation');
  const { window, overlap } = windowsFor(network, call);
  const inputs = await inputImages(call.inputs, { series: call.series, out });
  const names = inputs.images.flatMap(({ name, source }) => [
    labelsName(name),
    ...(probabilities ? task.labels.map((label) => probabilityName(name, label)) : []),
    ...(dicom && source.kind === 'dicom' ? [dicomName(name)] : []),
  ]);
  const into = { names: [...names, REPORT], overwrite, by: 'gvsl segment' };
  return guardInputs([...filesOf(inputs.images), ...(await modelInputs(modelOf(call)))], () =>
    inResults(out, into, async (results) => {
      const images: SegmentedImage[] = [];
      const failed = [...inputs.failed];
      const warnings = [...inputs.warnings];
      try {
        const session = stoppableSession(await open.session('predict', window), call.signal);
        progress.say(
          `${inputs.images.length} ${inputs.images.length === 1 ? 'image' : 'images'}, windows of ${window.join(' x ')} voxels of ${network.preprocessing.spacingMm.join(' x ')} mm; computing ${backend.description}`,
        );
        for (const input of inputs.images) {
          call.signal?.throwIfAborted();
          const result = await segmentOne(call, input, session, task, window, overlap, network, progress);
          if (typeof result === 'string') warnings.push(result);
          else if ('reason' in result) {
            failed.push(result);
            progress.say(`${result.path}: ${result.reason}`);
          } else {
            images.push(result);
            await results.finish(result.files);
          }
        }
      } finally {
        progress.stop();
      }
      const report: SegmentReport = {
        model: { folder: network.folder, step: network.configuration.step },
        window,
        overlap,
        images,
        failed,
        warnings,
      };
      await writeFileAtomic(join(out, REPORT), jsonText(report));
      await results.finish([REPORT]);
      return report;
    }),
  );
}

/**
 * @returns why the image was left out, if it was
 * @throws what ends the whole batch: trouble while computing, and the machine's
 */
async function segmentOne(
  { out, channel, probabilities = false, dicom = false }: SegmentCall,
  input: InputImage,
  session: Session,
  task: SegmentationTask,
  window: Zyx,
  overlap: number,
  { preprocessing, modalityIsCertain }: TrainedNetwork,
  progress: Progress,
): Promise<SegmentedImage | Failure | string> {
  const { name, source } = input;
  const image = await readForSegmentation(source, preprocessing, modalityIsCertain, channel).catch((error: unknown) =>
    failureOf(error, source.path),
  );
  if ('reason' in image) return image;
  const why = leftOut(input, image.doubts);
  if (why !== undefined) return why;
  const windows = windowCount(segmentationWindows(image, window, overlap));
  progress.start(windows, 'windows');
  const segment = (onPlane?: (probabilities: Float32Array) => Promise<void>): Promise<Segmentation> =>
    segmentVolume({
      session,
      image,
      codes: task.labels.map(({ code }) => code),
      window,
      overlap,
      ...(onPlane ? { onPlane } : {}),
      onWindow: () => progress.advance(1, name),
    });
  const files = [labelsName(name)];
  const writeLabels = ({ labels }: Segmentation): Promise<void> => writeImage(join(out, labelsName(name)), labels);
  let result: Segmentation;
  if (probabilities) {
    const names = task.labels.map((label) => probabilityName(name, label));
    result = await withScratch(join(out, names[0]), async (scratch) => {
      let written = 0;
      const found = await segment(async (plane) => {
        await writeAt(scratch, bytesOf(plane), written);
        written += plane.byteLength;
      });
      await writeLabels(found);
      await writeProbabilities(
        names.map((file) => join(out, file)),
        scratch,
        image,
      );
      return found;
    });
    files.push(...names);
  } else {
    result = await segment();
    await writeLabels(result);
  }
  const segments = task.labels
    .slice(1)
    .map(({ code, name: label }): Segment => ({ code, name: label, colour: [...labelColour(code)] as [number, number, number] }));
  const warnings = [...image.problems, ...result.remarks];
  const found = countVoxels(result.labels.data);
  if (dicom && source.kind === 'dicom') {
    if (segments.some(({ code }) => found.has(code))) {
      try {
        await writeDicomSegmentation(join(out, dicomName(name)), result.labels, segments, source);
      } catch (error) {
        // trouble of the machine while something is written ends the batch, whatever its kind
        if (isMachineTrouble(error)) throw error;
        return failureOf(error, source.path);
      }
      files.push(dicomName(name));
    } else warnings.push('no structure found, so no DICOM SEG was written');
  }
  const { spacingMm } = image.grid;
  const voxelMl = (spacingMm[0] * spacingMm[1] * spacingMm[2]) / 1000;
  return {
    name,
    path: source.path,
    files,
    windows,
    structures: task.labels.slice(1).map(({ code, name: label }) => {
      const voxels = found.get(code) ?? 0;
      return { code, name: label, voxels, volumeMl: voxels * voxelMl };
    }),
    warnings,
  };
}

interface PreparedImage extends ImageToSegment {
  readonly problems: readonly string[];
  readonly doubts: NetworkImage['prepared']['doubts'];
}

/** What segmenting needs of an image: once it is prepared, its own voxels are not. */
async function readForSegmentation(...image: Parameters<typeof readForNetwork>): Promise<PreparedImage> {
  const { cropped, prepared, volume } = await readForNetwork(...image);
  return { cropped, grid: volume.geometry, problems: prepared.problems, doubts: prepared.doubts };
}

/** Compressing is most of the work, and happens in threads of its own. */
const AT_ONCE = 2;

/**
 * Writes each class's probabilities on the image's own grid, plane by plane.
 * @param paths by class
 * @param scratch (D, classes, H, W) on the grid of what the network saw
 */
async function writeProbabilities(
  paths: readonly string[],
  scratch: FileHandle,
  { cropped, grid }: ImageToSegment,
): Promise<void> {
  const { geometry } = cropped;
  const [nx, ny, nz] = geometry.size;
  const one = async (c: number): Promise<void> => {
    const data = new Float32Array(nx * ny * nz);
    for (let z = 0; z < nz; z++)
      await readAt(scratch, bytesOf(data.subarray(z * nx * ny, (z + 1) * nx * ny)), 4 * nx * ny * (z * paths.length + c));
    const plane = probabilityPlanes({ geometry, data }, grid, c === 0 ? 1 : 0);
    await writePlanes(paths[c], { geometry: grid, type: 'float32', plane });
  };
  await allDone(
    Array.from({ length: AT_ONCE }, async (_, first) => {
      for (let c = first; c < paths.length; c += AT_ONCE) await one(c);
    }),
  );
}
