/** Writing a label map as a DICOM Segmentation object that refers to the series it was made from (dcmqi, in ITK-Wasm). */
import { open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Image } from 'itk-wasm';
import { WorkError } from '../../errors/errors.ts';
import type { Volume } from '../../geometry/volume.ts';
import { asideOf, makeFolder } from '../../node/files.ts';
import type { DicomFile } from '../dicom/frames.ts';
import { runItk, timeLimitMs } from './itk.ts';

/** A structure of the label map. */
export interface Segment {
  /** Its value in the label map, 1 to 32767. */
  readonly code: number;
  readonly name: string;
  /** 0 to 255 each. */
  readonly colour: readonly [number, number, number];
}

/** SNOMED CT's "Anatomical Structure": names that a user gave have no code of their own. */
const ANATOMY = { CodeValue: '123037004', CodingSchemeDesignator: 'SCT', CodeMeaning: 'Anatomical Structure' };

/**
 * Writes a DICOM SEG file. Segments without a voxel are left out.
 * @param labels on the series' own grid
 * @param series the slices that `labels` belongs to
 * @throws WorkError if there is nothing to write, a code is outside 1 to 32767, or the series lacks what the standard asks for
 */
export async function writeDicomSegmentation(
  path: string,
  labels: Volume,
  segments: readonly Segment[],
  series: readonly DicomFile[],
): Promise<void> {
  const present = new Set(labels.data);
  const kept = segments.filter(({ code }) => present.has(code));
  if (kept.length === 0) throw new WorkError(`${path}: nothing was found to be written as DICOM SEG: every voxel is background`);
  const odd = kept.find(({ code }) => code < 1 || code > 32767);
  if (odd) throw new WorkError(`${path}: label code ${odd.code} cannot be written as DICOM SEG, which takes 1 to 32767`);
  // dcmqi in ITK-Wasm takes signed 16-bit label maps only
  const image = new Image({ dimension: 3, componentType: 'int16', pixelType: 'Scalar', components: 1 });
  const { size, spacingMm, originMm, direction } = labels.geometry;
  image.size = [...size];
  image.spacing = [...spacingMm];
  image.origin = [...originMm];
  image.direction = Float64Array.from(direction);
  image.data = Int16Array.from(labels.data);
  const metaInformation = {
    ContentCreatorName: 'gvsl',
    ClinicalTrialSeriesID: '1',
    ClinicalTrialTimePointID: '1',
    SeriesDescription: 'Segmentation',
    SeriesNumber: '300',
    InstanceNumber: '1',
    BodyPartExamined: '',
    ContentLabel: 'SEGMENTATION',
    ContentDescription: 'Automatic segmentation',
    segmentAttributes: [
      kept.map(({ code, name, colour }) => ({
        labelID: code,
        SegmentLabel: name,
        SegmentDescription: name,
        SegmentAlgorithmType: 'AUTOMATIC',
        SegmentAlgorithmName: 'gvsl',
        SegmentedPropertyCategoryCodeSequence: ANATOMY,
        SegmentedPropertyTypeCodeSequence: { CodeValue: String(code), CodingSchemeDesignator: '99GVSL', CodeMeaning: name },
        recommendedDisplayRGBValue: [...colour],
      })),
    ],
  };
  const files = series.map((file) => resolve(file.path));
  const target = resolve(path);
  const aside = asideOf(target);
  await makeFolder(dirname(target));
  try {
    await runItk({
      pipeline: ['@itk-wasm/dicom', 'write-segmentation'],
      args: ['0', '1', aside, '--memory-io', '--ref-dicom-series', ...files],
      outputs: [],
      image,
      json: metaInformation,
      folders: [...new Set([dirname(target), ...files.map((file) => dirname(file))])],
      timeLimitMs: timeLimitMs(labels.data.byteLength * kept.length),
    });
    const file = await open(aside, 'r');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { force: true });
    if (error instanceof WorkError) throw new WorkError(`${path}: ${error.message}`);
    throw error;
  }
}
