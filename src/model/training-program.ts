/** The program of any training: from losses to gradients that are added up, their norms, and Adam's update. */
import type { Graph, Node, Program, Shape } from '../engine/graph.ts';
import { accumulate } from '../engine/ops/adam/adam.ts';
import { add, scale } from '../engine/ops/elementwise/elementwise.ts';
import { view } from '../engine/ops/shape/shape.ts';
import { recomputeCheap } from '../engine/recompute.ts';
import { gradientsOf } from './loss-scaling.ts';
import { normsGraph, type RateFactor, STATES, updateGraph } from './optimizer.ts';
import type { Parameter, ParameterNodes, ParameterTable } from './parameters.ts';

/** A loss of a step. */
export interface WeightedLoss {
  /** The graph's output is `loss.NAME`. */
  readonly name: string;
  /** A scalar: the mean over the samples of a run. */
  readonly node: Node;
  /** Default 1. */
  readonly weight?: number;
}

export interface GradientOptions {
  readonly table: ParameterTable;
  /** Of the state `parameters`. */
  readonly parameters: ParameterNodes;
  /** Those that are trained; by default all of the table. */
  readonly trained?: readonly Parameter[];
  /** What a run's samples are of the batch: 1 / batch where each is run by itself. */
  readonly share: number;
  /** Whether the loss is scaled, by the inputs of `lossScaleInputs`: for half precision. */
  readonly lossScaling?: boolean | undefined;
}

/** Makes each loss the output `loss.NAME`, and their weighted sum `loss.total`. @returns the sum */
export function outputLosses(graph: Graph, losses: readonly WeightedLoss[]): Node {
  if (losses.length === 0) throw new Error('outputLosses: no loss: there is nothing to learn');
  const weighted = losses.map(({ node, weight = 1 }) => (weight === 1 ? node : scale(graph, node, weight)));
  const total = weighted.reduce((sum, node) => add(graph, sum, node));
  for (const { name, node } of losses) graph.output(`loss.${name}`, node);
  graph.output('loss.total', total);
  return total;
}

/**
 * The graph `gradient` of a step: it gives each loss and their weighted sum, `loss.total`, and adds the gradients to the state `gradients`.
 * @param graph with the losses in it, and whatever else it gives; it is used up
 */
export function gradientGraph(
  graph: Graph,
  losses: readonly WeightedLoss[],
  { table, parameters, trained = table.parameters, share, lossScaling = false }: GradientOptions,
): Graph {
  const total = outputLosses(graph, losses);
  const forwardNodes = graph.nodes.length;
  const gradients = gradientsOf(
    graph,
    total,
    trained.map(({ name }) => parameters(name)),
    lossScaling,
  );
  const flat = graph.state(STATES.gradients, [table.flatLength]);
  trained.forEach(({ offset, shape }, i) => {
    accumulate(graph, view(graph, flat, offset, shape), gradients[i], share);
  });
  return recomputeCheap(graph, forwardNodes);
}

/**
 * The program of a training: `gradient` with `norms` and `update`, and further graphs by name, on the four flat states of a table.
 * @param options `trained`: the parameters that `update` moves, by default all of the table; `carried`: names of further states of that shape;
 * `rateFactor`: what a parameter's learning rate is multiplied by
 */
export function trainingProgramOf(
  table: ParameterTable,
  graphs: Readonly<Record<string, Graph>>,
  {
    trained,
    carried = [],
    rateFactor,
  }: { readonly trained?: readonly Parameter[]; readonly carried?: readonly string[]; readonly rateFactor?: RateFactor } = {},
): Program {
  const { gradient, ...others } = graphs;
  if (!gradient) throw new Error("trainingProgramOf: expected a graph 'gradient'");
  return {
    states: new Map([...Object.values(STATES), ...carried].map((name) => [name, [table.flatLength] as Shape])),
    graphs: new Map([
      ['gradient', gradient],
      ['norms', normsGraph(table)],
      ['update', updateGraph(table, trained, rateFactor)],
      ...Object.entries(others),
    ]),
  };
}
