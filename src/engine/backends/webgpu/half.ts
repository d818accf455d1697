/** What is stored in half precision: which nodes, so that half the memory and traffic cost no more than rounding of features. */
import type { Graph, Node } from '../../graph.ts';
import type { OperationName } from '../../ops/registry.ts';
import { storageRoot } from '../../plan.ts';

/** Whose result may be stored in half precision: feature maps and their gradients. */
const HALVED: ReadonlySet<string> = new Set<OperationName>([
  'add',
  'concat',
  'conv3d',
  'conv3dInputGradient',
  'groupNorm',
  'groupNormInputGradient',
  'maxPool',
  'maxPoolGradient',
  'pad',
  'crop',
  'slice',
  'spatialBroadcast',
  'upsample',
  'upsampleGradient',
  'warp',
]);
/** What must get single precision: it turns features into results. */
const KEEP_SINGLE: ReadonlySet<string> = new Set<OperationName>([
  'softmax',
  'probabilities',
  'crossEntropy',
  'crossEntropyGradient',
  'dice',
  'diceGradient',
]);
/** Fewer channels are images, flows and fields. */
const FEATURE_CHANNELS = 8;

/** The nodes of a graph whose results are stored in half precision. Sums, losses, weights and their gradients, and outputs never are. */
export function halfPrecisionNodes(graph: Graph): ReadonlySet<Node> {
  const single = new Set([...graph.outputs.values()].map(storageRoot));
  for (const { op, inputs } of graph.nodes)
    if (KEEP_SINGLE.has(op.name)) for (const each of inputs) single.add(storageRoot(each));
  return new Set(
    graph.nodes.filter(
      (node) =>
        HALVED.has(node.op.name) &&
        !single.has(node) &&
        node.shape.length === 5 &&
        node.shape[1] >= FEATURE_CHANNELS &&
        node.shape[4] % 2 === 0,
    ),
  );
}
