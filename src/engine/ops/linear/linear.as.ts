/** A linear layer on small matrices: double-precision sums, one element of the result a unit. */
import { Address, shareStart, Tensor } from "../../backends/cpu/common.as";

@unmanaged
class LinearArguments {
  /** (N, I). */
  x: Tensor;
  /** (O, I). */
  weight: Address;
  /** (O). */
  bias: Address;
  /** (N, O). */
  out: Tensor;
}
export function linear(args: LinearArguments, share: i32, shares: i32): void {
  const x = args.x;
  const weight = args.weight;
  const bias = args.bias;
  const out = args.out;
  const units = out.n * out.c;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const o = unit % out.c;
    const left = x.data + <usize>(unit / out.c) * x.batchStride;
    const right = weight + (<usize>(o * x.c) << 2);
    let sum = <f64>load<f32>(bias + (<usize>o << 2));
    for (let i: usize = 0; i < <usize>x.c << 2; i += 4) sum += <f64>load<f32>(left + i) * <f64>load<f32>(right + i);
    store<f32>(out.data + (<usize>unit << 2), <f32>sum);
  }
}

@unmanaged
class LinearInputGradientArguments {
  /** (N, O). */
  dOut: Tensor;
  /** (O, I). */
  weight: Address;
  /** (N, I). */
  out: Tensor;
}
export function linearInputGradient(args: LinearInputGradientArguments, share: i32, shares: i32): void {
  const dOut = args.dOut;
  const weight = args.weight;
  const out = args.out;
  const units = out.n * out.c;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const left = dOut.data + <usize>(unit / out.c) * dOut.batchStride;
    let right = weight + (<usize>(unit % out.c) << 2);
    let sum: f64 = 0;
    for (let o: usize = 0; o < <usize>dOut.c << 2; o += 4) {
      sum += <f64>load<f32>(left + o) * <f64>load<f32>(right);
      right += <usize>out.c << 2;
    }
    store<f32>(out.data + (<usize>unit << 2), <f32>sum);
  }
}

@unmanaged
class LinearWeightGradientArguments {
  /** (N, O). */
  dOut: Tensor;
  /** (N, I). */
  x: Tensor;
  /** (O, I). */
  out: Tensor;
}
export function linearWeightGradient(args: LinearWeightGradientArguments, share: i32, shares: i32): void {
  const dOut = args.dOut;
  const x = args.x;
  const out = args.out;
  const units = out.n * out.c;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    let left = dOut.data + (<usize>(unit / out.c) << 2);
    let right = x.data + (<usize>(unit % out.c) << 2);
    let sum: f64 = 0;
    for (let n = 0; n < x.n; n++) {
      sum += <f64>load<f32>(left) * <f64>load<f32>(right);
      left += dOut.batchStride;
      right += x.batchStride;
    }
    store<f32>(out.data + (<usize>unit << 2), <f32>sum);
  }
}

@unmanaged
class BatchSumArguments {
  /** (N, O). */
  x: Tensor;
  /** (O). */
  out: Address;
}
export function batchSum(args: BatchSumArguments, share: i32, shares: i32): void {
  const x = args.x;
  const out = args.out;
  const last = shareStart(x.c, share + 1, shares);
  for (let o = shareStart(x.c, share, shares); o < last; o++) {
    let sum: f64 = 0;
    for (let n = 0; n < x.n; n++) sum += <f64>load<f32>(x.data + <usize>n * x.batchStride + (<usize>o << 2));
    store<f32>(out + (<usize>o << 2), <f32>sum);
  }
}
