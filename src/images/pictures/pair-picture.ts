/**
 * What a person looks at to judge a matching: the pair before and after, how they differ, and how space was deformed, in the
 * middle slices of the three planes. Plain functions from volumes to pixels.
 */
import type { Zyx } from '../../geometry/volume.ts';
import { arrange, type Colour, type Picture, paint, setPixel } from './picture.ts';
import { PLANES, type Plane, paintSlice, pixelsOf, type Slice, sliceOf, zoomBy, zoomFor } from './slices.ts';

/** A matched pair on one grid of `size` voxels. Intensities in [0, 1]. */
export interface MatchedPair {
  readonly size: Zyx;
  /** Of the voxels, (z, y, x); as if they were cubes if left out. */
  readonly spacingMm?: Zyx;
  readonly moving: Float32Array;
  readonly fixed: Float32Array;
  readonly warped: Float32Array;
  /** (3, D, H, W): where in the moving image each voxel reads, less the voxel itself; voxels, components z, y, x. */
  readonly displacement: Float32Array;
  /** Label maps whose outlines are drawn on the picture of the same name. */
  readonly labels?: Partial<Readonly<Record<'moving' | 'fixed' | 'warped', ArrayLike<number>>>>;
}

export interface PictureOptions {
  /** Pixels a voxel, of unequal spacings along the finest; by default what makes the longest side about 200 pixels. */
  readonly zoom?: number;
  /** Voxels between the lines of the deformation grid. */
  readonly gridSpacing?: number;
}

/** What can be shown of a pair; `before` and `after` lay the fixed image (green) over the moving or warped one (magenta). */
export const PANELS = ['moving', 'fixed', 'warped', 'difference', 'grid', 'before', 'after'] as const;
export type Panel = (typeof PANELS)[number];

const LONGEST_SIDE_PIXELS = 200;
/** About eight lines across a small patch, and not a hatching on a large one. */
const gridSpacingFor = (size: Zyx): number => Math.max(3, Math.round(Math.max(...size) / 16));

const byte = (value: number): number => Math.round(255 * Math.min(1, Math.max(0, value)));
const grey = (value: number): Colour => [byte(value), byte(value), byte(value)];
/** Black is no difference, orange is brighter than it should be, blue darker. */
const signed = (value: number): Colour =>
  value > 0 ? [byte(value), byte(0.6 * value), 0] : [0, byte(-0.6 * value), byte(-value)];

/** A colour for a label code: hues by the golden angle, so that neighbouring codes differ clearly; pale enough to be seen on black. */
export function labelColour(code: number): Colour {
  const hue = ((code * 137.508) % 360) / 60;
  const part = (shift: number): number => byte(0.3 + 0.7 * Math.min(1, Math.max(0, Math.abs(((hue + shift) % 6) - 3) - 1)));
  return [part(0), part(4), part(2)];
}

/**
 * Draws the outline of every label, one pixel wide, inside it.
 * @param zoom pixels a voxel of `picture`, which shows `slice`; (z, y, x)
 */
export function drawOutlines(picture: Picture, labels: ArrayLike<number>, slice: Slice, zoom: Zyx): void {
  const { voxel } = pixelsOf(slice, zoom);
  const labelAt = (column: number, row: number): number =>
    column < 0 || row < 0 || column >= picture.width || row >= picture.height ? 0 : labels[voxel(column, row)];
  for (let row = 0; row < picture.height; row++) {
    for (let column = 0; column < picture.width; column++) {
      const label = labelAt(column, row);
      if (label === 0) continue;
      const inside =
        labelAt(column - 1, row) === label &&
        labelAt(column + 1, row) === label &&
        labelAt(column, row - 1) === label &&
        labelAt(column, row + 1) === label;
      if (!inside) setPixel(picture, column, row, labelColour(label));
    }
  }
}

/** Where the pixels of a slice read in the moving image, in voxels along the picture's columns and rows (as the picture runs). */
function readingPositions(
  displacement: Float32Array,
  voxels: number,
  slice: Slice,
  zoom: Zyx,
): { column: Float64Array; row: Float64Array } {
  const { width, height, columnAxis, rowAxis, offset } = slice;
  const {
    width: pixelsWide,
    height: pixelsHigh,
    zoom: [across, down],
  } = pixelsOf(slice, zoom);
  const column = new Float64Array(pixelsWide * pixelsHigh);
  const row = new Float64Array(pixelsWide * pixelsHigh);
  const clamp = (value: number, most: number): number => Math.min(most, Math.max(0, value));
  for (let y = 0; y < pixelsHigh; y++) {
    const r = clamp((y + 0.5) / down - 0.5, height - 1);
    const r0 = Math.min(Math.floor(r), Math.max(0, height - 2));
    const r1 = Math.min(r0 + 1, height - 1);
    for (let x = 0; x < pixelsWide; x++) {
      const c = clamp((x + 0.5) / across - 0.5, width - 1);
      const c0 = Math.min(Math.floor(c), Math.max(0, width - 2));
      const c1 = Math.min(c0 + 1, width - 1);
      const between = (axis: number): number => {
        const at = (cc: number, rr: number): number => displacement[axis * voxels + offset(cc, rr)];
        const upper = at(c0, r0) + (at(c1, r0) - at(c0, r0)) * (c - c0);
        const lower = at(c0, r1) + (at(c1, r1) - at(c0, r1)) * (c - c0);
        return upper + (lower - upper) * (r - r0);
      };
      // The data's axes run against the picture's.
      column[y * pixelsWide + x] = (x + 0.5) / across - 0.5 - between(columnAxis);
      row[y * pixelsWide + x] = (y + 0.5) / down - 0.5 - between(rowAxis);
    }
  }
  return { column, row };
}

/**
 * The moving image's regular grid as the field carries it onto the fixed one: lines where the reading position crosses a
 * multiple of the spacing, smooth at any deformation. Red where the slice is folded. Motion through the slice is not shown.
 */
function drawGrid(displacement: Float32Array, voxels: number, slice: Slice, zoom: Zyx, spacing: number): Picture {
  const { column, row } = readingPositions(displacement, voxels, slice, zoom);
  const { width, height } = pixelsOf(slice, zoom);
  // The lines are placed about the middle, so that an identity is drawn evenly.
  const middle = [(slice.width - 1) / 2, (slice.height - 1) / 2] as const;
  return paint(width, height, (x, y) => {
    const at = y * width + x;
    const right = at + (x + 1 < width ? 1 : -1);
    const below = at + (y + 1 < height ? width : -width);
    const slope = (positions: Float64Array): readonly [number, number] => [
      (positions[right] - positions[at]) * (right - at),
      (positions[below] - positions[at]) * Math.sign(below - at),
    ];
    const [columnSlope, rowSlope] = [slope(column), slope(row)];
    /** Distance in pixels to the nearest line, from the position and how fast it changes. */
    const distance = (position: number, [alongX, alongY]: readonly [number, number]): number => {
      const lines = position / spacing;
      return (Math.abs(lines - Math.round(lines)) * spacing) / Math.max(Math.hypot(alongX, alongY), 1e-3 / Math.min(...zoom));
    };
    const nearest = Math.min(distance(column[at] - middle[0], columnSlope), distance(row[at] - middle[1], rowSlope));
    const line = Math.min(1, Math.max(0, 1.1 - nearest));
    const folded = columnSlope[0] * rowSlope[1] - columnSlope[1] * rowSlope[0] <= 0;
    const ground = folded ? 0.5 : 0.07;
    return [byte(ground + line * 0.9), byte(0.07 + line * 0.85), byte(0.08 + line * 0.7)];
  });
}

/** Refuses, as a defect of the caller, arrays that do not belong to the size. */
function check({ size, moving, fixed, warped, displacement, labels = {} }: MatchedPair): number {
  const voxels = size[0] * size[1] * size[2];
  for (const [name, array] of Object.entries({ moving, fixed, warped, ...labels }))
    if (array.length !== voxels)
      throw new Error(`pair picture: ${name} has ${array.length} voxels, size ${size.join('x')} needs ${voxels}`);
  if (displacement.length !== 3 * voxels)
    throw new Error(`pair picture: displacement has ${displacement.length} values, expected ${3 * voxels}`);
  return voxels;
}

/** One panel in one plane. @param index of the slice; the middle if left out */
export function pairPanel(pair: MatchedPair, panel: Panel, plane: Plane, options: PictureOptions = {}, index?: number): Picture {
  const voxels = check(pair);
  const { size, spacingMm, moving, fixed, warped, displacement, labels = {} } = pair;
  const zoom = options.zoom === undefined ? zoomFor(size, LONGEST_SIDE_PIXELS, spacingMm) : zoomBy(options.zoom, spacingMm);
  const { gridSpacing = gridSpacingFor(size) } = options;
  const slice = sliceOf(size, plane, index);
  const show = (colourOf: (voxel: number) => Colour): Picture => paintSlice(slice, zoom, colourOf);
  switch (panel) {
    case 'moving':
    case 'fixed':
    case 'warped': {
      const picture = show((voxel) => grey(pair[panel][voxel]));
      if (labels[panel]) drawOutlines(picture, labels[panel], slice, zoom);
      return picture;
    }
    case 'difference':
      return show((voxel) => signed(warped[voxel] - fixed[voxel]));
    case 'grid':
      return drawGrid(displacement, voxels, slice, zoom, gridSpacing);
    case 'before':
    case 'after': {
      const over = panel === 'before' ? moving : warped;
      return show((voxel) => [byte(over[voxel]), byte(fixed[voxel]), byte(over[voxel])]);
    }
    default:
      return panel satisfies never;
  }
}

/** The strip: a row for each plane, a column for each panel. */
export function pairPicture(
  pair: MatchedPair,
  panels: readonly Panel[] = ['moving', 'fixed', 'warped', 'difference', 'grid'],
  options: PictureOptions = {},
): Picture {
  return arrange(PLANES.map((plane) => panels.map((panel) => pairPanel(pair, panel, plane, options))));
}
