/** What a registration is given: two images, perhaps with label maps and landmarks, read and checked before anything is computed. */
import type { Landmark } from '../../../cohort/cohort.ts';
import { coversBox } from '../../../cohort/label-map.ts';
import { readLandmarks } from '../../../cohort/node/landmarks.ts';
import { RunError } from '../../../common/errors.ts';
import { orientationCode, rasGeometry } from '../../../geometry/orientation.ts';
import { resampleNearest } from '../../../geometry/resample.ts';
import { labelCodes } from '../../../geometry/statistics.ts';
import type { Geometry, Volume, VoxelArray, Xyz } from '../../../geometry/volume.ts';
import { readImage } from '../../../images/node/read.ts';

/** An image of which labels are to be read: its file's grid, and the same with axes towards the patient's right, front and head. */
export interface ImageGrids {
  readonly path: string;
  readonly grid: Geometry;
  readonly ras: Geometry;
}

export interface LabelsOfImage {
  /** On the image's own grid. */
  readonly volume: Volume;
  readonly codes: readonly number[];
  readonly warnings: readonly string[];
}

/** Reads the label map of an image. @throws RunError if it is no label map, or lies on another grid */
export async function readLabelsOf(path: string, image: ImageGrids): Promise<LabelsOfImage> {
  const { volume } = await readImage(path, { single: true });
  const codes = wholeNumbers(volume.data);
  if (!codes) throw new RunError(`${path}: not a label map: expected whole numbers with at most ${MAX_CODES} different values`);
  const isBox = coversBox(path, rasGeometry(volume.geometry), image);
  const warnings = labelCodes(volume.data, volume.geometry.size)
    ? []
    : [`${path}: expected a label map, but the values look like an image`];
  // the same voxels, perhaps stored in another order of axes
  const inOrder = !isBox && orientationCode(volume.geometry.direction) === orientationCode(image.grid.direction);
  const onGrid: Volume = inOrder ? { geometry: image.grid, data: volume.data } : resampleNearest(volume, image.grid, 0);
  return {
    volume: onGrid,
    codes,
    warnings: isBox ? [...warnings, `${path}: covers a box of the image's grid alone; background around it`] : warnings,
  };
}

/** More values than any label map has. */
const MAX_CODES = 65_536;

/** Every value, or null if one is not a whole number or they are too many. */
function wholeNumbers(data: VoxelArray): number[] | null {
  const codes = new Set<number>();
  for (let i = 0; i < data.length; i++) {
    if (data[i] === data[i - 1]) continue;
    codes.add(data[i]);
    if (!Number.isInteger(data[i]) || codes.size > MAX_CODES) return null;
  }
  return [...codes];
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
      throw new RunError(`${path}: two landmarks are named '${name}'; landmarks are paired by name, so names must be unique`);
    found.set(name, positionMm);
  }
  return found;
}

/** The landmarks that both files name. @throws RunError if there is none */
export async function readLandmarkPairs(fixedPath: string, movingPath: string): Promise<LandmarkPairs> {
  const fixed = byName(fixedPath, await readLandmarks(fixedPath));
  const moving = byName(movingPath, await readLandmarks(movingPath));
  const pairs = [...fixed].flatMap(([name, fixedMm]) => {
    const movingMm = moving.get(name);
    return movingMm ? [{ name, fixedMm, movingMm }] : [];
  });
  if (pairs.length === 0)
    throw new RunError(
      `${fixedPath} (${fixed.size} points) and ${movingPath} (${moving.size} points) have no landmark name in common; landmarks are paired by name`,
    );
  const unpaired = [...new Set([...fixed.keys(), ...moving.keys()])].filter((name) => !(fixed.has(name) && moving.has(name)));
  return { pairs, unpaired };
}
