/** Local NCC on the CPU: a unit of work is one plane, with scratch of its own for the window sums. */
import { alwaysPlain, type CpuKernel } from '../../backends/cpu/lowering.ts';
import { GRADIENT_FIELDS, MASKED_FIELDS, paddedWidth, unitBytes, WINDOW_FIELDS } from './constants.ts';
import type { NccAttributes } from './ncc.ts';

export const ncc: CpuKernel<NccAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [a, b, mask], out, attributes: { window } }, emitter) => {
    const [batch, , depth, , width] = a.shape as [number, number, number, number, number];
    const units = batch * depth;
    const partial = emitter.scratch(8 * 2 * units);
    const scratch = emitter.scratch(units * unitBytes(width, window, mask ? MASKED_FIELDS : WINDOW_FIELDS));
    const samples = { firstSample: 0, samples: batch };
    emitter.emit('nccWindows', { a, b, scratch, result: partial, window, ...samples, gradient: 0, mask });
    emitter.emitWhole('nccLoss', { partial, count: units, out: out.data });
  },
};

/** One sample after the other, so that the fields of one alone take memory. */
export const nccGradient: CpuKernel<NccAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [a, b, dOut, mask], out, attributes: { window } }, emitter) => {
    const [batch, , depth, height, width] = a.shape as [number, number, number, number, number];
    const fields = emitter.scratch(8 * GRADIENT_FIELDS * depth * height * paddedWidth(width));
    const scratch = emitter.scratch(depth * unitBytes(width, window, mask ? MASKED_FIELDS : WINDOW_FIELDS));
    const count = emitter.scratch(8);
    emitter.emitWhole('nccCount', { a, mask, count });
    for (let sample = 0; sample < batch; sample++) {
      const samples = { firstSample: sample, samples: 1 };
      emitter.emit('nccWindows', { a, b, scratch, result: fields, window, ...samples, gradient: 1, mask });
      emitter.emit('nccGradient', { a, b, dOut: dOut.data, fields, scratch, dA: out, window, sample, mask, count });
    }
  },
};
