/**
 * Convolution and its adjoints, as the formulas in conv3d.ts say.
 *
 * Volumes are first copied into a border of zeros, so that every voxel has all its neighbours: then a tap is a constant distance in
 * memory, and a plane of taps is one plain loop over a whole volume. What such a loop leaves in the border is nobody's and is cut off.
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

/** Calls `visit` for each sample, pair of channels and plane of taps: the first voxels of output and input, and the first tap's weight. */
function forEachTapPlane(
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
        const input = (n * channelsIn + i) * volume + first - half * (width + 1);
        for (let z = 0; z < kernel; z++)
          visit(output, input + (z - half) * plane, ((o * channelsIn + i) * kernel + z) * kernel ** 2);
      }
}

// The inner loops stand alone, because they are all the time that is spent. A plane of 3 x 3 taps goes along x with the voxels
// that it read last in hand, so that each step reads three: half the time of one row of taps after the other. Lists taken apart
// at the start would cost as much again.

type Taps = (y: Float64Array, p: number, x: Float64Array, q: number, frame: Frame, w: Float64Array, tap: number) => void;

const addOneTap: Taps = (y, p, x, q, { span }, w, tap) => {
  for (let k = 0; k < span; k++) y[p + k] += w[tap] * x[q + k];
};

const addNineTaps: Taps = (y, p, x, q, { span, width }, w, tap) => {
  const w0 = w[tap];
  const w1 = w[tap + 1];
  const w2 = w[tap + 2];
  const w3 = w[tap + 3];
  const w4 = w[tap + 4];
  const w5 = w[tap + 5];
  const w6 = w[tap + 6];
  const w7 = w[tap + 7];
  const w8 = w[tap + 8];
  const r = q + width;
  const s = r + width;
  let a0 = x[q];
  let a1 = x[q + 1];
  let b0 = x[r];
  let b1 = x[r + 1];
  let c0 = x[s];
  let c1 = x[s + 1];
  for (let k = 0; k < span; k++) {
    const a2 = x[q + k + 2];
    const b2 = x[r + k + 2];
    const c2 = x[s + k + 2];
    y[p + k] += w0 * a0 + w1 * a1 + w2 * a2 + w3 * b0 + w4 * b1 + w5 * b2 + w6 * c0 + w7 * c1 + w8 * c2;
    a0 = a1;
    a1 = a2;
    b0 = b1;
    b1 = b2;
    c0 = c1;
    c1 = c2;
  }
};

const sumOneTap: Taps = (dy, p, x, q, { span }, dw, tap) => {
  for (let k = 0; k < span; k++) dw[tap] += dy[p + k] * x[q + k];
};

const sumNineTaps: Taps = (dy, p, x, q, { span, width }, dw, tap) => {
  const r = q + width;
  const s = r + width;
  let a0 = x[q];
  let a1 = x[q + 1];
  let b0 = x[r];
  let b1 = x[r + 1];
  let c0 = x[s];
  let c1 = x[s + 1];
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let s4 = 0;
  let s5 = 0;
  let s6 = 0;
  let s7 = 0;
  let s8 = 0;
  for (let k = 0; k < span; k++) {
    const d = dy[p + k];
    const a2 = x[q + k + 2];
    const b2 = x[r + k + 2];
    const c2 = x[s + k + 2];
    s0 += d * a0;
    s1 += d * a1;
    s2 += d * a2;
    s3 += d * b0;
    s4 += d * b1;
    s5 += d * b2;
    s6 += d * c0;
    s7 += d * c1;
    s8 += d * c2;
    a0 = a1;
    a1 = a2;
    b0 = b1;
    b1 = b2;
    c0 = c1;
    c1 = c2;
  }
  dw[tap] += s0;
  dw[tap + 1] += s1;
  dw[tap + 2] += s2;
  dw[tap + 3] += s3;
  dw[tap + 4] += s4;
  dw[tap + 5] += s5;
  dw[tap + 6] += s6;
  dw[tap + 7] += s7;
  dw[tap + 8] += s8;
};

/** Fills `out` (of `shape`) with the convolution of x (N, I, D, H, W), without a bias. */
function convolve(x: Float64Array, xShape: Shape, weight: Float64Array, kernel: number, out: Float64Array, shape: Shape): void {
  const frame = frameOf(shape, kernel);
  const framed = withBorder(x, xShape, frame);
  const y = new Float64Array(shape[0] * shape[1] * frame.volume);
  const add = kernel === 1 ? addOneTap : addNineTaps;
  forEachTapPlane(xShape, shape[1], frame, (p, q, tap) => add(y, p, framed, q, frame, weight, tap));
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
  const sum = kernel === 1 ? sumOneTap : sumNineTaps;
  forEachTapPlane(xShape, dOutShape[1], frame, (p, q, tap) => sum(framedOut, p, framedX, q, frame, out, tap));
};
