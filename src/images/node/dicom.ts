/**
 * Reading a DICOM series as a volume: the headers give order, positions and spacing, ITK (GDCM) decodes the pixels, every common
 * compressed transfer syntax included.
 *
 * Slices are sorted along their normal. A gantry tilt stays as a shear of the grid. Slices at irregular distances are put on a regular
 * grid by linear interpolation, and that is said. Copies at one position are refused: which one is meant cannot be known.
 */
import { dirname, resolve } from 'node:path';
import type { Image } from 'itk-wasm';
import { WorkError } from '../../errors/errors.ts';
import { geometryOf } from '../../geometry/affine.ts';
import { type AxisOperator, applyAlong, interpolationOperator } from '../../geometry/axis-operator.ts';
import { shearAngleDeg } from '../../geometry/orientation.ts';
import { type Geometry, type Volume, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { checkedVolume, geometryOfItk, type LoadedImage, scalarData } from '../loaded-image.ts';
import { MAX_IMAGE_BYTES } from '../nifti.ts';
import { type DicomFile, readDicomHeader } from './dicom-header.ts';
import { runItk, timeLimitMs } from './itk.ts';

const cross = (a: Xyz, b: Xyz): Xyz => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const dot = (a: Xyz, b: Xyz): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a: Xyz, b: Xyz): Xyz => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

/** Gaps that differ by more than this share of the usual one are irregular; headers round positions. */
const GAP_TOLERANCE = 0.02;

/** One file as a volume. @throws WorkError without the file's name */
export async function readDicomFile(path: string): Promise<LoadedImage> {
  const header = await readDicomHeader(resolve(path));
  if (!header) throw new WorkError('a DICOM file without an image');
  return { ...(await readDicomStack([header], path)), format: 'DICOM file' };
}

/** Slices of one stack (see groupSeries) as a volume; `path` is what the result is called. @throws WorkError without the file's name */
export async function readDicomStack(files: readonly DicomFile[], path: string): Promise<LoadedImage> {
  const first = files[0];
  const notes: string[] = [];
  if (first.samplesPerPixel !== 1)
    throw new WorkError(`it has ${first.samplesPerPixel} values a pixel, expected one: colours, not intensities`);
  if (first.frames > 1 && files.length > 1)
    throw new WorkError(`it has ${files.length} files of ${first.frames} frames each: several volumes, expected one`);
  if (voxelCount([first.columns, first.rows, files.length * first.frames]) * 4 > MAX_IMAGE_BYTES)
    throw new WorkError(
      `its size ${first.columns} x ${first.rows} x ${files.length * first.frames} is more than can be read here`,
    );

  const { sorted, gapsMm } = sortSlices(files);
  const image = (await decode(sorted.map((file) => file.path))) as Image;
  const data = scalarData(image);
  const loaded = { path, format: 'DICOM series', storedType: image.imageType.componentType as string, volumesInFile: 1 };
  const stated = first.modality ? { modality: first.modality } : {};
  if (first.frames > 1) {
    notes.push(`${first.frames} frames in one file`);
    return { ...loaded, ...stated, volume: checkedVolume(geometryOfItk(image), data), notes };
  }
  if (!first.hasOrientation) notes.push('no orientation in its header: axes taken as LPS; left and right may be swapped');
  if (!first.spacingMm) notes.push('no pixel spacing in its header: 1 mm is taken');
  if (gapsMm.length === 0 && !first.sliceSpacingMm) notes.push('no slice spacing in its header: 1 mm is taken');

  const geometry = gridOf(sorted);
  const shear = shearAngleDeg(geometry.direction);
  if (shear > 0.5) notes.push(`its axes are sheared by ${shear.toFixed(1)} degrees (tilted gantry; kept: positions are exact)`);
  const volume = regular(checkedVolume(geometry, data), gapsMm, notes);
  return { ...loaded, ...stated, volume, notes };
}

async function decode(paths: readonly string[]): Promise<unknown> {
  const [image] = await runItk({
    pipeline: ['@itk-wasm/dicom', 'read-image-dicom-file-series'],
    args: ['0', '1', '--memory-io', '--input-images', ...paths, '--single-sorted-series'],
    outputs: [{ type: 'Image' }, { type: 'JsonCompatible' }],
    folders: [...new Set(paths.map((path) => dirname(path)))],
    timeLimitMs: timeLimitMs(paths.length * 1_000_000),
  });
  return image;
}

/** Files in the order of their positions along the slice normal, and the distances between neighbours. */
function sortSlices(files: readonly DicomFile[]): { sorted: readonly DicomFile[]; gapsMm: readonly number[] } {
  if (files.length === 1) return { sorted: files, gapsMm: [] };
  const normal = cross(files[0].rowDirection, files[0].columnDirection);
  const along = files
    .map((file) => {
      if (!file.positionMm)
        throw new WorkError(`${file.path} states no slice position (0020,0032): the slices cannot be put in order`);
      return { file, positionMm: dot(file.positionMm, normal) };
    })
    .sort((a, b) => a.positionMm - b.positionMm);
  const gapsMm = along.slice(1).map((slice, k) => slice.positionMm - along[k].positionMm);
  const copy = gapsMm.findIndex((gap) => gap < 1e-3);
  if (copy >= 0) {
    throw new WorkError(
      `two of its ${files.length} slices lie at the same position (${along[copy].file.path} and ${along[copy + 1].file.path}): copies or several time points; keep one slice a position`,
    );
  }
  return { sorted: along.map((slice) => slice.file), gapsMm };
}

function gridOf(sorted: readonly DicomFile[]): Geometry {
  const [first, last] = [sorted[0], sorted[sorted.length - 1]];
  const { rowDirection: r, columnDirection: c } = first;
  const [dx, dy] = first.spacingMm ?? [1, 1];
  const n = sorted.length;
  const step: Xyz =
    n > 1
      ? (minus(last.positionMm!, first.positionMm!).map((v) => v / (n - 1)) as unknown as Xyz)
      : (cross(r, c).map((v) => v * (first.sliceSpacingMm || 1)) as unknown as Xyz);
  const matrix = [0, 1, 2].flatMap((row) => [r[row] * dx + 0, c[row] * dy + 0, step[row] + 0]);
  return geometryOf({ matrix: matrix as never, offset: first.positionMm ?? [0, 0, 0] }, [first.columns, first.rows, n]);
}

/** The volume itself if its slices are evenly spaced; otherwise on a grid of the usual distance, interpolated. */
function regular(volume: Volume, gapsMm: readonly number[], notes: string[]): Volume {
  if (gapsMm.length === 0) return volume;
  const usual = gapsMm.toSorted((a, b) => a - b)[gapsMm.length >> 1];
  if (gapsMm.every((gap) => Math.abs(gap - usual) <= GAP_TOLERANCE * usual + 0.01)) return volume;
  const total = gapsMm.reduce((a, b) => a + b, 0);
  notes.push(
    `its slices lie ${Math.min(...gapsMm).toFixed(2)} to ${Math.max(...gapsMm).toFixed(2)} mm apart (missing slices?): interpolated to ${usual.toFixed(2)} mm`,
  );
  const { geometry } = volume;
  const outputs = Math.round(total / usual) + 1;
  if (voxelCount([geometry.size[0], geometry.size[1], outputs]) * 4 > MAX_IMAGE_BYTES)
    throw new WorkError(
      `its slices lie ${Math.min(...gapsMm).toFixed(3)} to ${Math.max(...gapsMm).toFixed(1)} mm apart: no regular grid fits`,
    );
  const spacing = total / (outputs - 1);
  // fractional slice index of every output plane
  const positions: number[] = [];
  let [slice, startMm] = [0, 0];
  for (let k = 0; k < outputs; k++) {
    const at = Math.min(k * spacing, total);
    while (slice < gapsMm.length - 1 && at > startMm + gapsMm[slice]) startMm += gapsMm[slice++];
    positions.push(slice + (at - startMm) / gapsMm[slice]);
  }
  const operator: AxisOperator = interpolationOperator(geometry.size[2], positions, 0);
  const data = applyAlong(operator, 2, Float32Array.from(volume.data), geometry.size);
  const slope = geometry.spacingMm[2] * ((geometry.size[2] - 1) / (outputs - 1));
  return {
    geometry: {
      ...geometry,
      size: [geometry.size[0], geometry.size[1], outputs],
      spacingMm: [geometry.spacingMm[0], geometry.spacingMm[1], slope],
    },
    data,
  };
}
