/**
 * From a program to dispatches and memory: every node is lowered once, with symbolic places; then the memory plan says where tensors and
 * scratch lie. The arena is cut into pages, since one binding may not be larger than the adapter allows: no tensor straddles two.
 */

import {
  constantOp,
  elementCount,
  type Graph,
  inputOp,
  isOp,
  type Node,
  type Program,
  type Shape,
  stateOp,
} from '../../graph.ts';
import { stopGradientOp, viewOp } from '../../ops/shape/shape.ts';
import { type MemoryPlan, planMemory } from '../../plan.ts';
import { halfPrecisionNodes } from './half.ts';
import { bytesOf, type Dispatch, type WebGpuKernel, type WebGpuTensor } from './kernel.ts';
import { WEBGPU_KERNELS } from './kernels.ts';
import { partsOf } from './parts.ts';

/** Every tensor of the arena starts at a multiple of this: the alignment of bindings. */
export const BINDING_ALIGNMENT = 256;
export const alignBinding = (bytes: number): number => Math.ceil(bytes / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;

export interface CompiledGraph {
  readonly graph: Graph;
  readonly plan: MemoryPlan;
  readonly calls: readonly { readonly dispatch: Dispatch; readonly node: Node }[];
  readonly tensorOf: (node: Node) => WebGpuTensor;
}

/** The constants of all graphs, one after another in a buffer of their own: the arena changes under them. */
class Constants {
  readonly all: { readonly at: number; readonly values: Float32Array }[] = [];
  elements = 0;
  /** Where they will lie, in elements. */
  place(values: Float32Array): number {
    const at = this.elements;
    this.all.push({ at, values });
    this.elements += alignBinding(4 * values.length) / 4;
    return at;
  }
}

export interface CompiledProgram {
  readonly constants: Constants;
  readonly graphs: ReadonlyMap<string, CompiledGraph>;
  readonly stateBytes: ReadonlyMap<string, number>;
  readonly arenaBytes: number;
  readonly totalBytes: number;
}

function compileGraph(graph: Graph, { pageBytes, half }: CompileOptions, constants: Constants): CompiledGraph {
  const halved = half ? halfPrecisionNodes(graph) : new Set<Node>();
  const parts = partsOf(graph, (node) => halved.has(node));
  const rootOf = (node: Node): Node => {
    const whole = parts.get(node)?.whole ?? (node.op.alias ? node.inputs[0] : undefined);
    return whole ? rootOf(whole) : node;
  };
  const tensors = new Map<Node, WebGpuTensor>();
  const calls: { dispatch: Dispatch; node: Node }[] = [];
  const scratchBytes = new Map<number, number>();
  for (const node of graph.nodes) {
    const { shape, op } = node;
    const at = (place: WebGpuTensor['place']): void => {
      tensors.set(node, { shape, elements: elementCount(shape), place, half: halved.has(node) });
    };
    if (isOp(node, stateOp)) at({ kind: 'state', name: node.attributes.name, offset: 0 });
    else if (isOp(node, constantOp)) at({ kind: 'constant', offset: constants.place(node.attributes.values) });
    else if (isOp(node, stopGradientOp)) tensors.set(node, tensors.get(node.inputs[0])!);
    else if (isOp(node, viewOp)) {
      const { place } = tensors.get(node.inputs[0])!;
      at({ ...place, offset: place.offset + node.attributes.offset });
    } else {
      const part = parts.get(node);
      if (part) {
        const { whole, offset, pieces } = part;
        tensors.set(node, {
          shape,
          elements: elementCount(shape),
          place: { kind: 'node', id: whole.id, offset },
          half: halved.has(node),
          ...(pieces && { pieces }),
        });
        // cut out of what is there; but a slice that is joined with others is copied to where it belongs
        if (whole === node.inputs[0]) continue;
      } else at({ kind: 'node', id: node.id, offset: 0 });
      if (isOp(node, inputOp)) continue;
      const kernel = (WEBGPU_KERNELS as Readonly<Record<string, WebGpuKernel<unknown>>>)[op.name];
      if (!kernel) throw new Error(`the WebGPU backend has no kernel for ${op.name}`);
      let used = 0;
      const scratch = (of: Shape): WebGpuTensor => {
        const offset = used / 4;
        used += alignBinding(4 * elementCount(of));
        return { shape: of, elements: elementCount(of), place: { kind: 'scratch', id: node.id, offset } };
      };
      kernel(
        { inputs: node.inputs.map((each) => tensors.get(each)!), out: tensors.get(node)!, attributes: node.attributes },
        { dispatch: (dispatch) => calls.push({ dispatch, node }), scratch },
      );
      scratchBytes.set(node.id, used);
    }
  }
  const plan = planMemory(
    graph,
    (node) => (isOp(node, stateOp) || isOp(node, constantOp) ? 0 : alignBinding(bytesOf(tensors.get(node)!))),
    (node) => scratchBytes.get(node.id) ?? 0,
    rootOf,
    { pageBytes },
  );
  return { graph, plan, calls, tensorOf: (node) => tensors.get(node)! };
}

export interface CompileOptions {
  /** The largest piece of memory in one binding. */
  readonly pageBytes: number;
  /** Store feature maps and their gradients in half precision. */
  readonly half?: boolean;
}

/** Compiles a verified program. Takes no memory itself. */
export function compileProgram(program: Program, options: CompileOptions): CompiledProgram {
  const constants = new Constants();
  const graphs = new Map([...program.graphs].map(([name, graph]) => [name, compileGraph(graph, options, constants)]));
  const stateBytes = new Map([...program.states].map(([name, shape]) => [name, alignBinding(4 * elementCount(shape))]));
  const arenaBytes = Math.max(0, ...[...graphs.values()].map(({ plan }) => plan.arenaBytes));
  const states = [...stateBytes.values()].reduce((sum, bytes) => sum + bytes, 0);
  return { graphs, constants, stateBytes, arenaBytes, totalBytes: states + 4 * constants.elements + arenaBytes };
}
