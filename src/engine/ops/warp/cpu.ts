/** Trilinear sampling on the CPU: images in their own layout, displacements plain. */
import { alwaysPlain, BLOCK, type CpuKernel, inLayoutOf } from '../../backends/cpu/lowering.ts';

export const warp: CpuKernel<undefined> = {
  lower: ({ inputs: [image, displacement], out }, emitter) => {
    emitter.emit('warp', {
      image: inLayoutOf(out, image, emitter),
      displacement: emitter.toPlain(displacement),
      y: out,
    });
  },
};

export const warpImageGradient: CpuKernel<undefined> = {
  blocked: ([, dOut], shape) => dOut.blocked && shape[1] >= BLOCK,
  lower: ({ inputs: [displacement, dOut], out }, emitter) => {
    emitter.emit('warpImageGradient', {
      displacement: emitter.toPlain(displacement),
      dy: inLayoutOf(out, dOut, emitter),
      dImage: out,
    });
  },
};

export const warpDisplacementGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [image, displacement, dOut], out }, emitter) => {
    emitter.emit('warpDisplacementGradient', {
      image,
      dy: inLayoutOf(image, dOut, emitter),
      displacement: emitter.toPlain(displacement),
      dDisplacement: out,
    });
  },
};

export const insideMask: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [displacement], out }, emitter) => {
    emitter.emit('insideMask', { displacement: emitter.toPlain(displacement), mask: out });
  },
};
