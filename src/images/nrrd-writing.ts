/** The header of NRRD files as they are written: voxels follow in the same file, gzip-compressed (teem.sourceforge.net/nrrd/format.html). */
import { voxelToPhysical } from '../geometry/affine.ts';
import type { Geometry } from '../geometry/volume.ts';
import type { VoxelType } from './stored-image.ts';

const NAMES: Readonly<Record<VoxelType, string>> = {
  int8: 'int8',
  uint8: 'uint8',
  int16: 'int16',
  uint16: 'uint16',
  int32: 'int32',
  uint32: 'uint32',
  float32: 'float',
  float64: 'double',
};

/** @param components 3: a vector a voxel, its three values together */
export function nrrdHeader(geometry: Geometry, type: VoxelType, components: 1 | 3): string {
  const { matrix: m, offset } = voxelToPhysical(geometry);
  const tuple = (values: readonly number[]): string => `(${values.map((v) => v + 0).join(',')})`;
  const axes = [0, 1, 2].map((k) => tuple([m[k], m[k + 3], m[k + 6]]));
  const vector = components === 3;
  return `${[
    'NRRD0004',
    `type: ${NAMES[type]}`,
    `dimension: ${vector ? 4 : 3}`,
    'space: left-posterior-superior',
    `sizes: ${[...(vector ? [3] : []), ...geometry.size].join(' ')}`,
    `space directions: ${[...(vector ? ['none'] : []), ...axes].join(' ')}`,
    `kinds: ${[...(vector ? ['vector'] : []), 'domain', 'domain', 'domain'].join(' ')}`,
    'endian: little',
    'encoding: gzip',
    `space origin: ${tuple(offset)}`,
  ].join('\n')}\n\n`;
}
