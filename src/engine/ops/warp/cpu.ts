/** Trilinear sampling on the CPU: images in their own layout, displacements plain. */
import { alwaysPlain, BLOCK, type CpuKernel, type TensorForm } from '../../backends/cpu/lowering.ts';

export const warp: CpuKernel<undefined> = {
  lower: ({ inputs: [image, displacement], out }, emitter) => {
    emitter.emit('warp', out.blocked ? emitter.toBlocked(image!) : emitter.toPlain(image!), emitter.toPlain(displacement!), out);
  },
};

export const warpImageGradient: CpuKernel<undefined> = {
  blocked: ([, dOut], shape) => (dOut as TensorForm).blocked && shape[1]! >= BLOCK,
  lower: ({ inputs: [displacement, dOut], out }, emitter) => {
    const dy = out.blocked ? emitter.toBlocked(dOut!) : emitter.toPlain(dOut!);
    emitter.emit('warpImageGradient', emitter.toPlain(displacement!), dy, out);
  },
};

export const warpDisplacementGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [image, displacement, dOut], out }, emitter) => {
    const dy = image!.blocked ? emitter.toBlocked(dOut!) : emitter.toPlain(dOut!);
    emitter.emit('warpDisplacementGradient', image!, emitter.toPlain(displacement!), dy, out);
  },
};
