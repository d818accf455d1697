/**
 * An exponential moving average (EMA) of a training's weights (Polyak and Juditsky, 1992; Tarvainen and Valpola, 2017): average = d average +
 * (1 - d) weights after every update. It is a further flat state that follows the parameters; training reads it nowhere. It is what is judged,
 * kept as the model, and applied.
 */
import { Graph, type Program } from '../engine/graph.ts';
import { movingAverage } from '../engine/ops/adam/adam.ts';
import { view } from '../engine/ops/shape/shape.ts';
import { STATES } from './optimizer.ts';
import { type Parameter, type ParameterTable, rangesOf } from './parameters.ts';

/** The state's name, and that of the graph which moves it. */
export const AVERAGE = 'average';

/** The decay of update t (1 is the first): a young average follows sooner, so that the random start is soon forgotten. */
export const averageDecay = (decay: number, t: number): number => Math.min(decay, (1 + t) / (10 + t));

/**
 * A training program with the average. Its graph `average` has the input decay (1).
 * @param trained the others are what they were at the start
 */
export function withAverage(program: Program, { flatLength }: ParameterTable, trained: readonly Parameter[]): Program {
  const graph = new Graph();
  const decay = graph.input('decay', [1]);
  for (const { offset, length } of rangesOf(trained)) {
    const [average, weights] = [AVERAGE, STATES.parameters].map((name) =>
      view(graph, graph.state(name, [flatLength]), offset, [length]),
    );
    movingAverage(graph, average, weights, decay);
  }
  return {
    states: new Map([...program.states, [AVERAGE, [flatLength]]]),
    graphs: new Map([...program.graphs, [AVERAGE, graph]]),
  };
}
