import { describe, expect, it } from 'vitest';
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import { randomStream } from '../../common/random.ts';
import type { Session } from '../../engine/backend.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { NO_HEADS, scaledArchitecture } from '../../model/architecture.ts';
import { subjectOf } from '../testing/subjects.ts';
import { classify, type FeatureLevel, featuresAt } from './dense-features.ts';
import { describeProbe, probe, probeLoss } from './probe.ts';
import { middleWindows } from './windows.ts';

describe('middleWindows', () => {
  it('covers a volume of up to two patches along each axis, and the middle of a larger one', () => {
    expect(middleWindows([5, 20, 50], [8, 16, 16])).toEqual({
      starts: [
        [-1, 0, 9],
        [-1, 0, 25],
        [-1, 4, 9],
        [-1, 4, 25],
      ],
      region: { start: [0, 0, 9], size: [5, 20, 32] },
    });
    expect(middleWindows([16, 16, 16], [16, 16, 16]).starts).toEqual([[0, 0, 0]]);
  });
});

describe('features of levels', () => {
  const window: Zyx = [2, 4, 6];
  /** One level at full size, one at half of it that begins a voxel before the window along x. */
  const random = randomStream(1, 'levels');
  const level = (channels: number, size: Zyx, scale: number, before: Zyx): FeatureLevel => ({
    channels,
    size,
    scale,
    before,
    data: Float32Array.from({ length: channels * voxelCount(size) }, () => random.normal()),
  });
  const levels = [level(2, window, 1, [0, 0, 0]), level(3, [1, 2, 4], 2, [0, 0, 1])];
  const all: Zyx[] = [];
  for (let z = 0; z < 2; z++) for (let y = 0; y < 4; y++) for (let x = 0; x < 6; x++) all.push([z, y, x]);

  it('are those of the voxel itself at full size, and lie between the centres of a coarser level', () => {
    const [row] = featuresAt(levels, window, [[1, 2, 3]]);
    const [fine, coarse] = levels;
    const at = (1 * 4 + 2) * 6 + 3;
    expect([row[0], row[1]]).toEqual([fine.data[at], fine.data[at + 48]]);
    // y 2 lies at (2.5 / 2 - 0.5) = 0.75, x 3 at (4.5 / 2 - 0.5) = 1.75
    const value = (y: number, x: number): number => coarse.data[y * 4 + x];
    const along = (y: number): number => 0.25 * value(y, 1) + 0.75 * value(y, 2);
    expect(row[2]).toBeCloseTo(0.25 * along(0) + 0.75 * along(1), 6);
  });

  it('are classified as if every voxel had them', () => {
    const classifier = {
      classes: 3,
      weights: Float64Array.from({ length: 15 }, () => random.normal()),
      biases: Float64Array.of(0.1, -0.2, 0),
    };
    const found: number[] = [];
    classify(levels, window, classifier, (_z, _y, row) => found.push(...row));
    const wanted = featuresAt(levels, window, all).map((row) => {
      const logits = [0, 1, 2].map((k) =>
        row.reduce((sum, value, j) => sum + classifier.weights[k * 5 + j] * value, classifier.biases[k]),
      );
      return logits.indexOf(Math.max(...logits));
    });
    expect(found).toEqual(wanted);
    expect(new Set(found).size).toBe(3);
  });
});

/** Subjects of 8^3 voxels: a box of 1 in each, at its own place; class by the box's size. */
const SIZE: Zyx = [8, 8, 8];
const subjects = (count: number, changes: Partial<Subject> = {}): Subject[] =>
  Array.from({ length: count }, (_, i) =>
    subjectOf(`s${i}`, SIZE, { labelCodes: [0, 7], class: i % 2 === 0 ? 'small' : 'large', ...changes }),
  );
const labelsOf = ({ id, class: name }: Subject): Uint8Array => {
  const [i, side] = [Number(id.slice(1)), name === 'large' ? 5 : 3];
  return Uint8Array.from({ length: 512 }, (_, at) => {
    const place = [at >> 6, (at >> 3) & 7, at & 7];
    return place.every((p) => p >= i % 3 && p < (i % 3) + side) ? 7 : 0;
  });
};
const reader: CohortReader = {
  readCrop: async (subject) => Float32Array.from(labelsOf(subject), (label) => (label === 7 ? 1 : 0)),
  readLabelCrop: async (subject) => (subject.labelCodes ? labelsOf(subject) : null),
};
/** A network whose first local feature is the image, with noise in the others; pooled: the image's mean. */
const session: Session = {
  memoryBytes: 0,
  readState: async () => new Float32Array(),
  writeState: async () => {},
  close: async () => {},
  run: async (_graph: string, { image }: Readonly<Record<string, Float32Array>>) => {
    const noise = randomStream(1, 'noise');
    const local = Float32Array.from({ length: 8 * 512 }, (_, i) => (i < 512 ? image[i] : 0.1 * noise.normal()));
    const mean = image.reduce((sum, value) => sum + value, 0) / image.length;
    return { local, pooled: Float32Array.from({ length: 64 }, (_, c) => (c === 0 ? mean : 0.001 * noise.normal())) };
  },
};
const request = {
  architecture: scaledArchitecture(0.125, { ...NO_HEADS, restoration: true }),
  patch: SIZE,
  reader,
  most: 4,
  seed: 1,
};

describe('probe', () => {
  it('finds labels that features tell apart, in subjects that it was not fitted on', async () => {
    const found = await probe(session, { ...request, training: subjects(6), heldOut: subjects(3) });
    expect(found).toMatchObject({
      kind: 'segmentation',
      fittedOn: 4,
      subjects: 3,
      dice: 1,
      dicePerLabel: [{ label: 7, dice: 1 }],
    });
    expect(probeLoss(found!)).toBe(0);
    expect(describeProbe(found!)).toBe('linear probe: Dice 1.000 on 3 held-out subjects');
  });

  it('probes classes where there are no label maps', async () => {
    const [training, heldOut] = [subjects(8, { labelCodes: null }), subjects(4, { labelCodes: null })];
    const found = await probe(session, { ...request, most: 8, training, heldOut });
    expect(found).toMatchObject({
      kind: 'classification',
      classes: ['large', 'small'],
      subjects: 4,
      accuracy: 1,
      balancedAccuracy: 1,
      auc: 1,
    });
    expect(probeLoss(found!)).toBe(0);
  });

  it('needs labels on both sides, and never looks at those of test subjects', async () => {
    const none = { labelCodes: null, class: null };
    expect(await probe(session, { ...request, training: subjects(4), heldOut: subjects(2, none) })).toBeNull();
    expect(await probe(session, { ...request, training: subjects(4, none), heldOut: subjects(2) })).toBeNull();
    expect(await probe(session, { ...request, training: subjects(4), heldOut: subjects(2, { split: 'test' }) })).toBeNull();
    const one = { labelCodes: null, class: 'small' };
    expect(await probe(session, { ...request, training: subjects(4, one), heldOut: subjects(2, one) })).toBeNull();
  });
});
