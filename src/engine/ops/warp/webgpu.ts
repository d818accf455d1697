/**
 * Trilinear sampling and its gradients in WGSL, as the formulas in warp.ts say.
 *
 * The gradient by the image is a scatter: voxel p gives to the eight neighbours of p + displacement(p). WebGPU has no atomic addition of
 * floats, and its order would differ from run to run. So each voxel q gathers: it asks which p reach it. To ask few, the voxels are boxed
 * twice, 4^3 and 16^3 at a time: a box knows the extent of its members' targets, and q opens only boxes whose extent it lies in. That
 * holds for any displacement, also one that folds, and always adds in the same order.
 */
import { flat, volumeSizes, type WebGpuEmitter, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';

const sizesOf = (field: WebGpuTensor) => {
  const { d, h, w, voxels } = volumeSizes(field);
  return { d, h, w, voxels };
};

/** Voxel `at`, its displacement in sample n, and where it therefore reads, all as (z, y, x). */
const POSITION = `
fn placeOf(at: u32) -> vec3f { return vec3f(f32(at / (u.w * u.h)), f32(at / u.w % u.h), f32(at % u.w)); }
fn movedBy(n: u32, at: u32) -> vec3f {
  return vec3f(displacement(3u * n * u.voxels + at), displacement((3u * n + 1u) * u.voxels + at),
    displacement((3u * n + 2u) * u.voxels + at));
}
fn positionOf(n: u32, at: u32) -> vec3f { return placeOf(at) + movedBy(n, at); }`;

/** Runs `body` for each neighbour inside the volume, with `corner` (its index), `step` (0 or 1 on each axis) and `share` (weights). */
const corners = (body: string): string => `
  // the fraction of the displacement, not of the position, which at a far voxel has lost digits
  let low = place + floor(moved);
  let fraction = moved - floor(moved);
  for (var k = 0u; k < 8u; k++) {
    let step = vec3u(k >> 2u, (k >> 1u) & 1u, k & 1u);
    let there = low + vec3f(step);
    // as one condition that is false for what is no number
    if (all(there >= vec3f()) && all(there < vec3f(f32(u.d), f32(u.h), f32(u.w)))) {
      let share = select(1.0 - fraction, fraction, step == vec3u(1u));
      let corner = (u32(there.x) * u.h + u32(there.y)) * u.w + u32(there.z);
      ${body}
    }
  }`;

export const warp: WebGpuKernel<undefined> = ({ inputs: [image, displacement], out }, emitter) => {
  const { channels } = volumeSizes(out);
  flat(emitter, out.elements, {
    name: 'warp',
    tensors: { image: image, displacement: displacement, out },
    uints: { ...sizesOf(out), channels },
    helpers: POSITION,
    code: `
  let volume = i / u.voxels;
  let place = placeOf(i % u.voxels);
  let moved = movedBy(volume / u.channels, i % u.voxels);
  var sum = 0.0;${corners('sum += share.x * share.y * share.z * image(volume * u.voxels + corner);')}
  set_out(i, sum);`,
  });
};

export const warpDisplacementGradient: WebGpuKernel<undefined> = ({ inputs: [image, displacement, dOut], out }, emitter) => {
  const { channels } = volumeSizes(image);
  flat(emitter, out.elements / 3, {
    name: 'warpDisplacementGradient',
    tensors: { image: image, displacement: displacement, dOut: dOut, out },
    uints: { ...sizesOf(out), channels },
    helpers: POSITION,
    code: `
  let n = i / u.voxels;
  let at = i % u.voxels;
  let place = placeOf(at);
  let moved = movedBy(n, at);
  var sum = vec3f();${corners(`
      var inner = 0.0;
      for (var c = 0u; c < u.channels; c++) {
        let volume = (n * u.channels + c) * u.voxels;
        inner += dOut(volume + at) * image(volume + corner);
      }
      sum += (2.0 * vec3f(step) - 1.0) * share.yxx * share.zzy * inner;`)}
  for (var a = 0u; a < 3u; a++) { set_out((3u * n + a) * u.voxels + at, sum[a]); }`,
  });
};

export const insideMask: WebGpuKernel<undefined> = ({ inputs: [displacement], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'insideMask',
    tensors: { displacement: displacement, out },
    uints: sizesOf(out),
    helpers: POSITION,
    code: `
  let to = positionOf(i / u.voxels, i % u.voxels);
  set_out(i, select(0.0, 1.0, all(to >= vec3f()) && all(to <= vec3f(f32(u.d), f32(u.h), f32(u.w)) - 1.0)));`,
  });

/** Sides of the boxes, in voxels and in small boxes. */
const SMALL = 4;
const LARGE = 4;
/** Channels that one thread gathers at a time. */
const CHANNELS = 8;

/** Extents (box, 6): the least and the greatest target of a box's members on each axis; an empty extent where no target is a number. */
function extents(emitter: WebGpuEmitter, displacement: WebGpuTensor) {
  const sizes = sizesOf(displacement);
  const batch = displacement.shape[0];
  const boxed = (size: number, side: number): number => Math.ceil(size / side);
  const small = { sd: boxed(sizes.d, SMALL), sh: boxed(sizes.h, SMALL), sw: boxed(sizes.w, SMALL) };
  const large = { ld: boxed(small.sd, LARGE), lh: boxed(small.sh, LARGE), lw: boxed(small.sw, LARGE) };
  const [smallCount, largeCount] = [small.sd * small.sh * small.sw, large.ld * large.lh * large.lw];
  const [inner, outer] = [emitter.scratch([batch * smallCount, 6]), emitter.scratch([batch * largeCount, 6])];
  const store = `for (var a = 0u; a < 3u; a++) { set_extent(6u * i + a, least[a]); set_extent(6u * i + 3u + a, greatest[a]); }`;
  const start = 'var least = vec3f(3e38);\n  var greatest = vec3f(-3e38);';
  flat(emitter, batch * smallCount, {
    name: 'targets of 4^3',
    tensors: { displacement, extent: inner },
    uints: { ...sizes, ...small, smallCount },
    helpers: POSITION,
    code: `
  let n = i / u.smallCount;
  let box = i % u.smallCount;
  let first = ${SMALL}u * vec3u(box / (u.sw * u.sh), box / u.sw % u.sh, box % u.sw);
  let end = min(first + ${SMALL}u, vec3u(u.d, u.h, u.w));
  ${start}
  for (var z = first.x; z < end.x; z++) { for (var y = first.y; y < end.y; y++) { for (var x = first.z; x < end.z; x++) {
    let to = positionOf(n, (z * u.h + y) * u.w + x);
    if (all(to > vec3f(-1e30)) && all(to < vec3f(1e30))) { least = min(least, to); greatest = max(greatest, to); }
  } } }
  ${store}`,
  });
  flat(emitter, batch * largeCount, {
    name: 'targets of 16^3',
    tensors: { inner, extent: outer },
    uints: { ...small, ...large, smallCount, largeCount },
    code: `
  let n = i / u.largeCount;
  let box = i % u.largeCount;
  let first = ${LARGE}u * vec3u(box / (u.lw * u.lh), box / u.lw % u.lh, box % u.lw);
  let end = min(first + ${LARGE}u, vec3u(u.sd, u.sh, u.sw));
  ${start}
  for (var z = first.x; z < end.x; z++) { for (var y = first.y; y < end.y; y++) { for (var x = first.z; x < end.z; x++) {
    let at = 6u * (n * u.smallCount + (z * u.sh + y) * u.sw + x);
    least = min(least, vec3f(inner(at), inner(at + 1u), inner(at + 2u)));
    greatest = max(greatest, vec3f(inner(at + 3u), inner(at + 4u), inner(at + 5u)));
  } } }
  ${store}`,
  });
  return { inner, outer, uints: { ...sizes, ...small, ...large, smallCount, largeCount } };
}

export const warpImageGradient: WebGpuKernel<undefined> = ({ inputs: [displacement, dOut], out }, emitter) => {
  const { inner, outer, uints } = extents(emitter, displacement);
  const { channels, voxels } = volumeSizes(out);
  const chunks = Math.ceil(channels / CHANNELS);
  const reached = (extent: string): string =>
    `all(q > vec3f(${extent}(e), ${extent}(e + 1u), ${extent}(e + 2u)) - 1.0) && all(q < vec3f(${extent}(e + 3u), ${extent}(e + 4u), ${extent}(e + 5u)) + 1.0)`;
  flat(emitter, out.shape[0] * chunks * voxels, {
    name: 'warpImageGradient',
    tensors: { displacement: displacement, dOut: dOut, inner, outer, out },
    uints: { ...uints, channels, chunks },
    helpers: POSITION,
    code: `
  let n = i / (u.chunks * u.voxels);
  let firstChannel = (i / u.voxels % u.chunks) * ${CHANNELS}u;
  let channelsHere = min(${CHANNELS}u, u.channels - firstChannel);
  let at = i % u.voxels;
  let base = (n * u.channels + firstChannel) * u.voxels;
  let q = vec3f(f32(at / (u.w * u.h)), f32(at / u.w % u.h), f32(at % u.w));
  var sums: array<f32, ${CHANNELS}>;
  for (var large = 0u; large < u.largeCount; large++) {
    var e = 6u * (n * u.largeCount + large);
    if (!(${reached('outer')})) { continue; }
    let first = ${LARGE}u * vec3u(large / (u.lw * u.lh), large / u.lw % u.lh, large % u.lw);
    let end = min(first + ${LARGE}u, vec3u(u.sd, u.sh, u.sw));
    for (var sz = first.x; sz < end.x; sz++) { for (var sy = first.y; sy < end.y; sy++) { for (var sx = first.z; sx < end.z; sx++) {
      e = 6u * (n * u.smallCount + (sz * u.sh + sy) * u.sw + sx);
      if (!(${reached('inner')})) { continue; }
      let from_ = ${SMALL}u * vec3u(sz, sy, sx);
      let to = min(from_ + ${SMALL}u, vec3u(u.d, u.h, u.w));
      for (var z = from_.x; z < to.x; z++) { for (var y = from_.y; y < to.y; y++) { for (var x = from_.z; x < to.z; x++) {
        let p = (z * u.h + y) * u.w + x;
        // the difference of places is exact
        let share = 1.0 - abs(vec3f(f32(z), f32(y), f32(x)) - q + movedBy(n, p));
        if (all(share > vec3f())) {
          let weight = share.x * share.y * share.z;
          for (var c = 0u; c < channelsHere; c++) { sums[c] += weight * dOut(base + c * u.voxels + p); }
        }
      } } }
    } } }
  }
  for (var c = 0u; c < channelsHere; c++) { set_out(base + c * u.voxels + at, sums[c]); }`,
  });
};
