/**
 * Segmenting images with a trained network: each is prepared as the cohort was and segmented on its own grid (method/transfer/segment-volume.ts).
 * Geometry and label codes are those of the input and of the training data.
 */
import { join } from 'node:path';
import { readForNetwork } from '../cohort/read-for-network.ts';
import type { Session } from '../engine/backend.ts';
import { WorkError } from '../errors/errors.ts';
import { formatBytes } from '../errors/format-bytes.ts';
import { toZyx, voxelCount, type Zyx } from '../geometry/volume.ts';
import { type Segment, writeDicomSegmentation } from '../images/node/dicom-segmentation.ts';
import { writeImage } from '../images/node/write.ts';
import { predictionProgram } from '../method/transfer/programs.ts';
import { segmentVolume } from '../method/transfer/segment-volume.ts';
import { windowCount } from '../method/transfer/sliding-window.ts';
import { writeFileAtomic } from '../node/files.ts';
import { availableBytes } from '../node/limits.ts';
import { labelColour } from '../pictures/pair-picture.ts';
import type { Task } from '../training/model-configuration.ts';
import { jsonText } from '../training/model-folder.ts';
import { type InputImage, inputImages } from './inputs.ts';
import { type ApplyCall, openNetwork, readNetwork, windowOf } from './network.ts';

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
  /** What is odd about the image. */
  readonly remarks: readonly string[];
}

export interface SegmentReport {
  readonly model: { readonly folder: string; readonly step: number };
  readonly window: Zyx;
  readonly overlap: number;
  readonly images: readonly SegmentedImage[];
}

const CODE_NAME = /[^\p{L}\p{N}]+/gu;

/** Segments images. @throws UsageError or WorkError naming the input and why; images before it are written */
export async function segmentImages(call: SegmentCall): Promise<SegmentReport> {
  const { out, backend, progress, overlap = 0.5 } = call;
  const network = await readNetwork(call.model, call.modality, 'segmentation');
  const task = network.configuration.task as SegmentationTask;
  const window = windowOf(call.window, task.patch);
  const inputs = await inputImages(call.inputs, call.series);
  const session = await openNetwork(network, backend, predictionProgram(network.architecture, window), window);
  const images: SegmentedImage[] = [];
  try {
    progress.say(
      `${inputs.length} ${inputs.length === 1 ? 'image' : 'images'}, windows of ${window.join(' x ')} voxels of ${network.preprocessing.spacingMm.join(' x ')} mm; computing ${backend.description}`,
    );
    for (const input of inputs) images.push(await segmentOne(call, input, session, task, window, overlap, network.preprocessing));
  } finally {
    await session.close();
    progress.stop();
  }
  const report: SegmentReport = { model: { folder: network.folder, step: network.configuration.step }, window, overlap, images };
  await writeFileAtomic(join(out, 'segment.json'), jsonText(report));
  return report;
}

async function segmentOne(
  { out, progress, modality, probabilities = false, dicom = false }: SegmentCall,
  { name, source }: InputImage,
  session: Session,
  task: SegmentationTask,
  window: Zyx,
  overlap: number,
  preprocessing: Parameters<typeof readForNetwork>[1],
): Promise<SegmentedImage> {
  const image = await readForNetwork(source, preprocessing, modality !== undefined);
  const bytes = 4 * task.labels.length * voxelCount(image.volume.geometry.size) * 2;
  if (probabilities && bytes > availableBytes().bytes)
    throw new WorkError(
      `${source.path}: the probabilities of ${task.labels.length} classes need ${formatBytes(bytes)}, more than there is; leave --probabilities out`,
    );
  const windows = windowCount(toZyx(image.cropped.geometry.size), window, overlap);
  progress.start(windows, 'windows');
  const result = await segmentVolume({
    session,
    image,
    codes: task.labels.map(({ code }) => code),
    window,
    overlap,
    wantProbabilities: probabilities,
    onWindow: () => progress.advance(1, name),
  });
  const files = [`${name}.nii.gz`];
  await writeImage(join(out, files[0]!), result.labels);
  for (const [c, values] of (result.probabilities ?? []).entries()) {
    const file = `${name}_probability_${task.labels[c]!.code}_${task.labels[c]!.name.replaceAll(CODE_NAME, '-')}.nii.gz`;
    await writeImage(join(out, 'probabilities', file), values);
    files.push(join('probabilities', file));
  }
  const segments = task.labels
    .slice(1)
    .map(({ code, name: label }): Segment => ({ code, name: label, colour: [...labelColour(code)] as [number, number, number] }));
  const remarks = [...image.prepared.problems, ...result.remarks];
  const found = new Map<number, number>();
  for (const code of result.labels.data) found.set(code, (found.get(code) ?? 0) + 1);
  if (dicom && source.kind === 'dicom') {
    if (segments.some(({ code }) => found.has(code))) {
      await writeDicomSegmentation(join(out, `${name}.dcm`), result.labels, segments, source.files);
      files.push(`${name}.dcm`);
    } else remarks.push('nothing was found, so there is no DICOM SEG');
  }
  const { spacingMm } = image.volume.geometry;
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
    remarks,
  };
}
