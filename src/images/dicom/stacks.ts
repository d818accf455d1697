/**
 * Which frames belong to one volume, and the grid that they lie on.
 *
 * Frames of one series are told apart by size, orientation and pixel spacing, compared within tolerances; then, where they collide,
 * interleave or lie beside the grid of the others, by what their headers state (acquisition, time, echo, ...). Afterwards every frame is
 * checked against the grid: a missing slice is interpolated and said, a frame beside the grid is refused. A tilted gantry stays as a shear.
 */
import { RunError } from '../../common/errors.ts';
import { cross, geometryOf } from '../../geometry/affine.ts';
import { type Geometry, matrix3, perAxis, type Xyz } from '../../geometry/volume.ts';
import { shearWarnings } from '../loaded-image.ts';
import type { DicomFile, DicomFrame } from './frames.ts';

/** Frames of one volume, sorted along the slice normal. */
export interface DicomStack {
  readonly frames: readonly DicomFrame[];
  /** What tells it from other stacks of its series: 'acquisition number 2'; empty if nothing had to. */
  readonly distinction: string;
  readonly warnings: readonly string[];
}

const dot = (a: Xyz, b: Xyz): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a: Xyz, b: Xyz): Xyz => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[(values.length - 1) >> 1];

/** Frames whose corners would come apart by more than this share of a pixel lie in different planes. */
const PLANE_TOLERANCE_PIXELS = 0.25;
/** A frame that lies further beside the grid than this share of a pixel is refused. */
const GRID_TOLERANCE_PIXELS = 0.25;
/** Slices may be off an even spacing by this share of it (and 0.01 mm): headers round positions. */
const SPACING_TOLERANCE = 0.05;
const ROUNDING_MM = 0.01;
/** Gaps of more than this many usual distances part stacks; they are not interpolated. */
const MAX_GAP = 10;

const normalOf = (frame: DicomFrame): Xyz => cross(frame.rowDirection, frame.columnDirection);
const isLocalizer = (frame: DicomFrame): boolean => /LOCALI[SZ]ER/i.test(frame.imageType);
const pixelOf = (frame: DicomFrame): number => Math.min(...(frame.spacingMm ?? [1, 1]));

/** True if two frames have the same orientation and pixel spacing, as nearly as it matters at their corners. */
function samePlane(a: DicomFrame, b: DicomFrame): boolean {
  if ((a.spacingMm === null) !== (b.spacingMm === null)) return false;
  const [sa, sb] = [a.spacingMm ?? [1, 1], b.spacingMm ?? [1, 1]];
  const { columns, rows } = a.file;
  const edge = (da: Xyz, db: Xyz, la: number, lb: number): number => Math.hypot(...da.map((v, k) => v * la - db[k] * lb));
  const apart = Math.max(
    edge(a.rowDirection, b.rowDirection, sa[0] * columns, sb[0] * columns),
    edge(a.columnDirection, b.columnDirection, sa[1] * rows, sb[1] * rows),
  );
  return (
    apart <= PLANE_TOLERANCE_PIXELS * pixelOf(a) &&
    sa.every((s, k) => Math.abs(s - sb[k]) <= 0.01 * s) &&
    dot(a.rowDirection, b.rowDirection) > 0.9998 &&
    dot(a.columnDirection, b.columnDirection) > 0.9998
  );
}

/** The stacks of files, largest first. What cannot form a volume still forms a stack: gridOf says why not. */
export function stacksOf(files: readonly DicomFile[]): DicomStack[] {
  const kinds = new Map<string, DicomFrame[][]>();
  for (const frame of files.flatMap((file) => file.frames)) {
    const { file } = frame;
    const kind = JSON.stringify([
      ...[file.seriesUid, file.modality, file.rows, file.columns, file.samplesPerPixel],
      ...[frame.positionMm !== null, frame.hasOrientation, isLocalizer(frame)],
    ]);
    const planes = kinds.get(kind) ?? [];
    kinds.set(kind, planes);
    const plane = planes.find((others) => samePlane(others[0], frame));
    if (plane) plane.push(frame);
    else planes.push([frame]);
  }
  const stacks = withPlanes([...kinds.values()].flat().flatMap((frames) => separate(frames, [])));
  return stacks.sort((a, b) => b.frames.length - a.frames.length || order(a.frames[0], b.frames[0]));
}

/** 'axial', 'coronal' or 'sagittal': the plane nearest to that of a frame. */
function planeName(frame: DicomFrame): string {
  const normal = normalOf(frame).map(Math.abs);
  return ['sagittal', 'coronal', 'axial'][normal.indexOf(Math.max(...normal))];
}

/** Says of stacks of one series that lie in different planes what tells these apart. */
function withPlanes(stacks: readonly DicomStack[]): DicomStack[] {
  const facts: readonly ((frame: DicomFrame) => string)[] = [
    (frame) => (isLocalizer(frame) ? 'localizer' : ''),
    ({ file }) => `${file.columns} x ${file.rows} pixels`,
    ({ spacingMm }) =>
      spacingMm ? `pixels of ${spacingMm.map((s) => +s.toPrecision(4)).join(' x ')} mm` : 'pixels of unknown size',
    planeName,
    (frame) => (frame.positionMm ? '' : 'without position'),
  ];
  return stacks.map((stack) => {
    const first = stack.frames[0];
    const siblings = stacks.filter(({ frames: [other] }) => other.file.seriesUid === first.file.seriesUid);
    const telling = facts.filter((fact) => siblings.some(({ frames: [other] }) => fact(other) !== fact(first)));
    const labels = [...telling.map((fact) => fact(first)), stack.distinction].filter((label) => label !== '');
    return { ...stack, distinction: labels.join(', ') };
  });
}

const order = (a: DicomFrame, b: DicomFrame): number =>
  a.file.path < b.file.path ? -1 : a.file.path > b.file.path ? 1 : a.index - b.index;

/** Frames along the normal of the first, with their place along it and in plane. */
interface Placed {
  readonly frame: DicomFrame;
  readonly along: number;
  readonly inPlane: readonly [number, number];
}

function place(frames: readonly DicomFrame[]): Placed[] {
  const { rowDirection, columnDirection } = frames[0];
  const normal = normalOf(frames[0]);
  return frames
    .map((frame) => {
      const p = frame.positionMm ?? [0, 0, 0];
      return { frame, along: dot(p, normal), inPlane: [dot(p, rowDirection), dot(p, columnDirection)] as const };
    })
    .sort((a, b) => a.along - b.along || order(a.frame, b.frame));
}

const gapsOf = (placed: readonly Placed[]): number[] => placed.slice(1).map((slice, k) => slice.along - placed[k].along);

/** Slices nearer than this lie at one position. */
const samePositionMm = (frame: DicomFrame): number => Math.min(0.01, 0.05 * (frame.sliceSpacingMm ?? 1));

/** How many frames lie where another one lies already. */
const collisions = (placed: readonly Placed[]): number => {
  const near = samePositionMm(placed[0].frame);
  return gapsOf(placed).filter((gap) => gap < near).length;
};

function isEven(placed: readonly Placed[]): boolean {
  const n = placed.length;
  if (n < 3) return true;
  const step = (placed[n - 1].along - placed[0].along) / (n - 1);
  return placed.every(({ along }, k) => Math.abs(along - placed[0].along - k * step) <= SPACING_TOLERANCE * step + ROUNDING_MM);
}

/** How far each frame lies beside the line (a tilted gantry's is oblique) that most frames lie on, mm. */
function besideMm(placed: readonly Placed[]): number[] {
  const n = placed.length;
  const pairs: [number, number][] = [];
  for (let i = 0; i < n; i++) {
    if (n <= 40) for (let j = i + 1; j < n; j++) pairs.push([i, j]);
    else if (i + (n >> 1) < n) pairs.push([i, i + (n >> 1)]);
  }
  const lines = [0, 1].map((axis) => {
    const slopes = pairs
      .filter(([i, j]) => placed[j].along - placed[i].along > 1e-3)
      .map(([i, j]) => (placed[j].inPlane[axis] - placed[i].inPlane[axis]) / (placed[j].along - placed[i].along));
    const slope = slopes.length > 0 ? median(slopes) : 0;
    return { slope, start: median(placed.map((p) => p.inPlane[axis] - slope * p.along)) };
  });
  return placed.map((p) => Math.hypot(...lines.map(({ slope, start }, axis) => p.inPlane[axis] - start - slope * p.along)));
}

const gridToleranceMm = (frame: DicomFrame): number => Math.max(GRID_TOLERANCE_PIXELS * pixelOf(frame), ROUNDING_MM);
const fits = (placed: readonly Placed[]): boolean => {
  const tolerance = gridToleranceMm(placed[0].frame);
  return besideMm(placed).every((mm) => mm <= tolerance);
};

/** Tags that tell volumes of one series apart, the more telling first. */
const TELLING = [
  'image type',
  'stack ID',
  'temporal position',
  'acquisition number',
  'echo time',
  'echo number',
  'b-value',
  'gradient direction',
  'complex component',
  'inversion time',
  'flip angle',
  'tube voltage',
  'reconstruction kernel',
  'rescale type',
  'energy window',
  'detector',
  'phase',
  'R-R interval',
  'time slot',
  'angular view',
  'trigger time',
  'temporal offset',
  'time slice',
  'dimension index 1',
  'dimension index 2',
  'dimension index 3',
  'dimension index 4',
  'acquisition time',
  'content time',
  'file',
];
/** Of these a slice may have its own value within one volume, so that volumes are told apart by the order at each position too. */
const ORDERED = ['trigger time', 'temporal offset', 'temporal position', 'acquisition time', 'content time'];
/** Volumes that differ in one of these may interleave without colliding. */
const INTERLEAVING = ['image type', 'stack ID', 'temporal position', 'acquisition number', 'echo time', 'echo number', 'b-value'];

interface Part {
  readonly label: string;
  readonly frames: readonly DicomFrame[];
}

const tagValue = (frame: DicomFrame, tag: string): string | number | undefined =>
  tag === 'image type'
    ? frame.imageType
    : tag === 'file'
      ? // of several frames, each a volume of its own
        frame.file.frames.length > 1
        ? frame.file.path
        : undefined
      : frame.tags.get(tag);

/** Frames by the value of a tag; numbers that differ by rounding are one value. */
function byValue(frames: readonly DicomFrame[], tag: string): Part[] {
  const values = new Map<string | number | undefined, DicomFrame[]>();
  for (const frame of frames) {
    const value = tagValue(frame, tag);
    const same = values.get(value);
    if (same) same.push(frame);
    else values.set(value, [frame]);
  }
  const sorted = [...values].sort(([a], [b]) =>
    typeof a === 'number' && typeof b === 'number' ? a - b : String(a) < String(b) ? -1 : 1,
  );
  const parts: { value: string | number | undefined; frames: DicomFrame[] }[] = [];
  for (const [value, members] of sorted) {
    const last = parts.at(-1);
    const near =
      last !== undefined &&
      typeof value === 'number' &&
      typeof last.value === 'number' &&
      value - last.value <= 1e-4 * Math.abs(value);
    if (near) last.frames.push(...members);
    else parts.push({ value, frames: [...members] });
  }
  return parts.map(({ value, frames: members }) => ({ label: `${tag} ${value ?? 'not stated'}`, frames: members }));
}

/** Frames by their order at each position, if every position has as many frames and all of them another value. */
function byOrder(placed: readonly Placed[], tag: string): Part[] {
  const near = samePositionMm(placed[0].frame);
  const positions: DicomFrame[][] = [];
  placed.forEach(({ frame, along }, k) => {
    if (k > 0 && along - placed[k - 1].along < near) positions.at(-1)!.push(frame);
    else positions.push([frame]);
  });
  const count = positions[0].length;
  for (const frames of positions) {
    const values = new Set(frames.map((frame) => tagValue(frame, tag)));
    if (frames.length !== count || values.size !== count || values.has(undefined)) return [];
    frames.sort((a, b) => {
      const [va, vb] = [tagValue(a, tag)!, tagValue(b, tag)!];
      return typeof va === 'number' && typeof vb === 'number' ? va - vb : String(va) < String(vb) ? -1 : 1;
    });
  }
  return Array.from({ length: count }, (_, k) => ({
    label: `${tag} ${k + 1} of ${count} in order`,
    frames: positions.map((frames) => frames[k]),
  }));
}

function overlap(parts: readonly (readonly Placed[])[]): boolean {
  const ranges = parts.map((part) => [part[0].along, part.at(-1)!.along] as const).sort((a, b) => a[0] - b[0]);
  let end = Number.NEGATIVE_INFINITY;
  for (const [from, to] of ranges) {
    if (from < end - ROUNDING_MM) return true;
    end = Math.max(end, to);
  }
  return false;
}

/** Slices of one volume that was acquired in turns: what one turn alone leaves out is more than a slice is thick. */
function isOneInTurns(placed: readonly Placed[], parts: readonly (readonly Placed[])[]): boolean {
  const thickness = placed[0].frame.thicknessMm;
  if (!thickness || placed[0].frame.file.modality !== 'MR' || !isEven(placed)) return false;
  const spacing = median(gapsOf(placed));
  return spacing > 0.8 * thickness && parts.every((part) => part.length > 1 && median(gapsOf(part)) > 1.5 * spacing);
}

/** Volumes one behind the other, each of even slices: with a gap that is not interpolated between them, or with stack IDs that say so. */
function liesApart(placed: readonly Placed[], parts: readonly (readonly Placed[])[], tag: string): boolean {
  if (isEven(placed) || !parts.every((part) => part.length > 1 && isEven(part)) || overlap(parts)) return false;
  const gaps = gapsOf(placed);
  return tag === 'stack ID' || Math.max(...gaps) > MAX_GAP * median(gaps);
}

/** The parts that a stack falls into, or null if it is one volume (or one that nothing tells apart). */
function partsOf(placed: readonly Placed[]): { parts: Part[]; tag: string } | null {
  const frames = placed.map(({ frame }) => frame);
  const colliding = collisions(placed);
  const positions = placed.length - colliding;
  if (colliding === 0 && fits(placed)) {
    const even = isEven(placed);
    for (const tag of INTERLEAVING) {
      const parts = byValue(frames, tag);
      if (parts.length < 2 || parts.length > frames.length / 2) continue;
      const each = parts.map((part) => place(part.frames));
      if (liesApart(placed, each, tag)) return { parts, tag };
      if (!overlap(each) || isOneInTurns(placed, each)) continue;
      if (each.every((part) => part.length > 1) || (!even && each.every(isEven))) return { parts, tag };
    }
    return null;
  }
  let best: { parts: Part[]; tag: string } | null = null;
  let least = colliding > 0 ? colliding : Number.POSITIVE_INFINITY;
  for (const tag of TELLING) {
    const candidates = [byValue(frames, tag), ...(ORDERED.includes(tag) && colliding > 0 ? [byOrder(placed, tag)] : [])];
    for (const parts of candidates) {
      if (parts.length < 2) continue;
      // slices that all differ in a tag (each its own time) are not told apart by it
      if (frames.length / parts.length < Math.min(2, positions) && !parts.some((part) => part.frames.length > positions / 2))
        continue;
      const each = parts.map((part) => place(part.frames));
      const left = each.reduce((sum, part) => sum + collisions(part), 0);
      const fit = each.every(fits);
      if (left === 0 && fit && (colliding > 0 || Math.max(...each.map((part) => part.length)) > 2)) return { parts, tag };
      if (colliding > 0 && left < least) {
        best = { parts, tag };
        least = left;
      }
    }
  }
  return best;
}

function separate(frames: readonly DicomFrame[], labels: readonly string[]): DicomStack[] {
  const placed = place(frames);
  const split = frames.length > 1 && frames[0].positionMm ? partsOf(placed) : null;
  if (!split) return [{ frames: placed.map(({ frame }) => frame), distinction: labels.join(', '), warnings: [] }];
  return split.parts.flatMap((part) => separate(part.frames, [...labels, part.label]));
}

/** The grid of a stack. */
export interface StackGrid {
  readonly geometry: Geometry;
  /** In slices of the stack, fractions allowed: where each plane of the grid lies; null if every slice is a plane. */
  readonly planes: readonly number[] | null;
  readonly warnings: readonly string[];
}

const nameOf = ({ file, index }: DicomFrame): string =>
  file.frames.length > 1 ? `frame ${index + 1} of ${file.path}` : file.path;

/** The grid on which the frames of a stack lie. @throws RunError if they form no volume, without the image's name */
export function gridOf({ frames }: DicomStack): StackGrid {
  const first = frames[0];
  const warnings: string[] = [];
  if (frames.length > 1) {
    const lost = frames.find((frame) => !frame.positionMm);
    if (lost && lost.file.frames.length > 1)
      throw new RunError(
        `it has ${frames.length} frames without positions (0020,0032): pages, views or time steps, not slices of a volume`,
      );
    if (lost) throw new RunError(`${lost.file.path} states no slice position (0020,0032): the slices cannot be sorted`);
  }
  const placed = place(frames);
  const gaps = gapsOf(placed);
  refuseCollisions(placed, gaps);
  refuseBeside(placed);
  if (!first.hasOrientation) warnings.push('no orientation in its header: axes assumed LPS; left and right may be swapped');
  if (!first.positionMm) warnings.push('no slice position in its header (0020,0032): assuming origin 0');
  if (!first.spacingMm) warnings.push('no pixel spacing in its header: assuming 1 mm');
  if (gaps.length === 0 && !first.sliceSpacingMm) warnings.push('no slice spacing in its header: assuming 1 mm');

  const n = placed.length;
  const total = placed[n - 1].along - placed[0].along;
  const usual = gaps.length > 0 ? median(gaps) : 0;
  let planes: number[] | null = null;
  if (!isEven(placed)) {
    const widest = Math.max(...gaps);
    if (widest > MAX_GAP * usual)
      throw new RunError(
        `its slices lie ${usual.toFixed(2)} mm apart, but one gap is ${widest.toFixed(1)} mm: two stacks, or a slice from elsewhere (${nameOf(placed[gaps.indexOf(widest)].frame)} and ${nameOf(placed[gaps.indexOf(widest) + 1].frame)})`,
      );
    if (isInterleaved(gaps))
      throw new RunError(
        `its ${n} slices lie ${gaps[0].toFixed(2)} and ${gaps[1].toFixed(2)} mm apart alternately: two interleaved volumes that the headers do not distinguish (acquisition, time, echo, ...); keep one of them`,
      );
    planes = evenPlanes(gaps, total, usual);
    const missing = Math.round(total / usual) + 1 - n;
    const are = gaps.every((gap) => Math.abs(gap / usual - Math.round(gap / usual)) <= SPACING_TOLERANCE);
    warnings.push(
      `its slices lie ${Math.min(...gaps).toFixed(2)} to ${widest.toFixed(2)} mm apart (${are ? `${missing} missing` : 'uneven spacing'}): interpolated to ${(total / (planes.length - 1)).toFixed(2)} mm`,
    );
  }
  const count = planes?.length ?? n;
  const { rowDirection: r, columnDirection: c } = placed[0].frame;
  const [dx, dy] = first.spacingMm ?? [1, 1];
  const [start, end] = [placed[0].frame.positionMm ?? ([0, 0, 0] as Xyz), placed[n - 1].frame.positionMm];
  const step =
    n > 1 ? perAxis(minus(end!, start), (v) => v / (count - 1)) : perAxis(cross(r, c), (v) => v * (first.sliceSpacingMm ?? 1));
  const matrix = matrix3((row, column) => [r[row] * dx, c[row] * dy, step[row]][column] + 0);
  const geometry = geometryOf({ matrix, offset: start }, [first.file.columns, first.file.rows, count]);
  warnings.push(...shearWarnings(geometry, 'tilted gantry; '));
  return { geometry, planes, warnings };
}

/** True if two distances take turns, as where two volumes were laid into one another. */
function isInterleaved(gaps: readonly number[]): boolean {
  if (gaps.length < 5) return false;
  const alike = (k: number): boolean => Math.abs(gaps[k] - gaps[k % 2]) <= SPACING_TOLERANCE * gaps[k % 2] + ROUNDING_MM;
  return gaps.every((_, k) => alike(k)) && Math.abs(gaps[0] - gaps[1]) > 0.2 * Math.max(gaps[0], gaps[1]);
}

function refuseCollisions(placed: readonly Placed[], gaps: readonly number[]): void {
  const near = samePositionMm(placed[0].frame);
  const copy = gaps.findIndex((gap) => gap < near);
  if (copy < 0) return;
  const [a, b] = [placed[copy].frame, placed[copy + 1].frame];
  if (a.file !== b.file && a.file.sopInstanceUid !== '' && a.file.sopInstanceUid === b.file.sopInstanceUid)
    throw new RunError(
      `${a.file.path} and ${b.file.path} lie at the same position and have the same SOP Instance UID (${a.file.sopInstanceUid}), but different pixels: ambiguous; remove one`,
    );
  const volumes = Math.round(placed.length / (placed.length - gaps.filter((gap) => gap < near).length));
  throw new RunError(
    `two of its ${placed.length} slices lie at the same position (${nameOf(a)} and ${nameOf(b)}): ${volumes > 1 ? `about ${volumes} volumes` : 'copies or several volumes'} that the headers do not distinguish (acquisition, time, echo, ...); keep one slice per position`,
  );
}

function refuseBeside(placed: readonly Placed[]): void {
  if (placed.length < 3) return;
  const beside = besideMm(placed);
  const worst = Math.max(...beside);
  if (worst <= gridToleranceMm(placed[0].frame)) return;
  const off = beside.filter((mm) => mm > gridToleranceMm(placed[0].frame)).length;
  throw new RunError(
    `${off === 1 ? 'one' : off} of its ${placed.length} slices ${off === 1 ? 'lies' : 'lie'} up to ${worst.toFixed(2)} mm off the others in plane (${nameOf(placed[beside.indexOf(worst)].frame)}): not a regular grid`,
  );
}

/** Fractional slice index of every plane of an even grid about `usual` mm apart; slices that lie on it, but for rounding, stay as they are. */
function evenPlanes(gaps: readonly number[], total: number, usual: number): number[] {
  const count = Math.round(total / usual) + 1;
  const spacing = total / (count - 1);
  const planes: number[] = [];
  let [slice, startMm] = [0, 0];
  for (let k = 0; k < count; k++) {
    const at = Math.min(k * spacing, total);
    while (slice < gaps.length - 1 && at > startMm + gaps[slice]) startMm += gaps[slice++];
    const plane = slice + (at - startMm) / gaps[slice];
    planes.push(Math.abs(plane - Math.round(plane)) * gaps[slice] <= SPACING_TOLERANCE * usual ? Math.round(plane) : plane);
  }
  return planes;
}
