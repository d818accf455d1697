/**
 * Winograd's convolution in WGSL: F(2x2, 3x3) over (y, x), the three taps along z as they are. 48 products where the direct sum takes 108.
 *
 * Why not over z too: 64 planes of sums would not fit into the registers of a workgroup, or would go through memory at eight times the
 * size of the feature map. With 16 planes everything but the weights stays on the chip.
 *
 * A plane is one of the 4 x 4 places of a transformed tile. A thread owns a plane and keeps 64 (forward) or 48 (weights' gradient) sums in
 * registers, a small matrix product: for each 16 numbers that it loads, 64 multiply-adds.
 *   forward: y = A^T [ sum over i, z of (G w G^T) o (B^T x B) ] A; the gradient by the input is the same with adjoint weights
 *   weights: dw = G^T [ sum over tiles of (A dy A^T) o (B^T x B) ] G
 * (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, section 4)
 */
import { flat, rangesOf, type WebGpuEmitter, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';

type Volume = readonly [number, number, number, number, number];

const THREADS = 256;
const PLANES = 16;
/** Output channels of a workgroup, eight a thread. */
const CHANNELS = 32;
/** Tiles of 2 x 2 voxels of a thread: a row of four, two rows. */
const TILES_X = 4;
const TILES_Y = 2;
const TILES = TILES_X * TILES_Y;
/** Slices along z of a workgroup of the forward kernel, one a thread; transformed are the two beside them as well. */
const SLICES = 4;
const STAGED_SLICES = SLICES + 2;
/** Input channels that are transformed at a time. */
const STAGED = 4;
/** Workgroup memory in floats: 16 KiB is what every adapter gives, and what one round of the way out takes. */
const SHARED = 4096;
/** How many times fewer products than the direct sum. */
const SAVED = 108 / 48;

/** The share of boxes of (z, y, x) that a volume fills. */
const filled = ([, , ...size]: readonly number[], box: readonly [number, number, number]): number =>
  box.reduce((share, side, k) => (share * size[k]) / (Math.ceil(size[k] / side) * side), 1);
/** Less than this, and the tiles that hang over the volume cost more than the products that are saved. */
const ENOUGH_FILLED = 0.45;
/** The direct kernels have narrower tiles for fewer channels; Winograd's would be half empty. */
const ENOUGH_CHANNELS = 24;
const enoughChannels = (kernel: number, inputs: number, outputs: number): boolean =>
  kernel === 3 && inputs >= 4 && outputs >= ENOUGH_CHANNELS;

/** Whether `convolveWinograd` does less than a direct sum: enough channels and voxels to fill its tiles. */
export const shouldUseWinograd = ({ x, weight, out }: Convolution): boolean =>
  enoughChannels(weight.shape[2], x.shape[1], out.shape[1]) &&
  filled(out.shape, [SLICES, 2 * TILES_Y, 2 * TILES_X]) >= ENOUGH_FILLED;

/** The same of `weightGradientWinograd`, which takes one step more than there are slices. */
export const weightGradientWinogradPays = (x: WebGpuTensor, dOut: WebGpuTensor, kernel: number): boolean =>
  enoughChannels(kernel, x.shape[1], dOut.shape[1]) &&
  (filled(x.shape, [1, 2, 2 * TILES_X]) * x.shape[2]) / (x.shape[2] + 1) >= ENOUGH_FILLED;

/** Weights (O, I, 3, 3, 3) as G w G^T: (I, 3 along z, 16 planes, O padded); adjoint, with O and I exchanged, for the input's gradient. */
function transformWeights(emitter: WebGpuEmitter, weight: WebGpuTensor, adjoint: boolean, padded: number): WebGpuTensor {
  const [o, i] = weight.shape as Volume;
  const [from, to] = adjoint ? [o, i] : [i, o];
  const transformed = emitter.scratch([from, 3, PLANES, padded]);
  flat(emitter, from * 3 * padded, {
    name: 'transform weights',
    tensors: { weight, transformed },
    uints: { padded, results: to, sources: from },
    code: `
  let channel = i % u.padded;
  let z = i / u.padded % 3u;
  let other = i / (3u * u.padded);
  var rows: array<vec3f, 3>;
  if (channel < u.results) {
    for (var k = 0u; k < 9u; k++) {
      rows[k / 3u][k % 3u] = ${
        adjoint
          ? 'weight((other * u.results + channel) * 27u + 26u - 9u * z - k)'
          : 'weight((channel * u.sources + other) * 27u + 9u * z + k)'
      };
    }
  }
  let even = 0.5 * (rows[0] + rows[2]);
  let odd = 0.5 * rows[1];
  let tall = array<vec3f, 4>(rows[0], even + odd, even - odd, rows[2]);
  for (var k = 0u; k < 4u; k++) {
    let row = tall[k];
    let sides = 0.5 * (row.x + row.z);
    let middle = 0.5 * row.y;
    let wide = vec4f(row.x, sides + middle, sides - middle, row.z);
    for (var j = 0u; j < 4u; j++) { set_transformed(((other * 3u + z) * ${PLANES}u + 4u * k + j) * u.padded + channel, wide[j]); }
  }`,
  });
  return transformed;
}

/** Four neighbours along x of the tensor `name`, from the voxel xx on; 0 outside the volume. `volume`: which sample and channel. */
const run4 = (name: string): string => `
fn run4(volume: u32, z: i32, y: i32, xx: i32) -> vec4f {
  var values = vec4f();
  if (z < 0 || z >= i32(u.d) || y < 0 || y >= i32(u.h)) { return values; }
  let at = i32(((volume * u.d + u32(z)) * u.h + u32(y)) * u.w) + xx;
  ${[0, 1, 2, 3]
    .map((k) => `if (xx + ${k} >= 0 && xx + ${k} < i32(u.w)) { values[${k}] = ${name}(u32(at + ${k})); }`)
    .join('\n  ')}
  return values;
}`;
const times = <T>(count: number, text: (k: number) => T): T[] => Array.from({ length: count }, (_, k) => text(k));

/** Floats from one plane of staged tiles to the next: not a multiple of 8, so that the planes of a subgroup lie in different banks. */
const PLANE_STRIDE = STAGED_SLICES * TILES + 4;
/** Sums of a thread's channel k, tiles 0-3 and 4-7. */
const sum = (k: number, half: number): string => `sums${k}_${half}`;
/** Channels of a thread that go out together: all planes of all tiles of two channels a thread fill the workgroup's memory. */
const OUT = 2;

/** What a kernel of the forward kind computes: the convolution of x, or, adjoint, its gradient by the input. */
export interface Convolution {
  /** Of the dispatch. */
  readonly name: string;
  readonly x: WebGpuTensor;
  readonly weight: WebGpuTensor;
  readonly bias?: WebGpuTensor | undefined;
  readonly out: WebGpuTensor;
  readonly adjoint: boolean;
}

export function convolveWinograd(emitter: WebGpuEmitter, { name, x, weight, bias, out, adjoint }: Convolution): void {
  const [batch, channels, d, h, w] = out.shape as Volume;
  const inputs = x.shape[1];
  const blocks = Math.ceil(channels / CHANNELS);
  const padded = blocks * CHANNELS;
  const transformed = transformWeights(emitter, weight, adjoint, padded);
  const [countX, countY, countZ] = [Math.ceil(w / (2 * TILES_X)), Math.ceil(h / (2 * TILES_Y)), Math.ceil(d / SLICES)];
  const patches = STAGED_SLICES * TILES;
  const flops = (2 * 27 * inputs * out.elements) / SAVED;
  for (const [firstBox, boxes] of rangesOf(countZ, flops))
    emitter.dispatch({
      name: `${name}, Winograd`,
      tensors: { x, transformed, ...(bias ? { bias } : {}), out },
      vectors: ['transformed'],
      uints: { inputs, channels, d, h, w, padded, countX, blocks, firstBox },
      workgroups: [countX * countY, boxes, batch * blocks],
      flops: (flops * boxes) / countZ,
      code: `
var<workgroup> shared_: array<f32, ${SHARED}>;
${run4('x')}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.z / u.blocks;
  let firstChannel = (group.z % u.blocks) * ${CHANNELS}u;
  let corner = vec3u((group.x % u.countX) * ${2 * TILES_X}u, (group.x / u.countX) * ${2 * TILES_Y}u, (u.firstBox + group.y) * ${SLICES}u);
  let plane = thread / 16u;
  let slice = thread / 4u % 4u;
  let eight = thread % 4u;
  ${times(8, (k) => `var ${sum(k, 0)} = vec4f(); var ${sum(k, 1)} = vec4f();`).join('\n  ')}
  for (var first = 0u; first < u.inputs; first += ${STAGED}u) {
    workgroupBarrier();
    if (thread < ${STAGED * patches}u) {
      let channel = first + thread / ${patches}u;
      let patch_ = thread % ${patches}u;
      let z = i32(corner.z + patch_ / ${TILES}u) - 1;
      let y = i32(corner.y + 2u * (patch_ / ${TILES_X}u % ${TILES_Y}u)) - 1;
      let xx = i32(corner.x + 2u * (patch_ % ${TILES_X}u)) - 1;
      ${times(4, (k) => `var row${k} = vec4f();`).join(' ')}
      if (channel < u.inputs) {
        let volume = n * u.inputs + channel;
        ${times(4, (k) => `row${k} = run4(volume, z, y + ${k}, xx);`).join('\n        ')}
      }
      let tall = array<vec4f, 4>(row0 - row2, row1 + row2, row2 - row1, row1 - row3);
      var at = (thread / ${patches}u) * ${PLANES * PLANE_STRIDE}u + patch_;
      for (var k = 0u; k < 4u; k++) {
        let row = tall[k];
        ${['row.x - row.z', 'row.y + row.z', 'row.z - row.y', 'row.y - row.w']
          .map((value, k) => `shared_[at + ${k * PLANE_STRIDE}u] = ${value};`)
          .join(' ')}
        at += ${4 * PLANE_STRIDE}u;
      }
    }
    workgroupBarrier();
    let staged = min(${STAGED}u, u.inputs - first);
    for (var s = 0u; s < staged; s++) {
      for (var tap = 0u; tap < 3u; tap++) {
        let from_ = (s * ${PLANES}u + plane) * ${PLANE_STRIDE}u + (slice + tap) * ${TILES}u;
        let v0 = vec4f(${times(4, (k) => `shared_[from_ + ${k}u]`).join(', ')});
        let v1 = vec4f(${times(4, (k) => `shared_[from_ + ${k + 4}u]`).join(', ')});
        let weights = ((((first + s) * 3u + tap) * ${PLANES}u + plane) * u.padded + firstChannel) / 4u + 2u * eight;
        let w0 = transformed4(weights);
        let w1 = transformed4(weights + 1u);
        ${times(8, (k) => {
          const factor = `vec4f(w${Math.floor(k / 4)}.${'xyzw'[k % 4]})`;
          return times(2, (half) => `${sum(k, half)} = fma(${factor}, v${half}, ${sum(k, half)});`).join(' ');
        }).join('\n        ')}
      }
    }
  }
  // the way out: each thread gathers the planes of one tile and channel; turned by the tile's column, so that the banks differ
  let place = slice * 4u + eight;
  let tileX = thread % 4u;
  let outEight = thread / 4u % 4u;
  let outChannel = thread / 16u % 2u;
  let tileY = thread / 32u % 2u;
  let outSlice = thread / 64u;
  let z = corner.z + outSlice;
  let y = corner.y + 2u * tileY;
  let xx = corner.x + 2u * tileX;
  ${times(8 / OUT, (round) => {
    const writes = times(OUT, (k) =>
      times(TILES, (tile) => {
        const component = 'xyzw'[tile % 4];
        return `shared_[${(tile * OUT + k) * PLANES * 16}u + plane * 16u + ((place + ${4 * (tile % TILES_X)}u) & 15u)] = ${sum(round * OUT + k, Math.floor(tile / 4))}.${component};`;
      }),
    ).flat();
    const row = (k: number): string => `vec4f(${times(4, (j) => `shared_[from${round} + ${(4 * k + j) * 16}u]`).join(', ')})`;
    return `
  workgroupBarrier();
  ${writes.join('\n  ')}
  workgroupBarrier();
  let from${round} = ((tileY * ${TILES_X}u + tileX) * ${OUT}u + outChannel) * ${PLANES * 16}u + ((outSlice * 4u + outEight + 4u * tileX) & 15u);
  outputTransform(n, firstChannel + outEight * 8u + ${round * OUT}u + outChannel, z, y, xx, ${times(4, row).join(', ')});`;
  }).join('\n')}
}
fn outputTransform(n: u32, channel: u32, z: u32, y: u32, xx: u32, row0: vec4f, row1: vec4f, row2: vec4f, row3: vec4f) {
  if (channel >= u.channels || z >= u.d || xx >= u.w) { return; }
  let rows = array<vec4f, 2>(row0 + row1 + row2, row1 - row2 - row3);
  for (var k = 0u; k < 2u; k++) {
    if (y + k >= u.h) { return; }
    let row = rows[k];
    let at = (((n * u.channels + channel) * u.d + z) * u.h + y + k) * u.w + xx;
    let shift = ${bias ? 'bias(channel)' : '0.0'};
    set_out(at, row.x + row.y + row.z + shift);
    if (xx + 1u < u.w) { set_out(at + 1u, row.y - row.z - row.w + shift); }
  }
}`,
    });
}

/** Input channels of a workgroup of the weights' gradient, two a thread. */
const INPUTS = 8;
/** Workgroups that keep a large GPU busy, and the most memory that their sums may take. */
const ENOUGH_WORKGROUPS = 1024;
const MAX_PARTIAL_BYTES = 64 * 2 ** 20;
/** Strides of the staged tiles, odd or padded for the banks: x in a ring of three slices (slot, tile, plane, channel), dy (tile, plane, channel). */
const X_PLANE = INPUTS + 1;
const X_TILE = PLANES * X_PLANE;
const X_SLOT = TILES_X * X_TILE;
const DY_PLANE = CHANNELS + 4;
const DY_TILE = PLANES * DY_PLANE + 8;

/**
 * The weights' gradient. A workgroup walks columns of four tiles along z; the transformed slices of x stay for the three steps that need
 * them. Workgroups share the columns; their sums are added in a fixed order.
 */
export function weightGradientWinograd(emitter: WebGpuEmitter, x: WebGpuTensor, dOut: WebGpuTensor, out: WebGpuTensor): void {
  const [batch, inputs, d, h, w] = x.shape as Volume;
  const outputs = dOut.shape[1];
  const [countX, countY] = [Math.ceil(w / (2 * TILES_X)), Math.ceil(h / 2)];
  const columns = batch * countX * countY;
  const [blocksIn, blocksOut] = [Math.ceil(inputs / INPUTS), Math.ceil(outputs / CHANNELS)];
  const sums = PLANES * 3 * outputs * inputs;
  const sharers = Math.max(
    1,
    Math.min(columns, Math.ceil(ENOUGH_WORKGROUPS / (blocksIn * blocksOut)), Math.floor(MAX_PARTIAL_BYTES / (4 * sums))),
  );
  const partial = emitter.scratch([sharers, sums]);
  const flops = (2 * 27 * inputs * dOut.elements) / SAVED;
  const dy = 3 * X_SLOT;
  for (const [firstBlock, blocks] of rangesOf(blocksIn * blocksOut, flops))
    emitter.dispatch({
      name: 'conv3dWeightGradient, Winograd',
      tensors: { x, dOut, partial },
      uints: { inputs, outputs, d, h, w, countX, countY, columns, sharers, blocksIn, firstBlock },
      workgroups: [sharers, blocks, 1],
      flops: (flops * blocks) / (blocksIn * blocksOut),
      code: `
var<workgroup> shared_: array<f32, ${SHARED}>;
${run4('x')}
fn slope(volume: u32, z: u32, y: u32, xx: u32) -> f32 {
  if (y >= u.h || xx >= u.w) { return 0.0; }
  return dOut(((volume * u.d + z) * u.h + y) * u.w + xx);
}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let block = u.firstBlock + group.y;
  let firstIn = (block % u.blocksIn) * ${INPUTS}u;
  let firstOut = (block / u.blocksIn) * ${CHANNELS}u;
  let plane = thread / 16u;
  let eight = thread / 4u % 4u;
  let pair = thread % 4u;
  // half of the threads transform dy, a tile each; the other half a row of a tile of x
  let tile = thread % 4u;
  let stagedOut = thread / 4u;
  let row = thread / 4u % 4u;
  let stagedIn = thread / 16u - 8u;
  ${times(3, (tap) => times(4, (k) => `var sums${tap}_${k} = vec4f();`).join(' ')).join('\n  ')}
  for (var column = group.x; column < u.columns; column += u.sharers) {
    let n = column / (u.countX * u.countY);
    let y = 2u * (column / u.countX % u.countY);
    let xx = ${2 * TILES_X}u * (column % u.countX) + 2u * tile;
    for (var step = 0u; step <= u.d; step++) {
      workgroupBarrier();
      if (thread >= 128u) {
        var planes = vec4f();
        if (firstIn + stagedIn < u.inputs) {
          let volume = n * u.inputs + firstIn + stagedIn;
          let above = run4(volume, i32(step), i32(y) - 1 + select(1, 0, row == 0u), i32(xx) - 1);
          let below = run4(volume, i32(step), i32(y) - 1 + select(2, 3, row == 3u), i32(xx) - 1);
          let tall = select(above, -above, row == 2u) + select(-below, below, row == 1u || row == 2u);
          planes = vec4f(tall.x - tall.z, tall.y + tall.z, tall.z - tall.y, tall.y - tall.w);
        }
        let at = tile * ${X_TILE}u + row * ${4 * X_PLANE}u + stagedIn;
        for (var k = 0u; k < 4u; k++) {
          shared_[(step % 3u) * ${X_SLOT}u + at + k * ${X_PLANE}u] = planes[k];
          if (step == 0u) { shared_[${2 * X_SLOT}u + at + k * ${X_PLANE}u] = 0.0; }
        }
      } else if (step > 0u) {
        var corners = vec4f();
        let channel = firstOut + stagedOut;
        if (channel < u.outputs) {
          let volume = n * u.outputs + channel;
          corners = vec4f(slope(volume, step - 1u, y, xx), slope(volume, step - 1u, y, xx + 1u), slope(volume, step - 1u, y + 1u, xx), slope(volume, step - 1u, y + 1u, xx + 1u));
        }
        let tall = array<vec2f, 4>(corners.xy, corners.xy + corners.zw, corners.xy - corners.zw, -corners.zw);
        var at = ${dy}u + tile * ${DY_TILE}u + stagedOut;
        for (var k = 0u; k < 4u; k++) {
          let side = tall[k];
          ${['side.x', 'side.x + side.y', 'side.x - side.y', '-side.y']
            .map((value, k) => `shared_[at + ${k * DY_PLANE}u] = ${value};`)
            .join(' ')}
          at += ${4 * DY_PLANE}u;
        }
      }
      workgroupBarrier();
      if (step > 0u) {
        for (var t = 0u; t < ${TILES_X}u; t++) {
          let at = ${dy}u + t * ${DY_TILE}u + plane * ${DY_PLANE}u + eight * 8u;
          let y0 = vec4f(${times(4, (k) => `shared_[at + ${k}u]`).join(', ')});
          let y1 = vec4f(${times(4, (k) => `shared_[at + ${k + 4}u]`).join(', ')});
          ${times(
            3,
            (tap) => `
          let from${tap} = ((step + ${tap + 1}u) % 3u) * ${X_SLOT}u + t * ${X_TILE}u + plane * ${X_PLANE}u + pair * 2u;
          ${times(
            2,
            (k) => `let x${tap}_${k} = vec4f(shared_[from${tap} + ${k}u]);
          sums${tap}_${2 * k} = fma(y0, x${tap}_${k}, sums${tap}_${2 * k}); sums${tap}_${2 * k + 1} = fma(y1, x${tap}_${k}, sums${tap}_${2 * k + 1});`,
          ).join('\n          ')}`,
          ).join('')}
        }
      }
    }
  }
  ${times(3, (tap) =>
    times(
      4,
      (k) =>
        `keep(group.x * 48u + plane * 3u + ${tap}u, firstOut + eight * 8u + ${4 * (k % 2)}u, firstIn + pair * 2u + ${Math.floor(k / 2)}u, sums${tap}_${k});`,
    ).join('\n  '),
  ).join('\n  ')}
}
fn keep(row: u32, channel: u32, input: u32, values: vec4f) {
  if (input >= u.inputs) { return; }
  for (var k = 0u; k < 4u; k++) {
    if (channel + k < u.outputs) { set_partial((row * u.outputs + channel + k) * u.inputs + input, values[k]); }
  }
}`,
    });
  const summed = sharers === 1 ? partial : emitter.scratch([sums]);
  if (sharers > 1)
    flat(emitter, sums, {
      name: 'sum of weight gradients',
      tensors: { partial, summed },
      uints: { sharers },
      code: `
  var sum = 0.0;
  for (var part = 0u; part < u.sharers; part++) { sum += partial(part * u.count + i); }
  set_summed(i, sum);`,
    });
  flat(emitter, out.elements / 9, {
    name: 'weights from planes',
    tensors: { summed, out },
    uints: { pairs: outputs * inputs },
    code: `
  let pair = i / 3u;
  let z = i % 3u;
  var rows: array<vec4f, 4>;
  for (var k = 0u; k < ${PLANES}u; k++) { rows[k / 4u][k % 4u] = summed((k * 3u + z) * u.pairs + pair); }
  let even = 0.5 * (rows[1] + rows[2]);
  let tall = array<vec4f, 3>(rows[0] + even, 0.5 * (rows[1] - rows[2]), even + rows[3]);
  for (var k = 0u; k < 3u; k++) {
    let row = tall[k];
    let sides = 0.5 * (row.y + row.z);
    set_out(i * 9u + k * 3u, row.x + sides);
    set_out(i * 9u + k * 3u + 1u, 0.5 * (row.y - row.z));
    set_out(i * 9u + k * 3u + 2u, sides + row.w);
  }`,
  });
}
