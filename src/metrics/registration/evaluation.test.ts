import { describe, expect, it } from 'vitest';
import { affineMatrix } from '../../geometry/affine-matrix.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { IDENTITY_SPATIAL } from '../../methods/augmentation/spatial/spatial.ts';
import { labelOverlap } from '../label-overlap.ts';
import { affineDisplacement, displacementAt, insideShare } from './displacement.ts';
import { foldedShare, jacobianDeterminant } from './jacobian.ts';
import { targetRegistrationError } from './landmark-error.ts';
import { warpLabels } from './warp-labels.ts';

const SIZE: Zyx = [4, 5, 6];

/** The displacement (3, D, H, W) whose components at (z, y, x) are what `at` says. */
function field([depth, height, width]: Zyx, at: (z: number, y: number, x: number) => readonly number[]): Float32Array {
  const voxels = depth * height * width;
  const displacement = new Float32Array(3 * voxels);
  for (let i = 0; i < voxels; i++) {
    const shift = at(Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width);
    for (let c = 0; c < 3; c++) displacement[c * voxels + i] = shift[c];
  }
  return displacement;
}
const still = field(SIZE, () => [0, 0, 0]);

describe('affineDisplacement', () => {
  it('is zero for the identity and the translation for a translation', () => {
    expect(affineDisplacement(affineMatrix(IDENTITY_SPATIAL), SIZE)).toEqual(still);
    const shifted = affineDisplacement(affineMatrix({ ...IDENTITY_SPATIAL, translationVoxels: [1, 2, 3] }), SIZE);
    expect(shifted).toEqual(field(SIZE, () => [3, 2, 1]));
  });

  it('scales about the centre, each axis by its own factor', () => {
    const doubledX = affineDisplacement([2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], SIZE);
    expect(doubledX).toEqual(field(SIZE, (_z, _y, x) => [0, 0, x - 2.5]));
    expect(() => affineDisplacement([1, 2, 3], SIZE)).toThrow('12 numbers, got 3');
  });
});

describe('jacobianDeterminant', () => {
  it('is 1 for no displacement and for any translation, on axes of one voxel too', () => {
    for (const size of [SIZE, [1, 1, 1], [1, 3, 2]] as Zyx[]) {
      const shift = field(size, () => [1.5, -2, 7]);
      expect(jacobianDeterminant(shift, size).every((determinant) => determinant === 1)).toBe(true);
      expect(foldedShare(shift, size)).toBe(0);
    }
  });

  it('is the determinant of a linear map everywhere, border included', () => {
    const scaling = field(SIZE, (z, y, x) => [0.5 * z, y, -0.25 * x]);
    for (const determinant of jacobianDeterminant(scaling, SIZE)) expect(determinant).toBeCloseTo(1.5 * 2 * 0.75, 6);
    const parameters = {
      rotationRadians: [0.3, -0.2, 0.4],
      scale: [0.8, 1.2, 1.1],
      shearRadians: [0, 0, 0, 0, 0, 0],
      translationVoxels: [1, 0, 2],
    } as const;
    const determinants = jacobianDeterminant(affineDisplacement(affineMatrix(parameters), SIZE), SIZE);
    for (const determinant of determinants) expect(determinant).toBeCloseTo(0.8 * 1.2 * 1.1, 5);
  });

  it('finds a mirror folded everywhere, and a crease where it is', () => {
    expect(
      foldedShare(
        field(SIZE, (_z, _y, x) => [0, 0, -2 * x]),
        SIZE,
      ),
    ).toBe(1);
    // One voxel of a row reaches back by two: central differences see it at its left neighbour (0 + 1 - 2/2 = 0) and at no other.
    const crease = field([1, 1, 6], (_z, _y, x) => [0, 0, x === 3 ? -2 : 0]);
    expect([...jacobianDeterminant(crease, [1, 1, 6])]).toEqual([1, 1, 0, 1, 2, 1]);
    expect(foldedShare(crease, [1, 1, 6])).toBeCloseTo(1 / 6, 12);
  });

  it('counts what is not a number as folded', () => {
    expect(
      foldedShare(
        field([1, 1, 3], () => [0, 0, Number.NaN]),
        [1, 1, 3],
      ),
    ).toBe(1);
  });
});

describe('insideShare', () => {
  it('is all for no displacement and loses a layer for one voxel', () => {
    expect(insideShare(still, SIZE)).toBe(1);
    expect(
      insideShare(
        field(SIZE, () => [1, 0, 0]),
        SIZE,
      ),
    ).toBeCloseTo(3 / 4, 12);
    expect(
      insideShare(
        field(SIZE, () => [0, 0, -1]),
        SIZE,
      ),
    ).toBeCloseTo(5 / 6, 12);
    expect(
      insideShare(
        field(SIZE, () => [0, 99, 0]),
        SIZE,
      ),
    ).toBe(0);
  });
});

describe('warpLabels', () => {
  const labels = Uint8Array.from({ length: 120 }, (_, i) => i);

  it('returns the labels, in their type, for no displacement', () => {
    expect(warpLabels(labels, SIZE, still)).toEqual(labels);
    expect(warpLabels(Int16Array.from(labels), SIZE, still)).toBeInstanceOf(Int16Array);
  });

  it('reads the next voxel for a displacement by one, zero beyond the end, and the nearest in between', () => {
    const next = Uint8Array.from(labels, (label) => (label % 6 === 5 ? 0 : label + 1));
    expect(
      warpLabels(
        labels,
        SIZE,
        field(SIZE, () => [0, 0, 1]),
      ),
    ).toEqual(next);
    expect(
      warpLabels(
        labels,
        SIZE,
        field(SIZE, () => [0, 0, 0.6]),
      ),
    ).toEqual(next);
    expect(
      warpLabels(
        labels,
        SIZE,
        field(SIZE, () => [0.4, -0.4, 0.4]),
      ),
    ).toEqual(labels);
  });
});

describe('labelOverlap', () => {
  it('is the Dice of each label, by hand', () => {
    // 1: 2 in a, 3 in b, 2 in both: 4/5. 2: 2, 1, 1: 2/3. 5: in b alone: 0.
    const overlap = labelOverlap(Uint8Array.of(1, 1, 2, 2, 0, 0, 0), Uint8Array.of(1, 1, 1, 2, 0, 5, 0));
    expect(overlap.labels).toEqual([
      { label: 1, dice: 4 / 5 },
      { label: 2, dice: 2 / 3 },
      { label: 5, dice: 0 },
    ]);
    expect(overlap.meanDice).toBeCloseTo((4 / 5 + 2 / 3) / 3, 12);
    expect(overlap.absent).toEqual([]);
  });

  it('leaves a label that neither holds out of the mean, and names it', () => {
    const overlap = labelOverlap(Uint16Array.of(205, 0), Uint16Array.of(205, 205), [0, 205, 420]);
    expect(overlap).toEqual({ labels: [{ label: 205, dice: 2 / 3 }], absent: [420], meanDice: 2 / 3 });
    expect(labelOverlap(Uint8Array.of(0), Uint8Array.of(0))).toEqual({ labels: [], absent: [], meanDice: Number.NaN });
    expect(() => labelOverlap(Uint8Array.of(0), Uint8Array.of(0, 1))).toThrow('got 1 and 2 voxels');
  });
});

describe('displacementAt', () => {
  it('is trilinear between voxels and that of the border beyond it', () => {
    const linear = field(SIZE, (z, y, x) => [z + 2 * y, x, z - x]);
    expect(displacementAt(linear, SIZE, [1.5, 2.25, 3.75])).toEqual([6, 3.75, -2.25]);
    expect(displacementAt(linear, SIZE, [-3, 9, 2])).toEqual([8, 2, -2]);
    expect(displacementAt(linear, SIZE, [3, 4, 5])).toEqual([11, 5, -2]);
  });
});

describe('targetRegistrationError', () => {
  const fixedPoints: Zyx[] = [
    [1, 2, 3],
    [2, 2.5, 1],
  ];
  const movingPoints: Zyx[] = [
    [2, 2, 3],
    [2, 2.5, 2],
  ];
  const spacingMm = [0.5, 1, 2] as const;

  it('is in millimetres, each axis by its own spacing', () => {
    const before = targetRegistrationError(fixedPoints, movingPoints, null, SIZE, spacingMm);
    expect(before).toEqual({ distancesMm: [2, 0.5], meanMm: 1.25 });
    expect(targetRegistrationError(fixedPoints, movingPoints, still, SIZE, spacingMm)).toEqual(before);
  });

  it('falls to nothing for the displacement that carries fixed landmarks onto moving ones', () => {
    const shift = field(SIZE, () => [1, 0, 0]);
    expect(targetRegistrationError(fixedPoints, movingPoints, shift, SIZE, spacingMm).distancesMm[0]).toBe(0);
    const backwards = field(SIZE, () => [-1, 0, 0]);
    expect(targetRegistrationError(fixedPoints, movingPoints, backwards, SIZE, spacingMm).distancesMm[0]).toBe(4);
  });

  it('is not a number without landmarks, and refuses landmarks without partner', () => {
    expect(targetRegistrationError([], [], null, SIZE, spacingMm).meanMm).toBeNaN();
    expect(() => targetRegistrationError(fixedPoints, [], null, SIZE, spacingMm)).toThrow('got 0 and 2');
  });
});
