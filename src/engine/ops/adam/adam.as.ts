/** The effects: one pass over flat states. The last few elements go through the same arithmetic as the others, one at a time. */
import { Address, fma, shareStart, Tensor } from "../../backends/cpu/common.as";
import { chunkAt, chunkBytes, chunksOf } from "../../backends/cpu/flat.as";

@unmanaged
class AccumulateArguments {
  target: Tensor;
  values: Tensor;
  scale: f32;
}
/** target += scale values, both plain. The product is rounded, so that what is added to zero and then to a sum is the same as what is added to it at once. */
export function accumulate(args: AccumulateArguments, share: i32, shares: i32): void {
  const target = args.target;
  const values = args.values;
  const scale = f32x4.splat(args.scale);
  const perSample = chunksOf(target);
  const units = target.n * perSample;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    let to = chunkAt(target, unit, perSample);
    let from = chunkAt(values, unit, perSample);
    const end = to + chunkBytes(target, unit, perSample);
    for (; to + 16 <= end; to += 16) {
      v128.store(to, f32x4.add(v128.load(to), f32x4.mul(v128.load(from), scale)));
      from += 16;
    }
    for (; to < end; to += 4) {
      v128.store32_lane(to, f32x4.add(v128.load32_zero(to), f32x4.mul(v128.load32_zero(from), scale)), 0);
      from += 4;
    }
  }
}

/** b m + (1 - b) g. */
@inline
function average(before: v128, value: v128, beta: v128, rest: v128): v128 {
  return fma(value, rest, f32x4.mul(before, beta));
}
@unmanaged
class MovingAverageArguments {
  target: Tensor;
  source: Tensor;
  tau: Address;
}
/** target = tau target + (1 - tau) source, both plain. */
export function movingAverage(args: MovingAverageArguments, share: i32, shares: i32): void {
  const target = args.target;
  const source = args.source;
  const tau = v128.load32_splat(args.tau);
  const rest = f32x4.sub(f32x4.splat(1), tau);
  const perSample = chunksOf(target);
  const units = target.n * perSample;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    let to = chunkAt(target, unit, perSample);
    let from = chunkAt(source, unit, perSample);
    const end = to + chunkBytes(target, unit, perSample);
    for (; to + 16 <= end; to += 16) {
      v128.store(to, average(v128.load(to), v128.load(from), tau, rest));
      from += 16;
    }
    for (; to < end; to += 4) {
      v128.store32_lane(to, average(v128.load32_zero(to), v128.load32_zero(from), tau, rest), 0);
      from += 4;
    }
  }
}

/** keep p - rate m / (sqrt(v) / correction + eps). */
@inline
function update(parameter: v128, first: v128, second: v128, rate: v128, correction: v128, keep: v128, eps: v128): v128 {
  return f32x4.sub(f32x4.mul(parameter, keep), f32x4.div(f32x4.mul(rate, first), f32x4.add(f32x4.div(f32x4.sqrt(second), correction), eps)));
}

@unmanaged
class AdamArguments {
  parameters: Tensor;
  first: Tensor;
  second: Tensor;
  gradients: Tensor;
  /** The rate, the square root of the second correction, what is kept of a parameter that decays, the gradients' scale. */
  step: Address;
  beta1: f32;
  /** 1 - beta1, rounded once. */
  rest1: f32;
  beta2: f32;
  rest2: f32;
  eps: f32;
  /** Whether the parameters decay. */
  decays: i32;
}
export function adam(args: AdamArguments, share: i32, shares: i32): void {
  const parameters = args.parameters;
  const step = args.step;
  const rate = v128.load32_splat(step);
  const correction = v128.load32_splat(step, 4);
  const keep = args.decays ? v128.load32_splat(step, 8) : f32x4.splat(1);
  const scale = v128.load32_splat(step, 12);
  const beta1 = f32x4.splat(args.beta1);
  const rest1 = f32x4.splat(args.rest1);
  const beta2 = f32x4.splat(args.beta2);
  const rest2 = f32x4.splat(args.rest2);
  const eps = f32x4.splat(args.eps);
  const perSample = chunksOf(parameters);
  const units = parameters.n * perSample;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    let p = chunkAt(parameters, unit, perSample);
    let m = chunkAt(args.first, unit, perSample);
    let v = chunkAt(args.second, unit, perSample);
    let g = chunkAt(args.gradients, unit, perSample);
    const end = p + chunkBytes(parameters, unit, perSample);
    for (; p + 16 <= end; p += 16) {
      const gradient = f32x4.mul(v128.load(g), scale);
      const first = average(v128.load(m), gradient, beta1, rest1);
      const second = average(v128.load(v), f32x4.mul(gradient, gradient), beta2, rest2);
      v128.store(m, first);
      v128.store(v, second);
      v128.store(p, update(v128.load(p), first, second, rate, correction, keep, eps));
      v128.store(g, f32x4.splat(0));
      m += 16;
      v += 16;
      g += 16;
    }
    for (; p < end; p += 4) {
      const gradient = f32x4.mul(v128.load32_zero(g), scale);
      const first = average(v128.load32_zero(m), gradient, beta1, rest1);
      const second = average(v128.load32_zero(v), f32x4.mul(gradient, gradient), beta2, rest2);
      v128.store32_lane(m, first, 0);
      v128.store32_lane(v, second, 0);
      v128.store32_lane(p, update(v128.load32_zero(p), first, second, rate, correction, keep, eps), 0);
      store<f32>(g, 0);
      m += 4;
      v += 4;
      g += 4;
    }
  }
}
