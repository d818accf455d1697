/**
 * In-painting: boxes of the image are replaced by uniform noise in [0, 1], for the network to fill in from what lies around
 * (docs/method.md, section 7). The plan lists its boxes, at most thirty, and names the noise by a seed.
 */

import { childSeed } from '../../../common/child-seed.ts';
import { type RandomStream, randomStream } from '../../../common/random.ts';
import { splitChannels } from '../../../geometry/channels.ts';
import type { Zyx } from '../../../geometry/volume.ts';
import { type Box, type BoxSides, sampleBox, visitBox } from './box.ts';

export interface InPaintingPlan {
  readonly boxes: readonly Box[];
  /** Names the noise. */
  readonly seed: number;
}

/** Draws boxes until one of `mostBoxes` chances, each won with probability `goOn`, is lost. */
export function sampleInPainting(
  stream: RandomStream,
  sizeZyx: Zyx,
  options: { readonly mostBoxes: number; readonly goOn: number; readonly sides: BoxSides },
): InPaintingPlan {
  const boxes: Box[] = [];
  while (boxes.length < options.mostBoxes && stream.chance(options.goOn)) boxes.push(sampleBox(stream, sizeZyx, options.sides));
  return { boxes, seed: childSeed(stream) };
}

/** Fills the plan's boxes of `image` ((C, D, H, W), changed in place) with noise, each channel with its own. */
export function inPaint(image: Float32Array, sizeZyx: Zyx, plan: InPaintingPlan): void {
  const stream = randomStream(plan.seed, 'in-painting');
  for (const channel of splitChannels(image, sizeZyx))
    for (const box of plan.boxes)
      visitBox(sizeZyx, box, (voxel) => {
        channel[voxel] = stream.uniform();
      });
}
