/** Which nodes need no memory of their own, because they are parts of others. */

import { constantOp, elementCount, type Graph, inputOp, isOp, type Node, stateOp } from '../../graph.ts';
import { concatOp, type SliceAttributes, sliceOp } from '../../ops/concat/concat.ts';
import { storageRoot } from '../../plan.ts';

/** How far from each other nodes may be for one to lie in the other's memory: it keeps the whole alive as long as the part. */
const NEAR = 8;

/** A part of another node's memory. */
export interface Part {
  readonly whole: Node;
  /** In elements. */
  readonly offset: number;
  readonly pieces?: { readonly run: number; readonly stride: number };
}

/** The piece of `length` along an axis of (N, C, ...), from `start` on. */
function partOf(whole: Node, { axis, start, length }: SliceAttributes): Part {
  const inner = elementCount(whole.shape.slice(axis + 1));
  const pieces = { run: length * inner, stride: whole.shape[axis] * inner };
  const offset = start * inner;
  // one piece: all along the first axis, or a single sample
  return elementCount(whole.shape.slice(0, axis)) === 1 ? { whole, offset } : { whole, offset, pieces };
}

const ownsMemory = (node: Node): boolean => !isOp(node, stateOp) && !isOp(node, constantOp) && !node.op.alias;

/**
 * What needs no copy: a slice lies where it is cut from, and what is joined is computed where it belongs in the whole. Only where the part
 * does not keep the whole alive for much longer.
 */
export function partsOf(graph: Graph, isHalf: (node: Node) => boolean): ReadonlyMap<Node, Part> {
  const lastUse = new Map<Node, number>();
  for (const node of graph.nodes) for (const each of node.inputs) lastUse.set(each, node.id);
  const outputs = new Set([...graph.outputs.values()].map(storageRoot));
  const seenAsOthers = new Set(graph.nodes.filter(({ op }) => op.alias).map(storageRoot));
  const parts = new Map<Node, Part>();
  const wholes = new Set<Node>();
  const put = (node: Node, part: Part): void => {
    parts.set(node, part);
    wholes.add(part.whole);
  };
  for (const node of graph.nodes) {
    if (isOp(node, sliceOp)) {
      const whole = node.inputs[0];
      const keptUntil = Math.max(lastUse.get(whole)!, node.id + NEAR);
      if (
        ownsMemory(whole) &&
        !parts.has(whole) &&
        !outputs.has(node) &&
        isHalf(node) === isHalf(whole) &&
        lastUse.get(node)! <= keptUntil
      )
        put(node, partOf(whole, node.attributes));
    }
    if (isOp(node, concatOp)) {
      const { axis } = node.attributes;
      let start = 0;
      for (const each of node.inputs) {
        // what stands in it several times is copied to each of its places
        const isOnce = node.inputs.indexOf(each) === node.inputs.lastIndexOf(each);
        const alone = isOnce && !outputs.has(each) && !parts.has(each) && !isOp(each, inputOp);
        if (
          ownsMemory(each) &&
          alone &&
          !wholes.has(each) &&
          !seenAsOthers.has(each) &&
          each.id >= node.id - NEAR &&
          isHalf(each) === isHalf(node)
        )
          put(each, partOf(node, { axis, start, length: each.shape[axis] }));
        start += each.shape[axis];
      }
    }
  }
  return parts;
}
