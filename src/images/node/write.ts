/**
 * Writing volumes and displacement fields as NIfTI (.nii, .nii.gz) and NRRD (.nrrd): plane by plane, so that a large one need not be in
 * memory, and atomically. Equal content gives equal bytes.
 */
import type { FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { UsageError } from '../../errors/errors.ts';
import type { Geometry, Volume, VoxelArray } from '../../geometry/volume.ts';
import { withScratch, writeAt, writeAtomic } from '../../node/files.ts';
import { niftiHeader } from '../nifti-writing.ts';
import { nrrdHeader } from '../nrrd-writing.ts';
import { bytesOf, STORED_BYTES, type VoxelType, voxelTypeOf } from '../stored-image.ts';

/** An image that is made plane by plane while it is written. */
export interface PlanesToWrite {
  readonly geometry: Geometry;
  readonly type: VoxelType;
  /** Values a voxel, together (x, y, z innermost). 1 by default; 3 are a vector in mm, LPS. */
  readonly components?: 1 | 3;
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
export async function writePlanes(path: string, image: PlanesToWrite): Promise<void> {
  const nifti = /\.nii(\.gz)?$/i.test(path);
  if (!nifti && !/\.nrrd$/i.test(path))
    throw new UsageError(`${path}: images are written as .nii, .nii.gz or .nrrd; give the file one of these endings`);
  const { geometry, type, components = 1 } = image;
  const vectors = nifti && components === 3;
  const header = nifti
    ? niftiHeader(geometry, type, vectors ? 'vector' : 'scalar')
    : new TextEncoder().encode(nrrdHeader(geometry, type, components));
  await writeAtomic(path, async (file) => {
    if (!nifti) {
      await file.writeFile(header);
      await writeGzip(file, type, planesOf(image));
    } else if (!/\.gz$/i.test(path)) {
      await file.writeFile(header);
      if (vectors) await writeComponents(file, header.length, image);
      else for await (const bytes of planesOf(image)) await file.writeFile(bytes);
    } else if (vectors) {
      await withScratch(path, async (scratch) => {
        await writeComponents(scratch, 0, image);
        await writeGzip(file, type, joined(header, piecesOf(scratch)));
      });
    } else await writeGzip(file, type, joined(header, planesOf(image)));
  });
}

async function planeAt({ geometry, type, components = 1, plane }: PlanesToWrite, z: number): Promise<VoxelArray> {
  const values = await plane(z);
  const expected = geometry.size[0] * geometry.size[1] * components;
  if (values.length !== expected || voxelTypeOf(values) !== type)
    throw new RangeError(`plane ${z}: ${values.length} values of ${voxelTypeOf(values)}, expected ${expected} of ${type}`);
  return values;
}

/** Each plane's bytes, copied: a compressor keeps them while the next plane is made. */
async function* planesOf(image: PlanesToWrite): AsyncGenerator<Uint8Array> {
  for (let z = 0; z < image.geometry.size[2]; z++) yield bytesOf(await planeAt(image, z)).slice();
}

async function* joined(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

/** Bytes are mostly codes in regions, which are worth an effort; wider numbers mostly noise, on which a high level is only slower: 4 times for 3 %. */
const levelOf = (type: VoxelType): number => (STORED_BYTES[type] === 1 ? 6 : 1);

async function writeGzip(file: FileHandle, type: VoxelType, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  await pipeline(
    pieces,
    createGzip({ level: levelOf(type), chunkSize: 2 ** 18 }),
    async (compressed: AsyncIterable<Uint8Array>) => {
      for await (const piece of compressed) await file.writeFile(piece);
    },
  );
}

/** NIfTI keeps all of one component before the next, so each plane goes to three places. */
async function writeComponents(file: FileHandle, start: number, image: PlanesToWrite): Promise<void> {
  const [nx, ny, nz] = image.geometry.size;
  const planeBytes = nx * ny * STORED_BYTES[image.type];
  for (let z = 0; z < nz; z++) {
    const values = await planeAt(image, z);
    const one = values.slice(0, nx * ny);
    for (let component = 0; component < 3; component++) {
      for (let i = 0, at = component; i < one.length; i++, at += 3) one[i] = values[at];
      await writeAt(file, bytesOf(one), start + (component * nz + z) * planeBytes);
    }
  }
}

async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  for (let position = 0; ; ) {
    const { bytesRead, buffer } = await file.read(new Uint8Array(2 ** 20), 0, 2 ** 20, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
