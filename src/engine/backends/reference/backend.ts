/**
 * The plain backend: dense arrays, one kernel after another, in the graph's order. It is there to be read and to be compared with:
 * everything inside a session, states included, is double precision, and only what comes out is rounded to single.
 */

import type { Backend, Session } from '../../backend.ts';
import { constantOp, elementCount, type Graph, inputOp, isOp, type Node, type Program, stateOp } from '../../graph.ts';
import { checkInputs, graphOf } from '../../inputs.ts';
import { stopGradientOp, viewOp } from '../../ops/shape/shape.ts';
import { guarded } from '../../session.ts';
import { verifyProgram } from '../../verify.ts';
import type { NearTies, ReferenceKernel } from './kernel.ts';
import { REFERENCE_KERNELS } from './kernels.ts';

/** Bytes of everything at once, since nothing is given back before the run ends. */
function graphBytes(graph: Graph): number {
  return graph.nodes.reduce((sum, node) => sum + (node.op.alias ? 0 : 8 * elementCount(node.shape)), 0);
}

function runGraph(
  graph: Graph,
  states: ReadonlyMap<string, Float64Array>,
  given: Readonly<Record<string, Float32Array>>,
  ties: NearTies | undefined,
): Map<Node, Float64Array> {
  const values = new Map<Node, Float64Array>();
  const tensorOf = (node: Node): Float64Array => values.get(node)!;
  for (const node of graph.nodes) {
    if (isOp(node, inputOp)) values.set(node, Float64Array.from(given[node.attributes.name]));
    else if (isOp(node, stateOp)) values.set(node, states.get(node.attributes.name)!);
    else if (isOp(node, constantOp)) values.set(node, Float64Array.from(node.attributes.values));
    else if (isOp(node, stopGradientOp)) values.set(node, tensorOf(node.inputs[0]));
    else if (isOp(node, viewOp)) {
      const { offset } = node.attributes;
      values.set(node, tensorOf(node.inputs[0]).subarray(offset, offset + elementCount(node.shape)));
    } else {
      const { op, attributes, shape } = node;
      const kernel = (REFERENCE_KERNELS as Readonly<Record<string, ReferenceKernel<unknown>>>)[op.name];
      if (!kernel) throw new Error(`the reference backend has no kernel for ${op.name}`);
      const out = new Float64Array(op.writes ? 0 : elementCount(shape));
      const inputs = node.inputs.map(tensorOf);
      const inputShapes = node.inputs.map((each) => each.shape);
      kernel({ inputs, inputShapes, out, shape, attributes, ...(ties && { ties }) });
      values.set(node, out);
    }
  }
  return values;
}

/** The plain backend. `ties`: what becomes of near-ties; left out, the gradient goes where the values say, be it by ever so little. */
export function referenceBackend({ ties }: { readonly ties?: NearTies } = {}): Backend {
  const memoryBytes = (program: Program): number =>
    [...program.states.values()].reduce((sum, shape) => sum + 8 * elementCount(shape), 0) +
    Math.max(0, ...[...program.graphs.values()].map(graphBytes));
  return {
    name: 'reference',
    description: 'plain TypeScript, one thread (slow: for checking)',
    memoryLimitBytes: Number.MAX_SAFE_INTEGER,
    memoryBytes,
    open: async (program) => {
      verifyProgram(program);
      const states = new Map([...program.states].map(([name, shape]) => [name, new Float64Array(elementCount(shape))]));
      const stateOf = (name: string): Float64Array => {
        const values = states.get(name);
        if (!values) throw new Error(`no state '${name}' in this program`);
        return values;
      };
      const session: Session = {
        memoryBytes: memoryBytes(program),
        run: async (name, inputs, outputs) => {
          const graph = graphOf(program, name);
          checkInputs(name, graph, inputs);
          const values = runGraph(graph, states, inputs, ties);
          const wanted = outputs ?? [...graph.outputs.keys()];
          return Object.fromEntries(
            wanted.map((output) => {
              const node = graph.outputs.get(output);
              if (!node) throw new Error(`graph '${name}' has no output '${output}'`);
              return [output, Float32Array.from(values.get(node)!)];
            }),
          );
        },
        readState: async (name) => Float32Array.from(stateOf(name)),
        writeState: async (name, values) => {
          const target = stateOf(name);
          if (values.length !== target.length)
            throw new Error(`state '${name}' has ${target.length} values, got ${values.length}`);
          target.set(values);
        },
        close: async () => {},
      };
      return guarded(session);
    },
  };
}
