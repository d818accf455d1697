/** Trilinear sampling on the CPU: images in their own layout, displacements plain. */
import { alwaysPlain, BLOCK, type CpuKernel, inLayoutOf } from '../../backends/cpu/lowering.ts';

export const warp: CpuKernel<undefined> = {
  lower: ({ inputs: [image, displacement], out }, emitter) => {
    emitter.emit('warp', inLayoutOf(out, image, emitter), emitter.toPlain(displacement), out);
  },
};

export const warpImageGradient: CpuKernel<undefined> = {
  blocked: ([, dOut], shape) => dOut.blocked && shape[1]! >= BLOCK,
  lower: ({ inputs: [displacement, dOut], out }, emitter) => {
    emitter.emit('warpImageGradient', emitter.toPlain(displacement), inLayoutOf(out, dOut, emitter), out);
  },
};

export const warpDisplacementGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [image, displacement, dOut], out }, emitter) => {
    const dy = inLayoutOf(image, dOut, emitter);
    emitter.emit('warpDisplacementGradient', image, emitter.toPlain(displacement), dy, out);
  },
};

export const insideMask: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [displacement], out }, emitter) => {
    emitter.emit('insideMask', emitter.toPlain(displacement), out);
  },
};
