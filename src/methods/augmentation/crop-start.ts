/** Where crops of a volume begin. */

import type { RandomStream } from '../../common/random.ts';
import type { Zyx } from '../../geometry/volume.ts';

/** Along one axis: a crop lies wholly inside the volume; a volume smaller than the crop lies in its middle (negative: by the zeros before it). */
export const sampleStart = (stream: RandomStream, size: number, side: number): number =>
  size <= side ? 0 - Math.floor((side - size) / 2) : stream.integer(0, size - side + 1);

/** The start of a crop of `patch` voxels anywhere in a volume of `sizeZyx` voxels, each place equally likely. */
export const sampleCropStart = (stream: RandomStream, sizeZyx: Zyx, patch: Zyx): Zyx => [
  sampleStart(stream, sizeZyx[0], patch[0]),
  sampleStart(stream, sizeZyx[1], patch[1]),
  sampleStart(stream, sizeZyx[2], patch[2]),
];
