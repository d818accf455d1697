/**
 * A segmented scan at a glance: three planes through the structures with their outlines, and a legend. Planes lie as radiologists look at them
 * (slices.ts), pixels are square in the patient, whatever the voxels. The image is looked at plane by plane.
 */
import { type RasOrder, rasOrder } from '../../geometry/orientation.ts';
import { perAxis, type Volume, type VoxelArray, type Xyz } from '../../geometry/volume.ts';
import { labelColour } from './pair-picture.ts';
import { arrange, type Colour, type Picture, paint, setPixel } from './picture.ts';
import { drawText, textSize } from './text.ts';

/** Axes (0 = x, 1 = y, 2 = z of RAS) along the columns and rows of each plane, the one looked along, and which sides are left and up. */
const PLANES = [
  { column: 0, row: 1, normal: 2, letters: 'RA' },
  { column: 0, row: 2, normal: 1, letters: 'RS' },
  { column: 1, row: 2, normal: 0, letters: 'AS' },
] as const;

const LONGEST_SIDE_PIXELS = 320;
/** Shares of the shown voxels that are black and white. */
const [BLACK, WHITE] = [0.01, 0.99];
const GROUND: Colour = [24, 24, 28];
const TEXT: Colour = [230, 230, 230];

/** A line of the legend. */
export interface LegendLine {
  readonly code: number;
  readonly text: string;
}

/** Makes the picture of a segmented scan from its planes. */
export class PreviewPicture {
  private readonly labels: Volume;
  private readonly order: RasOrder;
  /** Index of the slice along each axis of RAS. */
  private readonly at: Xyz;
  /** By plane: the intensities, columns along the first axis. */
  private readonly slices: readonly Float32Array[];

  /** @param labels on the scan's own grid; the slices that show most of them are taken, else the middle ones */
  constructor(labels: Volume) {
    const order = rasOrder(labels.geometry);
    this.labels = labels;
    this.order = order;
    const stored = fullestSlices(labels);
    const { size } = order.geometry;
    this.at = perAxis(order.axes, (axis, k) => (order.step[k] < 0 ? size[k] - 1 - stored[axis] : stored[axis]));
    this.slices = PLANES.map(({ column, row }) => new Float32Array(size[column] * size[row]));
  }

  private place(x: number, y: number, z: number): number {
    const { first, step } = this.order;
    return first + x * step[0] + y * step[1] + z * step[2];
  }

  /** Adds plane z of the scan, as it is stored. */
  add(z: number, plane: VoxelArray): void {
    const { axes, step, geometry } = this.order;
    const along = axes.indexOf(2);
    const index = step[along] < 0 ? geometry.size[along] - 1 - z : z;
    PLANES.forEach(({ column, row, normal }, k) => {
      if (normal === along && this.at[normal] !== index) return;
      const position: [number, number, number] = [this.at[0], this.at[1], this.at[2]];
      const [width, height] = [geometry.size[column], geometry.size[row]];
      for (let r = row === along ? index : 0; r < (row === along ? index + 1 : height); r++)
        for (let c = column === along ? index : 0; c < (column === along ? index + 1 : width); c++) {
          position[column] = c;
          position[row] = r;
          this.slices[k][r * width + c] =
            plane[this.place(...position) - z * this.labels.geometry.size[0] * this.labels.geometry.size[1]];
        }
    });
  }

  /** The picture, once all planes were added. */
  picture(legend: readonly LegendLine[]): Picture {
    const { size, spacingMm } = this.order.geometry;
    const sidesMm = perAxis(size, (n, k) => n * spacingMm[k]);
    const pixelsPerMm = LONGEST_SIDE_PIXELS / Math.max(...sidesMm);
    const shown = Float32Array.from(this.slices.flatMap((slice) => [...slice.filter(Number.isFinite)])).sort();
    const level = (share: number): number => shown[Math.round(share * (shown.length - 1))] ?? 0;
    const [low, high] = [level(BLACK), level(WHITE)];
    const panels = PLANES.map(({ column, row, letters }, k) => {
      const [width, height] = [column, row].map((axis) => Math.max(1, Math.round(sidesMm[axis] * pixelsPerMm))) as [
        number,
        number,
      ];
      /** The voxel along an axis that a pixel shows: pictures run against the axes. */
      const voxel = (pixel: number, pixels: number, axis: number): number =>
        size[axis] - 1 - Math.min(size[axis] - 1, Math.floor(((pixel + 0.5) * size[axis]) / pixels));
      const picture = paint(width, height, (x, y) => {
        const value = this.slices[k][voxel(y, height, row) * size[column] + voxel(x, width, column)];
        const grey = Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low || 1)))) || 0;
        return [grey, grey, grey];
      });
      const position: [number, number, number] = [this.at[0], this.at[1], this.at[2]];
      const labelAt = (x: number, y: number): number => {
        if (x < 0 || y < 0 || x >= width || y >= height) return 0;
        position[column] = voxel(x, width, column);
        position[row] = voxel(y, height, row);
        return this.labels.data[this.place(...position)];
      };
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const label = labelAt(x, y);
          if (label === 0) continue;
          const isInside = [labelAt(x - 1, y), labelAt(x + 1, y), labelAt(x, y - 1), labelAt(x, y + 1)].every(
            (one) => one === label,
          );
          if (!isInside) setPixel(picture, x, y, labelColour(label));
        }
      drawText(picture, letters[0], 3, (height >> 1) - 4, TEXT);
      drawText(picture, letters[1], (width >> 1) - 3, 3, TEXT);
      return picture;
    });
    const planes = arrange([panels], 4, GROUND);
    return arrange([[planes], ...(legend.length > 0 ? [[legendPicture(legend, planes.width)]] : [])], 0, GROUND);
  }
}

/** Lines with a coloured square each, in as many columns as find room. */
function legendPicture(legend: readonly LegendLine[], width: number): Picture {
  const zoom = 2;
  const [square, gap, line] = [14, 8, 22];
  const longest = Math.max(...legend.map(({ text }) => textSize(text, zoom).width));
  const cell = square + 2 * gap + longest;
  const columns = Math.max(1, Math.min(legend.length, Math.floor(width / cell)));
  const rows = Math.ceil(legend.length / columns);
  const picture = paint(Math.max(width, cell), rows * line + gap, () => GROUND);
  legend.forEach(({ code, text }, k) => {
    const [left, top] = [gap + Math.floor(k / rows) * cell, gap + (k % rows) * line];
    for (let y = 0; y < square; y++) for (let x = 0; x < square; x++) setPixel(picture, left + x, top + y, labelColour(code));
    drawText(picture, text, left + square + gap, top, TEXT, zoom);
  });
  return picture;
}

/** The slice along each stored axis (x, y, z) that shows most of what is labelled, else the middle one. */
function fullestSlices({ geometry: { size }, data }: Volume): Xyz {
  const [nx, ny, nz] = size;
  const counts = size.map((n) => new Uint32Array(n));
  for (let z = 0, i = 0; z < nz; z++)
    for (let y = 0; y < ny; y++)
      for (let x = 0; x < nx; x++, i++) {
        if (data[i] === 0) continue;
        counts[0][x]++;
        counts[1][y]++;
        counts[2][z]++;
      }
  return perAxis(size, (n, axis) => {
    const along = counts[axis];
    const most = along.reduce((best, count, k) => (count > along[best] ? k : best), 0);
    return along[most] === 0 ? n >> 1 : most;
  });
}
