/** Volumes as ITK takes them for writing, and what its NIfTI writer leaves to do. */
import { Image } from 'itk-wasm';
import { nearestOrthogonal, voxelToPhysical } from '../geometry/affine.ts';
import { type Geometry, type VoxelArray, voxelCount } from '../geometry/volume.ts';

const COMPONENTS = {
  Float32Array: 'float32',
  Float64Array: 'float64',
  Int8Array: 'int8',
  Uint8Array: 'uint8',
  Int16Array: 'int16',
  Uint16Array: 'uint16',
  Int32Array: 'int32',
  Uint32Array: 'uint32',
} as const;

const VALUES_A_VOXEL = { Scalar: 1, Vector: 3, RGB: 3 } as const;

/**
 * Voxels on a grid as ITK's image; three values a voxel lie together.
 * @param straightened ITK's NIfTI writer refuses sheared axes: `setSform` writes the exact ones afterwards
 */
export function itkImage(
  geometry: Geometry,
  data: VoxelArray,
  pixelType: keyof typeof VALUES_A_VOXEL,
  straightened: boolean,
): Image {
  const components = VALUES_A_VOXEL[pixelType];
  if (data.length !== voxelCount(geometry.size) * components)
    throw new RangeError(`${data.length} values for ${geometry.size.join(' x ')} voxels of ${components}`);
  const image = new Image({
    dimension: 3,
    componentType: COMPONENTS[data.constructor.name as keyof typeof COMPONENTS],
    pixelType,
    components,
  });
  image.size = [...geometry.size];
  image.spacing = [...geometry.spacingMm];
  image.origin = [...geometry.originMm];
  image.direction = Float64Array.from(straightened ? nearestOrthogonal(geometry.direction) : geometry.direction);
  // ITK-Wasm takes the whole buffer behind an array, so a view of a part must be copied
  image.data = (data.byteLength === data.buffer.byteLength ? data : data.slice()) as NonNullable<Image['data']>;
  return image;
}

/** Writes the exact voxel-to-RAS matrix into a little-endian NIfTI-1 header (nifti1.h: srow at 280, sform_code at 254). */
export function setSform(bytes: Uint8Array, geometry: Geometry): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { matrix, offset } = voxelToPhysical(geometry);
  for (let row = 0; row < 3; row++) {
    const sign = row < 2 ? -1 : 1;
    for (let k = 0; k < 3; k++) view.setFloat32(280 + 16 * row + 4 * k, sign * matrix[row * 3 + k] + 0, true);
    view.setFloat32(280 + 16 * row + 12, sign * offset[row] + 0, true);
  }
  view.setInt16(254, 1, true);
}
