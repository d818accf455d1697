/**
 * The verifier: checks every node of a program before a backend sees it, so that a wrong graph is an error at once and by name,
 * not a wrong number later. It trusts nothing that the builder did.
 */
import { elementCount, formatShape, type Graph, isOp, type Node, type Program, sameShape, stateOp } from './graph.ts';

/** The state behind a node, through views; undefined for a computed tensor. */
export function stateOf(node: Node): string | undefined {
  let root = node;
  while (root.op.alias) root = root.inputs[0];
  return isOp(root, stateOp) ? root.attributes.name : undefined;
}

function verifyGraph(name: string, graph: Graph, program: Program): void {
  const fail = (node: Node, why: string): never => {
    throw new Error(`graph '${name}', node ${node.id} (${node.op.name} ${formatShape(node.shape)}): ${why}`);
  };
  const written = new Set<string>();
  graph.nodes.forEach((node, index) => {
    if (node.id !== index) fail(node, `stands at place ${index}`);
    for (const each of node.inputs) {
      if (graph.nodes[each.id] !== each) fail(node, `input ${each.op.name} is not of this graph`);
      if (each.id >= index) fail(node, `reads node ${each.id}, which comes later`);
      if (each.op.writes) fail(node, `reads the effect ${each.op.name}, which has no result`);
    }
    const shape = node.op.shape(
      node.inputs.map((each) => each.shape),
      node.attributes,
    );
    if (!sameShape(shape, node.shape)) fail(node, `its shape rule says ${formatShape(shape)}`);
    if (!node.shape.every((size) => Number.isInteger(size) && size > 0)) fail(node, 'sizes must be whole numbers above 0');
    if (elementCount(node.shape) * 4 > 2 ** 32) fail(node, 'is larger than 4 GiB');
    if (isOp(node, stateOp)) {
      const stateName = node.attributes.name;
      const declared = program.states.get(stateName);
      if (!declared) fail(node, `state '${stateName}' is not declared by the program`);
      else if (!sameShape(declared, node.shape)) fail(node, `state '${stateName}' is declared ${formatShape(declared)}`);
    }
    const writes = node.op.writes ?? 0;
    if (!node.op.alias) {
      for (const each of node.inputs.slice(writes)) {
        const read = stateOf(each);
        if (read !== undefined && written.has(read)) fail(node, `reads state '${read}' after an effect has changed it`);
      }
    }
    for (let i = 0; i < writes; i++) {
      const target = stateOf(node.inputs[i]);
      if (target === undefined) fail(node, `input ${i} is changed, so it must be a state or a view of one`);
      else written.add(target);
    }
  });
  for (const [outputName, node] of graph.outputs) {
    if (graph.nodes[node.id] !== node) throw new Error(`graph '${name}': output '${outputName}' is not of this graph`);
    if (node.op.writes) fail(node, `is an effect, so it cannot be output '${outputName}'`);
  }
}

/** Checks a whole program; throws an Error that names graph and node. */
export function verifyProgram(program: Program): void {
  for (const [name, graph] of program.graphs) verifyGraph(name, graph, program);
}
