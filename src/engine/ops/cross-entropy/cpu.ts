/** Both cross-entropies on the CPU. The binary one is for a few numbers: it is always plain. */
import { alwaysPlain, type CpuKernel, chunkCount, emitSum, needRowTables } from '../../backends/cpu/lowering.ts';
import { elementCount } from '../../graph.ts';

export const crossEntropy: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [logits, truth], out }, emitter) => {
    needRowTables(logits, emitter);
    const [batch, channels, depth = 1] = logits.shape;
    emitSum(emitter, batch * depth, out, elementCount(logits.shape) / channels, (partial) =>
      emitter.emit('crossEntropy', { logits, truth, partial }),
    );
  },
};

export const crossEntropyGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [logits, truth, dOut], out }, emitter) => {
    needRowTables(logits, emitter);
    emitter.emit('crossEntropyGradient', { logits, truth, dOut: dOut.data, out });
    if (out.blocked) emitter.emit('clearPadding', { tensor: out });
  },
};

export const binaryCrossEntropy: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs, out }, emitter) => {
    const [logits, truth] = inputs.map(emitter.toPlain);
    emitSum(emitter, chunkCount(logits), out, elementCount(logits.shape), (partial) =>
      emitter.emit('binaryCrossEntropy', { logits, truth, partial }),
    );
  },
};

export const binaryCrossEntropyGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [logits, truth, dOut], out }, emitter) => {
    const plain = { logits: emitter.toPlain(logits), truth: emitter.toPlain(truth) };
    emitter.emit('binaryCrossEntropyGradient', { ...plain, dOut: dOut.data, out, elements: elementCount(out.shape) });
  },
};
