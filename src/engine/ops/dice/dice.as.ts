/** Soft Dice in either layout: sums of each plane in double precision, then of each class, then the loss or its gradient. */
import { Address, channelRow, shareStart, Tensor, voxelStep } from "../../backends/cpu/common.as";

@unmanaged
class DicePlaneSumsArguments {
  probabilities: Tensor;
  truth: Tensor;
  /** [n][class][plane][2] as f64: sums of p g, of p^2 + g^2. */
  partial: Address;
}
export function dicePlaneSums(args: DicePlaneSumsArguments, share: i32, shares: i32): void {
  const probabilities = args.probabilities;
  const truth = args.truth;
  const partial = args.partial;
  const units = truth.n * truth.c * truth.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % truth.d;
    const channel = (unit / truth.d) % truth.c;
    const n = unit / (truth.d * truth.c);
    let overlap: f64 = 0;
    let total: f64 = 0;
    for (let y = 0; y < truth.h; y++) {
      let left = channelRow(probabilities, n, channel, z, y);
      let right = channelRow(truth, n, channel, z, y);
      for (let w = 0; w < truth.w; w++) {
        const p = <f64>load<f32>(left);
        const g = <f64>load<f32>(right);
        overlap += p * g;
        total += p * p + g * g;
        left += voxelStep(probabilities);
        right += voxelStep(truth);
      }
    }
    store<f64>(partial + (<usize>unit << 4), overlap);
    store<f64>(partial + (<usize>unit << 4), total, 8);
  }
}

@unmanaged
class DiceSumsArguments {
  /** What `dicePlaneSums` wrote. */
  partial: Address;
  /** Classes of all samples. */
  count: i32;
  planes: i32;
  /** [n][class][2] as f64: 2 I + 1, P + G + 1. */
  sums: Address;
}
export function diceSums(args: DiceSumsArguments, share: i32, shares: i32): void {
  const partial = args.partial;
  const planes = args.planes;
  const out = args.sums;
  const last = shareStart(args.count, share + 1, shares);
  for (let unit = shareStart(args.count, share, shares); unit < last; unit++) {
    let overlap: f64 = 0;
    let total: f64 = 0;
    for (let z = 0; z < planes; z++) {
      overlap += load<f64>(partial + (<usize>(unit * planes + z) << 4));
      total += load<f64>(partial + (<usize>(unit * planes + z) << 4), 8);
    }
    store<f64>(out + (<usize>unit << 4), 2 * overlap + 1);
    store<f64>(out + (<usize>unit << 4), total + 1, 8);
  }
}

@unmanaged
class DiceArguments {
  /** What `diceSums` wrote. */
  sums: Address;
  /** Classes of all samples. */
  count: i32;
  /** A scalar. */
  out: Address;
}
export function dice(args: DiceArguments, share: i32, shares: i32): void {
  const sums = args.sums;
  const count = args.count;
  let score: f64 = 0;
  for (let i = 0; i < count; i++) score += load<f64>(sums + (<usize>i << 4)) / load<f64>(sums + (<usize>i << 4), 8);
  store<f32>(args.out, <f32>(1 - score / <f64>count));
}

@unmanaged
class DiceGradientArguments {
  probabilities: Tensor;
  truth: Tensor;
  /** What `diceSums` wrote. */
  sums: Address;
  /** A scalar. */
  dOut: Address;
  out: Tensor;
}
/** Touches real channels only. */
export function diceGradient(args: DiceGradientArguments, share: i32, shares: i32): void {
  const probabilities = args.probabilities;
  const truth = args.truth;
  const sums = args.sums;
  const out = args.out;
  const scale = -2 * <f64>load<f32>(args.dOut) / <f64>(out.n * out.c);
  const units = out.n * out.c * out.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % out.d;
    const channel = (unit / out.d) % out.c;
    const n = unit / (out.d * out.c);
    const at = sums + (<usize>(unit / out.d) << 4);
    const total = load<f64>(at, 8);
    const factorTruth = <f32>(scale / total);
    const factorProbability = <f32>((-scale * load<f64>(at)) / (total * total));
    for (let y = 0; y < out.h; y++) {
      let left = channelRow(probabilities, n, channel, z, y);
      let right = channelRow(truth, n, channel, z, y);
      let to = channelRow(out, n, channel, z, y);
      for (let w = 0; w < out.w; w++) {
        store<f32>(to, factorTruth * load<f32>(right) + factorProbability * load<f32>(left));
        left += voxelStep(probabilities);
        right += voxelStep(truth);
        to += voxelStep(out);
      }
    }
  }
}
