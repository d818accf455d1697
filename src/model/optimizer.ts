/**
 * What every training program has beside its gradients: four flat states, the norms of the gradients by part of the network, and Adam's update.
 */
import { Graph, type Node } from '../engine/graph.ts';
import { ADAM_DEFAULTS, ADAM_STEP_VALUES, adam } from '../engine/ops/adam/adam.ts';
import { add, multiply } from '../engine/ops/elementwise/elementwise.ts';
import { sumOfSquares } from '../engine/ops/reduce/reduce.ts';
import { view } from '../engine/ops/shape/shape.ts';
import { type Parameter, type ParameterTable, rangesOf } from './parameters.ts';

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
  head: /^(out_conv|out_levels|fc)\./,
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

/** What a parameter's learning rate is multiplied by. */
export type RateFactor = (parameter: Parameter) => number;

/** The input `step` at `factor` times its learning rate, whose decay is as much stronger. */
const stepAt = (graph: Graph, step: Node, factor: number): Node =>
  factor === 1
    ? step
    : add(
        graph,
        multiply(graph, step, graph.constant(Float32Array.of(factor, 1, factor, 1), [ADAM_STEP_VALUES])),
        graph.constant(Float32Array.of(0, 0, 1 - factor, 0), [ADAM_STEP_VALUES]),
      );

/**
 * input step, see `adamStep`: moves the parameters, and makes the gradients zero. Weight decay is for parameters of two and more dimensions.
 * @param trained the others stay as they are, and do not decay; by default all of the table
 */
export function updateGraph(
  { flatLength, parameters }: ParameterTable,
  trained: readonly Parameter[] = parameters,
  rateFactor: RateFactor = () => 1,
): Graph {
  const graph = new Graph();
  const input = graph.input('step', [ADAM_STEP_VALUES]);
  for (const factor of new Set(trained.map(rateFactor))) {
    const step = stepAt(graph, input, factor);
    for (const { offset, length, decays } of rangesOf(trained.filter((each) => rateFactor(each) === factor))) {
      const part = (name: string): Node => view(graph, graph.state(name, [flatLength]), offset, [length]);
      const states = [
        part(STATES.parameters),
        part(STATES.firstMoment),
        part(STATES.secondMoment),
        part(STATES.gradients),
      ] as const;
      adam(graph, states, step, { ...ADAM_DEFAULTS, decays });
    }
  }
  return graph;
}
