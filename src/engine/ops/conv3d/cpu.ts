/** Convolution on the CPU: transform the weights, convolve; the weights' gradient in slabs that are then added. Which way, see `usesWinograd`. */

import { FIXED_SCRATCH } from '../../backends/cpu/constants.ts';
import {
  alwaysPlain,
  BLOCK,
  blockCount,
  blockedByChannels,
  type CpuCall,
  type CpuKernel,
  type CpuTensor,
  type Emitter,
  inOnePiece,
  type Place,
  VOXEL_BYTES,
} from '../../backends/cpu/lowering.ts';
import type { Shape } from '../../graph.ts';
import { align } from '../../plan.ts';
import { cutOf, type FewTiles, fewTiles, placeBytes, placesOf, tilesPay } from './winograd.ts';

/** Work units below which the weights' gradient is cut into more slabs, so that several threads have something to do. */
const UNITS_WANTED = 32;

const packedBytes = (channelsOut: number, channelsIn: number, kernel: number): number =>
  blockCount(channelsOut) * blockCount(channelsIn) * kernel ** 3 * BLOCK * BLOCK * 4;

/** Winograd for kernels of 3 wherever a volume fills its tiles. */
const usesWinograd = (kernel: number, shape: Shape): boolean => kernel === 3 && tilesPay(shape);

/** Maximum number of small channels, which have kernels of their own (small-channels.as.ts), if rows are long enough for them. */
const FEW = 3;
const hasSmallChannels = (kernel: number, channels: number, { shape }: CpuTensor): boolean =>
  kernel === 3 && channels <= FEW && shape[4] >= 4;

/** The few channels, plain, with a margin of one zero voxel, in scratch. */
function padded(x: CpuTensor, emitter: Emitter): Place {
  const [batch, channels, depth, height, width] = x.shape as [number, number, number, number, number];
  const padded = emitter.scratch(4 * batch * channels * (depth + 2) * (height + 2) * (width + 2));
  emitter.emit('padSmall', { x: emitter.toPlain(x), padded });
  return padded;
}

/** The bias as whole blocks; zeros without one. */
function wholeBias(bias: CpuTensor | undefined, channels: number, emitter: Emitter): Place {
  if (bias && channels % BLOCK === 0) return bias.data;
  const padded = emitter.scratch(blockCount(channels) * BLOCK * 4);
  emitter.emitWhole('padBias', { bias: bias?.data, padded, channels: bias ? channels : 0, blocks: blockCount(channels) });
  return padded;
}

function smallInput(
  x: CpuTensor,
  weight: CpuTensor,
  bias: CpuTensor | undefined,
  out: CpuTensor,
  emitter: Emitter,
  adjoint: 0 | 1,
): void {
  const [few, many] = [x.shape[1], out.shape[1]];
  const packed = emitter.scratch(blockCount(many) * few * 27 * BLOCK * 4);
  const [channelsO, channelsI] = weight.shape as [number, number];
  emitter.emitWhole('packSmallInput', { weight: weight.data, packed, channelsO, channelsI, adjoint });
  const y = out.blocked ? out : emitter.scratchTensor(out.shape, true);
  emitter.emit('conv3dSmallInput', {
    padded: padded(x, emitter),
    weights: packed,
    bias: wholeBias(bias, many, emitter),
    y,
    few,
  });
  if (y !== out) emitter.emit('toPlain', { from: y, to: out });
}

function smallOutput(x: CpuTensor, weight: CpuTensor, bias: CpuTensor | undefined, out: CpuTensor, emitter: Emitter): void {
  const packed = emitter.scratch(blockCount(x.shape[1]) * 27 * FEW * BLOCK * 4);
  emitter.emitWhole('packSmallOutput', { weight: weight.data, packed, few: weight.shape[0], many: weight.shape[1] });
  emitter.emit('conv3dSmallOutput', { x: emitter.toBlocked(x), weights: packed, bias: bias?.data, y: out });
}

/** All places of a tensor's tiles, in scratch. */
function transformedTiles(t: CpuTensor, { cut, tileBytes }: FewTiles, gradient: 0 | 1, emitter: Emitter): Place {
  const tiles = emitter.scratch(tileBytes(blockCount(t.shape[1])));
  emitter.emit('winogradTiles', { ...cut, t, tiles, gradient });
  return tiles;
}

function byWinograd(
  x: CpuTensor,
  weight: CpuTensor,
  bias: CpuTensor | undefined,
  out: CpuTensor,
  emitter: Emitter,
  adjoint: 0 | 1,
): void {
  const [channelsO, channelsI] = weight.shape as [number, number];
  const [inBlocks, outBlocks] = [blockCount(x.shape[1]), blockCount(out.shape[1])];
  const weights = { weight: weight.data, channelsO, channelsI, adjoint };
  const whole = wholeBias(bias, out.shape[1], emitter);
  const y = out.blocked ? out : emitter.scratchTensor(out.shape, true);
  const few = fewTiles(x.shape, outBlocks, 'result');
  if (few) {
    const tiles = transformedTiles(x, few, 0, emitter);
    emitter.threadScratch(FIXED_SCRATCH + few.cut.threadBytes);
    emitter.emit('winogradFew', { ...few.cut, ...weights, tiles, y, bias: whole, inBlocks });
  } else {
    const place = placeBytes(inBlocks, outBlocks);
    const cut = cutOf(x.shape, inBlocks, outBlocks, 'result');
    const transformed = emitter.scratch(placesOf(cut.depth) * place);
    emitter.emit('winogradWeights', { ...weights, transformed, place, depth: cut.depth });
    emitter.threadScratch(FIXED_SCRATCH + cut.threadBytes);
    emitter.emit('winograd', { ...cut, x, y, weights: transformed, bias: whole, weightPlace: place });
  }
  if (y === out) emitter.emitBeside('clearHalo', { tensor: y });
  else emitter.emit('toPlain', { from: y, to: out });
}

function convolve({ inputs: [x, given, bias], out }: CpuCall<undefined>, emitter: Emitter, adjoint: 0 | 1): void {
  const weight = inOnePiece(emitter.toPlain(given), emitter);
  const [channelsO, channelsI, kernel] = weight.shape as [number, number, number];
  if (hasSmallChannels(kernel, x.shape[1], x)) {
    smallInput(x, weight, bias, out, emitter, adjoint);
    return;
  }
  if (hasSmallChannels(kernel, channelsO, x) && !adjoint) {
    smallOutput(x, weight, bias, out, emitter);
    return;
  }
  if (usesWinograd(kernel, out.shape)) {
    byWinograd(emitter.toBlocked(x), weight, bias, out, emitter, adjoint);
    return;
  }
  const packed = emitter.scratch(packedBytes(out.shape[1], x.shape[1], kernel));
  emitter.emit('packWeights', { weight: weight.data, packed, channelsO, channelsI, kernel, adjoint });
  // a result in plain layout is made row by row in a thread's scratch
  if (!out.blocked) emitter.threadScratch(VOXEL_BYTES * out.shape[4]);
  emitter.emit('conv3d', { x: emitter.toBlocked(x), packed, bias: bias?.data, y: out, kernel });
}

export const conv3d: CpuKernel<undefined> = { blocked: blockedByChannels, lower: (call, emitter) => convolve(call, emitter, 0) };
export const conv3dInputGradient: CpuKernel<undefined> = {
  blocked: blockedByChannels,
  lower: (call, emitter) => convolve(call, emitter, 1),
};

export const conv3dWeightGradient: CpuKernel<{ readonly kernel: number }> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [given, dOut], out, attributes: { kernel } }, emitter) => {
    const [channelsO, channelsI] = out.shape as [number, number];
    const result = { dWeight: out.data, channelsO, channelsI };
    const fewIn = hasSmallChannels(kernel, channelsI, given);
    if (fewIn || hasSmallChannels(kernel, channelsO, given)) {
      // the few channels are read with taps; if they are the results', dW of a tap is that of the mirrored one
      const [few, many] = fewIn ? [given, emitter.toBlocked(dOut)] : [dOut, emitter.toBlocked(given)];
      const planes = many.shape[0] * many.shape[2];
      const sums = emitter.scratch(planes * blockCount(many.shape[1]) * few.shape[1] * 27 * BLOCK * 4);
      emitter.emit('conv3dSmallWeights', { padded: padded(few, emitter), many, sums, few: few.shape[1] });
      emitter.emit('collectSmallWeights', { ...result, sums, adjoint: fewIn ? 0 : 1, planes });
      return;
    }
    const dy = emitter.toBlocked(dOut);
    const x = emitter.toBlocked(given);
    if (usesWinograd(kernel, x.shape)) {
      const [inBlocks, outBlocks] = [blockCount(channelsI), blockCount(channelsO)];
      const few = fewTiles(x.shape, outBlocks, 'weights');
      if (few) {
        const [input, gradient] = [transformedTiles(x, few, 0, emitter), transformedTiles(dy, few, 1, emitter)];
        emitter.threadScratch(FIXED_SCRATCH + few.cut.threadBytes);
        const tiles = { input, gradient, inBlocks, outBlocks, tiles: few.tiles };
        emitter.emit('winogradFewWeightGradient', { ...few.cut, ...result, ...tiles });
        return;
      }
      const place = placeBytes(inBlocks, outBlocks);
      const cut = cutOf(x.shape, inBlocks, outBlocks, 'weights');
      emitter.threadScratch(FIXED_SCRATCH + cut.threadBytes);
      const sums = emitter.scratch(cut.slabs * placesOf(cut.depth) * place);
      emitter.emit('winogradWeightGradient', { ...cut, x, dy, sums, sumPlace: place });
      emitter.emit('winogradCollectWeights', { ...result, sums, slabs: cut.slabs, place, depth: cut.depth });
      return;
    }
    const planes = x.shape[0] * x.shape[2];
    const pairs = blockCount(channelsO) * blockCount(channelsI);
    const slabs = Math.min(planes, Math.max(1, Math.ceil(UNITS_WANTED / pairs)));
    const partial = emitter.scratch(align(slabs * packedBytes(channelsO, channelsI, kernel)));
    emitter.emit('conv3dWeightGradient', { x, dy, partial, kernel, slabs });
    emitter.emit('unpackWeightGradient', { ...result, partial, kernel, slabs });
  },
};
