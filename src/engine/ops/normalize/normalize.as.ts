/** Normalising the rows of a matrix in double precision, one row a unit. */
import { shareStart, Tensor } from "../../backends/cpu/common.as";

/** The mean of a row of `bytes`. */
function meanOf(row: usize, bytes: usize): f64 {
  let sum: f64 = 0;
  for (let i: usize = 0; i < bytes; i += 4) sum += <f64>load<f32>(row + i);
  return sum / <f64>(bytes >> 2);
}
/** The sum of a row's squares about a value. */
function squaresOf(row: usize, bytes: usize, middle: f64): f64 {
  let sum: f64 = 0;
  for (let i: usize = 0; i < bytes; i += 4) {
    const value = <f64>load<f32>(row + i) - middle;
    sum += value * value;
  }
  return sum;
}
/** What a row is divided by. */
function divisorOf(layer: i32, squares: f64, bytes: usize, eps: f32): f64 {
  return layer ? Math.sqrt(squares / <f64>(bytes >> 2) + <f64>eps) : max(Math.sqrt(squares), <f64>eps);
}

@unmanaged
class NormalizeArguments {
  x: Tensor;
  out: Tensor;
  /** 1: layer norm, 0: to length 1. */
  layer: i32;
  eps: f32;
}
export function normalize(args: NormalizeArguments, share: i32, shares: i32): void {
  const x = args.x;
  const out = args.out;
  const layer = args.layer;
  const bytes = <usize>x.c << 2;
  const last = shareStart(x.n, share + 1, shares);
  for (let n = shareStart(x.n, share, shares); n < last; n++) {
    const from = x.data + <usize>n * x.batchStride;
    const to = out.data + <usize>n * out.batchStride;
    const mean = layer ? meanOf(from, bytes) : 0;
    const divisor = divisorOf(layer, squaresOf(from, bytes, mean), bytes, args.eps);
    for (let i: usize = 0; i < bytes; i += 4) store<f32>(to + i, <f32>((<f64>load<f32>(from + i) - mean) / divisor));
  }
}

@unmanaged
class NormalizeGradientArguments extends NormalizeArguments {
  dOut: Tensor;
}
export function normalizeGradient(args: NormalizeGradientArguments, share: i32, shares: i32): void {
  const x = args.x;
  const dOut = args.dOut;
  const out = args.out;
  const layer = args.layer;
  const bytes = <usize>x.c << 2;
  const last = shareStart(x.n, share + 1, shares);
  for (let n = shareStart(x.n, share, shares); n < last; n++) {
    const from = x.data + <usize>n * x.batchStride;
    const slopes = dOut.data + <usize>n * dOut.batchStride;
    const to = out.data + <usize>n * out.batchStride;
    const mean = layer ? meanOf(from, bytes) : 0;
    const squares = squaresOf(from, bytes, mean);
    const divisor = divisorOf(layer, squares, bytes, args.eps);
    let ofDivisor: f64 = 0;
    for (let i: usize = 0; i < bytes; i += 4) {
      ofDivisor += ((<f64>load<f32>(from + i) - mean) / divisor) * <f64>load<f32>(slopes + i);
    }
    if (layer) ofDivisor /= <f64>x.c;
    else if (Math.sqrt(squares) < <f64>args.eps) ofDivisor = 0;
    const ofMean = layer ? meanOf(slopes, bytes) : 0;
    for (let i: usize = 0; i < bytes; i += 4) {
      const y = (<f64>load<f32>(from + i) - mean) / divisor;
      store<f32>(to + i, <f32>((<f64>load<f32>(slopes + i) - ofMean - y * ofDivisor) / divisor));
    }
  }
}
