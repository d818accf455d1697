/**
 * Writing volumes and displacement fields as NIfTI (.nii, .nii.gz) and NRRD (.nrrd): plane by plane, so that a large one need not be in
 * memory, and atomically. Equal content gives equal bytes.
 */
import type { FileHandle } from 'node:fs/promises';
import { UsageError } from '../../common/errors.ts';
import type { Geometry, Volume, VoxelArray } from '../../geometry/volume.ts';
import { withScratch, writeAt, writeAtomic } from '../../platform/node/files.ts';
import { niftiHeader } from '../nifti-writing.ts';
import { nrrdHeader } from '../nrrd-writing.ts';
import { bytesOf, STORED_BYTES, type VoxelType, voxelTypeOf } from '../stored-image.ts';
import { Deflater, GZIP_HEADER, gzipTrailer } from './gzip-writing.ts';

/** What an image is that is written plane by plane. */
export interface ImageToWrite {
  readonly geometry: Geometry;
  readonly type: VoxelType;
  /** Values a voxel, together (x, y, z innermost). 1 by default; 3 are a vector in mm, LPS. */
  readonly components?: 1 | 3;
}

/** Takes the next plane of an image, x fastest, z = 0 first; its array may be filled anew when the promise resolves. */
export type AddPlane = (values: VoxelArray) => Promise<void>;
type GivePlanes = (add: AddPlane) => Promise<void>;

/** An image that is made plane by plane while it is written. */
export interface PlanesToWrite extends ImageToWrite {
  /** The plane z, x fastest: asked for once each, z = 0 first. The array may be filled anew for the next one. */
  readonly plane: (z: number) => VoxelArray | Promise<VoxelArray>;
}

/** Writes a scalar volume, its number type kept. The name's ending chooses the format. @throws UsageError for another ending */
export const writeImage = (path: string, { geometry, data }: Volume): Promise<void> => writeWhole(path, geometry, data, 1);

/**
 * Writes a displacement field: three float32 values a voxel (x, y, z innermost: `data[voxel * 3 + component]`), millimetres, LPS, as ITK
 * and ANTs read it (NIfTI: a five-dimensional file with vector intent).
 */
export const writeVectorImage = (path: string, geometry: Geometry, data: Float32Array): Promise<void> =>
  writeWhole(path, geometry, data, 3);

async function writeWhole(path: string, geometry: Geometry, data: VoxelArray, components: 1 | 3): Promise<void> {
  const [nx, ny, nz] = geometry.size;
  const length = nx * ny * components;
  if (data.length !== length * nz)
    throw new RangeError(`${data.length} values for ${geometry.size.join(' x ')} voxels of ${components}`);
  await writePlanes(path, {
    geometry,
    type: voxelTypeOf(data),
    components,
    plane: (z) => data.subarray(z * length, (z + 1) * length),
  });
}

/**
 * Writes an image whose planes are made one after the other.
 * @throws UsageError for an ending other than .nii, .nii.gz, .nrrd; MachineError if the disk is full and the like; what `plane` throws.
 * Then no file is left.
 */
export const writePlanes = (path: string, { plane, ...image }: PlanesToWrite): Promise<void> =>
  writingPlanes(path, image, async (add) => {
    for (let z = 0; z < image.geometry.size[2]; z++) await add(await plane(z));
  });

/** The same where `work` gives the planes when it has them: of several images, for instance, that are made together. */
export async function writingPlanes(path: string, image: ImageToWrite, work: GivePlanes): Promise<void> {
  const nifti = /\.nii(\.gz)?$/i.test(path);
  if (!nifti && !/\.nrrd$/i.test(path))
    throw new UsageError(`${path}: unsupported extension for writing; expected .nii, .nii.gz or .nrrd`);
  const { geometry, type, components = 1 } = image;
  const vectors = nifti && components === 3;
  const header = nifti
    ? niftiHeader(geometry, type, vectors ? 'vector' : 'scalar')
    : new TextEncoder().encode(nrrdHeader(geometry, type, components));
  await writeAtomic(path, async (file) => {
    const give = checked(image, work);
    const write = (bytes: Uint8Array): Promise<void> => file.writeFile(bytes);
    const zipped = /\.gz$/i.test(path);
    if (!zipped) await write(header);
    if (vectors && zipped) await writeZippedComponents(path, file, header, image, give);
    else if (vectors) await writeComponents(file, header.length, image, give);
    else if (nifti && !zipped) await give((values) => write(bytesOf(values)));
    else {
      await write(GZIP_HEADER);
      const deflater = deflaterOf(image, write);
      if (zipped) await deflater.add(header);
      await give((values) => deflater.add(bytesOf(values)));
      await write(gzipTrailer([await deflater.end(true)]));
    }
  });
}

/** `writingPlanes` of several images that are made together: `work` is given what takes each one's planes. */
export async function writingTogether(
  images: readonly (ImageToWrite & { readonly path: string })[],
  work: (adds: readonly AddPlane[]) => Promise<void>,
  adds: readonly AddPlane[] = [],
): Promise<void> {
  const next = images[adds.length];
  if (!next) await work(adds);
  else await writingPlanes(next.path, next, (add) => writingTogether(images, work, [...adds, add]));
}

const deflaterOf = ({ type }: ImageToWrite, write: (bytes: Uint8Array) => Promise<void>): Deflater =>
  new Deflater(STORED_BYTES[type] === 1 ? 'codes' : 'numbers', write);

/** `work` with its planes checked. @throws RangeError for planes that are not what the image announces, more of them, or fewer */
const checked =
  ({ geometry, type, components = 1 }: ImageToWrite, work: GivePlanes): GivePlanes =>
  async (add) => {
    const [nx, ny, nz] = geometry.size;
    const expected = nx * ny * components;
    let z = 0;
    await work(async (values) => {
      if (z >= nz) throw new RangeError(`a plane more than the ${nz} of the image`);
      if (values.length !== expected || voxelTypeOf(values) !== type)
        throw new RangeError(`plane ${z}: ${values.length} values of ${voxelTypeOf(values)}, expected ${expected} of ${type}`);
      z++;
      await add(values);
    });
    if (z < nz) throw new RangeError(`${z} planes, expected ${nz}`);
  };

/** NIfTI keeps all of one component before the next. Gives one after the other to `add`, in an array that is used again. */
async function separated(values: VoxelArray, add: (one: Uint8Array, component: number) => Promise<void>): Promise<void> {
  const one = values.slice(0, values.length / 3);
  for (let component = 0; component < 3; component++) {
    for (let i = 0, at = component; i < one.length; i++, at += 3) one[i] = values[at];
    await add(bytesOf(one), component);
  }
}

async function writeComponents(file: FileHandle, start: number, image: ImageToWrite, give: GivePlanes): Promise<void> {
  const [nx, ny, nz] = image.geometry.size;
  const planeBytes = nx * ny * STORED_BYTES[image.type];
  let z = 0;
  await give(async (values) => {
    await separated(values, (one, component) => writeAt(file, one, start + (component * nz + z) * planeBytes));
    z++;
  });
}

/** All components are compressed as their planes come; the second and third wait beside the file until the first is complete. */
async function writeZippedComponents(
  path: string,
  file: FileHandle,
  header: Uint8Array,
  image: ImageToWrite,
  give: GivePlanes,
): Promise<void> {
  await withScratch(path, (second) =>
    withScratch(path, async (third) => {
      const files = [file, second, third];
      const deflaters = files.map((into) => deflaterOf(image, (bytes) => into.writeFile(bytes)));
      await file.writeFile(GZIP_HEADER);
      await deflaters[0].add(header);
      await give((values) => separated(values, (one, component) => deflaters[component].add(one)));
      const parts = await Promise.all(deflaters.map((deflater, k) => deflater.end(k === 2)));
      for (const part of [second, third]) for await (const bytes of piecesOf(part)) await file.writeFile(bytes);
      await file.writeFile(gzipTrailer(parts));
    }),
  );
}

async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(2 ** 20);
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
