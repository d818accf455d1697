/** Max-pooling and its gradient, as pool.ts says. */
import { isOtherSide, type ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

/** Calls `visit` for each window of x (N, C, D, H, W): the flat index of the result, of the window's first greatest voxel, and of the second. */
function forEachWindow(
  x: Float64Array,
  [batch, channels, depth, height, width]: Shape,
  visit: (out: number, greatest: number, second: number) => void,
): void {
  let out = 0;
  for (let volume = 0; volume < batch * channels; volume++)
    for (let z = 0; z + 1 < depth; z += 2)
      for (let y = 0; y + 1 < height; y += 2)
        for (let xx = 0; xx + 1 < width; xx += 2) {
          const first = ((volume * depth + z) * height + y) * width + xx;
          let [greatest, second] = [first, -1];
          for (let k = 1; k < 8; k++) {
            const at = first + ((k >> 2) * height + ((k >> 1) & 1)) * width + (k & 1);
            if (x[at] > x[greatest]) [greatest, second] = [at, greatest];
            else if (second < 0 || x[at] > x[second]) second = at;
          }
          visit(out++, greatest, second);
        }
}

export const maxPool: ReferenceKernel<undefined> = ({ inputs: [x], inputShapes: [shape], out }) => {
  forEachWindow(x, shape, (at, greatest) => {
    out[at] = x[greatest];
  });
};

export const maxPoolGradient: ReferenceKernel<undefined> = ({ inputs: [x, dOut], out, shape, ties }) => {
  forEachWindow(x, shape, (at, greatest, second) => {
    // equal ones are no matter of rounding: the first is meant
    out[isOtherSide(x[greatest] - x[second], ties) ? second : greatest] = dOut[at];
  });
};
