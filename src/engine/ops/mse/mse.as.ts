/** Mean squared error, on either layout as it lies: halo and padding add zeros. */
import { Address, shareStart, Tensor } from "../../backends/cpu/common.as";
import { chunkAt, chunkBytes, chunksOf, squaredDifferences } from "../../backends/cpu/flat.as";

@unmanaged
class MseArguments {
  a: Tensor;
  b: Tensor;
  /** One f64 a chunk. */
  partial: Address;
}
export function mse(args: MseArguments, share: i32, shares: i32): void {
  const a = args.a;
  const b = args.b;
  const partial = args.partial;
  const perSample = chunksOf(a);
  const last = shareStart(a.n * perSample, share + 1, shares);
  for (let unit = shareStart(a.n * perSample, share, shares); unit < last; unit++) {
    const sum = squaredDifferences(chunkAt(a, unit, perSample), chunkAt(b, unit, perSample), <i32>(chunkBytes(a, unit, perSample) >> 2));
    store<f64>(partial + (<usize>unit << 3), sum);
  }
}

@unmanaged
class MseGradientArguments {
  a: Tensor;
  b: Tensor;
  /** A scalar. */
  dOut: Address;
  out: Tensor;
  elements: i32;
}
export function mseGradient(args: MseGradientArguments, share: i32, shares: i32): void {
  const a = args.a;
  const b = args.b;
  const out = args.out;
  const factor = f32x4.splat(<f32>((2 * <f64>load<f32>(args.dOut)) / <f64>args.elements));
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    let left = chunkAt(a, unit, perSample);
    let right = chunkAt(b, unit, perSample);
    let to = chunkAt(out, unit, perSample);
    const end = to + chunkBytes(out, unit, perSample);
    for (; to + 16 <= end; to += 16) {
      v128.store(to, f32x4.mul(factor, f32x4.sub(v128.load(left), v128.load(right))));
      left += 16;
      right += 16;
    }
    for (; to < end; to += 4) {
      v128.store32_lane(to, f32x4.mul(factor, f32x4.sub(v128.load32_zero(left), v128.load32_zero(right))), 0);
      left += 4;
      right += 4;
    }
  }
}
