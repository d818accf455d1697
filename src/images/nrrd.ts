/** NRRD headers (.nrrd, .nhdr): teem.sourceforge.net/nrrd/format.html. */
import { RunError } from '../common/errors.ts';
import { cross, geometryOf } from '../geometry/affine.ts';
import { type Geometry, matrix3, perAxis, type Xyz } from '../geometry/volume.ts';
import { type DataPlace, headerText, latin1, numberedFiles, utf8 } from './data-place.ts';
import { checkedGeometry, shearWarnings } from './loaded-image.ts';
import type { StoredImage, StoredType } from './stored-image.ts';

const TYPES: readonly (readonly [RegExp, StoredType])[] = [
  [/^(char|signed char|int8(_t)?)$/, 'int8'],
  [/^(uchar|unsigned char|uint8(_t)?)$/, 'uint8'],
  [/^(short|short int|signed short|signed short int|int16(_t)?)$/, 'int16'],
  [/^(ushort|unsigned short|unsigned short int|uint16(_t)?)$/, 'uint16'],
  [/^(int|signed int|int32(_t)?)$/, 'int32'],
  [/^(uint|unsigned int|uint32(_t)?)$/, 'uint32'],
  [/^(longlong|long long|long long int|signed long long|signed long long int|int64(_t)?)$/, 'int64'],
  [/^(ulonglong|unsigned long long|unsigned long long int|uint64(_t)?)$/, 'uint64'],
  [/^float$/, 'float32'],
  [/^double$/, 'float64'],
];

/** Spaces that name the patient's axes, and how their x, y, z run in LPS. */
const PATIENT_SPACES: Readonly<Record<string, Xyz>> = {
  'right-anterior-superior': [-1, -1, 1],
  ras: [-1, -1, 1],
  'left-anterior-superior': [1, -1, 1],
  las: [1, -1, 1],
  'left-posterior-superior': [1, 1, 1],
  lps: [1, 1, 1],
  'right-anterior-superior-time': [-1, -1, 1],
  rast: [-1, -1, 1],
  'left-anterior-superior-time': [1, -1, 1],
  last: [1, -1, 1],
  'left-posterior-superior-time': [1, 1, 1],
  lpst: [1, 1, 1],
};
const OTHER_SPACES = /^(scanner-xyz(-time)?|sxyzt?|3d-(right|left)-handed(-time)?|3d[rl]ht?)$/;

const MM: readonly (readonly [RegExp, number])[] = [
  [/^(mm|millimet(er|re)s?|)$/i, 1],
  [/^(um|µm|μm|microns?|micromet(er|re)s?)$/i, 1e-3],
  [/^(nm|nanomet(er|re)s?)$/i, 1e-6],
  [/^(cm|centimet(er|re)s?)$/i, 10],
  [/^(m|met(er|re)s?)$/i, 1000],
];

/** Millimetres in a unit of length; what is not known is taken as mm and said. */
export function mmOf(unit: string, warnings: string[]): number {
  const known = MM.find(([pattern]) => pattern.test(unit.trim()));
  if (!known) warnings.push(`its unit of length is "${unit}", which is unknown: assuming mm`);
  return known?.[1] ?? 1;
}

const SPATIAL_KINDS = /^(domain|space|\?\?\?|none|)$/;

/** Where the header ends: a blank line. Absent in a .nhdr, which may be nothing else. */
export const NRRD_END = /\r?\n\r?\n/;

/** @param bytes the header, and whatever of the file follows it. @throws RunError with the reason, without the file's name */
export function parseNrrd(bytes: Uint8Array): { readonly image: StoredImage; readonly place: DataPlace } {
  const header = headerText(bytes, NRRD_END) ?? { text: latin1(bytes), bytes: bytes.length };
  if (!/^NRRD000\d/.test(header.text)) throw new RunError('not NRRD: its first line does not begin with NRRD000');
  const warnings: string[] = [];
  const fields = new Map<string, string>();
  const listed: string[] = [];
  let listing = false;
  for (const line of header.text.split(/\r?\n/).slice(1)) {
    if (listing) {
      if (line.trim() !== '') listed.push(utf8(line.trim()));
      continue;
    }
    const match = /^([^#:][^:]*):(?!=)\s*(.*)$/.exec(line);
    if (!match) continue;
    const name = match[1].trim().toLowerCase().replaceAll(' ', '').replace('centerings', 'centers');
    const value = match[2].trim();
    if ((fields.get(name) ?? value) !== value)
      throw new RunError(`its header states "${match[1].trim()}" twice, as ${fields.get(name)} and as ${value}: damaged`);
    fields.set(name, value);
    listing = name === 'datafile' && /^LIST\b/.test(match[2].trim());
  }
  const field = (name: string): string => {
    const value = fields.get(name.replaceAll(' ', ''));
    if (value === undefined) throw new RunError(`its header has no "${name}"`);
    return value;
  };

  const sizes = words(field('sizes')).map(Number);
  if (!sizes.every((n) => Number.isSafeInteger(n) && n > 0)) throw new RunError(`its size is ${sizes.join(' x ')}: damaged`);
  if (Number(field('dimension')) !== sizes.length)
    throw new RunError(`its dimension is ${field('dimension')}, but it states ${sizes.length} sizes: damaged`);
  const typeText = field('type').toLowerCase();
  const type = TYPES.find(([pattern]) => pattern.test(typeText))?.[1];
  if (!type) throw new RunError(`its voxel type is ${field('type')}, which is not supported`);

  const axes = axesOf(fields, sizes);
  const geometry = gridOf(fields, sizes, axes, warnings);
  const place = placeOf(field('encoding'), fields, listed, header.bytes);
  const endian = fields.get('endian')?.toLowerCase();
  const needsEndian = !/8$/.test(type) && place.encoding !== 'ascii';
  if (needsEndian && endian !== 'little' && endian !== 'big') {
    if (endian !== undefined) throw new RunError(`its endian is "${endian}", expected little or big`);
    warnings.push('no byte order in its header ("endian"): assuming little');
  }
  const product = (from: number, to: number): number => sizes.slice(from, to).reduce((a, b) => a * b, 1);
  const image: StoredImage = {
    format: 'NRRD',
    geometry,
    dims: sizes,
    type,
    littleEndian: !(needsEndian && endian === 'big'),
    slope: 1,
    intercept: 0,
    inner: product(0, axes[0]),
    outer: product(axes[axes.length - 1] + 1, sizes.length),
    warnings,
  };
  return { image, place };
}

const words = (text: string): string[] => text.trim().split(/\s+/);
/** Quoted strings, or words. */
const strings = (text: string | undefined): string[] =>
  text === undefined ? [] : [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((match) => match[1] ?? match[2]);

/** (1,0,0) as numbers, none and (nan,nan,nan) as null. */
function vectors(text: string): (number[] | null)[] {
  return [...text.matchAll(/none|\(([^)]*)\)/gi)].map((match) => {
    const numbers = match[1]?.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
    // some programs write none as a vector of nan
    return numbers === undefined || /^[\s,]*nan[\s,na]*$/i.test(match[1]) ? null : numbers;
  });
}

/** Which of the file's axes are those of space: up to three, with no other axis of several values between them. */
function axesOf(fields: ReadonlyMap<string, string>, sizes: readonly number[]): readonly number[] {
  const kinds = words(fields.get('kinds') ?? '').map((kind) => kind.toLowerCase());
  const text = fields.get('spacedirections');
  const directions = text === undefined ? null : vectors(text);
  if (directions && directions.length !== sizes.length)
    throw new RunError(`it has ${sizes.length} axes, but ${directions.length} space directions: damaged`);
  const all = sizes.map((_, k) => k);
  // where kinds say nothing, an axis without a distance (nan) beside others that have one is none of space
  const spacings = words(fields.get('spacings') ?? '').map(Number);
  const spaced = all.filter((k) => Number.isFinite(spacings[k]));
  const isSpatial = (k: number): boolean =>
    SPATIAL_KINDS.test(kinds[k] ?? '') && (/^(domain|space)$/.test(kinds[k] ?? '') || spaced.length < 2 || spaced.includes(k));
  const spatial = all.filter((k) => (directions ? directions[k]?.slice(0, 3).some((v) => v !== 0) : isSpatial(k)));
  const axes = spatial.slice(0, 3);
  if (axes.length < 2) throw new RunError(`it has ${axes.length} spatial axes (sizes ${sizes.join(' x ')}), expected 3`);
  // an axis of one value parts nothing
  if (all.some((k) => k > axes[0] && k < axes[axes.length - 1] && !axes.includes(k) && sizes[k] > 1))
    throw new RunError(
      `its axes (kinds ${kinds.join(', ') || 'not stated'}) have a non-spatial axis between the spatial ones: expected first or last; permute the axes`,
    );
  return axes;
}

/** A vector of the file's space in mm, LPS. */
type ToLps = (vector: readonly number[]) => Xyz;

/** Where the first voxel lies, LPS, if the header says so. */
function originOf(fields: ReadonlyMap<string, string>, toLps: ToLps): Xyz | undefined {
  const [origin] = vectors(fields.get('spaceorigin') ?? '');
  return origin ? toLps(origin) : undefined;
}

function gridOf(
  fields: ReadonlyMap<string, string>,
  sizes: readonly number[],
  axes: readonly number[],
  warnings: string[],
): Geometry {
  const size = perAxis([0, 1, 2], (k) => (k < axes.length ? sizes[axes[k]] : 1));
  const space = fields.get('space')?.toLowerCase();
  const signs = space === undefined ? undefined : PATIENT_SPACES[space];
  if (space !== undefined && !signs) {
    if (!OTHER_SPACES.test(space)) throw new RunError(`its space is "${space}", which NRRD does not define`);
    warnings.push(`its space is "${space}", which does not define anatomical axes: assuming LPS; left and right may be swapped`);
  } else if (!signs && !fields.has('spacedimension'))
    warnings.push('no orientation in its header (no "space"): axes assumed LPS as ITK does; left and right may be swapped');
  else if (!signs)
    warnings.push('its header does not define the orientation of its space (only "space dimension"): assuming LPS as ITK does');
  const text = fields.get('spacedirections');
  if (signs && text === undefined)
    warnings.push(
      `its space is "${space}", but no "space directions" orient its axes in it: assuming LPS, as without a space; left and right may be swapped`,
    );
  const units = strings(fields.get('spaceunits'));
  const row = [0, 1, 2].map((k) => (signs?.[k] ?? 1) * mmOf(units[k] ?? '', warnings));
  const toLps: ToLps = (vector) => row.map((factor, k) => (vector[k] ?? 0) * factor + 0) as unknown as Xyz;
  return text === undefined
    ? spacedGrid(fields, size, axes, toLps, warnings)
    : directedGrid(fields, vectors(text), size, axes, toLps, warnings);
}

/** Axes with directions in a space. */
function directedGrid(
  fields: ReadonlyMap<string, string>,
  directions: readonly (readonly number[] | null)[],
  size: Xyz,
  axes: readonly number[],
  toLps: ToLps,
  warnings: string[],
): Geometry {
  const columns = axes.map((axis) => toLps(directions[axis]!));
  if (columns.length === 2) {
    const normal = cross(columns[0], columns[1]);
    const length = Math.hypot(...normal);
    columns.push(perAxis(normal, (v) => v / length));
  }
  const origin = originOf(fields, toLps);
  if (!origin) warnings.push('no origin in its header ("space origin"): assuming 0');
  const matrix = matrix3((row, k) => columns[k][row]);
  const geometry = checkedGeometry(geometryOf({ matrix, offset: origin ?? [0, 0, 0] }, size));
  warnings.push(...shearWarnings(geometry));
  return geometry;
}

/** Axes with distances alone. */
function spacedGrid(
  fields: ReadonlyMap<string, string>,
  size: Xyz,
  axes: readonly number[],
  toLps: ToLps,
  warnings: string[],
): Geometry {
  const perAxis = (name: string): (number | undefined)[] => {
    const text = fields.get(name);
    const values = text === undefined ? [] : words(text).map(Number);
    return [0, 1, 2].map((k) => (Number.isFinite(values[axes[k]]) ? values[axes[k]] : undefined));
  };
  const [spacings, mins, maxs] = [perAxis('spacings'), perAxis('axismins'), perAxis('axismaxs')];
  const centers = words(fields.get('centers') ?? '');
  const units = strings(fields.get('units'));
  let guessed = false;
  const grid = [0, 1, 2].map((k) => {
    const mm = mmOf(units[axes[k]] ?? '', warnings);
    const node = centers[axes[k]]?.toLowerCase() === 'node';
    const [min, max] = [mins[k], maxs[k]];
    const steps = node ? size[k] - 1 : size[k];
    const step = spacings[k] ?? (min !== undefined && max !== undefined && steps > 0 ? (max - min) / steps : undefined);
    if (step === undefined && k < axes.length) guessed = true;
    const spacing = step ?? 1;
    const first = min === undefined ? 0 : node ? min : min + spacing / 2;
    return { spacing: Math.abs(spacing) * mm, sign: spacing < 0 ? -1 : 1, origin: first * mm };
  });
  if (guessed) warnings.push('no voxel size in its header ("space directions" or "spacings"): assuming 1 mm');
  return checkedGeometry({
    size,
    spacingMm: grid.map(({ spacing }) => spacing) as unknown as Xyz,
    originMm: originOf(fields, toLps) ?? (grid.map(({ origin }) => origin) as unknown as Xyz),
    direction: [grid[0].sign, 0, 0, 0, grid[1].sign, 0, 0, 0, grid[2].sign],
  });
}

function placeOf(
  encodingText: string,
  fields: ReadonlyMap<string, string>,
  listed: readonly string[],
  dataAt: number,
): DataPlace {
  const name = encodingText.toLowerCase();
  const encoding = /^raw$/.test(name)
    ? 'raw'
    : /^gz(ip)?$/.test(name)
      ? 'deflate'
      : /^(txt|text|ascii)$/.test(name)
        ? 'ascii'
        : /^hex$/.test(name)
          ? 'hex'
          : undefined;
  if (!encoding)
    throw new RunError(
      `its encoding is ${encodingText}, which is not supported; expected raw, gzip, ascii or hex; save it again with one of these`,
    );
  const count = (field: string): number => {
    const value = Number(fields.get(field) ?? 0);
    if (!Number.isSafeInteger(value)) throw new RunError(`its "${field}" is ${fields.get(field)}, expected a whole number`);
    return value;
  };
  const [lines, bytes] = [count('lineskip'), count('byteskip')];
  if (lines < 0) throw new RunError(`its "line skip" is ${lines}, expected 0 or more`);
  if (bytes < -1 || (bytes === -1 && encoding !== 'raw'))
    throw new RunError(
      `its "byte skip" is ${bytes}, expected 0 or more${encoding === 'raw' ? ', or -1' : ` for encoding ${name}`}`,
    );
  const file = fields.get('datafile');
  const files = file === undefined ? null : /^LIST\b/.test(file) ? listed : (numberedFiles(utf8(file)) ?? [utf8(file)]);
  if (files?.length === 0) throw new RunError('its "data file: LIST" is empty');
  const start = bytes === -1 ? 'end' : files ? 0 : dataAt;
  return { files, start, lines, bytes: Math.max(0, bytes), encoding, compressedBytes: null };
}
