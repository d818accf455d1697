/** Max-pooling and its gradient in WGSL. The gradient asks each voxel whether it is its window's first greatest. */
import { flat, volumeSizes, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';

/** Of the window whose first voxel is `first`: the first greatest. */
const GREATEST = `
  var greatest = first;
  for (var k = 1u; k < 8u; k++) {
    let at = first + ((k >> 2u) * u.h + ((k >> 1u) & 1u)) * u.w + (k & 1u);
    if (x(at) > x(greatest)) { greatest = at; }
  }`;

export const maxPool: WebGpuKernel<undefined> = ({ inputs: [x], out }, emitter) => {
  const { d, h, w } = volumeSizes(x);
  const { d: outD, h: outH, w: outW } = volumeSizes(out);
  flat(emitter, out.elements, {
    name: 'maxPool',
    tensors: { x: x, out },
    uints: { d, h, w, outD, outH, outW },
    code: `
  let volume = i / (u.outD * u.outH * u.outW);
  let first = ((volume * u.d + 2u * (i / (u.outH * u.outW) % u.outD)) * u.h + 2u * (i / u.outW % u.outH)) * u.w + 2u * (i % u.outW);${GREATEST}
  set_out(i, x(greatest));`,
  });
};

export const maxPoolGradient: WebGpuKernel<undefined> = ({ inputs: [x, dOut], out }, emitter) => {
  const { d, h, w } = volumeSizes(x);
  const { d: outD, h: outH, w: outW } = volumeSizes(dOut);
  flat(emitter, out.elements, {
    name: 'maxPoolGradient',
    tensors: { x: x, dOut: dOut, out },
    uints: { d, h, w, outD, outH, outW },
    code: `
  let volume = i / (u.d * u.h * u.w);
  let place = vec3u(i / (u.h * u.w) % u.d, i / u.w % u.h, i % u.w) / 2u;
  var value = 0.0;
  if (all(place < vec3u(u.outD, u.outH, u.outW))) {
    let first = ((volume * u.d + 2u * place.x) * u.h + 2u * place.y) * u.w + 2u * place.z;${GREATEST}
    if (greatest == i) { value = dOut(((volume * u.outD + place.x) * u.outH + place.y) * u.outW + place.z); }
  }
  set_out(i, value);`,
  });
};
