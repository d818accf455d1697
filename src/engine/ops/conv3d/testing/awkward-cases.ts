/**
 * Convolutions that reach every kernel and every way of cutting the work: the kernels of few channels, Winograd with tiles of both depths, pairs of channel
 * blocks, single blocks and blocks that are not full, rows in several pieces, several segments, slabs and parts, few tiles of many weights, and volumes too small for tiles.
 */
import { randomStream } from '../../../../common/random.ts';
import { elementCount, type Shape } from '../../../graph.ts';
import { type OperationCase, type Tensor, tensor } from '../../../testing/case.ts';
import { conv3d } from '../conv3d.ts';

/** Batch, input channels, output channels, size, kernel. */
type Awkward = readonly [number, number, number, readonly [number, number, number], 1 | 3];

const AWKWARD: readonly Awkward[] = [
  [1, 1, 1, [1, 1, 1], 3],
  [2, 1, 8, [3, 1, 4], 3],
  [1, 1, 12, [5, 3, 9], 3],
  [3, 1, 24, [2, 7, 6], 3],
  [1, 1, 3, [3, 5, 3], 3],
  [2, 2, 16, [4, 5, 7], 3],
  [1, 3, 25, [3, 4, 9], 3],
  [2, 16, 2, [3, 5, 10], 3],
  [1, 20, 1, [1, 4, 4], 3],
  [3, 9, 3, [2, 3, 5], 3],
  [1, 8, 8, [1, 1, 1], 3],
  [2, 16, 8, [1, 1, 9], 3],
  [1, 8, 24, [1, 9, 1], 3],
  [3, 9, 12, [9, 1, 1], 3],
  [1, 4, 32, [7, 5, 9], 3],
  [1, 3, 3, [4, 4, 4], 3],
  [2, 16, 16, [2, 2, 2], 3],
  [1, 24, 40, [4, 3, 5], 3],
  [3, 5, 17, [5, 6, 7], 3],
  [1, 8, 16, [3, 3, 131], 3],
  [2, 17, 3, [7, 9, 33], 3],
  [1, 64, 72, [5, 8, 8], 3],
  [2, 9, 33, [3, 7, 11], 3],
  [1, 5, 24, [6, 5, 13], 3],
  [1, 8, 8, [12, 11, 10], 3],
  [1, 12, 24, [7, 9, 70], 3],
  [2, 17, 33, [8, 10, 13], 3],
  [1, 16, 3, [3, 4, 5], 1],
  [2, 1, 8, [3, 2, 5], 1],
  [1, 12, 20, [2, 1, 7], 1],
];

/** F(4x4x4) has relative rms errors of 1.3e-6 with 32 channels (winograd.as.ts); of some ten thousand results the worst is at five times that and more. */
const TOLERANCE = 2e-5;

/** Every case with a bias; results and all gradients are of the order of 1. */
export function awkwardConvolutions(): OperationCase[] {
  return AWKWARD.map(([batch, channelsIn, channelsOut, size, kernel]) => {
    const title = `${kernel}^3 of ${batch} x ${channelsIn} -> ${channelsOut} at ${size.join('x')}`;
    const random = (name: string, shape: Shape, scale: number): Tensor => {
      const stream = randomStream(7, title, name);
      return tensor(
        shape,
        Array.from({ length: elementCount(shape) }, () => scale * stream.normal()),
      );
    };
    const fan = channelsIn * kernel ** 3;
    return {
      title,
      tolerance: TOLERANCE,
      inputs: {
        x: random('x', [batch, channelsIn, ...size], 1),
        weight: random('weight', [channelsOut, channelsIn, kernel, kernel, kernel], 1 / Math.sqrt(fan)),
        bias: random('bias', [channelsOut], 1),
      },
      build: (graph, { x, weight, bias }) => conv3d(graph, x, weight, bias),
    };
  });
}
