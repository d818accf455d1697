/**
 * The parameters by name: PyTorch's names, shapes and order of the published checkpoints, their place in one flat state, their start.
 *
 * All parameters lie behind one another in a flat tensor: first those of two and more dimensions, which weight decay is for, then biases and
 * norms, so that the optimiser is one pass over each. Each starts at a cache line, and the gap stays zero.
 */

import { randomStream } from '../common/random.ts';
import { elementCount, type Graph, type Node, type Shape } from '../engine/graph.ts';
import { view } from '../engine/ops/shape/shape.ts';
import {
  type Architecture,
  hasDecoder,
  IMAGE_KERNEL,
  inputChannelsOf,
  LEVELS,
  type Projection,
  RESTORATION_HIDDEN,
} from './architecture.ts';

/** What training starts from. */
export type Start =
  | { readonly kind: 'normal'; readonly deviation: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'constant'; readonly value: number };

/** A parameter before it has its place. */
export type ParameterDraft = Omit<Parameter, 'offset'>;

export interface Parameter {
  /** As in a PyTorch state dict. */
  readonly name: string;
  readonly shape: Shape;
  /** Index of its first value in the flat tensor. */
  readonly offset: number;
  readonly start: Start;
}

export interface ParameterTable {
  readonly parameters: readonly Parameter[];
  /** Length of the flat tensor, gaps included. */
  readonly flatLength: number;
  /** Number of parameters proper. */
  readonly count: number;
}

/** Values in a cache line. */
const LINE = 16;
/** Standard deviation of the affine layers' start: matching begins at the identity (docs/method.md, section 4). */
const AFFINE_DEVIATION = 1e-3;

/** PyTorch's default for a layer's bias, and for the weights of convolutions outside the backbone: uniform in +-1 / sqrt(fan in). */
const torchDefault = (fanIn: number): Start => ({ kind: 'uniform', bound: 1 / Math.sqrt(fanIn) });

function convolution(name: string, channelsIn: number, channelsOut: number, kernel: number, backbone: boolean): ParameterDraft[] {
  const fanIn = channelsIn * kernel ** 3;
  const start: Start = backbone ? { kind: 'normal', deviation: Math.sqrt(2 / fanIn) } : torchDefault(fanIn);
  return [
    { name: `${name}.weight`, shape: [channelsOut, channelsIn, kernel, kernel, kernel], start },
    { name: `${name}.bias`, shape: [channelsOut], start: torchDefault(fanIn) },
  ];
}

/** Of a multi-level head: a convolution of the image, which has the bias, and one of each level. */
export function multiLevelParameters({ widths, ...network }: Architecture, classes: number): ParameterDraft[] {
  const [image, bias] = convolution('out_levels.image', inputChannelsOf(network), classes, IMAGE_KERNEL, false);
  const levels = LEVELS.map(({ name, width }) => convolution(`out_levels.${name}`, widths[width], classes, 1, false)[0]);
  return [image, bias, ...levels];
}

const normalization = (name: string, channels: number): ParameterDraft[] => [
  { name: `${name}.weight`, shape: [channels], start: { kind: 'constant', value: 1 } },
  { name: `${name}.bias`, shape: [channels], start: { kind: 'constant', value: 0 } },
];

const block = (name: string, channelsIn: number, channelsOut: number, backbone: boolean): ParameterDraft[] => [
  ...convolution(`${name}.double_conv.0`, channelsIn, channelsOut, 3, backbone),
  ...normalization(`${name}.double_conv.1`, channelsOut),
  ...convolution(`${name}.double_conv.3`, channelsOut, channelsOut, 3, backbone),
  ...normalization(`${name}.double_conv.4`, channelsOut),
];

function linearLayer(name: string, inputs: number, outputs: number): ParameterDraft[] {
  const start = torchDefault(inputs);
  return [
    { name: `${name}.weight`, shape: [outputs, inputs], start },
    { name: `${name}.bias`, shape: [outputs], start },
  ];
}

/** Linear, layer norm, ReLU, linear: by their places in PyTorch's Sequential. */
const perceptron = (name: string, inputs: number, hidden: number, outputs: number): ParameterDraft[] => [
  ...linearLayer(`${name}.0`, inputs, hidden),
  ...normalization(`${name}.1`, hidden),
  ...linearLayer(`${name}.3`, hidden, outputs),
];

/** The layers of a projection of C channels. */
function projectionDrafts(c: number, { kind, outputs, predictor = true }: Projection): ParameterDraft[] {
  switch (kind) {
    case 'simclr':
      return [...linearLayer('projector.0', c, c), ...linearLayer('projector.2', c, outputs)];
    case 'simsiam':
      return [
        ...perceptron('projector', c, c, outputs),
        ...(predictor ? perceptron('predictor', outputs, Math.floor(c / 4), outputs) : []),
      ];
    case 'byol':
      return [
        ...perceptron('projector', c, 2 * c, outputs),
        ...(predictor ? perceptron('predictor', outputs, 2 * c, outputs) : []),
      ];
  }
}

/** The input channels of up1..4: the skip's and the deeper feature's. */
export function upInputs(widths: readonly number[]): readonly number[] {
  return [1, 2, 3, 4].map((level) => widths[4 - level] + widths[3 + level]);
}

/** The convolution that sees the image. Its shape follows from how many channels that has; no other's does but the restoration head's last. */
export const STEM = 'unet.inc.double_conv.0.weight';

function drafts(architecture: Architecture): ParameterDraft[] {
  const { widths, affineHidden, flowHidden, heads } = architecture;
  const list = [...block('unet.inc', inputChannelsOf(architecture), widths[0], true)];
  for (let level = 1; level <= 4; level++)
    list.push(...block(`unet.down${level}.maxpool_conv.1`, widths[level - 1], widths[level], true));
  if (hasDecoder(heads)) {
    upInputs(widths).forEach((channelsIn, i) => {
      list.push(...block(`unet.up${i + 1}.conv`, channelsIn, widths[5 + i], true));
    });
  }
  const affine = heads.matching && heads.affine;
  if (affine) list.push(...block('f_conv', 2 * widths[4], affineHidden, false));
  if (heads.matching) list.push(...block('sp_conv', 2 * widths[8], flowHidden, false));
  if (heads.restoration) {
    list.push(
      ...convolution('res_conv.0', widths[8], RESTORATION_HIDDEN, 3, false),
      ...normalization('res_conv.1', RESTORATION_HIDDEN),
      ...convolution('res_conv.3', RESTORATION_HIDDEN, inputChannelsOf(architecture), 1, false),
    );
  }
  if (heads.matching) list.push(...convolution('out_flow', flowHidden, 3, 3, false));
  if (affine) {
    const outputs = { fc_rot: 3, fc_scl: 3, fc_trans: 3, fc_shear: 6 };
    for (const [name, count] of Object.entries(outputs)) {
      list.push(
        { name: `${name}.weight`, shape: [count, affineHidden], start: { kind: 'normal', deviation: AFFINE_DEVIATION } },
        { name: `${name}.bias`, shape: [count], start: { kind: 'constant', value: 0 } },
      );
    }
  }
  if (heads.segmentation !== undefined)
    list.push(
      ...(heads.multiLevel
        ? multiLevelParameters(architecture, heads.segmentation)
        : convolution('out_conv', widths[8], heads.segmentation, 3, false)),
    );
  if (heads.classification !== undefined) list.push(...linearLayer('fc', widths[4], heads.classification));
  if (heads.projection) list.push(...projectionDrafts(widths[4], heads.projection));
  return list;
}

/** Every parameter of an architecture, in PyTorch's order. */
export const parameterTable = (architecture: Architecture): ParameterTable => tableOf(drafts(architecture));

/** Whether weight decay is for a parameter: weights of convolutions and linear layers, not biases and norms, which have one dimension. */
export const isDecayed = ({ shape }: Pick<Parameter, 'shape'>): boolean => shape.length > 1;

/** Length of a parameter's place in the flat tensor. */
const placeLength = ({ shape }: Pick<Parameter, 'shape'>): number => Math.ceil(elementCount(shape) / LINE) * LINE;

/** Gives parameters their places: of an architecture, or of a network of one's own. Each name is there once; the table keeps their order. */
export function tableOf(wanted: readonly ParameterDraft[]): ParameterTable {
  const offsets = new Map<ParameterDraft, number>();
  let flatLength = 0;
  for (const decayed of [true, false])
    for (const draft of wanted) {
      if (isDecayed(draft) !== decayed) continue;
      offsets.set(draft, flatLength);
      flatLength += placeLength(draft);
    }
  const parameters = wanted.map((draft): Parameter => ({ ...draft, offset: offsets.get(draft)! }));
  const count = wanted.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return { parameters, flatLength, count };
}

/** Parameters that lie side by side in the flat tensor and are alike to weight decay. */
export interface ParameterRange {
  readonly offset: number;
  readonly length: number;
  readonly decays: boolean;
}

/** The fewest ranges that hold parameters of a table; of all of them two. */
export function rangesOf(parameters: readonly Parameter[]): ParameterRange[] {
  const ranges: ParameterRange[] = [];
  for (const parameter of [...parameters].sort((a, b) => a.offset - b.offset)) {
    const { offset } = parameter;
    const [length, decays] = [placeLength(parameter), isDecayed(parameter)];
    const before = ranges.at(-1);
    if (before && before.decays === decays && before.offset + before.length === offset)
      ranges[ranges.length - 1] = { ...before, length: before.length + length };
    else ranges.push({ offset, length, decays });
  }
  return ranges;
}

/** The start of training: the flat tensor, from the seed. Every parameter draws from a stream of its own name. */
export function initialParameters({ parameters, flatLength }: ParameterTable, seed: number): Float32Array {
  const flat = new Float32Array(flatLength);
  for (const { name, shape, offset, start } of parameters) {
    const stream = randomStream(seed, 'initialParameters', name);
    for (let i = 0; i < elementCount(shape); i++) {
      if (start.kind === 'normal') flat[offset + i] = stream.normal(0, start.deviation);
      else if (start.kind === 'uniform') flat[offset + i] = stream.uniform(-start.bound, start.bound);
      else flat[offset + i] = start.value;
    }
  }
  return flat;
}

/** One parameter's values in the flat tensor: no copy. */
export const valuesOf = (flat: Float32Array, { offset, shape }: Parameter): Float32Array =>
  flat.subarray(offset, offset + elementCount(shape));

/** How a network's builder asks for a parameter. */
export type ParameterNodes = (name: string) => Node;

/** Views of a flat state by parameter name; each is made once for a graph. */
export function parameterNodes(graph: Graph, state: string, { parameters, flatLength }: ParameterTable): ParameterNodes {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const made = new Map<string, Node>();
  return (name) => {
    const known = made.get(name);
    if (known) return known;
    const parameter = byName.get(name);
    if (!parameter) throw new Error(`the architecture has no parameter '${name}'`);
    const node = view(graph, graph.state(state, [flatLength]), parameter.offset, parameter.shape);
    made.set(name, node);
    return node;
  };
}
