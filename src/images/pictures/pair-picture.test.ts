import { writeFileSync } from 'node:fs';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import type { Zyx } from '../../geometry/volume.ts';
import { labelColour, type MatchedPair, PANELS, pairPanel, pairPicture } from './pair-picture.ts';
import { arrange, type Picture, paint } from './picture.ts';
import { encodePng } from './png.ts';

/** A head-like pair: an ellipsoid with two ventricles and a bright spot at the patient's right front top; the moving one is bent. */
function example(): MatchedPair {
  const size: Zyx = [40, 56, 48];
  const voxels = 40 * 56 * 48;
  const head = (z: number, y: number, x: number): [number, number] => {
    const r = ((z - 19) / 17) ** 2 + ((y - 28) / 24) ** 2 + ((x - 24) / 20) ** 2;
    const ventricle = (side: number): boolean => ((z - 20) / 6) ** 2 + ((y - 28) / 11) ** 2 + ((x - 24 - 6 * side) / 4) ** 2 < 1;
    if (ventricle(-1)) return [0.15, 1];
    if (ventricle(1)) return [0.15, 2];
    if (((z - 28) / 3) ** 2 + ((y - 42) / 3) ** 2 + ((x - 32) / 3) ** 2 < 1) return [1, 3];
    return r < 1 ? [r > 0.85 ? 0.85 : 0.5 + 0.1 * Math.sin(x / 2) * Math.sin(y / 2), 0] : [0, 0];
  };
  const [moving, fixed, warped] = [new Float32Array(voxels), new Float32Array(voxels), new Float32Array(voxels)];
  const labels = { moving: new Uint8Array(voxels), fixed: new Uint8Array(voxels), warped: new Uint8Array(voxels) };
  const displacement = new Float32Array(3 * voxels);
  for (let z = 0, at = 0; z < 40; z++) {
    for (let y = 0; y < 56; y++) {
      for (let x = 0; x < 48; x++, at++) {
        const bump = Math.exp(-(((z - 20) / 10) ** 2 + ((y - 24) / 10) ** 2 + ((x - 20) / 10) ** 2));
        const move = [4 * bump, 6 * bump, -5 * bump + 0.1 * (x - 24)] as const;
        for (const axis of [0, 1, 2] as const) displacement[axis * voxels + at] = move[axis];
        [fixed[at], labels.fixed[at]] = head(z, y, x);
        [moving[at], labels.moving[at]] = head(z - move[0], y - move[1], x - move[2]);
        [warped[at], labels.warped[at]] = head(z + 0.3 * bump, y, x - 0.5 * bump);
      }
    }
  }
  return { size, moving, fixed, warped, displacement, labels };
}

const pixel = ({ width, data }: Picture, column: number, row: number): number[] => [
  ...data.subarray(4 * (row * width + column), 4 * (row * width + column) + 3),
];
const pairOf = (size: Zyx, lit: readonly [number, number, number] | undefined, displacement?: Float32Array): MatchedPair => {
  const voxels = size[0] * size[1] * size[2];
  const image = new Float32Array(voxels);
  if (lit) image[(lit[0] * size[1] + lit[1]) * size[2] + lit[2]] = 1;
  return {
    size,
    moving: image,
    fixed: new Float32Array(voxels),
    warped: image,
    displacement: displacement ?? new Float32Array(3 * voxels),
  };
};

describe('pair pictures', () => {
  it("show the patient's right on the left, anterior and superior up", () => {
    // Right (x high), anterior (y high), superior (z high), each slice through the lit voxel.
    const pair = pairOf([4, 5, 6], [3, 4, 5]);
    expect(pixel(pairPanel(pair, 'moving', 'axial', { zoom: 1 }, 3), 0, 0)).toEqual([255, 255, 255]);
    expect(pixel(pairPanel(pair, 'moving', 'coronal', { zoom: 1 }, 4), 0, 0)).toEqual([255, 255, 255]);
    expect(pixel(pairPanel(pair, 'moving', 'sagittal', { zoom: 1 }, 5), 0, 0)).toEqual([255, 255, 255]);
    const axial = pairPanel(pair, 'moving', 'axial', { zoom: 3 });
    expect([axial.width, axial.height]).toEqual([18, 15]);
  });

  it('colour differences by their sign and overlays by their image', () => {
    const pair = pairOf([2, 2, 2], [1, 1, 1]);
    expect(pixel(pairPanel(pair, 'difference', 'axial', { zoom: 1 }), 0, 0)).toEqual([255, 153, 0]);
    expect(
      pixel(pairPanel({ ...pair, warped: pair.fixed, fixed: pair.moving }, 'difference', 'axial', { zoom: 1 }), 0, 0),
    ).toEqual([0, 153, 255]);
    expect(pixel(pairPanel(pair, 'before', 'axial', { zoom: 1 }), 0, 0)).toEqual([255, 0, 255]);
    expect(pixel(pairPanel({ ...pair, fixed: pair.moving }, 'after', 'axial', { zoom: 1 }), 0, 0)).toEqual([255, 255, 255]);
  });

  it('draw an undeformed grid straight and even, move it against the displacement, and mark folds red', () => {
    const size: Zyx = [1, 9, 17];
    const brightColumns = (pair: MatchedPair): number[] => {
      const grid = pairPanel(pair, 'grid', 'axial', { zoom: 1, gridSpacing: 4 });
      return Array.from({ length: 17 }, (_, x) => x).filter((x) => pixel(grid, x, 2)[0] > 200);
    };
    expect(brightColumns(pairOf(size, undefined))).toEqual([0, 4, 8, 12, 16]);
    // Reading one voxel further in +x (left in the picture): what was drawn at column c - 1 is now at column c.
    const along = (of: (x: number) => number): Float32Array =>
      Float32Array.from({ length: 3 * 9 * 17 }, (_, i) => (i >= 2 * 9 * 17 ? of(i % 17) : 0));
    expect(
      brightColumns(
        pairOf(
          size,
          undefined,
          along(() => 1),
        ),
      ),
    ).toEqual([1, 5, 9, 13]);
    const folded = pairPanel(
      pairOf(
        size,
        undefined,
        along((x) => -2 * x),
      ),
      'grid',
      'axial',
      { zoom: 1, gridSpacing: 4 },
    );
    const [red, green] = pixel(folded, 6, 2) as [number, number];
    expect(red - green).toBeGreaterThan(90);
  });

  it('outline labels on the picture of the same name', () => {
    const labels = new Uint8Array(1 * 5 * 5);
    for (const at of [6, 7, 8, 11, 12, 13, 16, 17, 18]) labels[at] = 2;
    const picture = pairPanel({ ...pairOf([1, 5, 5], undefined), labels: { fixed: labels } }, 'fixed', 'axial', { zoom: 1 });
    expect(pixel(picture, 1, 1)).toEqual([...labelColour(2)]);
    expect(pixel(picture, 2, 2)).toEqual([0, 0, 0]);
    expect(pixel(picture, 0, 0)).toEqual([0, 0, 0]);
  });

  it('arrange pictures of different sizes and survive the way through PNG', () => {
    const red = paint(3, 2, () => [255, 0, 0]);
    const whole = arrange([[red, red], [paint(1, 4, () => [0, 255, 0])]], 1);
    expect([whole.width, whole.height]).toEqual([1 + 3 + 1 + 3 + 1, 1 + 2 + 1 + 4 + 1]);
    expect(pixel(whole, 2, 5)).toEqual([0, 255, 0]);
    const back = decode(encodePng(whole));
    expect([back.width, back.height, back.channels]).toEqual([whole.width, whole.height, 4]);
    expect(Uint8Array.from(back.data)).toEqual(whole.data);
  });

  it('make the strip of a pair', () => {
    const picture = pairPicture(example(), PANELS);
    expect(picture.width).toBeGreaterThan(7 * 48 * 4);
    // GVSL_PICTURES=FOLDER keeps it, to look at.
    if (process.env.GVSL_PICTURES) writeFileSync(`${process.env.GVSL_PICTURES}/pair.png`, encodePng(picture));
  });

  it('refuse arrays of another size', () => {
    const pair = pairOf([2, 2, 2], undefined);
    expect(() => pairPicture({ ...pair, warped: new Float32Array(7) })).toThrow('warped has 7 voxels');
    expect(() => pairPicture({ ...pair, displacement: new Float32Array(8) })).toThrow('displacement has 8 values');
  });
});
