/** MetaImage headers (.mha, .mhd): the tags of Kitware's MetaIO, as ITK understands them. */
import { RunError } from '../common/errors.ts';
import { geometryOf, voxelToPhysical } from '../geometry/affine.ts';
import { type Geometry, matrix3, perAxis, type Xyz } from '../geometry/volume.ts';
import { type DataPlace, headerText, latin1, numberedFiles, utf8 } from './data-place.ts';
import { checkedGeometry, shearWarnings } from './loaded-image.ts';
import { mmOf } from './nrrd.ts';
import type { StoredImage, StoredType } from './stored-image.ts';

const TYPES: Readonly<Record<string, StoredType>> = {
  MET_CHAR: 'int8',
  MET_UCHAR: 'uint8',
  MET_SHORT: 'int16',
  MET_USHORT: 'uint16',
  MET_INT: 'int32',
  MET_UINT: 'uint32',
  MET_LONG: 'int32',
  MET_ULONG: 'uint32',
  MET_LONG_LONG: 'int64',
  MET_ULONG_LONG: 'uint64',
  MET_FLOAT: 'float32',
  MET_DOUBLE: 'float64',
};
/** The last tag of a header; of LOCAL data the next byte is the first. */
export const META_END = /^ElementDataFile[ \t]*=[^\n]*(?:\n|$)/im;

/** @param bytes the header, and whatever of the file follows it. @throws RunError with the reason, without the file's name */
export function parseMetaImage(bytes: Uint8Array): { readonly image: StoredImage; readonly place: DataPlace } {
  const header = headerText(bytes, META_END);
  if (!header) throw new RunError('not MetaImage: no line "ElementDataFile = ..."');
  const warnings: string[] = [];
  const tags = new Map<string, string>();
  for (const line of header.text.split(/\r?\n/)) {
    const match = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line);
    if (match) tags.set(match[1].toLowerCase(), match[2]);
  }
  const tag = (...names: readonly string[]): string | undefined =>
    names.map((name) => tags.get(name.toLowerCase())).find((value) => value !== undefined);
  const required = (name: string): string => {
    const value = tag(name);
    if (value === undefined) throw new RunError(`its header has no "${name}"`);
    return value;
  };
  const numbers = (text: string): number[] => text.split(/\s+/).map(Number);
  // MetaIO looks at the first letter alone
  const yes = (text: string | undefined): boolean => /^[t1]/i.test(text ?? '');

  const kind = tag('ObjectType');
  if (kind !== undefined && !/^image$/i.test(kind)) throw new RunError(`it is a MetaIO ${kind}, expected an Image`);
  const dims = numbers(required('DimSize'));
  if (!dims.every((n) => Number.isSafeInteger(n) && n > 0)) throw new RunError(`its size is ${dims.join(' x ')}: damaged`);
  const rank = Number(tag('NDims') ?? dims.length);
  if (rank !== dims.length || rank < 2)
    throw new RunError(`its NDims is ${tag('NDims')}, but DimSize is ${dims.join(' x ')}: damaged`);
  const typeText = required('ElementType').replace(/_ARRAY$/i, '');
  const type = TYPES[typeText.toUpperCase()];
  if (!type) throw new RunError(`its voxel type is ${typeText}, which is not supported`);
  const channels = Number(tag('ElementNumberOfChannels') ?? 1);
  if (!(Number.isSafeInteger(channels) && channels > 0))
    throw new RunError(`its ElementNumberOfChannels is ${channels}: damaged`);

  const binary = yes(tag('BinaryData') ?? 'true');
  const compressed = yes(tag('CompressedData'));
  const bigEndian = yes(tag('BinaryDataByteOrderMSB', 'ElementByteOrderMSB'));
  const [slope, intercept] = [
    Number(tag('ElementToIntensityFunctionSlope') ?? 1),
    Number(tag('ElementToIntensityFunctionOffset') ?? 0),
  ];
  if (slope !== 1 || intercept !== 0)
    warnings.push(
      `its header has ElementToIntensityFunctionSlope ${slope} and Offset ${intercept}: not applied, as in ITK; values are as stored`,
    );
  const modality = /^MET_MOD_(CT|MR|NM|US)$/i.exec(tag('Modality') ?? '')?.[1].toUpperCase();
  const image: StoredImage = {
    format: 'MetaImage',
    geometry: gridOf(tag, numbers, dims, warnings),
    dims,
    type,
    littleEndian: !(bigEndian && binary),
    slope: 1,
    intercept: 0,
    inner: channels,
    outer: dims.slice(3).reduce((a, b) => a * b, 1),
    ...(modality ? { modality } : {}),
    warnings,
  };

  const skip = Number(tag('HeaderSize') ?? 0);
  if (!(Number.isSafeInteger(skip) && skip >= -1))
    throw new RunError(`its HeaderSize is ${tag('HeaderSize')}: expected -1 or more`);
  if (skip === -1 && (compressed || !binary)) throw new RunError('its HeaderSize is -1, which is only valid for raw data');
  const files = filesOf(required('ElementDataFile'), bytes, header.bytes);
  if (!files && skip > 0 && skip < header.bytes)
    throw new RunError(`its HeaderSize is ${skip}, but its header has ${header.bytes} bytes: damaged`);
  const size = tag('CompressedDataSize');
  return {
    image,
    place: {
      files,
      start: skip === -1 ? 'end' : skip > 0 ? skip : files ? 0 : header.bytes,
      lines: 0,
      bytes: 0,
      encoding: !binary ? 'ascii' : compressed ? 'deflate' : 'raw',
      compressedBytes: compressed && size !== undefined && (files?.length ?? 1) === 1 ? Number(size) : null,
    },
  };
}

/** LOCAL, a file, a pattern of numbered files, or a list of them behind the header. */
function filesOf(text: string, bytes: Uint8Array, headerBytes: number): readonly string[] | null {
  if (/^LOCAL$/i.test(text)) return null;
  if (!/^LIST\b/i.test(text)) return numberedFiles(utf8(text)) ?? [utf8(text)];
  const names = latin1(bytes.subarray(headerBytes))
    .split(/\r?\n/)
    .map((line) => utf8(line.trim()))
    .filter((line) => line !== '');
  if (names.length === 0) throw new RunError('its "ElementDataFile = LIST" is not followed by file names');
  return names;
}

function gridOf(
  tag: (...names: readonly string[]) => string | undefined,
  numbers: (text: string) => number[],
  dims: readonly number[],
  warnings: string[],
): Geometry {
  const rank = dims.length;
  const values = (names: readonly string[], count: number): number[] | undefined => {
    const text = tag(...names);
    if (text === undefined) return undefined;
    const found = numbers(text);
    if (found.length !== count || !found.every(Number.isFinite))
      throw new RunError(`its ${names[0]} is "${text}", expected ${count} numbers`);
    return found;
  };
  const three = (found: readonly number[], rest: number): Xyz => perAxis([0, 1, 2], (k) => (k < rank ? found[k] : rest));
  const units = tag('DistanceUnits');
  const mm = units === undefined || units === '?' ? 1 : mmOf(units, warnings);
  if (mm !== 1) warnings.push(`its distances are in ${units}: converted to mm (ITK does not convert them)`);
  const spacing = values(['ElementSpacing'], rank) ?? values(['ElementSize'], rank);
  if (!spacing) warnings.push('no voxel size in its header ("ElementSpacing"): assuming 1 mm');
  const position = values(['Offset', 'Position', 'Origin'], rank);
  if (!position) warnings.push('no position in its header ("Offset"): assuming 0');
  const axes = values(['TransformMatrix', 'Rotation', 'Orientation'], rank * rank);
  if (!axes) warnings.push('no orientation in its header ("TransformMatrix"): axes assumed LPS; left and right may be swapped');
  // each axis's direction stands together in the file, so the file's rows are our columns
  const direction = matrix3((row, column) =>
    axes && row < rank && column < rank ? axes[column * rank + row] + 0 : row === column ? 1 : 0,
  );
  const grid = checkedGeometry({
    size: three(dims, 1),
    spacingMm: perAxis(three(spacing ?? dims.map(() => 1), 1), (s) => s * mm),
    originMm: perAxis(three(position ?? dims.map(() => 0), 0), (v) => v * mm),
    direction,
  });
  const longest = Math.max(...[0, 1, 2].map((k) => Math.abs(Math.hypot(direction[k], direction[k + 3], direction[k + 6]) - 1)));
  // positions stay: what an axis is longer, its voxels are longer
  const geometry = longest < 1e-3 ? grid : geometryOf(voxelToPhysical(grid), grid.size);
  if (geometry !== grid)
    warnings.push('its TransformMatrix has axes of length other than 1: the voxel size was multiplied by their length');
  warnings.push(...shearWarnings(geometry));
  return geometry;
}
