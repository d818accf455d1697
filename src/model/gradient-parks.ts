/**
 * Places where sums of gradients are set aside while others are added up, so that the gradients of a step are added in a tree
 * (src/training/gradient-tree.ts). Each is a flat state, with three graphs: `park.K` copies the gradients there, `clear.K` makes them zero then, `fold.K`
 * adds what is there to them.
 */
import { Graph, type Node, type Program, type Shape } from '../engine/graph.ts';
import { accumulate, movingAverage } from '../engine/ops/adam/adam.ts';
import { STATES } from './optimizer.ts';
import type { ParameterTable } from './parameters.ts';

/** The name of a place's state. */
export const parkState = (place: number): string => `parked.${place}`;

/** How many places a program has. */
export function parksIn({ states }: Program): number {
  let count = 0;
  while (states.has(parkState(count))) count++;
  return count;
}

/** A training program with so many places. */
export function withParks(program: Program, { flatLength }: ParameterTable, count: number): Program {
  const graphs = new Map(program.graphs);
  const states = new Map(program.states);
  for (let place = 0; place < count; place++) {
    states.set(parkState(place), [flatLength] as Shape);
    const graphOf = (build: (graph: Graph, gradients: Node, parked: Node) => void): Graph => {
      const graph = new Graph();
      build(graph, graph.state(STATES.gradients, [flatLength]), graph.state(parkState(place), [flatLength]));
      return graph;
    };
    graphs.set(
      `park.${place}`,
      graphOf((graph, gradients, parked) => movingAverage(graph, parked, gradients, graph.constant(Float32Array.of(0), [1]))),
    );
    // less what was just copied, which is zero exactly, and never minus zero
    graphs.set(
      `clear.${place}`,
      graphOf((graph, gradients, parked) => accumulate(graph, gradients, parked, -1)),
    );
    graphs.set(
      `fold.${place}`,
      graphOf((graph, gradients, parked) => accumulate(graph, gradients, parked)),
    );
  }
  return { states, graphs };
}
