/** Derivatives from values alone, to hold the gradients against. */
import { randomStream } from '../../common/random.ts';
import { referenceBackend } from '../backends/reference/backend.ts';
import { elementCount, Graph, type Node } from '../graph.ts';
import { add, scale } from '../ops/elementwise/elementwise.ts';
import { type CaseResult, type OperationCase, objectiveOf, runCases, wantedOf } from './case.ts';

/**
 * The step. The rule below is of fourth order, so of its own it is wrong by some 1e-17; the reference's double precision adds some
 * 1e-16 / STEP. A case must have no kink within two steps, which a step so small rarely meets.
 */
const STEP = 2 ** -14;
/** f'(x) = sum of factor * f(x + steps * STEP) / STEP. */
const RULE = [
  { steps: 2, factor: -1 / 12 },
  { steps: 1, factor: 8 / 12 },
  { steps: -1, factor: -8 / 12 },
  { steps: -2, factor: 1 / 12 },
];
/** The input that says which way the changed one moves: 1 at one place, 0 elsewhere. */
const DIRECTION = 'direction of the change';

/** A wanted gradient at some places: what the graph says, and what differences of the values say. */
export interface GradientCheck {
  readonly input: string;
  readonly places: readonly number[];
  readonly got: readonly number[];
  readonly want: readonly number[];
}

/** A graph whose output 'quotient' is the difference quotient of the objective: taken inside, before anything is rounded to single. */
function quotientGraph(each: OperationCase, changed: string): Graph {
  const graph = new Graph();
  const nodes: Record<string, Node> = {};
  for (const [name, { shape }] of Object.entries(each.inputs)) nodes[name] = graph.input(name, shape);
  const direction = graph.input(DIRECTION, each.inputs[changed].shape);
  const terms = RULE.map(({ steps, factor }) => {
    const moved = add(graph, nodes[changed], scale(graph, direction, steps * STEP));
    return scale(graph, objectiveOf(graph, each, each.build(graph, { ...nodes, [changed]: moved })), factor / STEP);
  });
  graph.output(
    'quotient',
    terms.reduce((sum, term) => add(graph, sum, term)),
  );
  return graph;
}

/** Checks up to `probes` random elements of every wanted input of a case, on the reference backend. */
export async function centralDifferences(each: OperationCase, probes = 10): Promise<GradientCheck[]> {
  const backend = referenceBackend();
  const [result] = (await runCases(backend, [each])) as [CaseResult];
  const given = Object.fromEntries(Object.entries(each.inputs).map(([name, { values }]) => [name, values]));
  const graphs = new Map(wantedOf(each).map((input) => [input, quotientGraph(each, input)]));
  const session = await backend.open({ states: new Map(), graphs });
  const checks: GradientCheck[] = [];
  for (const input of wantedOf(each)) {
    const gradient = result[`d ${input}`].values;
    const places = [...randomStream(1, 'probes', input).permutation(gradient.length)].slice(0, probes);
    const want: number[] = [];
    for (const place of places) {
      const direction = new Float32Array(elementCount(each.inputs[input].shape));
      direction[place] = 1;
      const { quotient } = await session.run(input, { ...given, [DIRECTION]: direction });
      want.push(quotient[0]);
    }
    checks.push({ input, places, got: places.map((place) => gradient[place]), want });
  }
  return checks;
}
