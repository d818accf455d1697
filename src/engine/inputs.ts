/** Checks that every backend makes before it runs a graph. */
import { elementCount, formatShape, type Graph, type Program } from './graph.ts';

/** Checks that `given` holds each declared input with its number of elements. */
export function checkInputs(name: string, graph: Graph, given: Readonly<Record<string, Float32Array>>): void {
  for (const [inputName, node] of graph.inputs) {
    const values = given[inputName];
    const expected = elementCount(node.shape);
    if (values?.length !== expected) {
      throw new Error(
        `graph '${name}': input '${inputName}' expects ${expected} values ${formatShape(node.shape)}, got ${values?.length ?? 'nothing'}`,
      );
    }
  }
}

/** The graph of that name, or an error that lists the names. */
export function graphOf(program: Program, name: string): Graph {
  const graph = program.graphs.get(name);
  if (!graph) throw new Error(`no graph '${name}' in this program (it has ${[...program.graphs.keys()].join(', ')})`);
  return graph;
}
