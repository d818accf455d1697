/** Products of small matrices: sums in double precision, in the order of the inner index. */
import { OptionalAddress, shareStart, Tensor } from "../../backends/cpu/common.as";
import { promoteHigh } from "../../backends/cpu/flat.as";

@unmanaged
class MatmulTransposedBArguments {
  /** (M, K). */
  a: Tensor;
  /** (N, K). */
  b: Tensor;
  /** (N), added to every row. */
  bias: OptionalAddress;
  /** (M, N). */
  out: Tensor;
}
/** An element of the result a unit: both factors are read along their rows. */
export function matmulTransposedB(args: MatmulTransposedBArguments, share: i32, shares: i32): void {
  const a = args.a;
  const b = args.b;
  const bias = args.bias;
  const out = args.out;
  const units = out.n * out.c;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const row = unit / out.c;
    const column = unit % out.c;
    const left = a.data + <usize>row * a.batchStride;
    const right = b.data + <usize>column * b.batchStride;
    let sum: f64 = bias ? <f64>load<f32>(bias + (<usize>column << 2)) : 0;
    for (let k: usize = 0; k < <usize>a.c << 2; k += 4) sum += <f64>load<f32>(left + k) * <f64>load<f32>(right + k);
    store<f32>(out.data + <usize>row * out.batchStride + (<usize>column << 2), <f32>sum);
  }
}

@unmanaged
class MatmulArguments {
  /** (M, K); (K, M) for `matmulTransposedA`. */
  a: Tensor;
  /** (K, N). */
  b: Tensor;
  /** (M, N). */
  out: Tensor;
}
/** Four columns of a row of the result a unit, so that the second factor is read along its rows. */
@inline
function products(args: MatmulArguments, rowStep: usize, innerStep: usize, share: i32, shares: i32): void {
  const b = args.b;
  const out = args.out;
  const fours = (out.c + 3) >> 2;
  const last = shareStart(out.n * fours, share + 1, shares);
  for (let unit = shareStart(out.n * fours, share, shares); unit < last; unit++) {
    const row = unit / fours;
    const column = (unit % fours) << 2;
    const left = args.a.data + <usize>row * rowStep;
    const right = b.data + (<usize>column << 2);
    const to = out.data + <usize>row * out.batchStride + (<usize>column << 2);
    if (column + 4 <= out.c) {
      let low = f64x2.splat(0);
      let high = f64x2.splat(0);
      for (let k = 0; k < b.n; k++) {
        const x = f64x2.splat(<f64>load<f32>(left + <usize>k * innerStep));
        const y = v128.load(right + <usize>k * b.batchStride);
        low = f64x2.add(low, f64x2.mul(x, f64x2.promote_low_f32x4(y)));
        high = f64x2.add(high, f64x2.mul(x, promoteHigh(y)));
      }
      v128.store(to, i64x2.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2));
    } else {
      for (let i: usize = 0; i < <usize>(out.c - column) << 2; i += 4) {
        let sum: f64 = 0;
        for (let k = 0; k < b.n; k++) {
          sum += <f64>load<f32>(left + <usize>k * innerStep) * <f64>load<f32>(right + <usize>k * b.batchStride + i);
        }
        store<f32>(to + i, <f32>sum);
      }
    }
  }
}

export function matmul(args: MatmulArguments, share: i32, shares: i32): void {
  products(args, args.a.batchStride, 4, share, shares);
}
export function matmulTransposedA(args: MatmulArguments, share: i32, shares: i32): void {
  products(args, 4, args.a.batchStride, share, shares);
}
