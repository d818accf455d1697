/** A volume in memory of planes that come one after another. */
import { type Geometry, type Volume, voxelCount } from './volume.ts';

/** A volume of its planes. @param plane gives plane z; its array may be used again for the next */
export function planesTogether(geometry: Geometry, plane: (z: number) => Float32Array): Volume<Float32Array> {
  const data = new Float32Array(voxelCount(geometry.size));
  const inPlane = geometry.size[0] * geometry.size[1];
  for (let z = 0; z < geometry.size[2]; z++) data.set(plane(z), z * inPlane);
  return { geometry, data };
}
