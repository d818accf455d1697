/**
 * Reading any image: NIfTI-1 and -2, Analyze, NRRD, MetaImage, MGH and DICOM, as a volume in LPS millimetres.
 *
 * One way in for every format; what a file lacks or is unusual about it is said in `warnings`, what cannot be right is refused with the
 * reason. Nothing is ever written beside the input.
 */
import { stat } from 'node:fs/promises';
import { MachineError, RunError } from '../../common/errors.ts';
import type { Geometry, VoxelArray } from '../../geometry/volume.ts';
import { headOf } from '../bytes.ts';
import { type LoadedImage, planeOf, type ReadOptions } from '../loaded-image.ts';
import { MGH_HEADER_BYTES, parseMgh } from '../mgh.ts';
import { factsOf, loadFile, type OpenFile, opened, planesOf } from '../open-file.ts';
import { describeOther, isVoxelHalf, kindOfName, recognise } from '../recognise.ts';
import { type VoxelType, valueType, voxelTypeOf } from '../stored-image.ts';
import { describeStack, isDicomFile, readDicomFile, readDicomSource } from './dicom.ts';
import { HEAD_BYTES, maybeGzipped, openingError } from './file-bytes.ts';
import { findImages, type ImageSource, seriesOfFolder } from './find.ts';
import { openNifti } from './nifti.ts';
import { textHeader, voxelData } from './voxel-data.ts';

const READABLE = '.nii, .nii.gz, .hdr/.img, .nrrd, .nhdr, .mha, .mhd, .mgh, .mgz, a DICOM file or a folder with a DICOM series';

/** An image whose header is read: its voxels can be had whole, or plane by plane. */
export interface OpenImage extends Omit<LoadedImage, 'volume' | 'warnings'> {
  readonly geometry: Geometry;
  /** The type of its values, slope and intercept applied. */
  readonly type: VoxelType;
  /** What is odd about the file, a sentence each; reading the voxels may find more. */
  readonly warnings: ReadonlySet<string>;
  /** The planes, z = 0 first; the array may be filled anew for the next one. @throws RunError that names the file */
  planes(): AsyncIterable<VoxelArray>;
  /** @throws RunError that names the file */
  load(): Promise<LoadedImage>;
}

/**
 * Opens an image file, or the DICOM series of a folder, without reading more than its header where the format allows that.
 * @throws RunError that names the file and why it cannot be read
 */
export async function openImage(source: string | ImageSource, options: ReadOptions = {}): Promise<OpenImage> {
  const path = typeof source === 'string' ? source : source.path;
  const named = <T>(work: () => Promise<T>): Promise<T> => withName(path, work);
  const file = await named(() => openSource(source));
  if ('volume' in file) {
    const { volume, warnings, ...facts } = file;
    const { size } = volume.geometry;
    if (options.channel !== undefined && options.channel !== 0)
      throw new RunError(`${path}: it is one volume (${file.format}), so channel ${options.channel} does not exist: expected 0`);
    return {
      ...facts,
      geometry: volume.geometry,
      type: voxelTypeOf(volume.data),
      warnings: new Set(warnings),
      async *planes() {
        for (let z = 0; z < size[2]; z++) yield planeOf(volume, z);
      },
      load: async () => {
        for (let z = 0; options.onPlane && z < size[2]; z++) options.onPlane(volume, z);
        return file;
      },
    };
  }
  return {
    ...factsOf(path, file),
    geometry: file.image.geometry,
    type: valueType(file.image),
    warnings: file.warnings,
    async *planes() {
      const planes = planesOf(file, options);
      try {
        for (let next = await named(() => planes.next()); !next.done; next = await named(() => planes.next())) yield next.value;
      } finally {
        await planes.return(undefined);
      }
    },
    load: () => named(() => loadFile(path, file, options)),
  };
}

/**
 * Reads an image file, or the DICOM series of a folder. Of a folder with several series the one with most slices is read and the others
 * are named in `warnings`.
 * @throws RunError that names the file and why it cannot be read
 */
export const readImage = async (source: string | ImageSource, options: ReadOptions = {}): Promise<LoadedImage> =>
  (await openImage(source, options)).load();

async function withName<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RunError) || error instanceof MachineError) throw error;
    throw new RunError(`${path}: ${error.message}`);
  }
}

async function openSource(source: string | ImageSource): Promise<OpenFile | LoadedImage> {
  if (typeof source === 'string') return openPath(source);
  return source.kind === 'dicom' ? readDicomSource(source) : openPath(source.path);
}

async function openPath(path: string): Promise<OpenFile | LoadedImage> {
  const facts = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw openingError(path, error);
  });
  if (facts.isDirectory()) return readFolder(path);
  const warnings = new Set<string>();
  const stored = await maybeGzipped(path, warnings);
  const head = await headOf(stored, HEAD_BYTES).catch((error: unknown) => {
    if (error instanceof MachineError || !(error instanceof RunError)) throw error;
    // a damaged stream is named by the reader that its name calls for
    return new Uint8Array();
  });
  const source = { ...stored, head };
  const content = recognise(head) ?? ((await isDicomFile(path)) ? 'DICOM' : null);
  const named = kindOfName(path);
  const kind = isVoxelHalf(path) && content !== 'DICOM' ? 'NIfTI' : (content ?? named);
  if (content !== null && named !== null && kind !== named)
    warnings.add(`its name says ${named}, but its content is ${content}: read as the latter`);
  if (kind === 'NIfTI' || kind === 'MGH') warnOfCompression(path, stored.gzipped, warnings);
  switch (kind) {
    case 'NIfTI':
      return openNifti(path, source, warnings);
    case 'NRRD':
    case 'MetaImage': {
      const { image, place } = await textHeader(kind, source);
      return opened(image, await voxelData(path, source, image, place, warnings), 0, warnings);
    }
    case 'MGH':
      return opened(parseMgh(await headOf(source, MGH_HEADER_BYTES)), source, MGH_HEADER_BYTES, warnings);
    case 'DICOM':
      return readDicomFile(path);
  }
  const other = describeOther(head);
  throw new RunError(`${other ? `it is ${other}, ` : ''}not a supported format: expected ${READABLE}`);
}

/** Other programs go by the name. */
function warnOfCompression(path: string, gzipped: boolean, warnings: Set<string>): void {
  if (/\.(gz|mgz)$/i.test(path) === gzipped) return;
  warnings.add(
    gzipped
      ? 'it is compressed with gzip, but its name does not say so: other programs may refuse it'
      : 'it is not compressed, although its name says so: other programs may refuse it',
  );
}

/** The DICOM series that a folder is, or the only one below it. */
async function readFolder(path: string): Promise<LoadedImage> {
  const found = await findImages(path);
  const own = seriesOfFolder(path, found);
  if (own.refused.length > 0) throw new RunError(`its slice ${own.refused[0].path}: ${own.refused[0].reason}`);
  const stacks = (own.images.length > 0 ? own : found).images.filter((image) => image.kind === 'dicom');
  if (stacks.length === 0) {
    const others = found.passedOver.slice(0, 3).map(({ path: other, reason }) => `${other}: ${reason}`);
    throw new RunError(
      `no DICOM slices in this folder; expected ${READABLE}${others.length > 0 ? `. Skipped: ${others.join('; ')}` : ''}`,
    );
  }
  const [largest, second] = stacks;
  if (second === undefined) return readDicomSource(largest);
  const name = ({ stack, description, modality }: (typeof stacks)[number]): string =>
    `${modality} ${stack.distinction ? describeStack(stack) : `${stack.frames.length} slices${description ? ` "${description}"` : ''}`}`;
  if (own.images.length === 0 || second.stack.frames.length === largest.stack.frames.length)
    throw new RunError(`it holds ${stacks.length} volumes, expected one: ${stacks.map(name).join('; ')}`);
  const loaded = await readDicomSource(largest);
  const note = `${stacks.length} DICOM series in the folder: using the one with most slices (${largest.stack.frames.length}); skipped: ${stacks.slice(1).map(name).join(', ')}`;
  return { ...loaded, warnings: [note, ...loaded.warnings] };
}
