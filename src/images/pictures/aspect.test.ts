import { describe, expect, it } from 'vitest';
import type { Zyx } from '../../geometry/volume.ts';
import { featurePicture } from './feature-picture.ts';
import { pairPanel, pairPicture } from './pair-picture.ts';
import type { Picture } from './picture.ts';
import { segmentationPicture } from './segmentation-picture.ts';
import { PLANES } from './slices.ts';
import { volumesPicture } from './volumes-picture.ts';

const SIZE: Zyx = [24, 40, 30];
const SPACING: Zyx = [5, 1.5, 2];
const VOXELS = 24 * 40 * 30;
/** A ball of 24 mm about the middle, on voxels of three spacings. */
const ball = Float32Array.from({ length: VOXELS }, (_, at) => {
  const [z, y, x] = [Math.floor(at / 1200) - 12, (Math.floor(at / 30) % 40) - 20, (at % 30) - 15];
  return Math.hypot(5 * z, 1.5 * y, 2 * x) < 24 ? 1 : 0;
});

/** Width and height of what is white between two columns of a picture, by rows of panels. */
function extents({ width, data }: Picture, [left, right]: readonly [number, number], [top, bottom]: readonly [number, number]) {
  const [columns, rows] = [new Set<number>(), new Set<number>()];
  for (let y = top; y < bottom; y++)
    for (let x = left; x < right; x++)
      if (data[4 * (y * width + x)] > 200) {
        columns.add(x);
        rows.add(y);
      }
  return [columns.size, rows.size];
}

describe('pictures of voxels that are no cubes', () => {
  const panels = PLANES.map((plane) =>
    pairPanel(
      {
        ...{ size: SIZE, spacingMm: SPACING, moving: ball, fixed: ball, warped: ball },
        displacement: new Float32Array(3 * VOXELS),
      },
      'fixed',
      plane,
    ),
  );

  it('show a ball round, and sides as they are in the patient', () => {
    for (const panel of panels) {
      const [across, down] = extents(panel, [0, panel.width], [0, panel.height]);
      // 48 mm at three pixels for 1.5 mm; up to a voxel of 5 mm
      expect(Math.abs(across - 96)).toBeLessThan(11);
      expect(Math.abs(down - 96)).toBeLessThan(11);
    }
    // 60 x 60, 60 x 120 and 60 x 120 mm
    expect(panels.map(({ width, height }) => [width, height])).toEqual([
      [120, 120],
      [120, 240],
      [120, 240],
    ]);
  });

  it('lie in the same columns and rows whatever they are of', () => {
    const sizeOf = ({ width, height }: Picture): number[] => [width, height];
    const pair = pairPicture(
      {
        ...{ size: SIZE, spacingMm: SPACING, moving: ball, fixed: ball, warped: ball },
        displacement: new Float32Array(3 * VOXELS),
      },
      ['fixed', 'warped', 'grid'],
    );
    const labels = Uint8Array.from(ball);
    const volumes = volumesPicture(SIZE, [ball, ball, ball], SPACING);
    expect(sizeOf(volumes)).toEqual(sizeOf(pair));
    expect(sizeOf(volumes)).toEqual([4 + 3 * 124, 4 + 124 + 244 + 244]);
    const segmented = segmentationPicture({ size: SIZE, spacingMm: SPACING, image: ball, truth: labels, predicted: labels });
    expect(sizeOf(segmented)).toEqual(sizeOf(volumes));
    const features = featurePicture(SIZE, ball, [ball, ball, ball], SPACING);
    expect(features.height / features.width).toBeCloseTo((4 + 124 + 244 + 244) / (4 + 2 * 124), 5);
    // the outline of a label is where the ball ends: red, green and blue of a colour, not grey
    const [first, second] = [4, 4 + 124].map((left) => extents(segmented, [left, left + 120], [4 + 124, 4 + 124 + 240]));
    expect(Math.abs(first[0] - second[0])).toBeLessThan(11);
  });

  it('have the pixels of before where voxels are cubes', () => {
    const [flat, cubes] = [volumesPicture(SIZE, [ball]), volumesPicture(SIZE, [ball], [3, 3, 3])];
    expect(cubes).toEqual(flat);
    // five pixels a voxel
    expect(flat.width).toBe(8 + 5 * 40);
  });

  it('draw the grid of an identity evenly in millimetres', () => {
    const still = { size: SIZE, moving: ball, fixed: ball, warped: ball, displacement: new Float32Array(3 * VOXELS) };
    const grid = pairPanel({ ...still, spacingMm: SPACING }, 'grid', 'coronal', { gridSpacing: 4 });
    const row = Array.from({ length: grid.width }, (_, x) => grid.data[4 * (3 * grid.width + x)]);
    const lines = row.flatMap((value, x) => (value > 150 && value > (row[x - 1] ?? 0) && value >= (row[x + 1] ?? 0) ? [x] : []));
    const gaps = lines.slice(1).map((x, i) => x - lines[i]);
    // four voxels of 2 mm at two pixels a millimetre
    for (const gap of gaps) expect(Math.abs(gap - 16)).toBeLessThan(1.1);
    expect(gaps.length).toBeGreaterThan(4);
  });
});
