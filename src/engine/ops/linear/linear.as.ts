/** A linear layer on small matrices: double-precision sums, one element of the result a unit. */
import { address, shareStart, tensor } from "../../backends/cpu/common.as";

/** args: x (N, I), weight (O, I), bias (O), out (N, O). */
export function linear(args: usize, share: i32, shares: i32): void {
  const x = tensor(args, 0);
  const weight = address(args, 1);
  const bias = address(args, 2);
  const out = tensor(args, 3);
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

/** args: dy (N, O), weight (O, I), dx (N, I). */
export function linearInputGradient(args: usize, share: i32, shares: i32): void {
  const dOut = tensor(args, 0);
  const weight = address(args, 1);
  const out = tensor(args, 2);
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

/** args: dy (N, O), x (N, I), dweight (O, I). */
export function linearWeightGradient(args: usize, share: i32, shares: i32): void {
  const dOut = tensor(args, 0);
  const x = tensor(args, 1);
  const out = tensor(args, 2);
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

/** args: x (N, O), out (O). */
export function batchSum(args: usize, share: i32, shares: i32): void {
  const x = tensor(args, 0);
  const out = address(args, 1);
  const last = shareStart(x.c, share + 1, shares);
  for (let o = shareStart(x.c, share, shares); o < last; o++) {
    let sum: f64 = 0;
    for (let n = 0; n < x.n; n++) sum += <f64>load<f32>(x.data + <usize>n * x.batchStride + (<usize>o << 2));
    store<f32>(out + (<usize>o << 2), <f32>sum);
  }
}
