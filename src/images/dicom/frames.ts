/**
 * The one model of DICOM images: a file is a list of frames, and every frame has its own place, values and circumstances.
 *
 * A single-frame file is a list of one. In enhanced files a frame's attributes stand in its functional groups, per frame or shared
 * (PS3.3 C.7.6.16); nuclear medicine has vectors instead (C.8.4.8). Nothing here knows of other files: see stacks.ts.
 */
import type { DataSet } from 'dicom-parser';
import { RunError } from '../../common/errors.ts';
import { cross } from '../../geometry/affine.ts';
import { perAxis, type Xyz } from '../../geometry/volume.ts';
import { type PixelElement, readDataSet } from './data-set.ts';
import { privateDiffusion } from './diffusion.ts';
import { item, numbersOf, statedNumbers, text, textOf } from './elements.ts';
import { NUCLEAR_MEDICINE, nonImageKind, PARAMETRIC_MAP } from './kinds.ts';
import type { RandomAccess } from './random-access.ts';

/** A table from stored values to modality values (PS3.3 C.11.1). */
export interface ModalityTable {
  readonly first: number;
  readonly values: Uint16Array;
}

export interface DicomFile {
  readonly path: string;
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly patientId: string;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly frameOfReferenceUid: string;
  /** Series description; if there is none, the protocol's name. */
  readonly description: string;
  readonly modality: string;
  readonly rows: number;
  readonly columns: number;
  /** What distinguishes colours from intensities; 'MONOCHROME2' where the file does not say. */
  readonly photometric: string;
  readonly samplesPerPixel: number;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  readonly transferSyntax: string;
  readonly bigEndian: boolean;
  readonly pixels: PixelElement;
  /** Bytes of native pixels beyond those that the header states: 1 pads to an even length, more are left out. */
  readonly surplusBytes: number;
  /** Stored value of pixels that belong to no scan, or a range of them (PS3.3 C.7.5.1.1.2). */
  readonly padding: readonly [number, number] | null;
  readonly modalityTable: ModalityTable | null;
  /** Lengths and offsets of frames, if the file has an extended offset table. */
  readonly extendedOffsets: readonly number[] | null;
  readonly frames: readonly DicomFrame[];
}

export interface DicomFrame {
  readonly file: DicomFile;
  /** From 0, in the file. */
  readonly index: number;
  /** Centre of the first voxel, LPS; null if not stated. */
  readonly positionMm: Xyz | null;
  /** Directions of a row (towards higher column index) and of a column: unit vectors. */
  readonly rowDirection: Xyz;
  readonly columnDirection: Xyz;
  readonly hasOrientation: boolean;
  /** Between columns (x) and between rows (y); null if not stated. */
  readonly spacingMm: readonly [number, number] | null;
  /** Distance to the next slice as the file says it (spacing between slices, else thickness); null if not stated. */
  readonly sliceSpacingMm: number | null;
  readonly thicknessMm: number | null;
  readonly slope: number;
  readonly intercept: number;
  /** True if the file states slope and intercept. */
  readonly isRescaled: boolean;
  /** What rescaled values are, in DICOM's terms (PS3.3 C.11.1.1.2): 'HU', 'MGML', 'Z_EFF'; empty if not stated. */
  readonly rescaleType: string;
  /** Slope and intercept of a linear real world value mapping; null if none is stated. */
  readonly realWorld: readonly [number, number] | null;
  readonly imageType: string;
  /** What may tell frames at one position apart, by name; only what the file states. */
  readonly tags: ReadonlyMap<string, string | number>;
}

const unit = (v: readonly number[]): Xyz => {
  const length = Math.hypot(...v);
  return v.map((x) => x / length) as unknown as Xyz;
};

/** A DICOM file as it concerns images: its frames, or what else it is. */
export type DicomObject =
  | { readonly kind: 'image'; readonly file: DicomFile }
  | { readonly kind: 'other'; readonly what: string };

/** Most frames that a file may announce. */
const MAX_FRAMES = 1_000_000;

/**
 * Reads the header of a DICOM file and checks that its pixels are whole; the pixels are not decoded.
 * @throws RunError with the reason, without the file's name
 */
export async function readDicomObject(source: RandomAccess): Promise<DicomObject> {
  const { data, transferSyntax, bigEndian, pixels, source: content } = await readDataSet(source);
  const sopClassUid = text(data, 'x00080016');
  const modality = text(data, 'x00080060');
  const what = nonImageKind(sopClassUid, modality);
  if (what) return { kind: 'other', what };
  const rows = data.uint16('x00280010') ?? 0;
  const columns = data.uint16('x00280011') ?? 0;
  if (rows === 0 || columns === 0) {
    if (pixels) throw new RunError(`its header states ${columns} columns and ${rows} rows: damaged`);
    return { kind: 'other', what: `DICOM ${modality || 'object'} without an image` };
  }
  if (!pixels) throw new RunError('it has no pixel data: truncated?');
  const bitsAllocated = data.uint16('x00280100') ?? 16;
  const bitsStored = data.uint16('x00280101') ?? bitsAllocated;
  const highBit = data.uint16('x00280102') ?? bitsStored - 1;
  const signed = data.uint16('x00280103') === 1;
  const samplesPerPixel = data.uint16('x00280002') ?? 1;
  const count = statedNumbers(data, 'x00280008')?.[0] ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > MAX_FRAMES) throw new RunError(`its header states ${count} frames`);
  if (bitsStored < 1 || bitsStored > bitsAllocated || highBit >= bitsAllocated || highBit + 1 < bitsStored)
    throw new RunError(`its header states ${bitsStored} bits stored of ${bitsAllocated} with high bit ${highBit}: damaged`);
  // every frame takes at least the head of a fragment
  if (pixels.encapsulated && count * 8 > content.size)
    throw new RunError(`its header states ${count} frames, but the file has ${content.size} bytes: truncated or damaged`);
  const surplusBytes = pixels.encapsulated
    ? 0
    : surplusOf(pixels, content.size, rows, columns, count, samplesPerPixel, bitsAllocated);

  const frames: DicomFrame[] = [];
  const file: DicomFile = {
    path: source.path,
    sopClassUid,
    sopInstanceUid: text(data, 'x00080018'),
    patientId: text(data, 'x00100020'),
    studyUid: text(data, 'x0020000d'),
    seriesUid: text(data, 'x0020000e'),
    frameOfReferenceUid: text(data, 'x00200052'),
    description: textOf(data, 'x0008103e') || textOf(data, 'x00181030'),
    modality,
    rows,
    columns,
    photometric: text(data, 'x00280004') || (samplesPerPixel === 1 ? 'MONOCHROME2' : 'unstated'),
    samplesPerPixel,
    bitsAllocated,
    bitsStored,
    highBit,
    signed,
    transferSyntax,
    bigEndian,
    pixels,
    surplusBytes,
    padding: paddingOf(data, signed),
    modalityTable: modalityTableOf(data, signed, bigEndian),
    extendedOffsets: extendedOffsetsOf(data, bigEndian),
    frames,
  };
  frames.push(...framesOf(data, file, count));
  return { kind: 'image', file };
}

/** How much longer native pixels are than the header states. @throws RunError if they are shorter */
function surplusOf(
  pixels: PixelElement,
  size: number,
  rows: number,
  columns: number,
  frames: number,
  samples: number,
  bitsAllocated: number,
): number {
  const expected = Math.ceil((rows * columns * frames * samples * bitsAllocated) / 8);
  const there = size - pixels.offset;
  const needed = Math.max(pixels.length, expected);
  if (there < needed)
    throw new RunError(`its header states ${needed} bytes of pixels, but ${Math.max(0, there)} are present: truncated`);
  if (pixels.length < expected)
    throw new RunError(
      `${columns} x ${rows} x ${frames} pixels of ${bitsAllocated} bits take ${expected} bytes, but its pixel data has ${pixels.length}: damaged`,
    );
  return pixels.length - expected;
}

/** A value of an element whose VR is US or SS by the pixels' signedness. */
function pixelValue(data: DataSet, tag: string, signed: boolean): number | undefined {
  const vr = data.elements[tag]?.vr;
  return vr === 'SS' || (vr !== 'US' && signed) ? data.int16(tag) : data.uint16(tag);
}

function paddingOf(data: DataSet, signed: boolean): [number, number] | null {
  const value = pixelValue(data, 'x00280120', signed);
  if (value === undefined) return null;
  const limit = pixelValue(data, 'x00280121', signed) ?? value;
  return [Math.min(value, limit), Math.max(value, limit)];
}

function modalityTableOf(data: DataSet, signed: boolean, bigEndian: boolean): ModalityTable | null {
  const lut = item(data, 'x00283000');
  if (!lut) return null;
  const [length, , bits] = [0, 1, 2].map((k) => lut.uint16('x00283002', k) ?? 0);
  const first = (signed ? lut.int16('x00283002', 1) : lut.uint16('x00283002', 1)) ?? 0;
  const element = lut.elements.x00283006;
  const entries = length === 0 ? 65536 : length;
  // the standard has entries of 8 and 16 bits; some devices say how many of 16 they use
  if (!element || bits < 8 || bits > 16) throw new RunError('its modality LUT is damaged');
  const bytes = (lut.byteArray as Uint8Array).subarray(element.dataOffset, element.dataOffset + element.length);
  // 8-bit entries may be packed in bytes or stand in words
  const packed = bytes.length < entries * 2;
  if (bytes.length < entries) throw new RunError(`its modality LUT has ${bytes.length} bytes for ${entries} entries: damaged`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    first,
    values: Uint16Array.from({ length: entries }, (_, k) => (packed ? bytes[k] : view.getUint16(2 * k, !bigEndian))),
  };
}

/** (7FE0,0001): where each frame's fragments begin, as 64-bit numbers. */
function extendedOffsetsOf(data: DataSet, bigEndian: boolean): number[] | null {
  const element = data.elements.x7fe00001;
  if (!element || element.length < 8) return null;
  const bytes = data.byteArray as Uint8Array;
  const view = new DataView(bytes.buffer, bytes.byteOffset + element.dataOffset, element.length);
  return Array.from({ length: Math.floor(element.length / 8) }, (_, k) => Number(view.getBigUint64(8 * k, !bigEndian)));
}

/** Where an attribute of a frame may stand: functional group sequence (empty: the data set itself) and tag. */
type Place = readonly [group: string, tag: string];

/** Sequences inside functional groups and tags that tell frames at one position apart; the first that is there counts. */
const TAGS: Readonly<Record<string, readonly Place[]>> = {
  'temporal position': [
    ['x00209111', 'x00209128'],
    ['', 'x00200100'],
  ],
  'acquisition number': [
    ['x00209111', 'x00209156'],
    ['', 'x00200012'],
  ],
  'stack ID': [['x00209111', 'x00209056']],
  'echo time': [
    ['x00189114', 'x00189082'],
    ['', 'x00180081'],
  ],
  'echo number': [['', 'x00180086']],
  'b-value': [
    ['x00189117', 'x00189087'],
    ['', 'x00189087'],
  ],
  'inversion time': [
    ['x00189115', 'x00189079'],
    ['', 'x00180082'],
  ],
  'flip angle': [
    ['x00189112', 'x00181314'],
    ['', 'x00181314'],
  ],
  'complex component': [
    ['x00189226', 'x00089208'],
    ['', 'x00089208'],
  ],
  'trigger time': [
    ['x00189118', 'x00209153'],
    ['', 'x00181060'],
  ],
  'reconstruction kernel': [
    ['x00189314', 'x00181210'],
    ['', 'x00181210'],
  ],
  'rescale type': [
    ['x00289145', 'x00281054'],
    ['', 'x00281054'],
  ],
  'tube voltage': [
    ['x00189325', 'x00180060'],
    ['', 'x00180060'],
  ],
  'gradient direction': [['', 'x00189089']],
  'temporal offset': [['x00209310', 'x0020930d']],
  'time slice': [['', 'x00541330']],
  'acquisition time': [
    ['x00209111', 'x00189074'],
    ['', 'x0008002a'],
    ['', 'x00080032'],
  ],
  'content time': [['', 'x00080033']],
  'instance number': [['', 'x00200013']],
};

const FRAME_TYPES = ['x00189226', 'x00189329', 'x00189751', 'x00189412', 'x00189504'];

function framesOf(data: DataSet, file: DicomFile, count: number): DicomFrame[] {
  if (file.sopClassUid === NUCLEAR_MEDICINE && count > 1) return nuclearFrames(data, file, count);
  const shared = item(data, 'x52009229');
  const perFrame = data.elements.x52009230?.items ?? [];
  if (perFrame.length > 0 && perFrame.length !== count)
    throw new RunError(`it states ${count} frames but describes ${perFrame.length}: damaged`);
  // slice locations of an old multi-frame file (PS3.3 C.8.6.3)
  const locations = perFrame.length === 0 && count > 1 ? numbersOf(data, 'x00182005') : null;
  return Array.from({ length: count }, (_, index) => {
    const own = perFrame[index]?.dataSet;
    const group = (tag: string): DataSet | undefined => item(own, tag) ?? item(shared, tag);
    const frame = frameOf(data, file, index, group);
    if (locations?.length !== count || !frame.positionMm) return frame;
    return { ...frame, positionMm: along(frame, locations[index] - locations[0]) };
  });
}

function along({ positionMm, rowDirection, columnDirection }: DicomFrame, distance: number): Xyz {
  const normal = cross(rowDirection, columnDirection);
  return perAxis(positionMm!, (p, k) => p + distance * normal[k]);
}

/** Of the angle between rows and columns: what less is damage, not rounding. */
const LEAST_SINE = 0.99;

/** @throws RunError for what is stated, but by more or fewer numbers than it has */
function checkCount(numbers: readonly number[] | null, count: number, what: string): void {
  if (numbers && numbers.length !== count)
    throw new RunError(`its ${what} is ${numbers.join(', ')}, expected ${count} numbers: damaged`);
}

function frameOf(data: DataSet, file: DicomFile, index: number, group: (tag: string) => DataSet | undefined): DicomFrame {
  const inGroup = (groups: readonly string[], tag: string, read = statedNumbers): number[] | null => {
    for (const sequence of groups) {
      const set = group(sequence);
      const values = set && read(set, tag);
      if (values) return values;
    }
    return read(data, tag);
  };
  const position = inGroup(['x00209113'], 'x00200032');
  const orientation = inGroup(['x00209116'], 'x00200037');
  const spacing = inGroup(['x00289110'], 'x00280030') ?? statedNumbers(data, 'x00181164');
  const thickness = inGroup(['x00289110'], 'x00180050', numbersOf)?.[0] ?? null;
  const between = inGroup(['x00289110'], 'x00180088', numbersOf)?.[0] ?? null;
  checkCount(position, 3, 'position of a slice (0020,0032)');
  checkCount(orientation, 6, 'orientation (0020,0037)');
  checkCount(spacing, 2, 'pixel spacing');
  const hasOrientation = orientation?.length === 6 && [0, 3].every((k) => Math.hypot(...orientation.slice(k, k + 3)) > 1e-6);
  if (hasOrientation && Math.hypot(...cross(unit(orientation.slice(0, 3)), unit(orientation.slice(3)))) < LEAST_SINE)
    throw new RunError(
      `its orientation (0020,0037) is ${orientation.join(', ')}, expected perpendicular rows and columns: damaged`,
    );
  const typeSet = FRAME_TYPES.map(group).find((set) => set?.elements.x00089007);
  const tags = new Map<string, string | number>();
  for (const [name, places] of Object.entries(TAGS)) {
    for (const [sequence, tag] of places) {
      const set = sequence ? group(sequence) : data;
      if (!set) continue;
      const numeric = numbersOf(set, tag);
      const value = numeric?.length === 1 ? numeric[0] : text(set, tag);
      if (value === '' && !numeric) continue;
      tags.set(name, numeric && numeric.length > 1 ? numeric.map((v) => +v.toPrecision(5)).join(' ') : value);
      break;
    }
  }
  const gradient = item(group('x00189117'), 'x00189076');
  const direction = gradient && numbersOf(gradient, 'x00189089');
  if (direction) tags.set('gradient direction', direction.map((v) => +v.toPrecision(5)).join(' '));
  if (!tags.has('b-value') || !tags.has('gradient direction')) {
    const stated = privateDiffusion(data);
    if (!tags.has('b-value') && stated.bValue !== undefined) tags.set('b-value', stated.bValue);
    if (!tags.has('gradient direction') && stated.direction)
      tags.set('gradient direction', stated.direction.map((v) => +v.toPrecision(5)).join(' '));
  }
  const content = group('x00209111');
  const indices = content && numbersOf(content, 'x00209157');
  indices?.forEach((value, k) => {
    tags.set(`dimension index ${k + 1}`, value);
  });
  return {
    file,
    index,
    positionMm: position?.length === 3 ? (position as unknown as Xyz) : null,
    rowDirection: hasOrientation ? unit(orientation.slice(0, 3)) : [1, 0, 0],
    columnDirection: hasOrientation ? unit(orientation.slice(3)) : [0, 1, 0],
    hasOrientation,
    spacingMm: spacing?.length === 2 && spacing.every((s) => s > 0) ? [spacing[1], spacing[0]] : null,
    sliceSpacingMm: Math.abs(between ?? 0) || Math.abs(thickness ?? 0) || null,
    thicknessMm: thickness,
    ...rescaleOf(data, file, group),
    imageType: text(typeSet, 'x00089007') || text(data, 'x00080008'),
    tags,
  };
}

/** Slope and intercept: the modality's (PS3.3 C.11.1, C.7.6.16.2.9); for parametric maps the real world value mapping's. */
function rescaleOf(
  data: DataSet,
  file: DicomFile,
  group: (tag: string) => DataSet | undefined,
): Pick<DicomFrame, 'slope' | 'intercept' | 'isRescaled' | 'rescaleType' | 'realWorld'> {
  const mapping = group('x00409096') ?? item(data, 'x00409096');
  const [factor, offset] = ['x00409225', 'x00409224'].map((tag) => mapping && statedNumbers(mapping, tag)?.[0]);
  const realWorld = factor ? ([factor, offset ?? 0] as const) : null;
  const rescaleType =
    text(group('x00289145'), 'x00281054') || text(data, 'x00281054') || text(item(data, 'x00283000'), 'x00283004');
  for (const set of [group('x00289145'), data]) {
    if (!set) continue;
    const [slope, intercept] = ['x00281053', 'x00281052'].map((tag) => statedNumbers(set, tag)?.[0]);
    if (slope === undefined && intercept === undefined) continue;
    if (slope === 0) throw new RunError('its rescale slope is 0: every voxel would have one value');
    return { slope: slope ?? 1, intercept: intercept ?? 0, isRescaled: true, rescaleType, realWorld };
  }
  if (file.sopClassUid === PARAMETRIC_MAP && !realWorld && mapping?.elements.x00409212)
    throw new RunError(
      'its real world values are given by a table (0040,9212), which is not supported: convert it to values with a slope and an intercept',
    );
  if (realWorld && file.sopClassUid === PARAMETRIC_MAP)
    return { slope: realWorld[0], intercept: realWorld[1], isRescaled: true, rescaleType, realWorld };
  return { slope: 1, intercept: 0, isRescaled: false, rescaleType, realWorld };
}

/** Vectors of nuclear medicine: which energy window, detector, phase, ... each frame belongs to. */
const NUCLEAR_VECTORS: Readonly<Record<string, string>> = {
  x00540010: 'energy window',
  x00540020: 'detector',
  x00540030: 'phase',
  x00540060: 'R-R interval',
  x00540070: 'time slot',
  x00540090: 'angular view',
};

/** Frames of a nuclear medicine file: reconstructed slices lie along the normal of the first one (PS3.3 C.8.4.15). */
function nuclearFrames(data: DataSet, file: DicomFile, count: number): DicomFrame[] {
  const imageType = text(data, 'x00080008');
  if (!/RECON/i.test(imageType))
    throw new RunError(
      `nuclear medicine of type ${imageType || 'not stated'}: projections or planar views, not slices of a volume`,
    );
  const detector = item(data, 'x00540022');
  const first = frameOf(data, file, 0, (tag) => (tag === 'x00209113' || tag === 'x00209116' ? detector : undefined));
  const spacing = numbersOf(data, 'x00180088')?.[0] ?? first.sliceSpacingMm;
  const slices = numbersOf(data, 'x00540080');
  if (!first.positionMm || !spacing)
    throw new RunError(
      'nuclear medicine without the position of its first slice (0054,0022) or the spacing of slices (0018,0088)',
    );
  const vectors = Object.entries(NUCLEAR_VECTORS).map(([tag, name]) => [name, numbersOf(data, tag)] as const);
  return Array.from({ length: count }, (_, index) => {
    const tags = new Map(first.tags);
    for (const [name, values] of vectors) if (values?.length === count) tags.set(name, values[index]);
    const slice = slices?.length === count ? slices[index] - 1 : index;
    return { ...first, index, positionMm: along(first, slice * spacing), tags };
  });
}
