/**
 * Segmenting images with a trained network: each is prepared as the cohort was and segmented on its own grid (apply/segmentation/segment-volume.ts).
 * Geometry and label codes are those of the input and of the training data.
 */
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { NetworkImage } from '../../cohort/network-image.ts';
import { readForNetwork } from '../../cohort/node/read-for-network.ts';
import { counted } from '../../common/counted.ts';
import { csvLine } from '../../common/csv.ts';
import { RunError } from '../../common/errors.ts';
import { formatMl } from '../../common/format-volume.ts';
import type { Progress } from '../../common/progress.ts';
import { type Volume, voxelCount, type Zyx } from '../../geometry/volume.ts';
import type { DicomSource } from '../../images/dicom/sources.ts';
import { planeOf } from '../../images/loaded-image.ts';
import { type Segment, writeDicomSegmentation, writeStructureSet } from '../../images/node/dicom-results.ts';
import { openImage } from '../../images/node/read.ts';
import { writeImage, writePlanes } from '../../images/node/write.ts';
import { labelColour } from '../../images/pictures/pair-picture.ts';
import { bytesOf } from '../../images/stored-image.ts';
import { PERCENTILES, type StructureMeasures, StructureMeter } from '../../metrics/structures.ts';
import type { PostProcessing, Task } from '../../model/configuration.ts';
import { jsonText } from '../../model/node/documents.ts';
import { type Failure, failureOf } from '../../platform/node/batch.ts';
import { allDone, readAt, withScratch, writeAt, writeFileAtomic } from '../../platform/node/files.ts';
import { guardInputs, refuseReplacing } from '../../platform/node/guard.ts';
import { isMachineTrouble } from '../../platform/node/machine.ts';
import { inResults } from '../../platform/node/results.ts';
import { type OpenNetwork, taskOfNetwork, windowsFor } from '../network.ts';
import { mirrorAxes, mirrorWarnings, openPredictor, type Predictor, uncertaintyOf } from '../prediction.ts';
import type { MirrorAxis, PredictionOptions, Uncertainty } from '../prediction-options.ts';
import { applyPostProcessing, type PostProcessingOptions, postProcessingOf } from '../segmentation/post-processing.ts';
import {
  type ImageToSegment,
  probabilityPlanes,
  type Segmentation,
  segmentationWindows,
  segmentVolume,
} from '../segmentation/segment-volume.ts';
import { windowCount } from '../segmentation/sliding-window.ts';
import type { InputImage } from './input-image.ts';
import { filesOf, inputImages, inputOptions, leftOut, partFile } from './inputs.ts';
import { modelInputsOf, modelsOf, type TaskCall, withNetwork } from './network.ts';

type SegmentationTask = Extract<Task, { kind: 'segmentation' }>;

export interface SegmentCall extends TaskCall, PredictionOptions, PostProcessingOptions {
  readonly inputs: readonly string[];
  /** Also writes the probability of every class. */
  readonly probabilities?: boolean;
  /** Also writes how uncertain each voxel is (`SegmentResult.uncertainty`). */
  readonly uncertainty?: Uncertainty;
  /** Also writes a table of all images and structures: volume, place, intensities. */
  readonly csv?: string;
  /** Also writes a picture of each image: three planes with outlines. */
  readonly preview?: boolean;
  /** Writes DICOM SEG for DICOM input (beside the NIfTI file). */
  readonly dicom?: boolean;
  /** Writes a DICOM RT Structure Set for DICOM input (beside the NIfTI file). */
  readonly rtstruct?: boolean;
}

/** What was found of a structure. */
export interface FoundStructure {
  readonly code: number;
  readonly name: string;
  readonly voxels: number;
  readonly volumeMl: number;
}

/** What was found in an image. */
export interface SegmentedImage {
  readonly name: string;
  readonly path: string;
  readonly files: readonly string[];
  readonly windows: number;
  readonly structures: readonly FoundStructure[];
  /** Voxels that post-processing made background, by code; absent without post-processing. */
  readonly removed?: readonly { readonly code: number; readonly voxels: number }[];
  /** What is unusual about the image. */
  readonly warnings: readonly string[];
}

export interface SegmentReport {
  /** Whose probabilities were averaged. */
  readonly models: readonly { readonly folder: string; readonly step: number }[];
  readonly window: Zyx;
  readonly overlap: number;
  readonly mirror: readonly MirrorAxis[];
  readonly postProcessing: PostProcessing;
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
const structureSetName = (name: string): string => `${name}_rtstruct.dcm`;
const previewName = (name: string): string => join('previews', `${name}.png`);
const uncertaintyName = (name: string, kind: Uncertainty): string => join('uncertainty', `${name}_${kind}.nii.gz`);
const probabilityName = (image: string, { code, name }: SegmentationTask['labels'][number]): string =>
  join('probabilities', `${image}_probability_${code}_${name.replaceAll(CODE_NAME, '-')}.nii.gz`);

/**
 * Segments images. One that cannot be read, prepared or written in a format is listed in `failed`, and the others are done.
 * @throws UsageError before anything is computed; RunError if the model cannot be used, or nothing more can be computed or written
 */
export async function segmentImages(call: SegmentCall): Promise<SegmentReport> {
  return withNetwork(call, (open, progress) => segmentWith(open, progress, call));
}

/** What is the same for all images of a call. */
interface Work {
  readonly call: SegmentCall;
  readonly open: OpenNetwork;
  readonly task: SegmentationTask;
  readonly predictor: Predictor;
  readonly window: Zyx;
  readonly overlap: number;
  readonly rules: PostProcessing;
  readonly progress: Progress;
}

async function segmentWith(open: OpenNetwork, progress: Progress, call: SegmentCall): Promise<SegmentReport> {
  const { out, probabilities = false, dicom = false, rtstruct = false, preview = false, uncertainty } = call;
  const { overwrite = false, signal } = call;
  const { network, networks, backend } = open;
  const task = taskOfNetwork(network, 'segmentation');
  const { window, overlap } = windowsFor(open, call);
  const mirror = mirrorAxes(networks, call.mirror);
  const { rules, warnings: ofRules } = postProcessingOf(networks, call);
  const { part } = call;
  const csv = call.csv === undefined ? undefined : partFile(call.csv, part);
  const inputs = await inputImages(call.inputs, { ...inputOptions(call, network.preprocessing), out });
  const reportName = partFile(REPORT, part);
  const names = inputs.images.flatMap(({ name, source }) => [
    labelsName(name),
    ...(probabilities ? task.labels.map((label) => probabilityName(name, label)) : []),
    ...(uncertainty ? [uncertaintyName(name, uncertainty)] : []),
    ...(preview ? [previewName(name)] : []),
    ...(dicom && source.kind === 'dicom' ? [dicomName(name)] : []),
    ...(rtstruct && source.kind === 'dicom' ? [structureSetName(name)] : []),
  ]);
  const into = { names: [...names, reportName], overwrite, by: 'gvsl segment', part };
  return guardInputs([...filesOf(inputs.images), ...(await modelInputsOf(call))], async () => {
    if (csv !== undefined) await refuseReplacing(csv);
    return inResults(out, into, async (results) => {
      const images: SegmentedImage[] = [];
      const lines: string[] = [];
      const failed = [...inputs.failed];
      const fromDicom = inputs.images.some(({ source }) => source.kind === 'dicom');
      const warnings = [
        ...mirrorWarnings(networks, mirror),
        ...ofRules,
        ...(dicom && !fromDicom ? ['`dicom`: no image is a DICOM series, so no Segmentation object is written'] : []),
        ...(rtstruct && !fromDicom ? ['`rtstruct`: no image is a DICOM series, so no RT Structure Set is written'] : []),
        ...inputs.warnings,
      ];
      try {
        const predictor = await openPredictor(open, { window, mirror, spread: uncertainty === 'disagreement', signal });
        const work: Work = { call, open, task, predictor, window, overlap, rules, progress };
        progress.say(
          `${counted(inputs.images.length, 'image')}, ${networks.length > 1 ? `${networks.length} models, ` : ''}windows of ${window.join(' x ')} voxels of ${network.preprocessing.spacingMm.join(' x ')} mm${mirror.length > 0 ? `, mirrored in ${mirror.join(', ')} (${2 ** mirror.length} times the work)` : ''}; computing ${backend.description}`,
        );
        for (const input of inputs.images) {
          signal?.throwIfAborted();
          const result = await segmentOne(work, input);
          if (typeof result === 'string') warnings.push(result);
          else if ('reason' in result) {
            failed.push(result);
            progress.say(`${result.path}: ${result.reason}`);
          } else {
            images.push(result.image);
            lines.push(...result.lines);
            await results.finish(result.image.files);
          }
        }
      } finally {
        progress.stop();
      }
      const report: SegmentReport = {
        models: modelsOf(open),
        window,
        overlap,
        mirror,
        postProcessing: rules,
        images,
        failed,
        warnings,
      };
      await writeFileAtomic(join(out, reportName), jsonText(report));
      await results.finish([reportName]);
      if (csv !== undefined) await writeFileAtomic(csv, `${[csvLine(CSV_COLUMNS), ...lines].join('\n')}\n`);
      return report;
    });
  });
}

/**
 * @returns why the image was left out, if it was; else what was found, and its lines of the table
 * @throws what ends the whole batch: trouble while computing, and the machine's
 */
async function segmentOne(
  work: Work,
  input: InputImage,
): Promise<{ readonly image: SegmentedImage; readonly lines: readonly string[] } | Failure | string> {
  const { call, open, task, predictor, window, overlap, rules, progress } = work;
  const { out, probabilities = false, uncertainty, dicom = false, rtstruct = false, preview = false, csv } = call;
  const { preprocessing, modalityIsCertain } = open.network;
  const { name, source, others, channel = call.channel } = input;
  const image = await readForSegmentation(source, preprocessing, modalityIsCertain, channel, others).catch((error: unknown) =>
    failureOf(error, source.path),
  );
  if ('reason' in image) return image;
  const why = leftOut(input, image.doubts);
  if (why !== undefined) return why;
  const windows = windowCount(segmentationWindows(image, window, overlap));
  const classes = task.labels.length;
  const codes = task.labels.map(({ code }) => code);
  progress.start(windows, 'windows');
  const unsure = uncertainty && new Float32Array(voxelCount(image.cropped.geometry.size));
  let unsureAt = 0;
  const segment = (onPlane?: (probabilities: Float32Array) => Promise<void>): Promise<Segmentation> =>
    segmentVolume({
      predictor,
      image,
      codes,
      window,
      overlap,
      onPlane: async (plane) => {
        if (unsure) {
          const values = uncertaintyOf(plane, classes, uncertainty);
          unsure.set(values, unsureAt);
          unsureAt += values.length;
        }
        await onPlane?.(plane.subarray(0, (plane.length / predictor.channels) * classes));
      },
      onWindow: () => progress.advance(1, name),
    });
  const files = [labelsName(name)];
  const finish = async (found: Segmentation): Promise<ReadonlyMap<number, number>> => {
    const gone = applyPostProcessing(found.labels, rules);
    await writeImage(join(out, labelsName(name)), found.labels);
    return gone;
  };
  let result: Segmentation;
  let removed: ReadonlyMap<number, number>;
  if (probabilities) {
    const names = task.labels.map((label) => probabilityName(name, label));
    [result, removed] = await withScratch(join(out, names[0]), async (scratch) => {
      let written = 0;
      const found = await segment(async (plane) => {
        await writeAt(scratch, bytesOf(plane), written);
        written += plane.byteLength;
      });
      const gone = await finish(found);
      await writeProbabilities(
        names.map((file) => join(out, file)),
        scratch,
        image,
      );
      return [found, gone] as const;
    });
    files.push(...names);
  } else {
    result = await segment();
    removed = await finish(result);
  }
  if (unsure) {
    const file = uncertaintyName(name, uncertainty);
    const plane = probabilityPlanes({ geometry: image.cropped.geometry, data: unsure }, image.grid, 0);
    await writePlanes(join(out, file), { geometry: image.grid, type: 'float32', plane });
    files.push(file);
  }
  const { labels } = result;
  const meter = new StructureMeter(image.grid, codes.slice(1));
  const picture = preview ? new (await import('../../images/pictures/preview-picture.ts')).PreviewPicture(labels) : undefined;
  if (csv !== undefined || picture) {
    const trouble = await lookAgain(source, channel, labels, (z, plane) => {
      meter.add(z, planeOf(labels, z), plane);
      picture?.add(z, plane);
    });
    if (trouble) return trouble;
  } else for (let z = 0; z < image.grid.size[2]; z++) meter.add(z, planeOf(labels, z));
  const measures = meter.measures();
  const nameOf = new Map(task.labels.map((label) => [label.code, label.name]));
  if (picture) {
    const { encodePng } = await import('../../images/pictures/png.ts');
    const legend = measures
      .filter(({ voxels }) => voxels > 0)
      .map(({ code, volumeMl }) => ({ code, text: `${nameOf.get(code)} ${formatMl(volumeMl)} ml` }));
    await writeFileAtomic(join(out, previewName(name)), encodePng(picture.picture(legend)));
    files.push(previewName(name));
  }
  const warnings = [...image.problems, ...result.remarks];
  const objects = [
    ...(dicom ? [{ file: dicomName(name), write: writeDicomSegmentation, what: 'DICOM SEG' }] : []),
    ...(rtstruct ? [{ file: structureSetName(name), write: writeStructureSet, what: 'RT Structure Set' }] : []),
  ];
  const segments = task.labels
    .slice(1)
    .map(({ code, name: label }): Segment => ({ code, name: label, colour: [...labelColour(code)] as [number, number, number] }));
  for (const { file, write, what } of source.kind === 'dicom' ? objects : []) {
    if (measures.every(({ voxels }) => voxels === 0)) {
      warnings.push(`no structure found, so no ${what} was written`);
      continue;
    }
    try {
      await write(join(out, file), labels, segments, source as DicomSource);
    } catch (error) {
      // trouble of the machine while something is written ends the batch, whatever its kind
      if (isMachineTrouble(error)) throw error;
      const { path, reason } = failureOf(error, source.path);
      return { path, reason: `${reason}; written are ${files.join(', ')}` };
    }
    files.push(file);
  }
  return {
    image: {
      name,
      path: source.path,
      files,
      windows,
      structures: measures.map(({ code, voxels, volumeMl }) => ({ code, name: nameOf.get(code)!, voxels, volumeMl })),
      ...(rules.length > 0 ? { removed: rules.map(({ code }) => ({ code, voxels: removed.get(code) ?? 0 })) } : {}),
      warnings,
    },
    lines: measures.map((measured) => csvOf(name, nameOf.get(measured.code)!, measured)),
  };
}

/** Reads an image's own voxels once more, plane by plane: while it was segmented they were not kept. @returns why that failed, if it did */
async function lookAgain(
  source: InputImage['source'],
  channel: number | undefined,
  { geometry }: Volume,
  look: (z: number, plane: Volume['data']) => void,
): Promise<Failure | undefined> {
  try {
    const file = await openImage(source, channel === undefined ? {} : { channel });
    if (file.geometry.size.join() !== geometry.size.join()) throw new RunError(`${source.path}: changed while it was segmented`);
    let z = 0;
    for await (const plane of file.planes()) look(z++, plane);
    return undefined;
  } catch (error) {
    return failureOf(error, source.path);
  }
}

const CSV_COLUMNS: readonly string[] = [
  ...['image', 'code', 'structure', 'voxels', 'volumeMl', 'meanIntensity', 'sdIntensity'],
  ...PERCENTILES.map((percent) => `p${percent}Intensity`),
  ...['centroidXMm', 'centroidYMm', 'centroidZMm', 'lowXMm', 'lowYMm', 'lowZMm', 'extentXMm', 'extentYMm', 'extentZMm'],
];

/** A line of the table. Numbers have seven digits; what a structure without voxels lacks is empty. */
function csvOf(
  image: string,
  structure: string,
  { code, voxels, volumeMl, intensity, centroidMm, box }: StructureMeasures,
): string {
  const none = (count: number): null[] => Array.from({ length: count }, () => null);
  const measured = [
    volumeMl,
    ...(intensity ? [intensity.mean, intensity.standardDeviation, ...intensity.percentiles] : none(2 + PERCENTILES.length)),
    ...(centroidMm ?? none(3)),
    ...(box ? [...box.lowMm, ...box.sizeMm] : none(6)),
  ];
  return csvLine([image, code, structure, voxels, ...measured.map((value) => (value === null ? null : +value.toPrecision(7)))]);
}

interface PreparedImage extends ImageToSegment {
  readonly problems: readonly string[];
  readonly doubts: NetworkImage['prepared']['doubts'];
}

/** What segmenting needs of an image: once it is prepared, its own voxels are not. */
async function readForSegmentation(...image: Parameters<typeof readForNetwork>): Promise<PreparedImage> {
  const { cropped, others, prepared, volume } = await readForNetwork(...image);
  return { cropped, others, grid: volume.geometry, problems: prepared.problems, doubts: prepared.doubts };
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
