/**
 * What a prepared cohort is, of subjects and how they were prepared. `prepare` writes it; training, evaluation and reports read it.
 *
 * On disk: `cohort.json` (this file's schema), `images/ID.npy` (float16, C order z, y, x, intensities in [0, 1]) and, for labelled
 * subjects, `labels/ID.npy` (the smallest integer type that holds its codes, on the same grid). Crops are read by crops.ts.
 */
import { z } from 'zod';
import { applyAffine, physicalToVoxel } from '../geometry/affine.ts';
import { type Geometry, type Matrix3, toZyx, type Xyz, type Zyx } from '../geometry/volume.ts';
import type { IntensityWindow, PrepareOptions } from './prepare-options.ts';
import { REASONS, type Reason } from './reasons.ts';

/** Raised when a reader of the old form would misread the new. */
export const COHORT_FORMAT = 1;

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
  /** Label codes present, ascending, 0 included; null without a label map. */
  readonly labelCodes: readonly number[] | null;
  /** What the sources and the stored voxels were; null in cohorts of older versions. */
  readonly content: {
    /** Of a source's files together: an image may be a pair of files or a DICOM series. */
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

/** Size and SHA-256 of the files of a source, an image's together. */
type FileContent = z.output<typeof fileContent>;

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
  readonly options: PrepareOptions;
  readonly subjects: readonly Subject[];
  readonly problems: readonly CohortProblem[];
}

const finite = z.number().refine(Number.isFinite);
const xyz = z.tuple([finite, finite, finite]);
const positiveXyz = z.tuple([finite.positive(), finite.positive(), finite.positive()]);
const sizeXyz = z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]);
const geometry = z.object({
  size: sizeXyz,
  spacingMm: positiveXyz,
  originMm: xyz,
  direction: z
    .array(finite)
    .length(9)
    .transform((m) => m as unknown as Matrix3),
});
/** A subject's name is a file name: no separators, nothing hidden. */
const subjectId = z.string().regex(/^[\p{L}\p{N}_][\p{L}\p{M}\p{N}_.+ -]*$/u);

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const fileContent = z.object({ sizeBytes: z.int().nonnegative(), sha256 });

export const subjectSchema = z.object({
  id: subjectId,
  source: z.string(),
  labelSource: z.string().nullable(),
  sourceGeometry: geometry,
  sourceOrientation: z.string(),
  geometry,
  intensity: z.object({ kind: z.enum(['hounsfield', 'minmax', 'percentile']), low: finite, high: finite }),
  labelCodes: z.array(z.int()).nullable(),
  content: z.object({ image: fileContent, label: fileContent.nullable(), stored: sha256 }).nullable().default(null),
  patient: z.string().nullable().default(null),
  class: z.string().nullable().default(null),
  landmarks: z.array(z.object({ name: z.string(), positionMm: xyz })),
  split: z.enum(['train', 'test']),
  problems: z.array(z.string()),
});

export const cohortSchema = z.object({
  format: z.literal(COHORT_FORMAT),
  options: z.object({
    modality: z.enum(['ct', 'mr']),
    spacingMm: positiveXyz,
    size: sizeXyz.nullable(),
    crop: z.enum(['foreground', 'none']),
    intensity: z.enum(['minmax', 'percentile']),
  }),
  subjects: z.array(subjectSchema),
  problems: z.array(
    z.object({
      source: z.string(),
      // older cohorts call a warning odd
      kind: z
        .enum(['refused', 'left-out', 'warning', 'odd', 'duplicate'])
        .transform((kind) => (kind === 'odd' ? 'warning' : kind)),
      message: z.string(),
      what: z.string().optional(),
      reason: z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]).optional(),
    }),
  ),
});

/** The text of cohort.json: keys in the order of the schema, so that equal cohorts give equal bytes, prepared at once or gone on with. */
export const formatCohort = ({ options, subjects, problems }: Omit<Cohort, 'folder'>): string =>
  `${JSON.stringify(cohortSchema.parse({ format: COHORT_FORMAT, options, subjects, problems }), null, 1)}\n`;

/** A position in mm, LPS, as (z, y, x) in voxels of a stored grid, with fractions. */
export const toVoxelZyx = (grid: Geometry, positionMm: Xyz): Zyx => toZyx(applyAffine(physicalToVoxel(grid), positionMm));
