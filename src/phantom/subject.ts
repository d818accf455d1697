/**
 * One synthetic patient, scanned: `renderSubject` is the whole phantom as a pure function of kind, seed and number.
 *
 * The way: an anatomy in a canonical body -> a patient (pose, size, smooth deformation) -> a voxel grid in that patient -> painted, blurred,
 * with noise. Labels are the truth of the anatomy: neither blur nor noise touches them.
 */

import { type RandomStream, randomStream } from '../common/random.ts';
import type { Geometry, Volume, Xyz } from '../geometry/volume.ts';
import { type Anatomy, rounded } from './anatomy.ts';
import { BRAIN_LABELS, BRAIN_PROTOCOL, BRAIN_VARIATION, createBrainMr, finishMr } from './brain-mr.ts';
import { HEART_LABELS } from './heart.ts';
import { createHeartCt, finishCt, HEART_PROTOCOL, HEART_VARIATION } from './heart-ct.ts';
import type { PhantomKind } from './kinds.ts';
import { addOpacities } from './opacities.ts';
import { paint } from './paint.ts';
import { type PatientVariation, randomPatient, toPatient } from './patient-map.ts';
import { blur, drawGrid, type ScanProtocol } from './scan.ts';

export interface SubjectRequest {
  readonly kind: PhantomKind;
  /** Names the cohort; equal requests give equal bits. */
  readonly seed: number;
  /** Number of the subject in the cohort, from 0. Does not depend on how many there are. */
  readonly subject: number;
  /** Isotropic voxels of this size; absent: drawn for each subject as real scans differ. */
  readonly spacingMm?: number;
  /**
   * How differently patients lie: 1 (the default) as scans of several hospitals do, 0 all alike. Scales every rotation, tilt and displacement of
   * body, heart and field of view; sizes, shapes and chambers differ as before.
   */
  readonly pose?: number;
  /** Adds opacities to the lungs of a chest CT: something to tell patients apart by. Everything else about the patient stays as it is. */
  readonly opacities?: boolean;
}

export interface Landmark {
  readonly name: string;
  /** LPS, mm. */
  readonly positionMm: Xyz;
}

export interface Subject {
  readonly image: Volume<Int16Array>;
  readonly labels: Volume<Uint16Array>;
  readonly landmarks: readonly Landmark[];
  /** Every parameter that was drawn, for the record. */
  readonly facts: Readonly<Record<string, number | string | readonly number[]>>;
}

/** What tells one kind of examination from another. */
interface Examination {
  readonly variation: PatientVariation;
  readonly protocol: ScanProtocol;
  readonly labels: Readonly<Record<string, number>>;
  readonly create: (random: RandomStream, pose: number) => Anatomy;
  /** Intensity outside the body. */
  readonly air: number;
  /** Turns painted intensities into what the scanner stores, and says what it drew for that. */
  readonly finish: (
    random: RandomStream,
    image: Float32Array,
    grid: Geometry,
  ) => { data: Int16Array; facts: Record<string, number> };
}

const EXAMINATIONS: Readonly<Record<PhantomKind, Examination>> = {
  'heart-ct': {
    labels: HEART_LABELS,
    variation: HEART_VARIATION,
    protocol: HEART_PROTOCOL,
    create: createHeartCt,
    air: -1000,
    finish: finishCt,
  },
  'brain-mr': {
    labels: BRAIN_LABELS,
    variation: BRAIN_VARIATION,
    protocol: BRAIN_PROTOCOL,
    create: createBrainMr,
    air: 0.01,
    finish: finishMr,
  },
};

/** Label names and codes of a kind, without the background's 0. */
export const labelsOf = (kind: PhantomKind): Readonly<Record<string, number>> => EXAMINATIONS[kind].labels;

/** Renders one subject. At 3 mm this takes about half a second of one core, at 1.5 mm a few. */
export function renderSubject({ kind, seed, subject, spacingMm, pose = 1, opacities = false }: SubjectRequest): Subject {
  const { variation, protocol, create, air, finish } = EXAMINATIONS[kind];
  const stream = (what: string): RandomStream => randomStream(seed, 'phantom', kind, subject, what);
  const anatomy = create(stream('anatomy'), pose);
  const patient = randomPatient(stream('patient'), {
    ...variation,
    rotationDegrees: pose * variation.rotationDegrees,
    translationMm: pose * variation.translationMm,
  });
  const landmarks = anatomy.landmarks.map(({ name, at }) => ({ name, positionMm: toPatient(patient, at) }));
  const scan = drawGrid(
    stream('grid'),
    protocol,
    anatomy.field.map((at) => toPatient(patient, at)),
    spacingMm,
    pose,
  );
  const { geometry } = scan;
  const { image, labels } = paint(geometry, patient, anatomy.layers, air);
  const disease = opacities ? addOpacities(stream('opacities'), image, geometry) : {};
  const sharpness = stream('blur').uniform(0.3, 0.6);
  blur(image, geometry.size, [sharpness, sharpness, sharpness]);
  const finished = finish(stream('noise'), image, geometry);
  return {
    image: { geometry, data: finished.data },
    labels: { geometry, data: labels },
    landmarks,
    facts: {
      kind,
      seed,
      subject,
      orientation: scan.orientation,
      obliqueDegrees: scan.obliqueDegrees.map(rounded),
      size: geometry.size,
      spacingMm: geometry.spacingMm.map(rounded),
      rotationDegrees: patient.rotationDegrees.map(rounded),
      translationMm: patient.translationMm.map(rounded),
      bodyScale: patient.size.map(rounded),
      blurVoxels: rounded(sharpness),
      ...finished.facts,
      ...disease,
      ...anatomy.facts,
    },
  };
}
