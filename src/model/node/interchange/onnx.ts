/**
 * A network as an ONNX file: the engine's own graph, each operation said in ONNX's, so that the file cannot be another network.
 *
 * Sizes are free by default: the margins that bring them to multiples of 16 are computed in the file from the input's shape, and the
 * result is cropped back. Opset 13 of 2020 has all that is needed, so that old runtimes read the file too; it has no GroupNorm, and that
 * is put together from means.
 * Reference: github.com/onnx/onnx, docs/IR.md, docs/Operators.md, onnx/onnx.proto (whose field numbers stand below).
 */

import { bytes, encode, float, int, type Message, message, string } from '../../../common/protobuf.ts';
import { Graph, type Node, type Shape } from '../../../engine/graph.ts';
import type { GroupNormAttributes } from '../../../engine/ops/group-norm/group-norm.ts';
import type { Margins } from '../../../engine/ops/shape/shape.ts';
import { type Architecture, inputChannelsOf, SIZE_MULTIPLE } from '../../architecture.ts';
import { classificationHead, segmentationLogits } from '../../heads.ts';
import { parameterTable } from '../../parameters.ts';
import type { NamedTensor } from '../../safetensors.ts';
import { encoder, unet } from '../../unet.ts';
import type { NetworkPart } from './part.ts';

export const OPSET = 13;
/** The file format's version that came with it. */
const IR_VERSION = 7;
const FLOAT = 1;
const INT64 = 7;
/** The attribute types FLOAT, INT, STRING, INTS. */
const ATTRIBUTE = { float: 1, int: 2, string: 3, ints: 7 } as const;
/** An input's name, as the file and its users have it. */
export const INPUT = 'image';
/** A size that needs margins on every axis: free sizes are exported from a graph of it. */
const ODD_SIZE = [17, 17, 17] as const;
const SPATIAL = ['depth', 'height', 'width'] as const;

/** What the file gives, by name. */
interface Output {
  readonly name: string;
  readonly node: Node;
  /** Applied last; over axis 1. */
  readonly activation?: 'Softmax' | 'Sigmoid';
  /** Names or sizes of its axes where sizes are free. */
  readonly axes: readonly (string | number)[];
}

/** The part of the network as the engine's graph; parameters are inputs by their names. */
function networkGraph(architecture: Architecture, part: NetworkPart, size: Shape): { graph: Graph; outputs: Output[] } {
  const graph = new Graph();
  const used = parameterTable(architecture).parameters.filter(({ name }) => part !== 'encoder' || name.startsWith('unet.'));
  const nodes = new Map(used.map(({ name, shape }) => [name, graph.input(name, shape)]));
  const parameters = (name: string): Node => nodes.get(name)!;
  const image = graph.input(INPUT, [1, inputChannelsOf(architecture), ...size]);
  if (part === 'classifier') {
    const logits = classificationHead(graph, parameters, encoder(graph, parameters, image).at(-1)!);
    // each output is a judgement of its own: so it is trained, and so `gvsl classify` has it
    return { graph, outputs: [{ name: 'probabilities', node: logits, activation: 'Sigmoid', axes: ['batch', logits.shape[1]] }] };
  }
  const axes = (node: Node, names: readonly string[]) => ['batch', node.shape[1], ...names];
  if (part === 'encoder') {
    const node = encoder(graph, parameters, image)[4];
    return {
      graph,
      outputs: [
        {
          name: 'global',
          node,
          axes: axes(
            node,
            SPATIAL.map((name) => `${name}_16`),
          ),
        },
      ],
    };
  }
  if (part === 'backbone') {
    const { local, global } = unet(graph, parameters, image);
    return {
      graph,
      outputs: [
        { name: 'local', node: local, axes: axes(local, SPATIAL) },
        {
          name: 'global',
          node: global,
          axes: axes(
            global,
            SPATIAL.map((name) => `${name}_16`),
          ),
        },
      ],
    };
  }
  const logits = segmentationLogits(graph, parameters, architecture, image);
  return {
    graph,
    outputs: [{ name: 'probabilities', node: logits, activation: 'Softmax', axes: ['batch', logits.shape[1], ...SPATIAL] }],
  };
}

type Attribute = number | string | readonly number[] | { readonly float: number };

function attributeMessage(name: string, value: Attribute): Message {
  if (typeof value === 'number') return message(5, string(1, name), int(3, value), int(20, ATTRIBUTE.int));
  if (typeof value === 'string') return message(5, string(1, name), string(4, value), int(20, ATTRIBUTE.string));
  if ('float' in value) return message(5, string(1, name), float(2, value.float), int(20, ATTRIBUTE.float));
  return message(5, string(1, name), ...value.map((each) => int(8, each)), int(20, ATTRIBUTE.ints));
}

const tensorMessage = (name: string, type: number, shape: Shape, data: Uint8Array): Message =>
  message(5, ...shape.map((size) => int(1, size)), int(2, type), string(8, name), bytes(9, data));

/** An input (11) or output (12) of the graph: float32, each axis a size or a name. */
const valueMessage = (field: 11 | 12, name: string, axes: readonly (string | number)[]): Message =>
  message(
    field,
    string(1, name),
    message(
      2,
      message(
        1,
        int(1, FLOAT),
        message(2, ...axes.map((axis) => message(1, typeof axis === 'number' ? int(1, axis) : string(2, axis)))),
      ),
    ),
  );

/** Collects the file's nodes and constants; a value is known by its name. */
class Writer {
  readonly nodes: Message[] = [];
  readonly initializers = new Map<string, Message>();

  /** One node; returns its result's name, which is `name`. */
  node(name: string, type: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    this.nodes.push(
      message(
        1,
        ...inputs.map((input) => string(1, input)),
        string(2, name),
        string(3, name),
        string(4, type),
        ...Object.entries(attributes).map(([key, value]) => attributeMessage(key, value)),
      ),
    );
    return name;
  }

  floats(name: string, shape: Shape, data: Float32Array): string {
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (!this.initializers.has(name)) this.initializers.set(name, tensorMessage(name, FLOAT, shape, raw));
    return name;
  }

  /** Whole numbers, named by what they are. */
  integers(...values: readonly number[]): string {
    const name = `integers_${values.join('_').replaceAll('-', 'minus')}`;
    const raw = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
    if (!this.initializers.has(name)) this.initializers.set(name, tensorMessage(name, INT64, [values.length], raw));
    return name;
  }
}

/** How margins and shapes are said: as numbers, or computed from the input's shape. */
interface Sizes {
  /** Zero margins before and after, all five axes. */
  pads(margins: Margins): string;
  /** Where the image begins and ends on the last three axes of what was padded. */
  range(margins: Margins, shape: Shape): readonly [string, string];
}

function fixedSizes(writer: Writer): Sizes {
  return {
    pads: ({ before, after }) => writer.integers(...before, ...after),
    range: ({ before }, shape) => [
      writer.integers(...before.slice(2)),
      writer.integers(...before.slice(2).map((start, axis) => start + shape[axis + 2])),
    ],
  };
}

function freeSizes(writer: Writer): Sizes {
  const multiple = writer.integers(SIZE_MULTIPLE);
  const size = writer.node('size', 'Slice', [writer.node('shape', 'Shape', [INPUT]), writer.integers(2), writer.integers(5)]);
  const remainder = writer.node('remainder', 'Mod', [size, multiple]);
  const missing = writer.node('missing', 'Mod', [writer.node('to_multiple', 'Sub', [multiple, remainder]), multiple]);
  // before and after as in paddingOf (model/unet.ts): half rounded down, the rest
  const before = writer.node('before', 'Div', [missing, writer.integers(2)]);
  const after = writer.node('after', 'Sub', [missing, before]);
  const none = writer.integers(0, 0);
  const pads = writer.node('pads', 'Concat', [none, before, none, after], { axis: 0 });
  const end = writer.node('end', 'Add', [before, size]);
  return {
    pads: () => pads,
    range: () => [before, end],
  };
}

/** Says one node of the engine in ONNX; returns the name of its result. */
function translate(
  writer: Writer,
  sizes: Sizes,
  node: Node,
  inputs: readonly string[],
  data: ReadonlyMap<string, NamedTensor>,
): string {
  const name = `${node.op.name}_${node.id}`;
  switch (node.op.name) {
    case 'input': {
      const { name: own, shape } = node.attributes as { name: string; shape: Shape };
      return own === INPUT ? INPUT : writer.floats(own, shape, data.get(own)!.data);
    }
    case 'pad':
      return writer.node(name, 'Pad', [inputs[0], sizes.pads(node.attributes as Margins)], { mode: 'constant' });
    case 'crop': {
      const [start, end] = sizes.range(node.attributes as Margins, node.shape);
      return writer.node(name, 'Slice', [inputs[0], start, end, writer.integers(2, 3, 4)]);
    }
    case 'conv3d': {
      const kernel = node.inputs[1].shape[2];
      return writer.node(name, 'Conv', inputs, {
        kernel_shape: [kernel, kernel, kernel],
        pads: new Array(6).fill((kernel - 1) / 2),
      });
    }
    case 'groupStatistics':
      return ''; // part of groupNorm, whose operator takes the statistics itself
    case 'groupNorm': {
      const { groups, eps, slope } = node.attributes as GroupNormAttributes;
      // (N, C, D, H, W) to (N, G, C / G D, H, W) and back; 0 keeps a size
      const grouped = writer.node(`${name}_grouped`, 'Reshape', [inputs[0], writer.integers(0, groups, -1, 0, 0)]);
      const centred = writer.node(`${name}_centred`, 'Sub', [grouped, meanOfGroups(writer, `${name}_mean`, grouped)]);
      const squares = writer.node(`${name}_squares`, 'Mul', [centred, centred]);
      const variance = meanOfGroups(writer, `${name}_variance`, squares);
      const positive = writer.node(`${name}_positive`, 'Add', [variance, writer.floats('epsilon', [1], Float32Array.of(eps))]);
      const deviation = writer.node(`${name}_deviation`, 'Sqrt', [positive]);
      const normalized = writer.node(`${name}_normalized`, 'Div', [centred, deviation]);
      const shaped = writer.node(`${name}_shaped`, 'Reshape', [normalized, writer.integers(0, node.shape[1], -1, 0, 0)]);
      const scaled = writer.node(`${name}_scaled`, 'Mul', [shaped, perChannel(writer, inputs[2], data)]);
      const shifted = writer.node(`${name}_shifted`, 'Add', [scaled, perChannel(writer, inputs[3], data)]);
      return writer.node(name, 'LeakyRelu', [shifted], { alpha: { float: slope } });
    }
    case 'add':
      return writer.node(name, 'Add', inputs);
    case 'maxPool':
      return writer.node(name, 'MaxPool', inputs, { kernel_shape: [2, 2, 2], strides: [2, 2, 2] });
    case 'upsample':
      return writer.node(name, 'Resize', [inputs[0], '', writer.floats('twice', [5], Float32Array.of(1, 1, 2, 2, 2))], {
        mode: 'linear',
        coordinate_transformation_mode: 'align_corners',
      });
    case 'concat':
      return writer.node(name, 'Concat', inputs, node.attributes as { axis: number });
    case 'globalAverage':
      return writer.node(name, 'Flatten', [writer.node(`${name}_5d`, 'GlobalAveragePool', inputs)], { axis: 1 });
    case 'linear':
      return writer.node(name, 'Gemm', inputs, { transB: 1 });
    default:
      throw new Error(`onnx: no translation of the operation '${node.op.name}'`);
  }
}

/**
 * The mean over all but the first two axes, one axis after the other: runtimes add in single precision in a row, and over a million
 * voxels at once that is wrong in the fourth digit (onnxruntime's WebAssembly at 64^3: 2e-3 in the features; so: 1e-5).
 */
const meanOfGroups = (writer: Writer, name: string, x: string): string =>
  [4, 3, 2].reduce((mean, axis) => writer.node(`${name}_${axis}`, 'ReduceMean', [mean], { axes: [axis], keepdims: 1 }), x);

/** A parameter (C) in the shape that is broadcast over (N, C, D, H, W). */
function perChannel(writer: Writer, name: string, data: ReadonlyMap<string, NamedTensor>): string {
  const { data: values } = data.get(name)!;
  writer.initializers.delete(name);
  return writer.floats(name, [values.length, 1, 1, 1], values);
}

export interface OnnxCall {
  readonly part: NetworkPart;
  /** Of the part alone. */
  readonly architecture: Architecture;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  /** (D, H, W) of the image if it is fixed, the batch being 1; undefined: every size and batch. */
  readonly size: readonly [number, number, number] | undefined;
  /** For people, and for programs by name. */
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly producerVersion: string;
}

/** What a user of the file must know of an input or output: an axis is a size, or a name where it is free. */
export interface NamedAxes {
  readonly name: string;
  readonly axes: readonly (string | number)[];
}

export interface OnnxFile {
  /** To be written one after the other. */
  readonly pieces: readonly Uint8Array[];
  readonly input: NamedAxes;
  readonly outputs: readonly NamedAxes[];
}

/** Writes the part as an ONNX model; the parameters' data are not copied. Equal arguments give equal bytes. */
export function encodeOnnx({ part, architecture, parameters, size, description, metadata, producerVersion }: OnnxCall): OnnxFile {
  const { graph, outputs } = networkGraph(architecture, part, size ?? ODD_SIZE);
  const writer = new Writer();
  const sizes = size ? fixedSizes(writer) : freeSizes(writer);
  const names: string[] = [];
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(({ id }) => names[id]);
    names.push(translate(writer, sizes, node, inputs, parameters));
  }
  const results = outputs.map(({ name, node, activation, axes }) => {
    const found = names[node.id];
    writer.node(name, activation ?? 'Identity', [found], activation === 'Softmax' ? { axis: 1 } : {});
    return { name, axes: size ? node.shape : axes };
  });
  const channels = inputChannelsOf(architecture);
  const input: NamedAxes = { name: INPUT, axes: size ? [1, channels, ...size] : ['batch', channels, ...SPATIAL] };
  const pieces = encode(
    int(1, IR_VERSION),
    string(2, 'gvsl'),
    string(3, producerVersion),
    string(6, description),
    message(
      7,
      ...writer.nodes,
      string(2, `gvsl_${part}`),
      ...writer.initializers.values(),
      valueMessage(11, input.name, input.axes),
      ...results.map(({ name, axes }) => valueMessage(12, name, axes)),
    ),
    message(8, string(1, ''), int(2, OPSET)),
    ...Object.entries(metadata).map(([name, value]) => message(14, string(1, name), string(2, value))),
  );
  return { pieces, input, outputs: results };
}
