/**
 * Trades a little computing for much memory in a graph that holds a forward and a backward part: what is cheap to compute and large to keep
 * (normalised features, concatenations, up-sampled features) is computed again just before the backward pass needs it, so that of the
 * forward pass little more than one tensor a convolution stays alive. And a gradient is added to its state as soon as it is there.
 *
 * A graph transformation like differentiation: the copies are ordinary nodes, and they give the same bits as the originals.
 */
import { Graph, inputOp, isOp, type Node, stateOp } from './graph.ts';

/** A result that was used so few nodes ago is used once more instead of computed again. */
const REUSE_WINDOW = 12;

/**
 * The same graph with cheap results computed again. `forwardNodes` is how many nodes it had before `differentiate`. Results and effects are the same bit for
 * bit. Effects on a state that nothing else reads, each on a part of its own, move to where their value is ready.
 */
export function recomputeCheap(graph: Graph, forwardNodes: number): Graph {
  const result = new Graph();
  /** For a node of the old graph the newest copy, and how many nodes there were when it was last used. */
  const copies = new Map<Node, { node: Node; usedAt: number }>();

  const emit = (node: Node, inputs: readonly Node[]): Node => {
    if (isOp(node, inputOp)) return result.input(node.attributes.name, node.shape);
    if (isOp(node, stateOp)) return result.state(node.attributes.name, node.shape);
    return result.apply(node.op, inputs, node.attributes);
  };
  /** The node in the new graph, for a use in the forward part or in the backward part. */
  const resolve = (node: Node, backward: boolean): Node => {
    const known = copies.get(node);
    const cheap = backward && node.op.recompute === true && node.id < forwardNodes;
    if (known && (!cheap || result.nodes.length - known.usedAt <= REUSE_WINDOW)) {
      known.usedAt = result.nodes.length;
      return known.node;
    }
    const inputs = node.inputs.map((each) => resolve(each, backward));
    const copy = emit(node, inputs);
    copies.set(node, { node: copy, usedAt: result.nodes.length });
    return copy;
  };

  const early = earlyEffects(graph, forwardNodes);
  const moved = new Set([...early.values()].flat());
  for (const node of graph.nodes) {
    if (moved.has(node)) continue;
    const backward = node.id >= forwardNodes;
    const inputs = node.inputs.map((each) => resolve(each, backward));
    // a state or a part of one may have been asked for already
    if (!copies.has(node)) copies.set(node, { node: emit(node, inputs), usedAt: result.nodes.length });
    for (const effect of early.get(node) ?? []) {
      emit(
        effect,
        effect.inputs.map((each) => resolve(each, true)),
      );
    }
  }
  for (const [name, node] of graph.outputs) result.output(name, copies.get(node)!.node);
  return result;
}

/** Effects that may move, by the node after which they can run. */
function earlyEffects(graph: Graph, forwardNodes: number): Map<Node, Node[]> {
  const isState = (node: Node): boolean => isOp(node, stateOp) || (node.op.alias === true && isState(node.inputs[0]));
  const rootOf = (node: Node): Node => (node.op.alias ? rootOf(node.inputs[0]) : node);
  const effects = graph.nodes.filter(({ op }) => op.writes);
  const targets = effects.flatMap(({ op, inputs }) => inputs.slice(0, op.writes));
  const written = new Set(targets.map(rootOf));
  const parts = new Set(targets.map((node) => JSON.stringify([rootOf(node).id, node.attributes])));
  const readElsewhere = graph.nodes.some(
    ({ op, inputs }) => !op.writes && !op.alias && inputs.some((each) => isState(each) && written.has(rootOf(each))),
  );
  const early = new Map<Node, Node[]>();
  if (readElsewhere || parts.size < targets.length) return early;
  for (const effect of effects) {
    const values = effect.inputs.filter((each) => !isState(each));
    if (values.length === 0) continue;
    const ready = values.reduce((last, each) => (each.id > last.id ? each : last));
    if (ready.id >= forwardNodes) early.set(ready, [...(early.get(ready) ?? []), effect]);
  }
  return early;
}
