/**
 * What a prepared cohort is, of subjects and how they were prepared. `prepare` writes it; training, evaluation and reports read it.
 *
 * On disk (docs/file-formats.md): `cohort.json`, a line for each subject in `subjects.jsonl` and for each problem in `problems.jsonl`, and the voxels
 * in `images/` and `labels/`. node/cohort-files.ts says where they lie; crops are read by crops.ts.
 */
import { z } from 'zod';
import { applyAffine, physicalToVoxel } from '../geometry/affine.ts';
import { type Geometry, toZyx, type Xyz, type Zyx } from '../geometry/volume.ts';
import { type IntensityWindow, MAX_CHANNELS, MR_SCALES, type PrepareOptions, SCALES } from './prepare-options.ts';
import { REASONS, type Reason } from './reasons.ts';

/**
 * The form that `prepare` writes. Of form 1, which is still read, everything is in cohort.json, and volumes lie in no
 * sub-folders. Form 3 is form 2 with several channels: older versions, which know one, refuse it.
 */
export const COHORT_FORMAT = 2;
export const CHANNELS_FORMAT = 3;

/** A named anatomical point. */
export interface Landmark {
  readonly name: string;
  /** Millimetres, LPS. */
  readonly positionMm: Xyz;
}

export interface Subject {
  readonly id: string;
  /** The image file, or the folder of its DICOM series. */
  readonly source: string;
  /** The label map's file; null if the subject has none. */
  readonly labelSource: string | null;
  /** The grid as the source stores it, and its orientation code. */
  readonly sourceGeometry: Geometry;
  readonly sourceOrientation: string;
  /** The stored grid, on which crops are taken. */
  readonly geometry: Geometry;
  readonly intensity: IntensityWindow;
  /** The channels after the first, whose source and intensities are those above; absent where images have one channel. */
  readonly otherChannels?: readonly OtherChannel[] | undefined;
  /** Label codes present, ascending, 0 included; null without a label map. */
  readonly labelCodes: readonly number[] | null;
  /** What the sources and the stored voxels were; null in cohorts of older versions. */
  readonly content: {
    /** Of a source's files together: an image may be a pair of files, a DICOM series or several channels. */
    readonly image: FileContent;
    readonly label: FileContent | null;
    /** SHA-256 over the stored voxels of image and label map. */
    readonly stored: string;
  } | null;
  /** Whose scan it is, where the source's layout or headers say so: scans of one patient stay on one side of every split. */
  readonly patient: string | null;
  /** What the subject is, for classification, as the table of classes has it; null if it does not say. */
  readonly class: string | null;
  readonly landmarks: readonly Landmark[];
  /** 'train' unless the source's layout says that the subject is a test case (imagesTs). */
  readonly split: 'train' | 'test';
  /** Warnings about it. */
  readonly problems: readonly string[];
}

/** A channel that was brought onto the grid of the first. */
export interface OtherChannel {
  readonly source: string;
  readonly intensity: IntensityWindow;
}

/** Size and SHA-256 of the files of a source, an image's together. */
interface FileContent {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** A problem with one source: a file that was refused, one that was recognised as something else and left out, or a warning about a prepared one. */
export interface CohortProblem {
  readonly source: string;
  readonly kind: 'refused' | 'left-out' | 'warning' | 'duplicate';
  readonly message: string;
  /** Of what is left out or refused for a reason that may be allowed: what it is, in a word, and the reason. */
  readonly what?: string | undefined;
  readonly reason?: Reason | undefined;
}

export interface Cohort {
  /** Where it lies; not stored. */
  readonly folder: string;
  /** The form of its folder: `COHORT_FORMAT`, or that of an older cohort. */
  readonly format: number;
  readonly options: PrepareOptions;
  /** Names of label codes, by code; absent where the source names none, and in cohorts of older versions. */
  readonly labelNames?: Readonly<Record<string, string>> | undefined;
  readonly subjects: readonly Subject[];
  readonly problems: readonly CohortProblem[];
}

/** What cohort.json says of how the cohort was prepared. */
const positive = z.number().positive();
const wholeAbove0 = z.int().positive();
export const channelsSchema = z
  .array(z.object({ name: z.string(), number: z.int().nonnegative(), scale: z.enum(SCALES) }))
  .min(2)
  .max(MAX_CHANNELS);
export const optionsSchema = z.object({
  modality: z.enum(['ct', 'mr']),
  spacingMm: z.tuple([positive, positive, positive]),
  size: z.tuple([wholeAbove0, wholeAbove0, wholeAbove0]).nullable(),
  crop: z.enum(['foreground', 'none']),
  intensity: z.enum(MR_SCALES),
  channels: channelsSchema.optional(),
});

export const problemSchema = z.object({
  source: z.string(),
  // older cohorts call a warning odd
  kind: z.enum(['refused', 'left-out', 'warning', 'odd', 'duplicate']).transform((kind) => (kind === 'odd' ? 'warning' : kind)),
  message: z.string(),
  what: z.string().optional(),
  reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]).optional(),
});

/** A position in mm, LPS, as (z, y, x) in voxels of a stored grid, with fractions. */
export const toVoxelZyx = (grid: Geometry, positionMm: Xyz): Zyx => toZyx(applyAffine(physicalToVoxel(grid), positionMm));
