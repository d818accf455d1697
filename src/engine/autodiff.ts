/**
 * Reverse-mode differentiation as a graph transformation: appends to a graph the nodes that compute d loss / d each wanted node.
 *
 * Every operation's own rule stands with the operation (ops/NAME/NAME.ts). Here is only the sweep: from the loss backwards,
 * contributions to one node are added in the order in which they arise, which is fixed, so sums have the same bits everywhere.
 */
import { formatShape, type Graph, isOp, type Node, ShapeError, sameShape } from './graph.ts';
import { add } from './ops/elementwise/elementwise.ts';
import { stopGradientOp } from './ops/shape/shape.ts';

/** d loss / d node for each of `wanted`, in their order. `loss` is a scalar. A wanted node that the loss does not depend on is an error. */
export function differentiate(graph: Graph, loss: Node, wanted: readonly Node[]): Node[] {
  if (loss.shape.length !== 0) throw new ShapeError(`differentiate: the loss must be a scalar, got ${formatShape(loss.shape)}`);
  const end = loss.id + 1;
  const leads = new Array<boolean>(end).fill(false);
  for (const node of wanted) if (node.id < end) leads[node.id] = true;
  for (const node of graph.nodes.slice(0, end))
    leads[node.id] ||= !isOp(node, stopGradientOp) && node.inputs.some((each) => leads[each.id]);

  const gradients = new Map<Node, Node>();
  gradients.set(loss, graph.constant([1], []));
  for (let id = end - 1; id >= 0; id--) {
    const node = graph.nodes[id];
    const dOut = gradients.get(node);
    if (!dOut || !leads[id] || node.inputs.length === 0) continue;
    const needs = node.inputs.map((each) => leads[each.id] && !isOp(node, stopGradientOp));
    if (!needs.some(Boolean)) continue;
    if (!node.op.gradient) throw new Error(`differentiate: ${node.op.name} has no gradient`);
    const contributions = node.op.gradient(graph, node, dOut, needs);
    node.inputs.forEach((each, i) => {
      const contribution = contributions[i];
      if (!needs[i] || !contribution) return;
      if (!sameShape(contribution.shape, each.shape)) {
        throw new ShapeError(
          `${node.op.name}: the gradient of input ${i} is ${formatShape(contribution.shape)}, the input ${formatShape(each.shape)}`,
        );
      }
      const before = gradients.get(each);
      gradients.set(each, before ? add(graph, before, contribution) : contribution);
    });
  }
  return wanted.map((node) => {
    const gradient = gradients.get(node);
    if (!gradient)
      throw new Error(`differentiate: the loss does not depend on node ${node.id} (${node.op.name} ${formatShape(node.shape)})`);
    return gradient;
  });
}
