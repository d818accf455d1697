/**
 * The memory plan: where in one arena each tensor of a graph lies, from the first node that needs it to the last.
 *
 * Lifetimes come from the order of the nodes. Aliases (views, slices of the batch) live in their root's memory. Placing is greedy:
 * the largest tensors first, each at the lowest offset at which nothing that lives at the same time stands. This knows nothing of
 * layouts: a backend says how many bytes a tensor takes and which scratch a node wants.
 */
import { RunError } from '../common/errors.ts';
import { formatBytes } from '../common/format-bytes.ts';
import { type Graph, inputOp, isOp, type Node } from './graph.ts';

/** Every tensor starts at a multiple of this: a cache line, and enough for any vector. */
export const ALIGNMENT_BYTES = 64;
export const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

/** One piece of the arena. */
export interface Allocation {
  readonly offset: number;
  readonly sizeBytes: number;
  /** Index of the node that first and last uses it. */
  readonly from: number;
  readonly to: number;
  /** What it is for, as the printed plan says it. */
  readonly label: string;
}

export interface MemoryPlan {
  /** By root node id: where its tensor lies. */
  readonly tensors: ReadonlyMap<number, Allocation>;
  /** By node id: its scratch, alive during that node alone. */
  readonly scratch: ReadonlyMap<number, Allocation>;
  readonly arenaBytes: number;
}

/** The node whose memory this node's result lies in. */
export function storageRoot(node: Node): Node {
  let root = node;
  while (root.op.alias) root = root.inputs[0];
  return root;
}

interface Request {
  readonly key: number;
  readonly kind: 'tensor' | 'scratch';
  readonly sizeBytes: number;
  readonly from: number;
  to: number;
  readonly label: string;
}

export interface PlanOptions {
  /**
   * For how many nodes before and after its own a piece of that size keeps its memory to itself (default: 0). What a backend runs at the same
   * time must not share memory; of small pieces that costs little.
   */
  readonly slackOf?: (sizeBytes: number) => number;
  /** The arena is cut into pages of this size, and nothing lies on two. */
  readonly pageBytes?: number;
}

/**
 * Plans one graph. `sizeOf` is 0 for what needs no arena memory of its own (states, constants kept elsewhere, parts of others), `scratchOf`
 * likewise. `rootOf` names the node in whose memory a node's result lies; a backend may know of more aliases than the operations say.
 */
export function planMemory(
  graph: Graph,
  sizeOf: (node: Node) => number,
  scratchOf: (node: Node) => number,
  rootOf: (node: Node) => Node = storageRoot,
  { pageBytes = Number.POSITIVE_INFINITY, slackOf = () => 0 }: PlanOptions = {},
): MemoryPlan {
  const requests = new Map<number, Request>();
  const scratchRequests: Request[] = [];
  for (const node of graph.nodes) {
    if (!node.op.writes) {
      // a root may come after the first of its parts
      const root = rootOf(node);
      const sizeBytes = align(sizeOf(root));
      const request = requests.get(root.id);
      if (request) request.to = node.id;
      else if (sizeBytes > 0) {
        const from = isOp(node, inputOp) ? 0 : node.id;
        requests.set(root.id, { key: root.id, kind: 'tensor', sizeBytes, from, to: node.id, label: root.op.name });
      }
    }
    for (const each of node.inputs) {
      const request = requests.get(rootOf(each).id);
      if (request) request.to = node.id;
    }
    const scratchBytes = align(scratchOf(node));
    if (scratchBytes > 0) {
      scratchRequests.push({
        key: node.id,
        kind: 'scratch',
        sizeBytes: scratchBytes,
        from: node.id,
        to: node.id,
        label: `${node.op.name} scratch`,
      });
    }
  }
  for (const node of graph.outputs.values()) {
    const request = requests.get(rootOf(node).id);
    if (request) request.to = graph.nodes.length;
  }

  const tensors = new Map<number, Allocation>();
  const scratch = new Map<number, Allocation>();
  const placed: Allocation[] = []; // kept sorted by offset
  let arenaBytes = 0;
  const order = [...requests.values(), ...scratchRequests].sort(
    (a, b) => b.sizeBytes - a.sizeBytes || a.from - b.from || a.key - b.key,
  );
  for (const request of order) {
    const onOnePage = (from: number): number =>
      Math.floor(from / pageBytes) === Math.floor((from + request.sizeBytes - 1) / pageBytes)
        ? from
        : Math.ceil(from / pageBytes) * pageBytes;
    if (request.sizeBytes > pageBytes)
      throw new RunError(
        `a tensor (${request.label}) takes ${formatBytes(request.sizeBytes)}, and this device allows ${formatBytes(pageBytes)} for one`,
      );
    const slack = slackOf(request.sizeBytes);
    let offset = 0;
    for (const other of placed) {
      const apart = Math.max(slack, slackOf(other.sizeBytes));
      if (other.to + apart < request.from || other.from - apart > request.to) continue;
      if (other.offset >= offset + request.sizeBytes) break;
      offset = Math.max(offset, onOnePage(other.offset + other.sizeBytes));
    }
    const { sizeBytes, from, to, label } = request;
    const allocation: Allocation = { offset, sizeBytes, from, to, label };
    const place = placed.findIndex((other) => other.offset > offset);
    placed.splice(place < 0 ? placed.length : place, 0, allocation);
    (request.kind === 'tensor' ? tensors : scratch).set(request.key, allocation);
    arenaBytes = Math.max(arenaBytes, offset + sizeBytes);
  }
  return { tensors, scratch, arenaBytes };
}
