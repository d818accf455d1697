/** What was found of each structure in a label map. */
import { voxelVolumeMm3 } from '../../geometry/affine.ts';
import { countVoxels } from '../../geometry/statistics.ts';
import type { Volume } from '../../geometry/volume.ts';

/** A structure that was looked for. */
export interface Structure {
  /** Its value in label maps. */
  readonly code: number;
  readonly name: string;
  readonly voxels: number;
  readonly volumeMl: number;
}

/** Every structure, found or not. @param labels of the task: the first is the background, and no structure */
export function structuresOf(map: Volume, labels: readonly { readonly code: number; readonly name: string }[]): Structure[] {
  const found = countVoxels(map.data);
  const voxelMl = voxelVolumeMm3(map.geometry) / 1000;
  return labels.slice(1).map(({ code, name }) => {
    const voxels = found.get(code) ?? 0;
    return { code, name, voxels, volumeMl: voxels * voxelMl };
  });
}
