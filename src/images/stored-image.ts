/**
 * Voxels as a file holds them, and reading them: plane by plane into typed arrays, whatever the format.
 *
 * Every byte is accounted for: too few are refused, too many are said, and nothing is allocated that the file cannot fill.
 */
import { RunError } from '../common/errors.ts';
import { formatBytes } from '../common/format-bytes.ts';
import { type Geometry, type Volume, type VoxelArray, voxelCount } from '../geometry/volume.ts';
import { type ByteReader, type ByteSource, readerOf } from './bytes.ts';
import { checkedGeometry, type Intent, MAX_VOLUME_BYTES, type ReadOptions, tooLarge } from './loaded-image.ts';

const ARRAYS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;

/** Numbers that a volume can hold. */
export type VoxelType = keyof typeof ARRAYS;
/** Numbers that a file can hold: of 64-bit integers those up to 2^53 are exact as doubles. */
export type StoredType = VoxelType | 'int64' | 'uint64';

export const STORED_BYTES: Readonly<Record<StoredType, number>> = {
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  float32: 4,
  float64: 8,
  int64: 8,
  uint64: 8,
};

/** Zeros of a type. */
export const voxelArray = (type: VoxelType, length: number): VoxelArray => new ARRAYS[type](length);
export const voxelTypeOf = (data: VoxelArray): VoxelType =>
  (Object.keys(ARRAYS) as VoxelType[]).find((type) => data instanceof ARRAYS[type])!;
export const bytesOf = (data: VoxelArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** What a header says, once it is checked. */
export interface StoredImage {
  readonly format: string;
  readonly geometry: Geometry;
  /** All sizes in the file's order, for messages. */
  readonly dims: readonly number[];
  readonly type: StoredType;
  readonly littleEndian: boolean;
  /** Values are stored x slope + intercept. */
  readonly slope: number;
  readonly intercept: number;
  /** Values that lie together at each voxel. */
  readonly inner: number;
  /** Volumes that lie one after the other. */
  readonly outer: number;
  /** DICOM's word for the modality, where the file states it. */
  readonly modality?: string;
  /** Of NIfTI whose volumes are the components of a vector, or of some other tuple, a voxel: what they are. */
  readonly vectors?: Intent;
  /** The format lets other things follow the voxels. */
  readonly mayGoOn?: boolean;
  /** What is odd about the file, a sentence each. */
  readonly warnings: readonly string[];
}

export const channelsOf = ({ inner, outer }: StoredImage): number => inner * outer;

/** The stored type in words: "int16 x 0.5 + 3, big-endian". */
export function describeStored({ type, slope, intercept, littleEndian }: StoredImage): string {
  const scaled = slope !== 1 || intercept !== 0;
  return `${type}${scaled ? ` x ${+slope.toPrecision(6)} + ${+intercept.toPrecision(6)}` : ''}${littleEndian || STORED_BYTES[type] === 1 ? '' : ', big-endian'}`;
}

/**
 * Which of the image's channels is meant; of several one must be chosen.
 * @throws RunError that says how to choose
 */
export function chosenChannel(image: StoredImage, options: ReadOptions, warnings: Set<string>): number {
  const count = channelsOf(image);
  const { channel } = options;
  const what = image.inner > 1 ? 'values per voxel' : 'volumes';
  const size = image.dims.join(' x ');
  if (channel !== undefined) {
    if (!Number.isInteger(channel) || channel < 0 || channel >= count)
      throw new RunError(
        count === 1
          ? `it holds one volume (${size}), so channel ${channel} does not exist: expected 0, or omit \`channel\``
          : `it holds ${count} ${what} (${size}), so channel ${channel} does not exist: expected 0 to ${count - 1}`,
      );
    return channel;
  }
  if (count === 1) return 0;
  if (!options.firstVolume)
    throw new RunError(
      `it holds ${count} ${what} (${size}), expected one${image.inner > 1 ? ': a vector field or colours' : ''}${options.single ? '' : `; choose one with \`channel\` N (0 to ${count - 1})`}`,
    );
  warnings.add(
    image.inner > 1
      ? `${count} values per voxel (${size}): showing the first`
      : `${image.dims.length} dimensions (${size}): ${count} volumes, showing the first`,
  );
  return 0;
}

const LIMITS: Readonly<Record<Exclude<StoredType, 'float32' | 'float64'>, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [-(2 ** 63), 2 ** 63],
  uint64: [0, 2 ** 64],
};

/**
 * The type that values have after slope and intercept. It follows from the header alone: an integer type where all results are whole
 * and fit one, else float32, or float64 where float32 would merge values that the file tells apart.
 */
export function valueType({ type, slope, intercept }: Pick<StoredImage, 'type' | 'slope' | 'intercept'>): VoxelType {
  if (type === 'int64' || type === 'uint64') return 'float64';
  if (slope === 1 && intercept === 0) return type;
  if (type === 'float64') return 'float64';
  if (type === 'float32')
    return intercept === 0 && Math.abs(slope) < 2 ** 64 && Math.abs(slope) > 2 ** -64 ? 'float32' : 'float64';
  const ends = LIMITS[type].map((end) => end * slope + intercept).sort((a, b) => a - b);
  if (Number.isInteger(slope) && Number.isInteger(intercept)) {
    const fits = (['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32'] as const).find(
      (wide) => STORED_BYTES[wide] >= STORED_BYTES[type] && LIMITS[wide][0] <= ends[0] && LIMITS[wide][1] >= ends[1],
    );
    if (fits) return fits;
  }
  // float32 has 24 bits: the rounding of the largest result must stay within a quarter of a step
  const largest = Math.max(Math.abs(ends[0]), Math.abs(ends[1]));
  return largest <= Math.abs(slope) * 2 ** 22 && largest < 2 ** 127 && Math.abs(slope) > 2 ** -100 ? 'float32' : 'float64';
}

function swapBytes(bytes: Uint8Array, width: number): void {
  for (let at = 0; at < bytes.length; at += width)
    for (let low = at, high = at + width - 1; low < high; low++, high--) {
      const byte = bytes[low];
      bytes[low] = bytes[high];
      bytes[high] = byte;
    }
}

/** 64-bit whole numbers as doubles, in the same place if need be; gives how many a double cannot hold. */
function doublesOf(bytes: Uint8Array, signed: boolean, into: Float64Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let inexact = 0;
  for (let i = 0; i < into.length; i++) {
    const high = signed ? view.getInt32(8 * i + 4, true) : view.getUint32(8 * i + 4, true);
    const low = view.getUint32(8 * i, true);
    const value = high * 2 ** 32 + low;
    if (!Number.isSafeInteger(value) && BigInt(value) !== BigInt(high) * 2n ** 32n + BigInt(low)) inexact++;
    into[i] = value;
  }
  return inexact;
}

/** Bytes of all voxels in the file. */
const needed = (image: StoredImage): number => voxelCount(image.geometry.size) * channelsOf(image) * STORED_BYTES[image.type];

const tooShort = (image: StoredImage, there: number, { name }: ByteSource): RunError =>
  new RunError(
    `its header states ${image.dims.join(' x ')} voxels of ${STORED_BYTES[image.type] * image.inner} bytes (${needed(image)} bytes), but ${there} are present${name ? ` in ${name}` : ''}: truncated or damaged`,
  );

/** Compressed files may claim this much more than 4 times their size before what they hold is counted. */
const TRUSTED_BYTES = 200 * 2 ** 20;

/** Checks that the file can hold what its header states, before memory is taken for it. @throws RunError */
export async function checkSize(image: StoredImage, source: ByteSource, offset: number): Promise<void> {
  checkedGeometry(image.geometry);
  const volumeBytes = voxelCount(image.geometry.size) * Math.max(STORED_BYTES[image.type], STORED_BYTES[valueType(image)]);
  if (!(volumeBytes <= MAX_VOLUME_BYTES)) throw tooLarge(image.geometry.size, volumeBytes);
  if (source.sizeBytes !== null) {
    const there = Math.max(0, source.sizeBytes - offset);
    if (there < needed(image)) throw tooShort(image, there, source);
    return;
  }
  if (needed(image) <= 4 * source.storedBytes + TRUSTED_BYTES) return;
  const reader = readerOf(source.pieces(0));
  try {
    const there = (await reader.skip(offset + needed(image))) - offset;
    if (there < needed(image)) throw tooShort(image, Math.max(0, there), source);
  } finally {
    await reader.close();
  }
}

/**
 * The planes of one channel, z = 0 first, as {@link valueType} says; parts of `into`, or else one array that is filled anew for each.
 * @param offset where in `source` the voxels begin
 * @param warnings is told of what follows the voxels and of numbers that were rounded
 * @param into room for all planes
 * @throws RunError if the voxels are not all there
 */
export async function* readPlanes(
  image: StoredImage,
  source: ByteSource,
  offset: number,
  channel: number,
  warnings: Set<string>,
  into?: VoxelArray,
): AsyncGenerator<VoxelArray> {
  const { type, inner, slope, intercept, geometry } = image;
  const [nx, ny, nz] = geometry.size;
  const width = STORED_BYTES[type];
  const volumeBytes = nx * ny * nz * inner * width;
  const before = Math.floor(channel / inner) * volumeBytes;
  const of = channel % inner;
  const scaled = slope !== 1 || intercept !== 0;
  const long = type === 'int64' || type === 'uint64';
  // values that are stored as they are, one by one, are read where they are to lie
  const asStored = !scaled && inner === 1;
  const one = into ? null : voxelArray(valueType(image), nx * ny);
  const apart = asStored ? null : long ? new Float64Array(nx * ny * inner) : voxelArray(type as VoxelType, nx * ny * inner);
  let inexact = 0;

  const known = source.sizeBytes !== null;
  const reader = readerOf(source.pieces(known ? offset + before : 0));
  try {
    let there = known ? before : (await reader.skip(offset + before)) - offset;
    if (there < before) throw tooShort(image, Math.max(0, there), source);
    for (let z = 0; z < nz; z++) {
      const values = one ?? into!.subarray(z * nx * ny, (z + 1) * nx * ny);
      const stored = apart ?? values;
      const bytes = bytesOf(stored);
      const filled = await reader.fill(bytes);
      there += filled;
      if (filled < bytes.length) throw tooShort(image, there, source);
      if (!image.littleEndian && width > 1) swapBytes(bytes, width);
      if (long) inexact += doublesOf(bytes, type === 'int64', stored as Float64Array);
      if (scaled) for (let i = 0, at = of; i < values.length; i++, at += inner) values[i] = stored[at] * slope + intercept;
      else if (inner > 1) for (let i = 0, at = of; i < values.length; i++, at += inner) values[i] = stored[at];
      yield values;
    }
    await checkRest(image, source, offset, reader, there, warnings);
    if (inexact > 0) warnings.add(`${inexact} of its ${type} values exceed 2^53 and are rounded to the nearest double`);
  } finally {
    await reader.close();
  }
}

/** Reads on to the end, where that is the way to learn whether all is there and sound. */
async function checkRest(
  image: StoredImage,
  source: ByteSource,
  offset: number,
  reader: ByteReader,
  taken: number,
  warnings: Set<string>,
): Promise<void> {
  const there = source.sizeBytes === null ? taken + (await reader.skip(Number.POSITIVE_INFINITY)) : source.sizeBytes - offset;
  if (there < needed(image)) throw tooShort(image, there, source);
  if (there > needed(image) && !image.mayGoOn)
    warnings.add(
      `its header states ${needed(image)} bytes of voxels, but ${there} are present: the extra ${there - needed(image)} were ignored`,
    );
}

/** All planes of one channel as a volume: one array of its type, and no copy of the file. @throws RunError */
export async function readVolume(
  image: StoredImage,
  source: ByteSource,
  offset: number,
  channel: number,
  warnings: Set<string>,
  onPlane: ReadOptions['onPlane'],
): Promise<Volume> {
  const type = valueType(image);
  const length = voxelCount(image.geometry.size);
  let data: VoxelArray;
  try {
    data = voxelArray(type, length);
  } catch {
    const bytes = formatBytes(length * STORED_BYTES[type]);
    throw new RunError(`its ${image.geometry.size.join(' x ')} voxels need ${bytes} of memory, more than is available`);
  }
  const volume = { geometry: image.geometry, data };
  let z = 0;
  for await (const _ of readPlanes(image, source, offset, channel, warnings, data)) onPlane?.(volume, z++);
  return volume;
}
