/** Both cross-entropies on the CPU. The binary one is for a few numbers: it is always plain. */
import { alwaysPlain, type CpuKernel, chunkCount, emitSum, needRowTables } from '../../backends/cpu/lowering.ts';
import { elementCount } from '../../graph.ts';

export const crossEntropy: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [logits, truth], out }, emitter) => {
    needRowTables(logits, emitter);
    const [batch, channels, depth] = logits.shape;
    emitSum(emitter, 'crossEntropy', [logits, truth], batch * depth, out, elementCount(logits.shape) / channels);
  },
};

export const crossEntropyGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [logits, truth, dOut], out }, emitter) => {
    needRowTables(logits, emitter);
    emitter.emit('crossEntropyGradient', logits, truth, dOut.data, out);
    if (out.blocked) emitter.emit('clearPadding', out);
  },
};

export const binaryCrossEntropy: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs, out }, emitter) => {
    const [logits, truth] = inputs.map(emitter.toPlain);
    emitSum(emitter, 'binaryCrossEntropy', [logits, truth], chunkCount(logits), out, elementCount(logits.shape));
  },
};

export const binaryCrossEntropyGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [logits, truth, dOut], out }, emitter) => {
    const [x, g] = [logits, truth].map(emitter.toPlain);
    emitter.emit('binaryCrossEntropyGradient', x, g, dOut.data, out, elementCount(out.shape));
  },
};
