/** Element by element, on either layout as it lies: see flat.as.ts. What does not keep zeros is followed by `clearPadding`. */
import { Address, fma, shareStart, Tensor } from "../../backends/cpu/common.as";
import { chunkAt, chunkBytes, chunksOf } from "../../backends/cpu/flat.as";

const SUM = 0;
const PRODUCT = 1;
/** dOut 1 or slope, from the result. */
const LEAKY_GRADIENT = 2;

@inline
function pair(operation: i32, a: v128, b: v128, parameter: v128): v128 {
  if (operation == SUM) return f32x4.add(a, b);
  if (operation == PRODUCT) return f32x4.mul(a, b);
  return v128.bitselect(b, f32x4.mul(b, parameter), f32x4.gt(a, f32x4.splat(0)));
}

@unmanaged
class PairArguments {
  a: Tensor;
  b: Tensor;
  out: Tensor;
}
@inline
function pairs(operation: i32, args: PairArguments, factor: f32, share: i32, shares: i32): void {
  const a = args.a;
  const b = args.b;
  const out = args.out;
  const parameter = f32x4.splat(factor);
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    let left = chunkAt(a, unit, perSample);
    let right = chunkAt(b, unit, perSample);
    let to = chunkAt(out, unit, perSample);
    const end = to + chunkBytes(out, unit, perSample);
    for (; to + 16 <= end; to += 16) {
      v128.store(to, pair(operation, v128.load(left), v128.load(right), parameter));
      left += 16;
      right += 16;
    }
    for (; to < end; to += 4) {
      v128.store32_lane(to, pair(operation, v128.load32_zero(left), v128.load32_zero(right), parameter), 0);
      left += 4;
      right += 4;
    }
  }
}

export function add(args: PairArguments, share: i32, shares: i32): void {
  pairs(SUM, args, 0, share, shares);
}
export function multiply(args: PairArguments, share: i32, shares: i32): void {
  pairs(PRODUCT, args, 0, share, shares);
}

/** Of the result `a` and its gradient `b`. */
@unmanaged
class LeakyReluGradientArguments extends PairArguments {
  slope: f32;
}
export function leakyReluGradient(args: LeakyReluGradientArguments, share: i32, shares: i32): void {
  pairs(LEAKY_GRADIENT, args, args.slope, share, shares);
}

const LINE = 0;
const LEAKY = 1;

@inline
function single(operation: i32, x: v128, factor: v128, shift: v128): v128 {
  if (operation == LINE) return fma(x, factor, shift);
  return v128.bitselect(x, f32x4.mul(x, factor), f32x4.gt(x, f32x4.splat(0)));
}

@unmanaged
class SingleArguments {
  x: Tensor;
  out: Tensor;
}
@inline
function singles(operation: i32, args: SingleArguments, factor: f32, shift: f32, share: i32, shares: i32): void {
  const x = args.x;
  const out = args.out;
  const factors = f32x4.splat(factor);
  const shifts = f32x4.splat(shift);
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    let from = chunkAt(x, unit, perSample);
    let to = chunkAt(out, unit, perSample);
    const end = to + chunkBytes(out, unit, perSample);
    for (; to + 16 <= end; to += 16) {
      v128.store(to, single(operation, v128.load(from), factors, shifts));
      from += 16;
    }
    for (; to < end; to += 4) {
      v128.store32_lane(to, single(operation, v128.load32_zero(from), factors, shifts), 0);
      from += 4;
    }
  }
}

@unmanaged
class ScaleArguments extends SingleArguments {
  factor: f32;
  shift: f32;
}
export function scale(args: ScaleArguments, share: i32, shares: i32): void {
  singles(LINE, args, args.factor, args.shift, share, shares);
}

@unmanaged
class MultiplyByScalarArguments extends SingleArguments {
  scalar: Address;
}
export function multiplyByScalar(args: MultiplyByScalarArguments, share: i32, shares: i32): void {
  singles(LINE, args, load<f32>(args.scalar), 0, share, shares);
}

@unmanaged
class LeakyReluArguments extends SingleArguments {
  slope: f32;
}
export function leakyRelu(args: LeakyReluArguments, share: i32, shares: i32): void {
  singles(LEAKY, args, args.slope, 0, share, shares);
}

@unmanaged
class UnaryArguments extends SingleArguments {
  /** 0: tanh, 1: sigmoid. */
  sigmoid: i32;
}
/** For small tensors: one value at a time, in double precision. */
export function unary(args: UnaryArguments, share: i32, shares: i32): void {
  const x = args.x;
  const out = args.out;
  const sigmoid = args.sigmoid;
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    let from = chunkAt(x, unit, perSample);
    let to = chunkAt(out, unit, perSample);
    const end = to + chunkBytes(out, unit, perSample);
    for (; to < end; to += 4) {
      const value = <f64>load<f32>(from);
      store<f32>(to, <f32>(sigmoid ? 1 / (1 + Math.exp(-value)) : Math.tanh(value)));
      from += 4;
    }
  }
}

@unmanaged
class UnaryGradientArguments {
  y: Tensor;
  dOut: Tensor;
  out: Tensor;
  /** 0: tanh, 1: sigmoid. */
  sigmoid: i32;
}
export function unaryGradient(args: UnaryGradientArguments, share: i32, shares: i32): void {
  const y = args.y;
  const dOut = args.dOut;
  const out = args.out;
  const sigmoid = args.sigmoid;
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    let left = chunkAt(y, unit, perSample);
    let right = chunkAt(dOut, unit, perSample);
    let to = chunkAt(out, unit, perSample);
    const end = to + chunkBytes(out, unit, perSample);
    for (; to < end; to += 4) {
      const value = <f64>load<f32>(left);
      const slope = sigmoid ? value * (1 - value) : 1 - value * value;
      store<f32>(to, <f32>(<f64>load<f32>(right) * slope));
      left += 4;
      right += 4;
    }
  }
}
