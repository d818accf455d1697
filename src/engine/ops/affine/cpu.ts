/** The affine matrix and its displacement field on the CPU: everything plain, for fields have three channels. */
import { alwaysPlain, type CpuKernel } from '../../backends/cpu/lowering.ts';

type Size = { readonly size: readonly [number, number, number] };

/** Twelve doubles: the sums of one plane for the matrix's gradient. */
const PLANE_SUMS_BYTES = 96;

export const affineMatrix: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs, out }, emitter) => emitter.emitWhole('affineMatrix', ...inputs, out),
};

export const affineMatrixGradient: CpuKernel<{ readonly of: 0 | 1 | 2 | 3 }> = {
  blocked: alwaysPlain,
  lower: ({ inputs, out, attributes: { of } }, emitter) => emitter.emitWhole('affineMatrixGradient', ...inputs, out, of),
};

export const affineDisplacement: CpuKernel<Size> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [matrix, flow], out }, emitter) => {
    emitter.emit('affineDisplacement', matrix, flow ? emitter.toPlain(flow) : 0, out);
  },
};

export const affineDisplacementFlowGradient: CpuKernel<Size> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [matrix, dOut], out }, emitter) => {
    emitter.emit('affineDisplacementFlowGradient', matrix, emitter.toPlain(dOut), out);
  },
};

export const affineDisplacementMatrixGradient: CpuKernel<Size> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [dOut, flow], out }, emitter) => {
    const [batch, , depth] = dOut.shape as [number, number, number];
    const partial = emitter.scratch(batch * depth * PLANE_SUMS_BYTES);
    emitter.emit('affineDisplacementMatrixSums', emitter.toPlain(dOut), flow ? emitter.toPlain(flow) : 0, partial);
    emitter.emitWhole('affineDisplacementMatrixGradient', partial, out, depth);
  },
};
