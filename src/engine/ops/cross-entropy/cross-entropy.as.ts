/** Both cross-entropies, exponentials and logarithms in double precision. The one over channels works in either layout. */
import { Address, channelRows, inRow, shareStart, Tensor, threadScratch, voxelStep } from "../../backends/cpu/common.as";
import { chunkAt, chunkBytes, chunksOf } from "../../backends/cpu/flat.as";

/** log sum over the channels of exp(x), at one voxel of their rows; the greatest value is taken out first. */
function logSumExp(rows: usize, channels: i32, offset: usize): f64 {
  let greatest: f32 = -Infinity;
  for (let c = 0; c < channels; c++) greatest = max(greatest, load<f32>(inRow(rows, c, offset)));
  let sum: f64 = 0;
  for (let c = 0; c < channels; c++) sum += Math.exp(<f64>load<f32>(inRow(rows, c, offset)) - <f64>greatest);
  return <f64>greatest + Math.log(sum);
}

@unmanaged
class CrossEntropyArguments {
  logits: Tensor;
  truth: Tensor;
  /** One f64 for each plane of each sample. */
  partial: Address;
}
export function crossEntropy(args: CrossEntropyArguments, share: i32, shares: i32): void {
  const logits = args.logits;
  const truth = args.truth;
  const partial = args.partial;
  const logitRows = threadScratch;
  const truthRows = logitRows + (<usize>logits.c << 2);
  const units = logits.n * logits.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / logits.d;
    const z = unit % logits.d;
    let sum: f64 = 0;
    for (let y = 0; y < logits.h; y++) {
      channelRows(logits, n, z, y, logitRows);
      channelRows(truth, n, z, y, truthRows);
      for (let w = 0; w < logits.w; w++) {
        const left = <usize>w * voxelStep(logits);
        const right = <usize>w * voxelStep(truth);
        const logSum = logSumExp(logitRows, logits.c, left);
        for (let c = 0; c < logits.c; c++) {
          const x = <f64>load<f32>(inRow(logitRows, c, left));
          sum += <f64>load<f32>(inRow(truthRows, c, right)) * (logSum - x);
        }
      }
    }
    store<f64>(partial + (<usize>unit << 3), sum);
  }
}

@unmanaged
class CrossEntropyGradientArguments {
  logits: Tensor;
  truth: Tensor;
  /** A scalar. */
  dOut: Address;
  out: Tensor;
}
/** Touches real channels only. */
export function crossEntropyGradient(args: CrossEntropyGradientArguments, share: i32, shares: i32): void {
  const logits = args.logits;
  const truth = args.truth;
  const out = args.out;
  const scale = <f64>load<f32>(args.dOut) / (<f64>out.n * <f64>out.d * <f64>out.h * <f64>out.w);
  const logitRows = threadScratch;
  const truthRows = logitRows + (<usize>logits.c << 2);
  const outRows = truthRows + (<usize>logits.c << 2);
  const units = out.n * out.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / out.d;
    const z = unit % out.d;
    for (let y = 0; y < out.h; y++) {
      channelRows(logits, n, z, y, logitRows);
      channelRows(truth, n, z, y, truthRows);
      channelRows(out, n, z, y, outRows);
      for (let w = 0; w < out.w; w++) {
        const left = <usize>w * voxelStep(logits);
        const right = <usize>w * voxelStep(truth);
        const to = <usize>w * voxelStep(out);
        const logSum = logSumExp(logitRows, logits.c, left);
        let truths: f64 = 0;
        for (let c = 0; c < out.c; c++) truths += <f64>load<f32>(inRow(truthRows, c, right));
        for (let c = 0; c < out.c; c++) {
          const x = <f64>load<f32>(inRow(logitRows, c, left));
          const g = <f64>load<f32>(inRow(truthRows, c, right));
          store<f32>(inRow(outRows, c, to), <f32>(scale * (Math.exp(x - logSum) * truths - g)));
        }
      }
    }
  }
}

@unmanaged
class BinaryCrossEntropyArguments {
  logits: Tensor;
  truth: Tensor;
  /** One f64 a chunk. */
  partial: Address;
}
/** All plain. */
export function binaryCrossEntropy(args: BinaryCrossEntropyArguments, share: i32, shares: i32): void {
  const logits = args.logits;
  const truth = args.truth;
  const partial = args.partial;
  const perSample = chunksOf(logits);
  const last = shareStart(logits.n * perSample, share + 1, shares);
  for (let unit = shareStart(logits.n * perSample, share, shares); unit < last; unit++) {
    const left = chunkAt(logits, unit, perSample);
    const right = chunkAt(truth, unit, perSample);
    const bytes = chunkBytes(logits, unit, perSample);
    let sum: f64 = 0;
    for (let i: usize = 0; i < bytes; i += 4) {
      const x = <f64>load<f32>(left + i);
      sum += Math.max(x, 0) - x * <f64>load<f32>(right + i) + Math.log1p(Math.exp(-Math.abs(x)));
    }
    store<f64>(partial + (<usize>unit << 3), sum);
  }
}

@unmanaged
class BinaryCrossEntropyGradientArguments {
  logits: Tensor;
  truth: Tensor;
  /** A scalar. */
  dOut: Address;
  out: Tensor;
  elements: i32;
}
/** All plain. */
export function binaryCrossEntropyGradient(args: BinaryCrossEntropyGradientArguments, share: i32, shares: i32): void {
  const logits = args.logits;
  const truth = args.truth;
  const out = args.out;
  const scale = <f64>load<f32>(args.dOut) / <f64>args.elements;
  const perSample = chunksOf(out);
  const last = shareStart(out.n * perSample, share + 1, shares);
  for (let unit = shareStart(out.n * perSample, share, shares); unit < last; unit++) {
    const left = chunkAt(logits, unit, perSample);
    const right = chunkAt(truth, unit, perSample);
    const to = chunkAt(out, unit, perSample);
    const bytes = chunkBytes(out, unit, perSample);
    for (let i: usize = 0; i < bytes; i += 4) {
      const probability = 1 / (1 + Math.exp(-<f64>load<f32>(left + i)));
      store<f32>(to + i, <f32>(scale * (probability - <f64>load<f32>(right + i))));
    }
  }
}
