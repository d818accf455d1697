/**
 * A pre-trained backbone at a task (docs/transfer.md): segmentation (local feature, one 3x3x3 convolution, softmax, Dice loss) and classification
 * (global feature averaged, one linear layer, sigmoid, cross-entropy), as programs to train and to apply.
 *
 * The flat states are pre-training's. *Linear* evaluation freezes the backbone: only the head's gradients are computed, and only the head is
 * updated.
 */
import { Graph, type Node, type Program, type Shape } from '../engine/graph.ts';
import { binaryCrossEntropyLoss, crossEntropyLoss } from '../engine/ops/cross-entropy/cross-entropy.ts';
import { diceLoss } from '../engine/ops/dice/dice.ts';
import { sigmoid } from '../engine/ops/elementwise/elementwise.ts';
import { probabilities, softmax } from '../engine/ops/softmax/softmax.ts';
import type { Zyx } from '../geometry/volume.ts';
import { type Architecture, hasDecoder, inputChannelsOf, LEVELS, type LevelName } from './architecture.ts';
import { classificationHead, multiLevelHead, segmentationHead, segmentationLogits, segmentationProbabilities } from './heads.ts';
import { partOf, STATES } from './optimizer.ts';
import {
  multiLevelParameters,
  type Parameter,
  type ParameterNodes,
  type ParameterTable,
  parameterNodes,
  parameterTable,
} from './parameters.ts';
import { gradientGraph as trainingGraph, trainingProgramOf, type WeightedLoss } from './training-program.ts';
import { cropTo, encoder, levelShapes, padTo16, unet, unetLevels } from './unet.ts';

/** 'dice' is the paper's; 'diceCrossEntropy' adds the voxels' cross-entropy with the same weight, as nnU-Net does. */
export type SegmentationLoss = 'dice' | 'diceCrossEntropy';

export interface TransferOptions {
  /** With the head of the task: `heads.segmentation` or `heads.classification`. */
  readonly architecture: Architecture;
  /** (D, H, W) of a crop. */
  readonly size: Zyx;
  /** Samples of a batch: gradients are means over it; one is computed at a time. */
  readonly batch: number;
  /** Linear evaluation: the backbone stays as it is. */
  readonly frozen: boolean;
  readonly loss: SegmentationLoss;
  /** Only with `frozen` segmentation: `gradient` takes the local feature instead of the image. */
  readonly fromFeatures?: boolean;
  /** Whether `gradient` scales its loss, by the inputs of `lossScaleInputs`. */
  readonly lossScaling?: boolean;
}

/** The head's logits on an image (1, channels, D, H, W). */
function logitsOf(graph: Graph, parameters: ParameterNodes, architecture: Architecture, image: Node): Node {
  if (architecture.heads.segmentation !== undefined) return segmentationLogits(graph, parameters, architecture, image);
  return classificationHead(graph, parameters, encoder(graph, parameters, image)[4]);
}

/** The parameters that are trained. */
export const trainedOf = ({ frozen }: Pick<TransferOptions, 'frozen'>, { parameters }: ParameterTable): readonly Parameter[] =>
  frozen ? parameters.filter((parameter) => partOf(parameter) === 'head') : parameters;

/** inputs image (or features) and truth (one-hot (1, K, D, H, W), or (1, outputs)); outputs loss.*; adds to the gradients. */
function gradientGraph(options: TransferOptions, table: ParameterTable): Graph {
  const { architecture, size, batch, loss, fromFeatures = false } = options;
  const { segmentation, classification } = architecture.heads;
  const graph = new Graph();
  const parameters = parameterNodes(graph, STATES.parameters, table);
  const logits = fromFeatures
    ? segmentationHead(graph, parameters, graph.input('features', [1, architecture.widths[8], ...size]))
    : logitsOf(graph, parameters, architecture, graph.input('image', [1, inputChannelsOf(architecture), ...size]));
  const losses: WeightedLoss[] = [];
  if (segmentation !== undefined) {
    const truth = graph.input('truth', [1, segmentation, ...size]);
    losses.push({ name: 'dice', node: diceLoss(graph, softmax(graph, logits), truth) });
    if (loss === 'diceCrossEntropy') losses.push({ name: 'crossEntropy', node: crossEntropyLoss(graph, logits, truth) });
  } else {
    losses.push({
      name: 'crossEntropy',
      node: binaryCrossEntropyLoss(graph, logits, graph.input('truth', [1, classification!])),
    });
  }
  const trained = trainedOf(options, table);
  return trainingGraph(graph, losses, { table, parameters, trained, share: 1 / batch, lossScaling: options.lossScaling });
}

/** input image (1, channels, D, H, W); output probabilities (1, K, D, H, W) or (1, outputs). */
function predictGraph(architecture: Architecture, size: Zyx, table: ParameterTable): Graph {
  const graph = new Graph();
  const parameters = parameterNodes(graph, STATES.parameters, table);
  const image = graph.input('image', [1, inputChannelsOf(architecture), ...size]);
  const found =
    architecture.heads.segmentation === undefined
      ? sigmoid(graph, logitsOf(graph, parameters, architecture, image))
      : segmentationProbabilities(graph, parameters, architecture, image);
  graph.output('probabilities', found);
  return graph;
}

/** input image (1, channels, D, H, W); output global (1, C, D/16, H/16, W/16), of a network without a decoder. */
function encoderGraph(architecture: Architecture, size: Zyx, table: ParameterTable): Graph {
  const graph = new Graph();
  const parameters = parameterNodes(graph, STATES.parameters, table);
  graph.output('global', encoder(graph, parameters, graph.input('image', [1, inputChannelsOf(architecture), ...size]))[4]);
  return graph;
}

/** input image (1, channels, D, H, W); outputs local (1, C, D, H, W) and global (1, C, D/16, H/16, W/16), or one of them. */
function featuresGraph(architecture: Architecture, size: Zyx, table: ParameterTable, wanted: 'local' | 'both'): Graph {
  const graph = new Graph();
  const parameters = parameterNodes(graph, STATES.parameters, table);
  const { local, global } = unet(graph, parameters, graph.input('image', [1, inputChannelsOf(architecture), ...size]));
  graph.output('local', local);
  if (wanted === 'both') graph.output('global', global);
  return graph;
}

/** The program of training on a task. Graphs: gradient, norms, update, predict; with `fromFeatures` also features (local). */
export function transferProgram(options: TransferOptions): { program: Program; table: ParameterTable } {
  const { architecture, size } = options;
  const table = parameterTable(architecture);
  const graphs = {
    gradient: gradientGraph(options, table),
    predict: predictGraph(architecture, size, table),
    ...(options.fromFeatures ? { features: featuresGraph(architecture, size, table, 'local') } : {}),
  };
  const program = trainingProgramOf(table, graphs, { trained: trainedOf(options, table) });
  return { program, table };
}

const applied = (architecture: Architecture, name: string, graphOf: (table: ParameterTable) => Graph) => {
  const table = parameterTable(architecture);
  const program: Program = {
    states: new Map([[STATES.parameters, [table.flatLength] as Shape]]),
    graphs: new Map([[name, graphOf(table)]]),
  };
  return { program, table };
};

/** The program that applies a trained task to windows of `size`. Graph: predict. */
export const predictionProgram = (architecture: Architecture, size: Zyx): { program: Program; table: ParameterTable } =>
  applied(architecture, 'predict', (table) => predictGraph(architecture, size, table));

/** The program that gives a network's features of windows of `size`. Graph: features (local and global; without a decoder global alone). */
export const featuresProgram = (architecture: Architecture, size: Zyx): { program: Program; table: ParameterTable } =>
  applied(architecture, 'features', (table) =>
    hasDecoder(architecture.heads) ? featuresGraph(architecture, size, table, 'both') : encoderGraph(architecture, size, table),
  );

/** The program that gives the deepest features of windows of `size`, without the decoder's work. Graph: features (global). */
export const encoderProgram = (architecture: Architecture, size: Zyx): { program: Program; table: ParameterTable } =>
  applied(architecture, 'features', (table) => encoderGraph(architecture, size, table));

/**
 * The program of a multi-level head that is taught while the backbone stays: features once, then head after head. Graphs: features (input image;
 * outputs the levels, by their names), head (inputs image, the levels, and the head's parameters by their names; output probabilities). One after
 * the other they are the graph predict of `predictionProgram` with these parameters.
 */
export function teachingProgram(
  architecture: Architecture,
  size: Zyx,
  classes: number,
): { program: Program; table: ParameterTable } {
  const { program, table } = applied(architecture, 'features', (of) => {
    const graph = new Graph();
    const image = graph.input('image', [1, inputChannelsOf(architecture), ...size]);
    const { features } = unetLevels(graph, parameterNodes(graph, STATES.parameters, of), image);
    for (const { name } of LEVELS) graph.output(name, features[name]);
    return graph;
  });
  const graph = new Graph();
  const image = graph.input('image', [1, inputChannelsOf(architecture), ...size]);
  const features = Object.fromEntries(
    levelShapes(architecture, size).map(({ name, shape }) => [name, graph.input(name, [1, ...shape])]),
  ) as Record<LevelName, Node>;
  const shapes = new Map(multiLevelParameters(architecture, classes).map(({ name, shape }) => [name, shape]));
  const parameters = (name: string): Node => graph.input(name, shapes.get(name)!);
  const logits = multiLevelHead(graph, parameters, { image: padTo16(graph, image), features });
  graph.output('probabilities', probabilities(graph, cropTo(graph, logits, image), { relative: false }));
  return { program: { ...program, graphs: new Map([...program.graphs, ['head', graph]]) }, table };
}
