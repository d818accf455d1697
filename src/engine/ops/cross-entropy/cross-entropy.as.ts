/** Both cross-entropies, exponentials and logarithms in double precision. The one over channels works in either layout. */
import { address, channelRows, inRow, shareStart, tensor, threadScratch, voxelStep, word } from "../../backends/cpu/common.as";
import { chunkAt, chunkBytes, chunksOf } from "../../backends/cpu/flat.as";

/** log sum over the channels of exp(x), at one voxel of their rows; the greatest value is taken out first. */
function logSumExp(rows: usize, channels: i32, offset: usize): f64 {
  let greatest: f32 = -Infinity;
  for (let c = 0; c < channels; c++) greatest = max(greatest, load<f32>(inRow(rows, c, offset)));
  let sum: f64 = 0;
  for (let c = 0; c < channels; c++) sum += Math.exp(<f64>load<f32>(inRow(rows, c, offset)) - <f64>greatest);
  return <f64>greatest + Math.log(sum);
}

/** args: logits, truth, partial sums (one f64 for each plane of each sample). */
export function crossEntropy(args: usize, share: i32, shares: i32): void {
  const logits = tensor(args, 0);
  const truth = tensor(args, 1);
  const partial = address(args, 2);
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

/** args: logits, truth, address of dOut, out. Touches real channels only. */
export function crossEntropyGradient(args: usize, share: i32, shares: i32): void {
  const logits = tensor(args, 0);
  const truth = tensor(args, 1);
  const out = tensor(args, 3);
  const scale = <f64>load<f32>(address(args, 2)) / (<f64>out.n * <f64>out.d * <f64>out.h * <f64>out.w);
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

/** args: logits, truth (plain), partial sums (one f64 a chunk). */
export function binaryCrossEntropy(args: usize, share: i32, shares: i32): void {
  const logits = tensor(args, 0);
  const truth = tensor(args, 1);
  const partial = address(args, 2);
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

/** args: logits, truth, address of dOut, out (all plain), elements. */
export function binaryCrossEntropyGradient(args: usize, share: i32, shares: i32): void {
  const logits = tensor(args, 0);
  const truth = tensor(args, 1);
  const out = tensor(args, 3);
  const scale = <f64>load<f32>(address(args, 2)) / <f64>word(args, 4);
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
