/**
 * Reading any image: NIfTI-1 and -2, Analyze, NRRD, MetaImage, MGH and DICOM, as a volume in LPS millimetres.
 *
 * One way in for every format; what a file lacks or what is odd about it is said in `notes`, what cannot be right is refused with the
 * reason. Nothing is ever written beside the input.
 */
import { stat } from 'node:fs/promises';
import { MachineError, WorkError } from '../../errors/errors.ts';
import type { Geometry, VoxelArray } from '../../geometry/volume.ts';
import type { LoadedImage, ReadOptions } from '../loaded-image.ts';
import { channelsOf, describeStored, type VoxelType, valueType, voxelTypeOf } from '../stored-image.ts';
import { readDicomFile, readDicomStack } from './dicom.ts';
import { isDicomFile } from './dicom-header.ts';
import { openingError } from './file-bytes.ts';
import { findDicomSeries, type ImageSource } from './find.ts';
import { openNifti } from './nifti.ts';
import { type OpenFile, planesOf, volumeOf } from './open-file.ts';
import { readMgh, readTextHeaded } from './other-formats.ts';

export const READABLE =
  '.nii, .nii.gz, .hdr/.img, .nrrd, .nhdr, .mha, .mhd, .mgh, .mgz, a DICOM file or a folder with a DICOM series';

/** An image whose header is read: its voxels can be had whole, or plane by plane. */
export interface OpenImage extends Omit<LoadedImage, 'volume' | 'notes'> {
  readonly geometry: Geometry;
  /** The type of its values, slope and intercept applied. */
  readonly type: VoxelType;
  /** What is odd about the file, a sentence each; reading the voxels may find more. */
  readonly notes: ReadonlySet<string>;
  /** The planes, z = 0 first; the array may be filled anew for the next one. @throws WorkError that names the file */
  planes(): AsyncIterable<VoxelArray>;
  /** @throws WorkError that names the file */
  load(): Promise<LoadedImage>;
}

/**
 * Opens an image file, or the DICOM series of a folder, without reading more than its header where the format allows that.
 * @throws WorkError that names the file and why it cannot be read
 */
export async function openImage(source: string | ImageSource, options: ReadOptions = {}): Promise<OpenImage> {
  const path = typeof source === 'string' ? source : source.path;
  const named = <T>(work: () => Promise<T>): Promise<T> => withName(path, work);
  const file = await named(() => openSource(source, options));
  if ('volume' in file) {
    const { volume, notes, ...facts } = file;
    const { size } = volume.geometry;
    return {
      ...facts,
      geometry: volume.geometry,
      type: voxelTypeOf(volume.data),
      notes: new Set(notes),
      async *planes() {
        for (let z = 0; z < size[2]; z++) yield volume.data.subarray(z * size[0] * size[1], (z + 1) * size[0] * size[1]);
      },
      load: () => Promise.resolve(file),
    };
  }
  const { image, notes } = file;
  const facts = {
    path,
    format: image.format,
    storedType: describeStored(image),
    ...(image.modality ? { modality: image.modality } : {}),
    volumesInFile: channelsOf(image),
  };
  return {
    ...facts,
    geometry: image.geometry,
    type: valueType(image),
    notes,
    async *planes() {
      const planes = planesOf(file, options);
      try {
        for (let next = await named(() => planes.next()); !next.done; next = await named(() => planes.next())) yield next.value;
      } finally {
        await planes.return(undefined);
      }
    },
    load: async () => {
      const volume = await named(() => volumeOf(file, options));
      return { ...facts, volume, notes: [...notes] };
    },
  };
}

/**
 * Reads an image file, or the DICOM series of a folder. Of a folder with several series the one with most slices is read and the others
 * are named in `notes`.
 * @throws WorkError that names the file and why it cannot be read
 */
export const readImage = async (source: string | ImageSource, options: ReadOptions = {}): Promise<LoadedImage> =>
  (await openImage(source, options)).load();

async function withName<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof WorkError) || error instanceof MachineError) throw error;
    throw new WorkError(`${path}: ${error.message}`);
  }
}

async function openSource(source: string | ImageSource, options: ReadOptions): Promise<OpenFile | LoadedImage> {
  if (typeof source === 'string') return openPath(source, options);
  return source.kind === 'dicom' ? readDicomStack(source.files, source.path) : openPath(source.path, options);
}

async function openPath(path: string, options: ReadOptions): Promise<OpenFile | LoadedImage> {
  const facts = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw openingError(path, error);
  });
  if (facts.isDirectory()) return readFolder(path);
  if (!facts.isFile()) throw new WorkError('neither a file nor a folder');
  if (/\.(nii|hdr|img)(\.gz)?$/i.test(path)) return openNifti(path);
  if (/\.(nrrd|nhdr)$/i.test(path)) return readTextHeaded(path, 'NRRD', options);
  if (/\.(mha|mhd)$/i.test(path)) return readTextHeaded(path, 'MetaImage', options);
  if (/\.(mgh|mgz|mgh\.gz)$/i.test(path)) return readMgh(path, options);
  if (facts.size === 0) throw new WorkError('it is empty (0 bytes)');
  if (/\.(dcm|dicom|ima)$/i.test(path) || (await isDicomFile(path))) return readDicomFile(path);
  throw new WorkError(`not a format that is read here: expected ${READABLE}`);
}

async function readFolder(path: string): Promise<LoadedImage> {
  const { images, refused } = await findDicomSeries(path);
  if (refused.length > 0) throw new WorkError(`its slice ${refused[0].path}: ${refused[0].reason}`);
  const stacks = images.filter((image) => image.kind === 'dicom');
  if (stacks.length === 0) throw new WorkError(`no DICOM slices in this folder; expected ${READABLE}`);
  const loaded = await readDicomStack(stacks[0].files, path);
  if (stacks.length === 1) return loaded;
  const others = stacks
    .slice(1)
    .map((s) => `${s.files.length} slices${s.files[0].description ? ` "${s.files[0].description}"` : ''}`);
  const note = `${stacks.length} DICOM series in the folder: the one with most slices (${stacks[0].files.length}) is read; left out: ${others.join(', ')}`;
  return { ...loaded, notes: [note, ...loaded.notes] };
}
