/** Zero padding and cropping in WGSL, for tensors of up to five axes. */
import { flat, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';
import type { Margins } from './shape.ts';

const AXES = 5;
const padded = (values: readonly number[], filler: number): number[] => [
  ...Array.from({ length: AXES - values.length }, () => filler),
  ...values,
];
/** Sizes of inner and outer tensor and the first margin, axis by axis. */
const numbers = (inner: readonly number[], outer: readonly number[], before: readonly number[]): Record<string, number> => {
  const [a, b, c] = [padded(inner, 1), padded(outer, 1), padded(before, 0)];
  return Object.fromEntries(
    a.flatMap((_, k) => [[`inner${k}`, a[k]] as const, [`outer${k}`, b[k]] as const, [`before${k}`, c[k]] as const]),
  );
};

export const crop: WebGpuKernel<Margins> = ({ inputs: [x], out, attributes: { before } }, emitter) =>
  flat(emitter, out.elements, {
    name: 'crop',
    tensors: { x: x, out },
    uints: numbers(out.shape, x.shape, before),
    code: `
  var rest = i;
  var at = 0u;
  var stride = 1u;
  ${[4, 3, 2, 1, 0].map((k) => `at += (rest % u.inner${k} + u.before${k}) * stride; rest /= u.inner${k}; stride *= u.outer${k};`).join('\n  ')}
  set_out(i, x(at));`,
  });

export const pad: WebGpuKernel<Margins> = ({ inputs: [x], out, attributes: { before } }, emitter) =>
  flat(emitter, out.elements, {
    name: 'pad',
    tensors: { x: x, out },
    uints: numbers(x.shape, out.shape, before),
    code: `
  var rest = i;
  var at = 0u;
  var stride = 1u;
  var inside = true;
  ${[4, 3, 2, 1, 0]
    .map(
      (k) =>
        `{ let place = rest % u.outer${k}; rest /= u.outer${k}; inside = inside && place >= u.before${k} && place < u.before${k} + u.inner${k}; at += (place - u.before${k}) * stride; stride *= u.inner${k}; }`,
    )
    .join('\n  ')}
  var value = 0.0;
  if (inside) { value = x(at); }
  set_out(i, value);`,
  });
