/**
 * Convolution and its adjoints, as the formulas in conv3d.ts say.
 *
 * Volumes are first copied into a border of zeros, so that every voxel has all its neighbours: then a tap is a constant distance in
 * memory, and a row of taps is one plain loop over a whole volume. What such a loop leaves in the border is nobody's and is cut off.
 */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

/** How volumes lie in their border: K - 1 voxels more on each axis. All counts are in voxels. */
interface Frame {
  readonly kernel: number;
  readonly width: number;
  readonly plane: number;
  readonly volume: number;
  /** From a volume's start to its first voxel inside the border. */
  readonly first: number;
  /** From the first voxel inside to the last, both counted. */
  readonly span: number;
}

function frameOf([, , depth, height, width]: Shape, kernel: number): Frame {
  const bordered = width + kernel - 1;
  const plane = (height + kernel - 1) * bordered;
  const volume = (depth + kernel - 1) * plane;
  const first = ((kernel - 1) / 2) * (plane + bordered + 1);
  return { kernel, width: bordered, plane, volume, first, span: volume - 2 * first };
}

/** Calls `visit` for every row of voxels of a tensor: where it starts without the border, and with it. */
function forEachRow(
  [batch, channels, depth, height, width]: Shape,
  frame: Frame,
  visit: (at: number, framed: number) => void,
): void {
  let at = 0;
  for (let volume = 0; volume < batch * channels; volume++)
    for (let z = 0; z < depth; z++)
      for (let y = 0; y < height; y++, at += width)
        visit(at, volume * frame.volume + frame.first + z * frame.plane + y * frame.width);
}

/** A tensor's volumes, each in its border of zeros. */
function withBorder(values: Float64Array, shape: Shape, frame: Frame): Float64Array {
  const framed = new Float64Array(shape[0] * shape[1] * frame.volume);
  const width = shape[4];
  forEachRow(shape, frame, (at, start) => framed.set(values.subarray(at, at + width), start));
  return framed;
}

/** Calls `visit` for each sample, pair of channels and row of taps along x: the first voxels of output and input, and the first tap's weight. */
function forEachTapRow(
  [batch, channelsIn]: Shape,
  channelsOut: number,
  { kernel, width, plane, volume, first }: Frame,
  visit: (output: number, input: number, weight: number) => void,
): void {
  const half = (kernel - 1) / 2;
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < channelsOut; o++)
      for (let i = 0; i < channelsIn; i++) {
        const output = (n * channelsOut + o) * volume + first;
        const input = (n * channelsIn + i) * volume + first;
        for (let row = 0; row < kernel ** 2; row++) {
          const distance = (Math.floor(row / kernel) - half) * plane + ((row % kernel) - half) * width - half;
          visit(output, input + distance, ((o * channelsIn + i) * kernel ** 2 + row) * kernel);
        }
      }
}

// The inner loops stand alone, because they are all the time that is spent, and three taps at once because that is fastest.

function addOneTap(y: Float64Array, p: number, x: Float64Array, q: number, span: number, w: Float64Array, tap: number): void {
  for (let k = 0; k < span; k++) y[p + k] += w[tap] * x[q + k];
}

function addThreeTaps(y: Float64Array, p: number, x: Float64Array, q: number, span: number, w: Float64Array, tap: number): void {
  const [w0, w1, w2] = [w[tap], w[tap + 1], w[tap + 2]];
  for (let k = 0; k < span; k++) y[p + k] += w0 * x[q + k] + w1 * x[q + k + 1] + w2 * x[q + k + 2];
}

function sumOneTap(dy: Float64Array, p: number, x: Float64Array, q: number, span: number, dw: Float64Array, tap: number): void {
  for (let k = 0; k < span; k++) dw[tap] += dy[p + k] * x[q + k];
}

function sumThreeTaps(
  dy: Float64Array,
  p: number,
  x: Float64Array,
  q: number,
  span: number,
  dw: Float64Array,
  tap: number,
): void {
  let [s0, s1, s2] = [0, 0, 0];
  for (let k = 0; k < span; k++) {
    s0 += dy[p + k] * x[q + k];
    s1 += dy[p + k] * x[q + k + 1];
    s2 += dy[p + k] * x[q + k + 2];
  }
  dw[tap] += s0;
  dw[tap + 1] += s1;
  dw[tap + 2] += s2;
}

/** Fills `out` (of `shape`) with the convolution of x (N, I, D, H, W), without a bias. */
function convolve(x: Float64Array, xShape: Shape, weight: Float64Array, kernel: number, out: Float64Array, shape: Shape): void {
  const frame = frameOf(shape, kernel);
  const framed = withBorder(x, xShape, frame);
  const y = new Float64Array(shape[0] * shape[1] * frame.volume);
  const add = kernel === 1 ? addOneTap : addThreeTaps;
  forEachTapRow(xShape, shape[1], frame, (p, q, tap) => add(y, p, framed, q, frame.span, weight, tap));
  const width = shape[4];
  forEachRow(shape, frame, (at, start) => out.set(y.subarray(start, start + width), at));
}

export const conv3d: ReferenceKernel<undefined> = ({
  inputs: [x, weight, bias],
  inputShapes: [xShape, weightShape],
  out,
  shape,
}) => {
  convolve(x, xShape, weight, weightShape[2], out, shape);
  const [batch, channels] = shape;
  const voxels = out.length / (batch * channels);
  if (bias) for (let at = 0; at < out.length; at++) out[at] += bias[Math.floor(at / voxels) % channels];
};

/** The same convolution with input and output channels exchanged and the taps in the opposite order. */
export const conv3dInputGradient: ReferenceKernel<undefined> = ({
  inputs: [dOut, weight],
  inputShapes: [dOutShape, [channelsOut, channelsIn, kernel]],
  out,
  shape,
}) => {
  const taps = kernel ** 3;
  const adjoint = weight.map((_, at) => {
    const [i, o] = [Math.floor(at / (channelsOut * taps)), Math.floor(at / taps) % channelsOut];
    return weight[(o * channelsIn + i) * taps + taps - 1 - (at % taps)];
  });
  convolve(dOut, dOutShape, adjoint, kernel, out, shape);
};

export const conv3dWeightGradient: ReferenceKernel<{ readonly kernel: number }> = ({
  inputs: [x, dOut],
  inputShapes: [xShape, dOutShape],
  out,
  attributes: { kernel },
}) => {
  const frame = frameOf(xShape, kernel);
  const [framedX, framedOut] = [withBorder(x, xShape, frame), withBorder(dOut, dOutShape, frame)];
  const sum = kernel === 1 ? sumOneTap : sumThreeTaps;
  forEachTapRow(xShape, dOutShape[1], frame, (p, q, tap) => sum(framedOut, p, framedX, q, frame.span, out, tap));
};
