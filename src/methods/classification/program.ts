/**
 * Telling classes of images apart, as a program: the encoder's f^g averaged, one linear layer, cross-entropy. Rotation prediction and DeepCluster
 * differ in what the classes are. The decoder is not part of the network.
 */
import type { Graph } from '../../engine/graph.ts';
import { crossEntropyLoss } from '../../engine/ops/cross-entropy/cross-entropy.ts';
import { classificationHead } from '../../model/heads.ts';
import type { ParameterNodes } from '../../model/parameters.ts';
import { encoder } from '../../model/unet.ts';
import { type Forward, imageShape, type MethodProgramOptions, methodProgram } from '../method-program.ts';

/** Inputs view (N, channels, D, H, W) and class (N, K), one-hot; output out.logits (N, K); loss crossEntropy. K is the architecture's. */
export function classificationProgram(options: MethodProgramOptions, everything = false) {
  const { architecture, size } = options;
  const classes = architecture.heads.classification;
  if (classes === undefined) throw new Error('classificationProgram: expected an architecture with a classification head');
  const build = (graph: Graph, parameters: ParameterNodes, samples: number): Forward => {
    const view = graph.input('view', imageShape(architecture, samples, size));
    const truth = graph.input('class', [samples, classes]);
    const logits = classificationHead(graph, parameters, encoder(graph, parameters, view)[4]);
    return { losses: [{ name: 'crossEntropy', node: crossEntropyLoss(graph, logits, truth) }], outputs: { logits } };
  };
  return methodProgram(options, build, everything);
}
