/**
 * Softmax over the channels in either layout, one voxel at a time: exponentials and sums in double precision. Only real channels are
 * touched; the lowering clears a blocked result's padding.
 */
import { channelRows, inRow, shareStart, Tensor, threadScratch, voxelStep } from "../../backends/cpu/common.as";

@unmanaged
class SoftmaxArguments {
  x: Tensor;
  out: Tensor;
}
export function softmax(args: SoftmaxArguments, share: i32, shares: i32): void {
  const x = args.x;
  const out = args.out;
  const xRows = threadScratch;
  const outRows = xRows + (<usize>x.c << 2);
  const units = out.n * out.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / out.d;
    const z = unit % out.d;
    for (let y = 0; y < out.h; y++) {
      channelRows(x, n, z, y, xRows);
      channelRows(out, n, z, y, outRows);
      for (let w = 0; w < out.w; w++) {
        const from = <usize>w * voxelStep(x);
        const to = <usize>w * voxelStep(out);
        let greatest: f32 = -Infinity;
        for (let c = 0; c < x.c; c++) greatest = max(greatest, load<f32>(inRow(xRows, c, from)));
        let sum: f64 = 0;
        for (let c = 0; c < x.c; c++) {
          const power = Math.exp(<f64>load<f32>(inRow(xRows, c, from)) - <f64>greatest);
          sum += power;
          store<f32>(inRow(outRows, c, to), <f32>power);
        }
        for (let c = 0; c < x.c; c++) {
          const at = inRow(outRows, c, to);
          store<f32>(at, <f32>(<f64>load<f32>(at) / sum));
        }
      }
    }
  }
}

@unmanaged
class SoftmaxGradientArguments {
  y: Tensor;
  dy: Tensor;
  out: Tensor;
}
export function softmaxGradient(args: SoftmaxGradientArguments, share: i32, shares: i32): void {
  const result = args.y;
  const dOut = args.dy;
  const out = args.out;
  const resultRows = threadScratch;
  const dOutRows = resultRows + (<usize>out.c << 2);
  const outRows = dOutRows + (<usize>out.c << 2);
  const units = out.n * out.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / out.d;
    const z = unit % out.d;
    for (let y = 0; y < out.h; y++) {
      channelRows(result, n, z, y, resultRows);
      channelRows(dOut, n, z, y, dOutRows);
      channelRows(out, n, z, y, outRows);
      for (let w = 0; w < out.w; w++) {
        const left = <usize>w * voxelStep(result);
        const right = <usize>w * voxelStep(dOut);
        const to = <usize>w * voxelStep(out);
        let inner: f64 = 0;
        for (let c = 0; c < out.c; c++) {
          inner += <f64>load<f32>(inRow(resultRows, c, left)) * <f64>load<f32>(inRow(dOutRows, c, right));
        }
        for (let c = 0; c < out.c; c++) {
          const slope = <f64>load<f32>(inRow(dOutRows, c, right)) - inner;
          store<f32>(inRow(outRows, c, to), <f32>(<f64>load<f32>(inRow(resultRows, c, left)) * slope));
        }
      }
    }
  }
}
