import { describe, expect, it } from 'vitest';
import { voxelCount, type Xyz } from '../geometry/volume.ts';
import { PHANTOM_KINDS, type PhantomKind } from './kinds.ts';
import { voxelAt, voxelPosition } from './paint.ts';
import { distanceToBorderMm } from './scan.ts';
import { labelsOf, renderSubject, type Subject } from './subject.ts';
import { length, subtract } from './vectors.ts';

const SUBJECTS = 4;
const SPACING_MM = 3;

/** Plausible volumes in ml of living adults, wide on purpose. */
const PLAUSIBLE_ML: Readonly<Record<PhantomKind, Readonly<Record<number, readonly [number, number]>>>> = {
  'heart-ct': {
    205: [60, 260],
    420: [30, 190],
    500: [60, 280],
    550: [35, 220],
    600: [45, 280],
    820: [12, 110],
    850: [20, 130],
    900: [0.7, 12],
  },
  'brain-mr': {
    ...Object.fromEntries([2, 41].map((code) => [code, [110, 420]])),
    ...Object.fromEntries([3, 42].map((code) => [code, [130, 420]])),
    ...Object.fromEntries([4, 43].map((code) => [code, [2, 25]])),
    ...Object.fromEntries([7, 46].map((code) => [code, [4, 45]])),
    ...Object.fromEntries([8, 47].map((code) => [code, [18, 80]])),
    ...Object.fromEntries([10, 49].map((code) => [code, [2.5, 14]])),
    ...Object.fromEntries([11, 50, 12, 51, 17, 53].map((code) => [code, [1.2, 10]])),
    ...Object.fromEntries([13, 52, 14, 15].map((code) => [code, [0.3, 4]])),
    ...Object.fromEntries([18, 54].map((code) => [code, [0.5, 5]])),
    16: [12, 65],
  },
};

/** Landmarks and the labels that they lie in or touch. */
const HOME: Readonly<Record<PhantomKind, Readonly<Record<string, readonly number[]>>>> = {
  'heart-ct': {
    'mitral valve centre': [500, 420],
    'aortic valve centre': [500, 820],
    'tricuspid valve centre': [550, 600],
    'pulmonary valve centre': [600, 850],
    'left ventricular apex': [500],
    'septum midpoint': [205],
    'left ventricular lateral wall': [205],
    'left atrium centre': [420],
    'right atrium centre': [550],
    'left coronary ostium': [900],
    'right coronary ostium': [900],
    'pulmonary bifurcation': [850],
    'ascending aorta at the bifurcation': [820],
    'left inferior pulmonary vein ostium': [420],
    'superior cava at the right atrium': [550],
    'inferior cava at the right atrium': [550],
  },
  'brain-mr': {
    'pons centre': [16],
    'fourth ventricle centre': [15],
    'left frontal horn': [4],
    'right frontal horn': [43],
    'left atrium of the lateral ventricle': [4],
    'right thalamus centre': [49],
    'left caudate head': [11],
    'right putamen centre': [51],
    'left hippocampus head': [17],
    'genu of the corpus callosum': [2, 41],
  },
};

const cohorts = new Map<PhantomKind, Subject[]>();
function cohort(kind: PhantomKind): Subject[] {
  const known =
    cohorts.get(kind) ??
    Array.from({ length: SUBJECTS }, (_, subject) => renderSubject({ kind, seed: 7, subject, spacingMm: SPACING_MM }));
  cohorts.set(kind, known);
  return known;
}

/** How far the nearest voxel of one of the labels is from a point, in mm; searched within 8 voxels. */
function distanceToLabelMm({ labels: { geometry, data } }: Subject, positionMm: Xyz, codes: readonly number[]): number {
  const [nx, ny, nz] = geometry.size;
  const at = voxelAt(geometry, positionMm).map(Math.round) as unknown as Xyz;
  let nearest = Number.POSITIVE_INFINITY;
  for (let z = Math.max(0, at[2] - 8); z <= Math.min(nz - 1, at[2] + 8); z++) {
    for (let y = Math.max(0, at[1] - 8); y <= Math.min(ny - 1, at[1] + 8); y++) {
      for (let x = Math.max(0, at[0] - 8); x <= Math.min(nx - 1, at[0] + 8); x++) {
        if (codes.includes(data[(z * ny + y) * nx + x]))
          nearest = Math.min(nearest, length(subtract(voxelPosition(geometry, [x, y, z]), positionMm)));
      }
    }
  }
  return nearest;
}

describe.each(PHANTOM_KINDS)('%s phantoms', (kind) => {
  it('are the same bits for the same seed and differ for another seed or subject', () => {
    const [first] = cohort(kind);
    const again = renderSubject({ kind, seed: 7, subject: 0, spacingMm: SPACING_MM });
    expect(again).toEqual(first);
    expect(renderSubject({ kind, seed: 8, subject: 0, spacingMm: 8 }).facts).not.toEqual(first.facts);
    expect(cohort(kind)[1].landmarks).not.toEqual(first.landmarks);
  });

  it('have every structure, in plausible volume, in every subject', () => {
    const names = Object.fromEntries(Object.entries(labelsOf(kind)).map(([name, code]) => [code, name]));
    const odd = cohort(kind).flatMap(({ labels }, subject) => {
      const voxelMl = SPACING_MM ** 3 / 1000;
      const ml = new Map<number, number>();
      for (const code of labels.data) ml.set(code, (ml.get(code) ?? 0) + voxelMl);
      for (const code of ml.keys()) if (code !== 0) expect(names).toHaveProperty(String(code));
      return Object.entries(PLAUSIBLE_ML[kind]).flatMap(([code, [least, most]]) => {
        const volume = ml.get(Number(code)) ?? 0;
        return volume >= least && volume <= most ? [] : [`subject ${subject}: ${names[code]} ${volume.toFixed(2)} ml`];
      });
    });
    expect(odd).toEqual([]);
    expect(Object.keys(PLAUSIBLE_ML[kind]).sort()).toEqual(Object.keys(names).sort());
  });

  it('have the same landmarks, each in or at its structure and inside the field of view', () => {
    const astray = cohort(kind).flatMap((subject, number) => {
      expect(subject.landmarks.map(({ name }) => name)).toEqual(cohort(kind)[0].landmarks.map(({ name }) => name));
      return subject.landmarks.flatMap(({ name, positionMm }) => {
        expect(distanceToBorderMm(subject.image.geometry, positionMm)).toBeGreaterThan(5);
        const codes = HOME[kind][name];
        if (codes === undefined) return [];
        // Each of the structures that meet there is near.
        return codes.flatMap((code) => {
          const distanceMm = distanceToLabelMm(subject, positionMm, code === 2 || code === 41 ? [2, 41] : [code]);
          return distanceMm < 2.2 * SPACING_MM
            ? []
            : [`subject ${number}: ${name} is ${distanceMm.toFixed(1)} mm from label ${code}`];
        });
      });
    });
    expect(astray).toEqual([]);
    expect(cohort(kind)[0].landmarks.length).toBeGreaterThanOrEqual(12);
  });

  it('differ in pose, size and orientation, and fill their grids with sound numbers', () => {
    const subjects = cohort(kind);
    const angles = subjects.map(({ facts }) => (facts.rotationDegrees as number[])[2]);
    expect(Math.max(...angles) - Math.min(...angles)).toBeGreaterThan(5);
    expect(new Set(subjects.map(({ facts }) => facts.orientation)).size).toBeGreaterThan(1);
    for (const { image, labels } of subjects) {
      expect(image.data.length).toBe(voxelCount(image.geometry.size));
      expect(labels.data.length).toBe(image.data.length);
      expect(labels.geometry).toEqual(image.geometry);
    }
  });
});

describe('heart-ct phantoms', () => {
  it('have Hounsfield units as their contrast phase says', () => {
    for (const { image, labels, facts } of cohort('heart-ct')) {
      const mean = (code: number): number => {
        const values = [...image.data].filter((_, i) => labels.data[i] === code);
        return values.reduce((a, b) => a + b, 0) / values.length;
      };
      expect(Math.abs(mean(500) - (facts.leftHeartHu as number))).toBeLessThan(45);
      expect(Math.abs(mean(600) - (facts.rightVentricleHu as number))).toBeLessThan(45);
      expect(mean(205)).toBeGreaterThan(50);
      expect(mean(205)).toBeLessThan(190);
      expect(image.data.reduce((a, b) => Math.min(a, b), 0)).toBeGreaterThanOrEqual(-1024);
    }
  });
});

describe('pose', () => {
  it('scales how differently patients lie, and nothing else', () => {
    const [usual, alike] = [1, 0].map(
      (pose) => renderSubject({ kind: 'heart-ct', seed: 1, subject: 3, spacingMm: 8, pose }).facts,
    );
    expect(alike.rotationDegrees).toEqual([0, 0, 0]);
    expect(alike.heartRotationDegrees).toEqual([0, 0, 0]);
    expect(usual.rotationDegrees).not.toEqual([0, 0, 0]);
    expect(alike.bodyScale).toEqual(usual.bodyScale);
    expect(alike.heartScale).toEqual(usual.heartScale);
  });
});
