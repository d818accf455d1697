/** What a registration is given: two images, perhaps with label maps and landmarks, read and checked before anything is computed. */
import type { Landmark, PrepareOptions } from '../cohort/cohort.ts';
import { readLandmarks } from '../cohort/landmarks.ts';
import { gridDifference, type PreparedImage, prepareImage } from '../cohort/prepare-image.ts';
import { WorkError } from '../errors/errors.ts';
import { cropPad } from '../geometry/crop.ts';
import { reorientToRas } from '../geometry/orientation.ts';
import { resampleNearest } from '../geometry/resample.ts';
import { labelCodes, statisticsOf } from '../geometry/statistics.ts';
import type { Volume, Xyz } from '../geometry/volume.ts';
import { readImage } from '../images/read.ts';

export interface RegistrationImage {
  readonly path: string;
  /** As the file stores it, NaN and infinities replaced by `background`. */
  readonly volume: Volume;
  /** The value of air: what lies outside the image. */
  readonly background: number;
  /** As the network sees it: whole, and cropped. */
  readonly prepared: PreparedImage;
  readonly cropped: Volume<Float32Array>;
}

/** Air in the file's own values: -1024 HU or 0, or the value nearest to it that the image has. */
function airOf(modality: 'ct' | 'mr', { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, modality === 'ct' ? -1024 : 0));
}

/**
 * Reads an image and prepares it as the network's cohort was.
 * @param modalityIsCertain the user named the modality: what a DICOM file says else is then only a remark
 * @throws WorkError naming the file and why it is refused
 */
export async function readRegistrationImage(
  path: string,
  options: PrepareOptions,
  modalityIsCertain: boolean,
): Promise<RegistrationImage> {
  const loaded = await readImage(path);
  const stated = loaded.modality?.toLowerCase();
  if (stated && ['ct', 'mr'].includes(stated) && stated !== options.modality && !modalityIsCertain)
    throw new WorkError(
      `${path}: the file says that it is ${loaded.modality}, but the model was trained on ${options.modality}; use a model for ${stated}, or insist with --modality ${options.modality}`,
    );
  const prepared = prepareImage(loaded, options);
  const statistics = statisticsOf(loaded.volume.data);
  const background = airOf(options.modality, statistics);
  const { geometry, data } = loaded.volume;
  const volume: Volume =
    statistics.nonFinite === 0
      ? loaded.volume
      : { geometry, data: Float32Array.from(data, (value) => (Number.isFinite(value) ? value : background)) };
  const cropped = cropPad(prepared.whole, prepared.box.start, prepared.box.size, 0);
  return { path, volume, background, prepared, cropped };
}

export interface LabelsOfImage {
  /** On the image's own grid. */
  readonly volume: Volume;
  readonly remarks: readonly string[];
}

/** Reads the label map of an image. @throws WorkError if it is no label map, or lies on another grid */
export async function readLabelsOf(path: string, image: RegistrationImage): Promise<LabelsOfImage> {
  const { volume } = await readImage(path);
  if (!volume.data.every((value) => Number.isInteger(value)))
    throw new WorkError(`${path}: not a label map: expected whole numbers`);
  const difference = gridDifference(reorientToRas(volume).geometry, image.prepared.image);
  if (difference)
    throw new WorkError(`${path}: on another grid than its image ${image.path}: ${difference}; resample it to the image`);
  const remarks = labelCodes(volume.data, volume.geometry.size)
    ? []
    : [`${path}: taken for a label map, but its values look like an image's`];
  // the same voxels, perhaps stored in another order of axes
  return { volume: resampleNearest(volume, image.volume.geometry, 0), remarks };
}

export interface LandmarkPair {
  readonly name: string;
  readonly fixedMm: Xyz;
  readonly movingMm: Xyz;
}

export interface LandmarkPairs {
  readonly pairs: readonly LandmarkPair[];
  /** Names that only one of the files has. */
  readonly unpaired: readonly string[];
}

function byName(path: string, landmarks: readonly Landmark[]): Map<string, Xyz> {
  const found = new Map<string, Xyz>();
  for (const { name, positionMm } of landmarks) {
    if (found.has(name))
      throw new WorkError(`${path}: two landmarks are named '${name}'; landmarks are paired by name, so give each its own`);
    found.set(name, positionMm);
  }
  return found;
}

/** The landmarks that both files name. @throws WorkError if there is none */
export async function readLandmarkPairs(fixedPath: string, movingPath: string): Promise<LandmarkPairs> {
  const fixed = byName(fixedPath, await readLandmarks(fixedPath));
  const moving = byName(movingPath, await readLandmarks(movingPath));
  const pairs = [...fixed].flatMap(([name, fixedMm]) => {
    const movingMm = moving.get(name);
    return movingMm ? [{ name, fixedMm, movingMm }] : [];
  });
  if (pairs.length === 0)
    throw new WorkError(
      `${fixedPath} (${fixed.size} points) and ${movingPath} (${moving.size} points) have no landmark of the same name; landmarks are paired by name`,
    );
  const unpaired = [...new Set([...fixed.keys(), ...moving.keys()])].filter((name) => !(fixed.has(name) && moving.has(name)));
  return { pairs, unpaired };
}
