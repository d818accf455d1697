/** Element by element, on either layout as it lies: see flat.as.ts. What does not keep zeros is followed by `clearPadding`. */
import { address, fma, number, shareStart, tensor, word } from "../../backends/cpu/common.as";
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

/** args: a, b, out, and for LEAKY_GRADIENT the slope. */
@inline
function pairs(operation: i32, args: usize, share: i32, shares: i32): void {
  const a = tensor(args, 0);
  const b = tensor(args, 1);
  const out = tensor(args, 2);
  const parameter = f32x4.splat(operation == LEAKY_GRADIENT ? number(args, 3) : 0);
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

export function add(args: usize, share: i32, shares: i32): void {
  pairs(SUM, args, share, shares);
}
export function multiply(args: usize, share: i32, shares: i32): void {
  pairs(PRODUCT, args, share, shares);
}
/** args: y, dOut, out, slope. */
export function leakyReluGradient(args: usize, share: i32, shares: i32): void {
  pairs(LEAKY_GRADIENT, args, share, shares);
}

const LINE = 0;
const LEAKY = 1;

@inline
function single(operation: i32, x: v128, factor: v128, shift: v128): v128 {
  if (operation == LINE) return fma(x, factor, shift);
  return v128.bitselect(x, f32x4.mul(x, factor), f32x4.gt(x, f32x4.splat(0)));
}

@inline
function singles(operation: i32, args: usize, factor: f32, shift: f32, share: i32, shares: i32): void {
  const x = tensor(args, 0);
  const out = tensor(args, 1);
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

/** args: x, out, factor, shift. */
export function scale(args: usize, share: i32, shares: i32): void {
  singles(LINE, args, number(args, 2), number(args, 3), share, shares);
}
/** args: x, out, address of the scalar. */
export function multiplyByScalar(args: usize, share: i32, shares: i32): void {
  singles(LINE, args, load<f32>(address(args, 2)), 0, share, shares);
}
/** args: x, out, slope. */
export function leakyRelu(args: usize, share: i32, shares: i32): void {
  singles(LEAKY, args, number(args, 2), 0, share, shares);
}

/** args: x, out, 0 tanh or 1 sigmoid. For small tensors: one value at a time, in double precision. */
export function unary(args: usize, share: i32, shares: i32): void {
  const x = tensor(args, 0);
  const out = tensor(args, 1);
  const sigmoid = word(args, 2);
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

/** args: y, dOut, out, 0 tanh or 1 sigmoid. */
export function unaryGradient(args: usize, share: i32, shares: i32): void {
  const y = tensor(args, 0);
  const dOut = tensor(args, 1);
  const out = tensor(args, 2);
  const sigmoid = word(args, 3);
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
