/**
 * Out-painting: uniform noise in [0, 1] everywhere but inside a few large windows, for the network to continue the image beyond them
 * (Models Genesis: Zhou et al., Medical Image Analysis 67, 2021).
 */

import { childSeed } from '../../../common/child-seed.ts';
import { type RandomStream, randomStream } from '../../../common/random.ts';
import { splitChannels } from '../../../geometry/channels.ts';
import { voxelCount, type Zyx } from '../../../geometry/volume.ts';
import { type Box, type BoxSides, sampleBox, visitBox } from './box.ts';

export interface OutPaintingPlan {
  /** Where the image is kept. */
  readonly windows: readonly Box[];
  /** Names the noise. */
  readonly seed: number;
}

/** Draws one window, and further ones until one of `mostWindows - 1` chances, each won with probability `goOn`, is lost. */
export function sampleOutPainting(
  stream: RandomStream,
  sizeZyx: Zyx,
  options: { readonly mostWindows: number; readonly goOn: number; readonly sides: BoxSides },
): OutPaintingPlan {
  const windows = [sampleBox(stream, sizeZyx, options.sides)];
  while (windows.length < options.mostWindows && stream.chance(options.goOn)) {
    windows.push(sampleBox(stream, sizeZyx, options.sides));
  }
  return { windows, seed: childSeed(stream) };
}

/** Fills `image` ((C, D, H, W), changed in place) with noise, each channel with its own, but for the plan's windows. */
export function outPaint(image: Float32Array, sizeZyx: Zyx, plan: OutPaintingPlan): void {
  const kept = new Uint8Array(voxelCount(sizeZyx));
  for (const window of plan.windows) {
    visitBox(sizeZyx, window, (voxel) => {
      kept[voxel] = 1;
    });
  }
  const stream = randomStream(plan.seed, 'out-painting');
  for (const channel of splitChannels(image, sizeZyx))
    for (let voxel = 0; voxel < kept.length; voxel++) if (kept[voxel] === 0) channel[voxel] = stream.uniform();
}
