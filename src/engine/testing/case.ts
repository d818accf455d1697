/**
 * One operation under test: its inputs, how to build it, and a program that computes its result and its gradients.
 *
 * The gradients are those of sum(out * weight) with fixed random weights, so that no element's error hides behind another's.
 */
import { randomStream } from '../../common/random.ts';
import { differentiate } from '../autodiff.ts';
import type { Backend, Session } from '../backend.ts';
import { elementCount, Graph, type Node, type Program, type Shape } from '../graph.ts';
import { multiply, scale } from '../ops/elementwise/elementwise.ts';
import { mean } from '../ops/reduce/reduce.ts';
import { view } from '../ops/shape/shape.ts';

export interface Tensor {
  readonly shape: Shape;
  readonly values: Float32Array;
}

export type Build = (graph: Graph, inputs: Readonly<Record<string, Node>>) => Node;

export interface OperationCase {
  /** Unique among the cases that run together. */
  readonly title: string;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly build: Build;
  /** Inputs that come as views of one flat state, as a network's parameters do; none where left out. */
  readonly parameters?: readonly string[];
  /** Inputs whose gradients are taken; all where left out. */
  readonly wanted?: readonly string[];
  /** Weights of the objective, one for each element of the result; random where left out. */
  readonly outWeight?: Float32Array;
  /** How far a backend in single precision may be off (see compare.ts); 1e-5 where left out. */
  readonly tolerance?: number;
}

/** 'out', and 'd NAME' for each wanted input. */
export type CaseResult = Readonly<Record<string, Tensor>>;

export const tensor = (shape: Shape, values: ArrayLike<number>): Tensor => ({ shape, values: Float32Array.from(values) });

/** The names whose gradients are taken. */
export const wantedOf = (each: OperationCase): readonly string[] => each.wanted ?? Object.keys(each.inputs);

const stateName = (each: OperationCase): string => `parameters of ${each.title}`;
const parametersOf = (each: OperationCase): readonly Tensor[] => (each.parameters ?? []).map((name) => each.inputs[name]);

/** The weights of the objective. */
function outWeightOf(each: OperationCase, shape: Shape): Float32Array {
  if (each.outWeight) return each.outWeight;
  const random = randomStream(1, 'weight', each.title);
  return Float32Array.from({ length: elementCount(shape) }, () => random.normal());
}

/** sum(out * weight), whose gradients are taken. */
export function objectiveOf(graph: Graph, each: OperationCase, out: Node): Node {
  const weighted = multiply(graph, out, graph.constant(outWeightOf(each, out.shape), out.shape));
  return scale(graph, mean(graph, weighted), elementCount(out.shape));
}

/** A graph with the outputs 'out' and 'd NAME'. */
export function caseGraph(each: OperationCase): Graph {
  const graph = new Graph();
  const size = parametersOf(each).reduce((sum, { shape }) => sum + elementCount(shape), 0);
  let offset = 0;
  const nodes: Record<string, Node> = {};
  for (const name of each.parameters ?? []) {
    const { shape } = each.inputs[name];
    nodes[name] = view(graph, graph.state(stateName(each), [size]), offset, shape);
    offset += elementCount(shape);
  }
  for (const [name, { shape }] of Object.entries(each.inputs)) nodes[name] ??= graph.input(name, shape);
  const out = each.build(graph, nodes);
  graph.output('out', out);
  const wanted = wantedOf(each);
  if (wanted.length === 0) return graph;
  const gradients = differentiate(
    graph,
    objectiveOf(graph, each, out),
    wanted.map((name) => nodes[name]),
  );
  gradients.forEach((gradient, i) => {
    graph.output(`d ${wanted[i]}`, gradient);
  });
  return graph;
}

/** The program of some cases: one graph for each, by its title. */
export function caseProgram(cases: readonly OperationCase[]): Program {
  const withParameters = cases.filter((each) => each.parameters?.length);
  return {
    states: new Map(
      withParameters.map((each) => [stateName(each), [parametersOf(each).reduce((sum, { values }) => sum + values.length, 0)]]),
    ),
    graphs: new Map(cases.map((each) => [each.title, caseGraph(each)])),
  };
}

/** Runs one case in a session of a program that has it. */
export async function runCase(session: Session, each: OperationCase): Promise<Record<string, Float32Array>> {
  const parameters = parametersOf(each).flatMap(({ values }) => [...values]);
  if (parameters.length > 0) await session.writeState(stateName(each), Float32Array.from(parameters));
  const given = Object.entries(each.inputs).filter(([name]) => !each.parameters?.includes(name));
  return session.run(each.title, Object.fromEntries(given.map(([name, { values }]) => [name, values])));
}

/** All cases on one backend, in one session. */
export async function runCases(backend: Backend, cases: readonly OperationCase[]): Promise<CaseResult[]> {
  const program = caseProgram(cases);
  const session = await backend.open(program);
  try {
    const results: CaseResult[] = [];
    for (const each of cases) {
      const outputs = program.graphs.get(each.title)!.outputs;
      const values = await runCase(session, each);
      results.push(Object.fromEntries([...outputs].map(([name, { shape }]) => [name, { shape, values: values[name] }])));
    }
    return results;
  } finally {
    await session.close();
  }
}
