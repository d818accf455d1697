/** Trilinear up-sampling and its adjoint in WGSL. Positions are fractions of whole numbers, so both agree to the bit on who reads whom. */
import { flat, volumeSizes, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';

/** Where output voxel j of an axis of n voxels reads: the lower voxel, and the weight of the next. */
const SOURCE = `
struct Source { low: u32, high: f32 }
fn source(j: u32, n: u32) -> Source {
  if (n == 1u) { return Source(0u, 0.0); }
  let scaled = j * (n - 1u);
  let low = min(scaled / (2u * n - 1u), n - 2u);
  return Source(low, f32(scaled - low * (2u * n - 1u)) / f32(2u * n - 1u));
}
fn weightOf(j: u32, n: u32, voxel: u32) -> f32 {
  let from_ = source(j, n);
  return select(select(0.0, from_.high, voxel == from_.low + 1u), 1.0 - from_.high, voxel == from_.low);
}`;

export const upsample: WebGpuKernel<undefined> = ({ inputs: [x], out }, emitter) => {
  const { d, h, w } = volumeSizes(x);
  flat(emitter, out.elements, {
    name: 'upsample',
    tensors: { x: x, out },
    uints: { d, h, w },
    helpers: SOURCE,
    code: `
  let volume = i / (8u * u.d * u.h * u.w);
  let onZ = source(i / (4u * u.h * u.w) % (2u * u.d), u.d);
  let onY = source(i / (2u * u.w) % (2u * u.h), u.h);
  let onX = source(i % (2u * u.w), u.w);
  var sum = 0.0;
  for (var k = 0u; k < 8u; k++) {
    let step = vec3u(k >> 2u, (k >> 1u) & 1u, k & 1u);
    let weight = select(1.0 - onZ.high, onZ.high, step.x == 1u) * select(1.0 - onY.high, onY.high, step.y == 1u)
      * select(1.0 - onX.high, onX.high, step.z == 1u);
    if (weight > 0.0) { sum += weight * x(((volume * u.d + onZ.low + step.x) * u.h + onY.low + step.y) * u.w + onX.low + step.z); }
  }
  set_out(i, sum);`,
  });
};

export const upsampleGradient: WebGpuKernel<undefined> = ({ inputs: [dOut], out }, emitter) => {
  const { d, h, w } = volumeSizes(out);
  flat(emitter, out.elements, {
    name: 'upsampleGradient',
    tensors: { dOut: dOut, out },
    uints: { d, h, w },
    helpers: SOURCE,
    code: `
  let volume = i / (u.d * u.h * u.w);
  let z = i / (u.h * u.w) % u.d;
  let y = i / u.w % u.h;
  let x = i % u.w;
  var sum = 0.0;
  // output voxel j lies at about j / 2: those that read voxel v are among 2 v - 2 to 2 v + 3
  for (var j = max(2u * z, 2u) - 2u; j < min(2u * z + 4u, 2u * u.d); j++) {
    let onZ = weightOf(j, u.d, z);
    if (onZ == 0.0) { continue; }
    for (var k = max(2u * y, 2u) - 2u; k < min(2u * y + 4u, 2u * u.h); k++) {
      let onY = onZ * weightOf(k, u.h, y);
      if (onY == 0.0) { continue; }
      for (var l = max(2u * x, 2u) - 2u; l < min(2u * x + 4u, 2u * u.w); l++) {
        let weight = onY * weightOf(l, u.w, x);
        if (weight > 0.0) { sum += weight * dOut(((volume * 2u * u.d + j) * 2u * u.h + k) * 2u * u.w + l); }
      }
    }
  }
  set_out(i, sum);`,
  });
};
