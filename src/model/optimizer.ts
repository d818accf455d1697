/**
 * What every training program has beside its gradients: four flat states, the norms of the gradients by part of the network, and Adam's update.
 */
import { Graph, type Node } from '../engine/graph.ts';
import { adam } from '../engine/ops/adam/adam.ts';
import { add } from '../engine/ops/elementwise/elementwise.ts';
import { sumOfSquares } from '../engine/ops/reduce/reduce.ts';
import { view } from '../engine/ops/shape/shape.ts';
import type { Parameter, ParameterTable } from './parameters.ts';

/** The names of the four flat states. */
export const STATES = {
  parameters: 'parameters',
  gradients: 'gradients',
  firstMoment: 'firstMoment',
  secondMoment: 'secondMoment',
} as const;

/** The parts whose gradient norms are logged, by the parameters' name prefixes. */
const PARTS = {
  backbone: /^unet\./,
  affine: /^(f_conv|fc_)/,
  deformable: /^(sp_conv|out_flow)/,
  restoration: /^res_conv/,
  head: /^(out_conv|fc)\./,
} as const;
export type Part = keyof typeof PARTS;

/** Which part a parameter belongs to; one of a network of the caller's own is its head's. */
export function partOf({ name }: Pick<Parameter, 'name'>): Part {
  for (const [part, pattern] of Object.entries(PARTS)) if (pattern.test(name)) return part as Part;
  return 'head';
}

/** outputs: for each part the squared norm of its gradient. */
export function normsGraph(table: ParameterTable): Graph {
  const graph = new Graph();
  const flat = graph.state(STATES.gradients, [table.flatLength]);
  const sums = new Map<Part, Node>();
  for (const parameter of table.parameters) {
    const part = partOf(parameter);
    const sum = sumOfSquares(graph, view(graph, flat, parameter.offset, parameter.shape));
    const before = sums.get(part);
    sums.set(part, before ? add(graph, before, sum) : sum);
  }
  for (const [part, sum] of sums) graph.output(part, sum);
  return graph;
}

/** input step (2), see `adamStep`: moves the parameters, and makes the gradients zero. */
export function updateGraph(table: ParameterTable): Graph {
  const graph = new Graph();
  const flat = (name: string): Node => graph.state(name, [table.flatLength]);
  const states = [flat(STATES.parameters), flat(STATES.firstMoment), flat(STATES.secondMoment), flat(STATES.gradients)] as const;
  adam(graph, states, graph.input('step', [2]));
  return graph;
}
