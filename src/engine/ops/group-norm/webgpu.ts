/** GroupNorm with LeakyReLU in WGSL, as the formulas in group-norm.ts say; the variance in a second pass, about the mean. */
import { flat, sumRows, volumeSizes, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';
import type { GroupNormAttributes } from './group-norm.ts';

export const groupStatistics: WebGpuKernel<GroupNormAttributes> = ({ inputs: [x], out, attributes: { eps } }, emitter) => {
  const rows = out.elements / 2;
  const common = { tensors: { x: x!, out }, rows, length: x!.elements / rows };
  sumRows(emitter, {
    ...common,
    name: 'group means',
    term: 'value.x = x(row * u.length + j);',
    finish: 'set_out(2u * row, total.x / f32(u.length));',
  });
  sumRows(emitter, {
    ...common,
    name: 'group deviations',
    floats: { eps },
    term: 'let v = x(row * u.length + j) - out(2u * row); value.x = v * v;',
    finish: 'set_out(2u * row + 1u, 1.0 / sqrt(total.x / f32(u.length) + u.eps));',
  });
};

/** Sets h and z of the element `at` of the sample and channel `nc`. */
const NORMALIZED = `
  let channel = nc % u.channels;
  let group_ = (nc / u.channels) * u.groups + channel / u.channelsPerGroup;
  let h = (x(at) - statistics(2u * group_)) * statistics(2u * group_ + 1u);
  let z = gamma(channel) * h + beta(channel);`;

function numbers(x: WebGpuTensor, { groups, slope }: GroupNormAttributes) {
  const { channels, voxels } = volumeSizes(x);
  return { uints: { channels, voxels, groups, channelsPerGroup: channels / groups }, floats: { slope } };
}

export const groupNorm: WebGpuKernel<GroupNormAttributes> = ({ inputs, out, attributes }, emitter) => {
  const [x, statistics, gamma, beta] = inputs as WebGpuTensor[];
  flat(emitter, out.elements, {
    name: 'groupNorm',
    tensors: { x: x!, statistics: statistics!, gamma: gamma!, beta: beta!, out },
    ...numbers(x!, attributes),
    code: `let at = i; let nc = i / u.voxels;${NORMALIZED}
  set_out(i, select(u.slope * z, z, z > 0.0));`,
  });
};

export const groupNormSums: WebGpuKernel<GroupNormAttributes> = ({ inputs, out, attributes }, emitter) => {
  const [x, statistics, gamma, beta, dOut] = inputs as WebGpuTensor[];
  const { uints, floats } = numbers(x!, attributes);
  sumRows(emitter, {
    name: 'groupNormSums',
    tensors: { x: x!, statistics: statistics!, gamma: gamma!, beta: beta!, dOut: dOut!, out },
    rows: out.elements / 2,
    length: uints.voxels,
    uints,
    floats,
    term: `let nc = row; let at = row * u.voxels + j;${NORMALIZED}
  let dz = dOut(at) * select(u.slope, 1.0, z > 0.0);
  value.x = dz; value.y = dz * h;`,
    finish: 'set_out(2u * row, total.x); set_out(2u * row + 1u, total.y);',
  });
};

export const groupNormInputGradient: WebGpuKernel<GroupNormAttributes> = ({ inputs, out, attributes }, emitter) => {
  const [x, statistics, gamma, beta, dOut, sums] = inputs as WebGpuTensor[];
  const { uints, floats } = numbers(x!, attributes);
  const [batch, channels] = x!.shape as [number, number];
  // what all voxels of a group share: the weighted sums, over the group's count
  const pooled = emitter.scratch([batch * attributes.groups * 2]);
  flat(emitter, batch * attributes.groups, {
    name: 'group sums',
    tensors: { gamma: gamma!, sums: sums!, pooled },
    uints,
    code: `
  let first = (i / u.groups) * u.channels + (i % u.groups) * u.channelsPerGroup;
  var total = vec2f();
  for (var k = 0u; k < u.channelsPerGroup; k++) {
    total += gamma(first % u.channels + k) * vec2f(sums(2u * (first + k)), sums(2u * (first + k) + 1u));
  }
  total /= f32(u.voxels * u.channelsPerGroup);
  set_pooled(2u * i, total.x);
  set_pooled(2u * i + 1u, total.y);`,
  });
  flat(emitter, out.elements, {
    name: 'groupNormInputGradient',
    tensors: { x: x!, statistics: statistics!, gamma: gamma!, beta: beta!, dOut: dOut!, pooled, out },
    uints: { ...uints, channels },
    floats,
    code: `let at = i; let nc = i / u.voxels;${NORMALIZED}
  let dz = dOut(at) * select(u.slope, 1.0, z > 0.0);
  set_out(i, statistics(2u * group_ + 1u) * (gamma(channel) * dz - (pooled(2u * group_) + h * pooled(2u * group_ + 1u))));`,
  });
};

export const sumPick: WebGpuKernel<{ readonly pick: 0 | 1 }> = ({ inputs: [sums], out, attributes: { pick } }, emitter) =>
  flat(emitter, out.elements, {
    name: 'sumPick',
    tensors: { sums: sums!, out },
    uints: { batch: sums!.shape[0]!, pick },
    code: `
  var sum = 0.0;
  for (var n = 0u; n < u.batch; n++) { sum += sums((n * u.count + i) * 2u + u.pick); }
  set_out(i, sum);`,
  });
