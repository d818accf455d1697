/**
 * Convolution in WGSL: implicit matrix products, tiled in registers.
 *
 * Forward (and the gradient by the input, which is the same with adjoint weights (taps reversed)): a workgroup stages, two input channels at a time, a box of
 * voxels with its halo and the weights of 8 or 32 output channels; each thread keeps 8 output channels of 4 neighbours along x in
 * registers, so that one staged row of 6 voxels serves 3 taps and 4 results. Weights are first packed as (input channel, tap, output
 * channel), so that vectors run over output channels.
 * Gradient by the weights: a workgroup walks over boxes of voxels; each thread keeps the 3 taps along x of 4 output channels for one input
 * channel and one row of taps. Several workgroups share the voxels; their sums are added in a fixed order.
 * Where channels and voxels fill its tiles, Winograd's kernels (webgpu-winograd.ts) compute all three; these are for the rest.
 */
import { flat, rangesOf, type WebGpuEmitter, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';
import {
  type Convolution,
  convolveWinograd,
  shouldUseWinograd,
  weightGradientWinograd,
  weightGradientWinogradPays,
} from './webgpu-winograd.ts';

type Volume = readonly [number, number, number, number, number];

/** Threads of a workgroup of the forward kernel. */
const THREADS = 128;
/** Output channels that a thread keeps: two vectors. */
const KEPT = 8;
/** Neighbours along x that a thread keeps. */
const RUN = 4;
/** Input channels that are staged at a time: 16 KiB of workgroup memory is what every adapter gives. */
const STAGED = 2;

/** The box of a workgroup's voxels: as wide as the volume allows, RUN voxels a thread. */
function boxOf(threads: number, d: number, h: number, w: number): { runs: number; tall: number; deep: number } {
  const power = (n: number): number => 2 ** Math.ceil(Math.log2(n));
  const runs = Math.min(8, power(Math.ceil(w / RUN)), threads);
  const tall = Math.min(power(h), Math.max(1, Math.floor(threads / runs)), 8);
  const deep = Math.min(power(d), Math.max(1, Math.floor(threads / runs / tall)), 8);
  return { runs, tall, deep };
}

/** Weights (O, I, K, K, K) as (I, taps, O padded): for the input's gradient with O and I exchanged and the taps reversed. */
function packWeights(emitter: WebGpuEmitter, weight: WebGpuTensor, adjoint: boolean, padded: number): WebGpuTensor {
  const [o, i, kernel] = weight.shape as Volume;
  const taps = kernel ** 3;
  const [from, to] = adjoint ? [o, i] : [i, o];
  const packed = emitter.scratch([from, taps, padded]);
  flat(emitter, packed.elements, {
    name: 'pack weights',
    tensors: { weight, packed },
    uints: { taps, padded, results: to, sources: from },
    code: `
  let channel = i % u.padded;
  let tap = i / u.padded % u.taps;
  let other = i / (u.padded * u.taps);
  var value = 0.0;
  if (channel < u.results) { value = ${
    adjoint
      ? 'weight((other * u.results + channel) * u.taps + u.taps - 1u - tap)'
      : 'weight((channel * u.sources + other) * u.taps + tap)'
  }; }
  set_packed(i, value);`,
  });
  return packed;
}

function convolveDirectly(emitter: WebGpuEmitter, { name, x, weight, bias, out, adjoint }: Convolution): void {
  const kernel = weight.shape[2];
  const half = (kernel - 1) / 2;
  const [batch, channels, d, h, w] = out.shape as Volume;
  const inputs = x.shape[1];
  // few output channels: fewer groups of them a workgroup, and more voxels
  const groups = channels > 2 * KEPT ? 4 : channels > KEPT ? 2 : 1;
  const tileChannels = groups * KEPT;
  const tiles = Math.ceil(channels / tileChannels);
  const packed = packWeights(emitter, weight, adjoint, tiles * tileChannels);
  const { runs, tall, deep } = boxOf(groups === 1 ? THREADS / 2 : THREADS / groups, d, h, w);
  const places = runs * tall * deep;
  const threads = places * groups;
  const staged = { x: runs * RUN + 2 * half, y: tall + 2 * half, z: deep + 2 * half };
  const stagedVoxels = staged.x * staged.y * staged.z;
  const taps = kernel ** 3;
  const stagedWeights = (taps * tileChannels) / 4;
  const [countX, countY, countZ] = [Math.ceil(w / (runs * RUN)), Math.ceil(h / tall), Math.ceil(d / deep)];
  const flops = 2 * taps * inputs * out.elements;
  for (const [firstBox, boxes] of rangesOf(countZ, flops))
    emitter.dispatch({
      name,
      tensors: { x, packed, ...(bias ? { bias } : {}), out },
      uints: { inputs, channels, d, h, w, padded: tiles * tileChannels, countX, countY, tiles, firstBox },
      workgroups: [countX * countY, boxes, batch * tiles],
      flops: (flops * boxes) / countZ,
      code: `
var<workgroup> voxels: array<f32, ${STAGED * stagedVoxels}>;
var<workgroup> weights: array<vec4f, ${STAGED * stagedWeights}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.z / u.tiles;
  let firstChannel = (group.z % u.tiles) * ${tileChannels}u;
  let corner = vec3u((group.x % u.countX) * ${runs * RUN}u, (group.x / u.countX) * ${tall}u, (u.firstBox + group.y) * ${deep}u);
  let place = thread % ${places}u;
  let own = vec3u((place % ${runs}u) * ${RUN}u, place / ${runs}u % ${tall}u, place / ${runs * tall}u);
  let vectors = (thread / ${places}u) * 2u;
  var sums: array<array<vec4f, 2>, ${RUN}>;
  for (var first = 0u; first < u.inputs; first += ${STAGED}u) {
    workgroupBarrier();
    for (var k = thread; k < ${STAGED * stagedVoxels}u; k += ${threads}u) {
      let channel = first + k / ${stagedVoxels}u;
      let at = k % ${stagedVoxels}u;
      let z = i32(corner.z + at / ${staged.x * staged.y}u) - ${half};
      let y = i32(corner.y + at / ${staged.x}u % ${staged.y}u) - ${half};
      let xx = i32(corner.x + at % ${staged.x}u) - ${half};
      var value = 0.0;
      if (channel < u.inputs && z >= 0 && z < i32(u.d) && y >= 0 && y < i32(u.h) && xx >= 0 && xx < i32(u.w)) {
        value = x((((n * u.inputs + channel) * u.d + u32(z)) * u.h + u32(y)) * u.w + u32(xx));
      }
      voxels[k] = value;
    }
    for (var k = thread; k < ${STAGED * stagedWeights}u; k += ${threads}u) {
      let channel = first + k / ${stagedWeights}u;
      var value = vec4f();
      if (channel < u.inputs) {
        let tap = k % ${stagedWeights}u / ${tileChannels / 4}u;
        let at = (channel * ${taps}u + tap) * u.padded + firstChannel + (k % ${tileChannels / 4}u) * 4u;
        value = vec4f(packed(at), packed(at + 1u), packed(at + 2u), packed(at + 3u));
      }
      weights[k] = value;
    }
    workgroupBarrier();
    for (var s = 0u; s < ${STAGED}u; s++) {
      for (var row = 0u; row < ${kernel * kernel}u; row++) {
        let at = s * ${stagedVoxels}u + ((own.z + row / ${kernel}u) * ${staged.y}u + own.y + row % ${kernel}u) * ${staged.x}u + own.x;
        var values: array<f32, ${RUN + 2 * half}>;
        for (var k = 0u; k < ${RUN + 2 * half}u; k++) { values[k] = voxels[at + k]; }
        for (var tap = 0u; tap < ${kernel}u; tap++) {
          let from_ = s * ${stagedWeights}u + (row * ${kernel}u + tap) * ${tileChannels / 4}u + vectors;
          let w0 = weights[from_];
          let w1 = weights[from_ + 1u];
          for (var k = 0u; k < ${RUN}u; k++) {
            sums[k][0] = fma(w0, vec4f(values[k + tap]), sums[k][0]);
            sums[k][1] = fma(w1, vec4f(values[k + tap]), sums[k][1]);
          }
        }
      }
    }
  }
  let z = corner.z + own.z;
  let y = corner.y + own.y;
  if (z >= u.d || y >= u.h) { return; }
  for (var c = 0u; c < ${KEPT}u; c++) {
    let channel = firstChannel + vectors * 4u + c;
    if (channel >= u.channels) { return; }
    for (var k = 0u; k < ${RUN}u; k++) {
      let xx = corner.x + own.x + k;
      if (xx < u.w) { set_out((((n * u.channels + channel) * u.d + z) * u.h + y) * u.w + xx, sums[k][c / 4u][c % 4u]${bias ? ' + bias(channel)' : ''}); }
    }
  }
}`,
    });
}

const convolve = (emitter: WebGpuEmitter, convolution: Convolution): void =>
  (shouldUseWinograd(convolution) ? convolveWinograd : convolveDirectly)(emitter, convolution);

export const conv3d: WebGpuKernel<undefined> = ({ inputs: [x, weight, bias], out }, emitter) =>
  convolve(emitter, { name: 'conv3d', x: x, weight: weight, bias, out, adjoint: false });

export const conv3dInputGradient: WebGpuKernel<undefined> = ({ inputs: [dOut, weight], out }, emitter) =>
  convolve(emitter, { name: 'conv3dInputGradient', x: dOut, weight: weight, out, adjoint: true });

/** Output channels of a workgroup of the weights' gradient, four a thread. */
const OUTPUTS = 16;
/** Voxels that are staged at a time. */
const BOX = 64;
/** Workgroups that keep a large GPU busy, and the most memory that their sums may take. */
const ENOUGH_WORKGROUPS = 1024;
const MAX_PARTIAL_BYTES = 64 * 2 ** 20;

function weightGradientDirectly(emitter: WebGpuEmitter, x: WebGpuTensor, dOut: WebGpuTensor, out: WebGpuTensor): void {
  const [batch, inputs, d, h, w] = x.shape as Volume;
  const [outputs, , kernel] = out.shape as Volume;
  const half = (kernel - 1) / 2;
  const tileInputs = kernel === 1 ? 16 : 4;
  const rows = kernel * kernel;
  const threads = tileInputs * rows * (OUTPUTS / 4);
  const power = (n: number): number => 2 ** Math.ceil(Math.log2(n));
  const wide = Math.max(RUN, Math.min(32, power(w)));
  const tall = Math.min(power(h), BOX / wide, 4);
  const deep = BOX / wide / tall;
  const staged = { x: wide + 2 * half, y: tall + 2 * half, z: deep + 2 * half };
  const stagedVoxels = staged.x * staged.y * staged.z;
  const [countX, countY, countZ] = [Math.ceil(w / wide), Math.ceil(h / tall), Math.ceil(d / deep)];
  const boxes = batch * countX * countY * countZ;
  const [tilesIn, tilesOut] = [Math.ceil(inputs / tileInputs), Math.ceil(outputs / OUTPUTS)];
  const sharers = Math.max(
    1,
    Math.min(boxes, Math.ceil(ENOUGH_WORKGROUPS / (tilesIn * tilesOut)), Math.floor(MAX_PARTIAL_BYTES / (4 * out.elements))),
  );
  const partial = emitter.scratch([sharers, out.elements]);
  const flops = 2 * kernel ** 3 * inputs * dOut.elements;
  for (const [firstTile, tiles] of rangesOf(tilesIn * tilesOut, flops))
    emitter.dispatch({
      name: 'conv3dWeightGradient',
      tensors: { x, dOut, partial },
      uints: { inputs, outputs, d, h, w, countX, countY, countZ, boxes, sharers, tilesIn, firstTile },
      workgroups: [sharers, tiles, 1],
      flops: (flops * tiles) / (tilesIn * tilesOut),
      code: `
var<workgroup> voxels: array<f32, ${tileInputs * stagedVoxels}>;
var<workgroup> dOutTile: array<vec4f, ${(BOX * OUTPUTS) / 4}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = u.firstTile + group.y;
  let firstIn = (tile % u.tilesIn) * ${tileInputs}u;
  let firstOut = (tile / u.tilesIn) * ${OUTPUTS}u;
  let row = thread % ${rows}u;
  let input = thread / ${rows}u % ${tileInputs}u;
  let vector = thread / ${rows * tileInputs}u;
  var sums: array<vec4f, ${kernel}>;
  for (var box = group.x; box < u.boxes; box += u.sharers) {
    let n = box / (u.countX * u.countY * u.countZ);
    let corner = vec3u(box % u.countX * ${wide}u, box / u.countX % u.countY * ${tall}u, box / (u.countX * u.countY) % u.countZ * ${deep}u);
    workgroupBarrier();
    for (var k = thread; k < ${tileInputs * stagedVoxels}u; k += ${threads}u) {
      let channel = firstIn + k / ${stagedVoxels}u;
      let at = k % ${stagedVoxels}u;
      let z = i32(corner.z + at / ${staged.x * staged.y}u) - ${half};
      let y = i32(corner.y + at / ${staged.x}u % ${staged.y}u) - ${half};
      let xx = i32(corner.x + at % ${staged.x}u) - ${half};
      var value = 0.0;
      if (channel < u.inputs && z >= 0 && z < i32(u.d) && y >= 0 && y < i32(u.h) && xx >= 0 && xx < i32(u.w)) {
        value = x((((n * u.inputs + channel) * u.d + u32(z)) * u.h + u32(y)) * u.w + u32(xx));
      }
      voxels[k] = value;
    }
    for (var k = thread; k < ${(BOX * OUTPUTS) / 4}u; k += ${threads}u) {
      let at = k % ${BOX}u;
      let z = corner.z + at / ${wide * tall}u;
      let y = corner.y + at / ${wide}u % ${tall}u;
      let xx = corner.x + at % ${wide}u;
      var value = vec4f();
      if (z < u.d && y < u.h && xx < u.w) {
        for (var c = 0u; c < 4u; c++) {
          let channel = firstOut + (k / ${BOX}u) * 4u + c;
          if (channel < u.outputs) { value[c] = dOut((((n * u.outputs + channel) * u.d + z) * u.h + y) * u.w + xx); }
        }
      }
      dOutTile[k] = value;
    }
    workgroupBarrier();
    for (var run = 0u; run < ${BOX / RUN}u; run++) {
      let own = vec3u(run * ${RUN}u % ${wide}u, run * ${RUN}u / ${wide}u % ${tall}u, run * ${RUN}u / ${wide * tall}u);
      let at = input * ${stagedVoxels}u + ((own.z + row / ${kernel}u) * ${staged.y}u + own.y + row % ${kernel}u) * ${staged.x}u + own.x;
      for (var k = 0u; k < ${RUN}u; k++) {
        let gradient = dOutTile[vector * ${BOX}u + run * ${RUN}u + k];
        for (var tap = 0u; tap < ${kernel}u; tap++) { sums[tap] = fma(gradient, vec4f(voxels[at + k + tap]), sums[tap]); }
      }
    }
  }
  if (firstIn + input >= u.inputs) { return; }
  for (var c = 0u; c < 4u; c++) {
    let channel = firstOut + vector * 4u + c;
    if (channel < u.outputs) {
      for (var tap = 0u; tap < ${kernel}u; tap++) {
        set_partial(((group.x * u.outputs + channel) * u.inputs + firstIn + input) * ${kernel ** 3}u + row * ${kernel}u + tap, sums[tap][c]);
      }
    }
  }
}`,
    });
  flat(emitter, out.elements, {
    name: 'sum of weight gradients',
    tensors: { partial, out },
    uints: { sharers },
    code: `
  var sum = 0.0;
  for (var part = 0u; part < u.sharers; part++) { sum += partial(part * u.count + i); }
  set_out(i, sum);`,
  });
}

/** So few voxels in all samples that a thread for each weight adds them up: there is nothing to share. */
const FEW_VOXELS = 32;

function weightGradientOfFewVoxels(emitter: WebGpuEmitter, x: WebGpuTensor, dOut: WebGpuTensor, out: WebGpuTensor): void {
  const [batch, inputs, d, h, w] = x.shape as Volume;
  const [outputs, , kernel] = out.shape as Volume;
  flat(emitter, out.elements, {
    name: 'conv3dWeightGradient, few voxels',
    tensors: { x, dOut, out },
    uints: { batch, inputs, outputs, d, h, w, kernel },
    code: `
  let tap = i % (u.kernel * u.kernel * u.kernel);
  let pair = i / (u.kernel * u.kernel * u.kernel);
  let half = (u.kernel - 1u) / 2u;
  let shift = vec3i(vec3u(tap / (u.kernel * u.kernel), tap / u.kernel % u.kernel, tap % u.kernel)) - i32(half);
  let size = vec3i(vec3u(u.d, u.h, u.w));
  var sum = 0.0;
  for (var n = 0u; n < u.batch; n++) {
    for (var at = 0u; at < u.d * u.h * u.w; at++) {
      let place = vec3i(vec3u(at / (u.w * u.h), at / u.w % u.h, at % u.w)) + shift;
      if (all(place >= vec3i()) && all(place < size)) {
        let from_ = ((n * u.inputs + pair % u.inputs) * u.d + u32(place.x)) * u.h * u.w + u32(place.y) * u.w + u32(place.z);
        sum = fma(dOut((n * u.outputs + pair / u.inputs) * u.d * u.h * u.w + at), x(from_), sum);
      }
    }
  }
  set_out(i, sum);`,
  });
}

/** The kernel that does least for these shapes. */
function weightGradientKernel(x: WebGpuTensor, dOut: WebGpuTensor, kernel: number): typeof weightGradientDirectly {
  const [batch, , d, h, w] = x.shape as Volume;
  if (batch * d * h * w <= FEW_VOXELS) return weightGradientOfFewVoxels;
  return weightGradientWinogradPays(x, dOut, kernel) ? weightGradientWinograd : weightGradientDirectly;
}

export const conv3dWeightGradient: WebGpuKernel<{ readonly kernel: number }> = (
  { inputs: [x, dOut], out, attributes: { kernel } },
  emitter,
) => weightGradientKernel(x, dOut, kernel)(emitter, x, dOut, out);
