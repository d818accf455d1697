/** GroupNorm with LeakyReLU in WGSL, as the formulas in group-norm.ts say. */
import {
  ADDERS,
  CHUNK,
  flat,
  ROW,
  sumRows,
  TOTAL,
  volumeSizes,
  type WebGpuKernel,
  type WebGpuTensor,
} from '../../backends/webgpu/kernel.ts';
import type { GroupNormAttributes } from './group-norm.ts';

/**
 * Mean and deviation of each chunk about its own mean, then of the row about the mean of all (Chan, Golub and LeVeque, 1979): memory is read
 * once, for a chunk is still in the cache when its deviations are summed, and no digits are lost as they would be by the mean of squares.
 */
export const groupStatistics: WebGpuKernel<GroupNormAttributes> = ({ inputs: [x], out, attributes: { eps } }, emitter) => {
  const rows = out.elements / 2;
  const length = x.elements / rows;
  const chunks = Math.ceil(length / CHUNK);
  const partial = emitter.scratch([rows, chunks, 2]);
  const workgroups = (count: number): [number, number, number] => [Math.min(count, ROW), Math.ceil(count / ROW), 1];
  const head = `${TOTAL}
@compute @workgroup_size(${ADDERS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = group.y * ${ROW}u + group.x;
  if (at >= u.count) { return; }`;
  emitter.dispatch({
    name: 'group statistics, chunks',
    tensors: { x: x, partial },
    uints: { count: rows * chunks, length, chunks },
    workgroups: workgroups(rows * chunks),
    code: `${head}
  let first = (at % u.chunks) * ${CHUNK}u;
  let start = (at / u.chunks) * u.length;
  let end = min(first + ${CHUNK}u, u.length);
  var sum = 0.0;
  for (var j = first + thread; j < end; j += ${ADDERS}u) { sum += x(start + j); }
  let mean = totalOf(thread, sum) / f32(end - first);
  sum = 0.0;
  for (var j = first + thread; j < end; j += ${ADDERS}u) { let v = x(start + j) - mean; sum += v * v; }
  let squares = totalOf(thread, sum);
  if (thread == 0u) { set_partial(2u * at, mean); set_partial(2u * at + 1u, squares); }
}`,
  });
  emitter.dispatch({
    name: 'group statistics',
    tensors: { partial, out },
    uints: { count: rows, length, chunks },
    floats: { eps },
    workgroups: workgroups(rows),
    code: `${head}
  var sum = 0.0;
  for (var chunk = thread; chunk < u.chunks; chunk += ${ADDERS}u) {
    let voxels = f32(min(${CHUNK}u, u.length - chunk * ${CHUNK}u));
    sum += voxels * partial(2u * (at * u.chunks + chunk));
  }
  let mean = totalOf(thread, sum) / f32(u.length);
  sum = 0.0;
  for (var chunk = thread; chunk < u.chunks; chunk += ${ADDERS}u) {
    let voxels = f32(min(${CHUNK}u, u.length - chunk * ${CHUNK}u));
    let v = partial(2u * (at * u.chunks + chunk)) - mean;
    sum += partial(2u * (at * u.chunks + chunk) + 1u) + voxels * v * v;
  }
  let squares = totalOf(thread, sum);
  if (thread == 0u) { set_out(2u * at, mean); set_out(2u * at + 1u, 1.0 / sqrt(squares / f32(u.length) + u.eps)); }
}`,
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
    tensors: { x: x, statistics: statistics, gamma: gamma, beta: beta, out },
    ...numbers(x, attributes),
    code: `let at = i; let nc = i / u.voxels;${NORMALIZED}
  set_out(i, select(u.slope * z, z, z > 0.0));`,
  });
};

export const groupNormSums: WebGpuKernel<GroupNormAttributes> = ({ inputs, out, attributes }, emitter) => {
  const [x, statistics, gamma, beta, dOut] = inputs as WebGpuTensor[];
  const { uints, floats } = numbers(x, attributes);
  sumRows(emitter, {
    name: 'groupNormSums',
    tensors: { x: x, statistics: statistics, gamma: gamma, beta: beta, dOut: dOut, out },
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
  const { uints, floats } = numbers(x, attributes);
  const [batch, channels] = x.shape as [number, number];
  // what all voxels of a group share: the weighted sums, over the group's count
  const pooled = emitter.scratch([batch * attributes.groups * 2]);
  flat(emitter, batch * attributes.groups, {
    name: 'group sums',
    tensors: { gamma: gamma, sums: sums, pooled },
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
    tensors: { x: x, statistics: statistics, gamma: gamma, beta: beta, dOut: dOut, pooled, out },
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
    tensors: { sums: sums, out },
    uints: { batch: sums.shape[0], pick },
    code: `
  var sum = 0.0;
  for (var n = 0u; n < u.batch; n++) { sum += sums((n * u.count + i) * 2u + u.pick); }
  set_out(i, sum);`,
  });
