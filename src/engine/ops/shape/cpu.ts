/** Padding and cropping on the CPU: one copy of a box, in any layout. */
import { BLOCK, blockedByChannels, type CpuKernel, type CpuTensor, type Emitter } from '../../backends/cpu/lowering.ts';
import { checkShape, type Shape } from '../../graph.ts';
import type { Margins } from './shape.ts';

/** A shape or a start as the five axes of a descriptor: see compile.ts. `missing` is what an absent axis has. */
function fiveAxes(axes: Shape, missing: number): number[] {
  if (axes.length === 5) return [...axes];
  if (axes.length < 2) return [missing, axes[0] ?? missing, missing, missing, missing];
  return [axes[0], axes[1], missing, missing, axes[2] ?? missing];
}

/** Copies the box `size` at `from` of one tensor to `to` of another, and nothing beside it. */
export function copyBox(source: CpuTensor, from: Shape, target: CpuTensor, to: Shape, size: Shape, emitter: Emitter): void {
  checkShape(size.length !== 4, 'copyBox', () => 'the CPU backend cuts no tensors of four axes');
  const channels = size[1];
  const endsWith = (tensor: CpuTensor, start: number): boolean => start % BLOCK === 0 && start + channels === tensor.shape[1];
  const blocks = (tensor: CpuTensor, start: number): boolean =>
    endsWith(tensor, start) || (start % BLOCK === 0 && channels % BLOCK === 0);
  const whole = source.blocked && target.blocked && blocks(source, from[1]) && blocks(target, to[1]);
  const [n, c, d, h, w] = fiveAxes(size, 1);
  const [fromN, fromC, fromD, fromH, fromW] = fiveAxes(from, 0);
  const [toN, toC, toD, toH, toW] = fiveAxes(to, 0);
  const box = { n, c, d, h, w, fromN, fromC, fromD, fromH, fromW, toN, toC, toD, toH, toW };
  emitter.emit('copyBox', { from: source, to: target, ...box, whole: whole ? 1 : 0 });
}

const zeros = (shape: Shape): number[] => shape.map(() => 0);

export const pad: CpuKernel<Margins> = {
  blocked: ([x], shape) => x.blocked && blockedByChannels([], shape),
  lower: ({ inputs: [x], out, attributes: { before } }, emitter) => {
    emitter.emit('zero', { tensor: out });
    copyBox(x, zeros(before), out, before, x.shape, emitter);
  },
};

export const crop: CpuKernel<Margins> = {
  lower: ({ inputs: [x], out, attributes: { before } }, emitter) => {
    copyBox(x, before, out, zeros(before), out.shape, emitter);
    if (out.blocked) emitter.emit('clearPadding', { tensor: out });
  },
};
