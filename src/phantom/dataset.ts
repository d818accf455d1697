/** The small files beside the images of a phantom cohort: nnU-Net's dataset.json and 3D Slicer's landmarks. Plain data, no files. */
import type { PhantomKind } from './kinds.ts';
import { type Landmark, labelsOf } from './subject.ts';

const CHANNELS: Readonly<Record<PhantomKind, string>> = { 'heart-ct': 'CT', 'brain-mr': 'T1' };

/** The name of a subject: "heart_007". */
export const subjectId = (kind: PhantomKind, subject: number): string =>
  `${kind.split('-')[0]}_${String(subject).padStart(3, '0')}`;

/**
 * dataset.json with nnU-Net v2's keys. The label codes are the field's own (MM-WHS, FreeSurfer), not consecutive numbers as nnU-Net's
 * training wants them: renumber before using the cohort there.
 */
export const datasetJson = (kind: PhantomKind, subjects: number): unknown => ({
  name: `gvsl phantom ${kind}`,
  description: 'Synthetic patients with known anatomy. Landmarks beside the labels, in landmarksTr.',
  channel_names: { 0: CHANNELS[kind] },
  labels: { background: 0, ...labelsOf(kind) },
  numTraining: subjects,
  file_ending: '.nii.gz',
});

/** Landmarks as a fiducial list that 3D Slicer opens (markups schema 1.0.3): LPS, mm. */
export const markupsJson = (landmarks: readonly Landmark[]): unknown => ({
  '@schema':
    'https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#',
  markups: [
    {
      type: 'Fiducial',
      coordinateSystem: 'LPS',
      coordinateUnits: 'mm',
      controlPoints: landmarks.map(({ name, positionMm }, i) => ({
        id: String(i + 1),
        label: name,
        position: positionMm.map((mm) => Math.round(mm * 1e4) / 1e4),
        positionStatus: 'defined',
      })),
    },
  ],
});
