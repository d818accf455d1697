/** Soft Dice in WGSL: the sums of each sample and class first, then what follows from them. */
import {
  flat,
  sumRows,
  type WebGpuCall,
  type WebGpuEmitter,
  type WebGpuKernel,
  type WebGpuTensor,
} from '../../backends/webgpu/kernel.ts';

/** (classes, 2): 2 I + 1 and P + G + 1. */
function classSums({ inputs: [p, g] }: WebGpuCall<undefined>, emitter: WebGpuEmitter): WebGpuTensor {
  const classes = p.shape[0] * p.shape[1];
  const sums_ = emitter.scratch([classes, 2]);
  sumRows(emitter, {
    name: 'dice sums',
    tensors: { p: p, g: g, sums_ },
    rows: classes,
    length: p.elements / classes,
    term: 'let a = p(row * u.length + j); let b = g(row * u.length + j); value.x = a * b; value.y = a * a; value.z = b * b;',
    finish: 'set_sums_(2u * row, 2.0 * total.x + 1.0); set_sums_(2u * row + 1u, total.y + total.z + 1.0);',
  });
  return sums_;
}

export const dice: WebGpuKernel<undefined> = (call, emitter) => {
  const sums = classSums(call, emitter);
  const classes = sums.shape[0];
  flat(emitter, 1, {
    name: 'dice',
    tensors: { sums, out: call.out },
    uints: { classes },
    code: `
  var total = 0.0;
  for (var c = 0u; c < u.classes; c++) { total += sums(2u * c) / sums(2u * c + 1u); }
  set_out(0u, 1.0 - total / f32(u.classes));`,
  });
};

export const diceGradient: WebGpuKernel<undefined> = (call, emitter) => {
  const sums = classSums(call, emitter);
  const [p, g, dOut] = call.inputs as [WebGpuTensor, WebGpuTensor, WebGpuTensor];
  const classes = sums.shape[0];
  flat(emitter, call.out.elements, {
    name: 'diceGradient',
    tensors: { p, g, dOut, sums, out: call.out },
    uints: { classes, voxels: p.elements / classes },
    code: `
  let c = i / u.voxels;
  let overlap = sums(2u * c);
  let total = sums(2u * c + 1u);
  set_out(i, -dOut(0u) / f32(u.classes) * (2.0 * g(i) / total - overlap * 2.0 * p(i) / (total * total)));`,
  });
};
