/** Soft Dice in either layout: sums of each plane in double precision, then of each class, then the loss or its gradient. */
import { address, channelRow, shareStart, tensor, voxelStep, word } from "../../backends/cpu/common.as";

/** args: probabilities, truth, planes' sums [n][class][plane][2] as f64: of p g, of p^2 + g^2. */
export function dicePlaneSums(args: usize, share: i32, shares: i32): void {
  const probabilities = tensor(args, 0);
  const truth = tensor(args, 1);
  const partial = address(args, 2);
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

/** args: planes' sums, classes of all samples, planes, sums [n][class][2] as f64: 2 I + 1, P + G + 1. */
export function diceSums(args: usize, share: i32, shares: i32): void {
  const partial = address(args, 0);
  const planes = word(args, 2);
  const out = address(args, 3);
  const last = shareStart(word(args, 1), share + 1, shares);
  for (let unit = shareStart(word(args, 1), share, shares); unit < last; unit++) {
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

/** args: sums [n][class][2], classes of all samples, scalar result. */
export function dice(args: usize, share: i32, shares: i32): void {
  const sums = address(args, 0);
  const count = word(args, 1);
  let score: f64 = 0;
  for (let i = 0; i < count; i++) score += load<f64>(sums + (<usize>i << 4)) / load<f64>(sums + (<usize>i << 4), 8);
  store<f32>(address(args, 2), <f32>(1 - score / <f64>count));
}

/** args: probabilities, truth, sums [n][class][2], address of dOut, out. Touches real channels only. */
export function diceGradient(args: usize, share: i32, shares: i32): void {
  const probabilities = tensor(args, 0);
  const truth = tensor(args, 1);
  const sums = address(args, 2);
  const out = tensor(args, 4);
  const scale = -2 * <f64>load<f32>(address(args, 3)) / <f64>(out.n * out.c);
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
