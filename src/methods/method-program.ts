/**
 * The program of a method that needs nothing but a network and losses: from what it makes of its inputs to the graphs of training and judging.
 *
 * Graphs: `gradient`, `norms`, `update`; `judge`, the losses of one sample without gradients, with all outputs; `features`, what the backbone
 * makes of an image, for probes (judgement/).
 */
import { Graph, type Node, type Program, type Shape } from '../engine/graph.ts';
import { globalAverage } from '../engine/ops/reduce/reduce.ts';
import type { Zyx } from '../geometry/volume.ts';
import { type Architecture, hasDecoder, inputChannelsOf } from '../model/architecture.ts';
import { STATES } from '../model/optimizer.ts';
import { type ParameterNodes, type ParameterTable, parameterNodes, parameterTable } from '../model/parameters.ts';
import { gradientGraph, outputLosses, trainingProgramOf, type WeightedLoss } from '../model/training-program.ts';
import { encoder, unet } from '../model/unet.ts';

export interface MethodProgramOptions {
  readonly architecture: Architecture;
  /** (D, H, W) of a patch. */
  readonly size: Zyx;
  /** Samples that one run of `gradient` takes; default 1. */
  readonly samples?: number;
  /** Samples of a batch: gradients are means over it. */
  readonly batch: number;
  /** Whether `gradient` scales its loss, by the inputs of `lossScaleInputs`. */
  readonly lossScaling?: boolean;
  /** Samples that one run of `judge` takes; default 1. */
  readonly judgedSamples?: number;
  /** Further states like the parameters, and graphs on them. */
  readonly carried?: readonly string[];
  readonly graphs?: (table: ParameterTable) => Readonly<Record<string, Graph>>;
}

/** The shape of `samples` images as the network sees them. */
export const imageShape = (architecture: Architecture, samples: number, size: Zyx): Shape => [
  samples,
  inputChannelsOf(architecture),
  ...size,
];

/** What a method makes of `samples` samples. */
export interface Forward {
  /** Means over the samples. */
  readonly losses: readonly WeightedLoss[];
  /** By name: the graph's outputs are `out.NAME`. */
  readonly outputs: Readonly<Record<string, Node>>;
}

/** Declares the graph's inputs and computes losses and outputs. */
export type BuildForward = (graph: Graph, parameters: ParameterNodes, samples: number) => Forward;

/**
 * input image (1, channels, D, H, W); output pooled (1, C), f^g averaged; and what dense probes look at: local (1, C, D, H, W), or, without a decoder,
 * level0 to level4, the encoder's levels.
 */
export function probedFeaturesGraph(architecture: Architecture, size: Zyx, table: ParameterTable): Graph {
  const graph = new Graph();
  const parameters = parameterNodes(graph, STATES.parameters, table);
  const image = graph.input('image', imageShape(architecture, 1, size));
  if (hasDecoder(architecture.heads)) {
    const { global, local } = unet(graph, parameters, image);
    graph.output('pooled', globalAverage(graph, global));
    graph.output('local', local);
    return graph;
  }
  const levels = encoder(graph, parameters, image);
  graph.output('pooled', globalAverage(graph, levels[4]));
  for (const [level, node] of levels.entries()) graph.output(`level${level}`, node);
  return graph;
}

/** @param everything `gradient` also gives out.* */
export function methodProgram(
  {
    architecture,
    size,
    samples = 1,
    batch,
    lossScaling = false,
    judgedSamples = 1,
    carried = [],
    graphs = () => ({}),
  }: MethodProgramOptions,
  build: BuildForward,
  everything = false,
): { program: Program; table: ParameterTable } {
  const table = parameterTable(architecture);
  const begin = (count: number, withOutputs: boolean) => {
    const graph = new Graph();
    const parameters = parameterNodes(graph, STATES.parameters, table);
    const { losses, outputs } = build(graph, parameters, count);
    if (withOutputs) for (const [name, node] of Object.entries(outputs)) graph.output(`out.${name}`, node);
    return { graph, parameters, losses };
  };
  const step = begin(samples, everything);
  const gradient = gradientGraph(step.graph, step.losses, {
    table,
    parameters: step.parameters,
    share: samples / batch,
    lossScaling,
  });
  const judged = begin(judgedSamples, true);
  outputLosses(judged.graph, judged.losses);
  return {
    program: trainingProgramOf(
      table,
      { gradient, judge: judged.graph, features: probedFeaturesGraph(architecture, size, table), ...graphs(table) },
      { carried },
    ),
    table,
  };
}
