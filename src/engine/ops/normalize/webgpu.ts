/** Normalising rows in WGSL: one workgroup a row. */
import { ADDERS, ROW, TOTAL, type WebGpuEmitter, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';
import type { NormalizeAttributes } from './normalize.ts';

/** Sets `mean` and `divisor` of the row that begins at `first`, and `squares`, the sum of squares about the mean. */
const STATISTICS: { readonly [Name in NormalizeAttributes['function']]: string } = {
  layerNorm: `
  var sum = 0.0;
  for (var j = thread; j < u.length; j += ${ADDERS}u) { sum += x(first + j); }
  let mean = totalOf(thread, sum) / f32(u.length);
  sum = 0.0;
  for (var j = thread; j < u.length; j += ${ADDERS}u) { let v = x(first + j) - mean; sum += v * v; }
  let squares = totalOf(thread, sum);
  let divisor = sqrt(squares / f32(u.length) + u.eps);`,
  l2Normalize: `
  var sum = 0.0;
  for (var j = thread; j < u.length; j += ${ADDERS}u) { let v = x(first + j); sum += v * v; }
  let mean = 0.0;
  let squares = totalOf(thread, sum);
  let divisor = max(sqrt(squares), u.eps);`,
};

function rows(
  emitter: WebGpuEmitter,
  { function: kind, eps }: NormalizeAttributes,
  tensors: { readonly x: WebGpuTensor; readonly out: WebGpuTensor; readonly dOut?: WebGpuTensor },
  code: string,
): void {
  const [batch, length] = tensors.out.shape;
  emitter.dispatch({
    name: `${kind}${tensors.dOut ? 'Gradient' : ''}`,
    tensors: { ...tensors },
    uints: { rows: batch, length },
    floats: { eps },
    workgroups: [Math.min(batch, ROW), Math.ceil(batch / ROW), 1],
    code: `${TOTAL}
@compute @workgroup_size(${ADDERS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.y * ${ROW}u + group.x;
  if (row >= u.rows) { return; }
  let first = row * u.length;${STATISTICS[kind]}${code}
}`,
  });
}

export const normalize: WebGpuKernel<NormalizeAttributes> = ({ inputs: [x], out, attributes }, emitter) =>
  rows(
    emitter,
    attributes,
    { x, out },
    `
  for (var j = thread; j < u.length; j += ${ADDERS}u) { set_out(first + j, (x(first + j) - mean) / divisor); }`,
  );

/** What the mean's and the divisor's share in the gradient are. */
const SHARES: { readonly [Name in NormalizeAttributes['function']]: string } = {
  layerNorm: 'let ofMean = totalOf(thread, slopes) / f32(u.length); let ofDivisor = inner / f32(u.length);',
  l2Normalize: 'let ofMean = 0.0; let ofDivisor = select(inner, 0.0, sqrt(squares) < u.eps);',
};

export const normalizeGradient: WebGpuKernel<NormalizeAttributes> = ({ inputs: [x, dOut], out, attributes }, emitter) =>
  rows(
    emitter,
    attributes,
    { x, dOut, out },
    `
  var slopes = 0.0;
  var products = 0.0;
  for (var j = thread; j < u.length; j += ${ADDERS}u) {
    let slope = dOut(first + j);
    slopes += slope;
    products += slope * (x(first + j) - mean) / divisor;
  }
  let inner = totalOf(thread, products);
  ${SHARES[attributes.function]}
  for (var j = thread; j < u.length; j += ${ADDERS}u) {
    let y = (x(first + j) - mean) / divisor;
    set_out(first + j, (dOut(first + j) - ofMean - y * ofDivisor) / divisor);
  }`,
  );
