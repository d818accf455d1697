/** The affine matrix and its displacement field on the CPU: everything plain, for fields have three channels. */
import { alwaysPlain, type CpuKernel } from '../../backends/cpu/lowering.ts';

type Size = { readonly size: readonly [number, number, number] };

/** Twelve doubles: the sums of one plane for the matrix's gradient. */
const PLANE_SUMS_BYTES = 96;

export const affineMatrix: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [rotation, scale, translation, shear], out }, emitter) =>
    emitter.emitWhole('affineMatrix', { rotation, scale, translation, shear, out }),
};

export const affineMatrixGradient: CpuKernel<{ readonly of: 0 | 1 | 2 | 3 }> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [rotation, scale, translation, shear, dMatrix], out, attributes: { of } }, emitter) =>
    emitter.emitWhole('affineMatrixGradient', { rotation, scale, translation, shear, dMatrix, out, of }),
};

export const affineDisplacement: CpuKernel<Size> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [matrix, flow], out }, emitter) => {
    emitter.emit('affineDisplacement', { matrix, flow: flow && emitter.toPlain(flow), out });
  },
};

export const affineDisplacementFlowGradient: CpuKernel<Size> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [matrix, dOut], out }, emitter) => {
    emitter.emit('affineDisplacementFlowGradient', { matrix, dPsi: emitter.toPlain(dOut), dFlow: out });
  },
};

export const affineDisplacementMatrixGradient: CpuKernel<Size> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [dOut, flow], out }, emitter) => {
    const [batch, , depth] = dOut.shape as [number, number, number];
    const partial = emitter.scratch(batch * depth * PLANE_SUMS_BYTES);
    const fields = { dPsi: emitter.toPlain(dOut), flow: flow && emitter.toPlain(flow) };
    emitter.emit('affineDisplacementMatrixSums', { ...fields, partial });
    emitter.emitWhole('affineDisplacementMatrixGradient', { partial, dMatrix: out, planes: depth });
  },
};
