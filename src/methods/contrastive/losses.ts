/**
 * What pairs of views of one sample are compared by: NT-Xent (Chen et al., A Simple Framework for Contrastive Learning of Visual
 * Representations, ICML 2020), which also tells them from all other samples, and cosines alone, one side held constant (Grill et al., Bootstrap
 * Your Own Latent, NeurIPS 2020; Chen and He, Exploring Simple Siamese Representation Learning, CVPR 2021).
 */
import { checkShape, formatShape, type Graph, type Node } from '../../engine/graph.ts';
import { crossEntropyLoss } from '../../engine/ops/cross-entropy/cross-entropy.ts';
import { add, scale } from '../../engine/ops/elementwise/elementwise.ts';
import { matmul } from '../../engine/ops/matmul/matmul.ts';
import { cosineSimilarity, l2Normalize } from '../../engine/ops/normalize/normalize.ts';
import { mean } from '../../engine/ops/reduce/reduce.ts';
import { stopGradient } from '../../engine/ops/shape/shape.ts';

/**
 * The mean over all views of -log (e(partner) / sum of e over all views but itself), e = exp(cosine / temperature).
 * @param z (2 N, C): rows k and k + N are the two views of a sample. At least two samples: one alone has nothing to be told from.
 * @param temperature above 0
 */
export function ntXent(graph: Graph, z: Node, temperature: number): Node {
  const [views] = z.shape;
  checkShape(
    z.shape.length === 2 && views % 2 === 0 && views >= 4,
    'ntXent',
    () => `needs two views of at least two samples (2 N, C), got ${formatShape(z.shape)}`,
  );
  const u = l2Normalize(graph, z);
  // A view is not compared with itself: so far below all others, which are within 1 / temperature of zero, that its exponential is 0 exactly, yet
  // a number even in half precision, which infinity times zero would not be.
  const far = -1000 - 2 / temperature;
  const square = (value: (row: number, column: number) => number): Node =>
    graph.constant(
      Float32Array.from({ length: views * views }, (_, i) => value(Math.floor(i / views), i % views)),
      [views, views],
    );
  const itself = square((row, column) => (row === column ? far : 0));
  const partner = square((row, column) => ((row + views / 2) % views === column ? 1 : 0));
  const logits = add(graph, scale(graph, matmul(graph, u, u, 'b'), 1 / temperature), itself);
  return crossEntropyLoss(graph, logits, partner);
}

/** The mean over samples of the cosine between what was predicted and what is so, (N, C) both; the latter held constant. */
export const meanCosine = (graph: Graph, prediction: Node, target: Node): Node =>
  mean(graph, cosineSimilarity(graph, prediction, stopGradient(graph, target)));
