/** Volume Fusion as a program: the U-Net with one 3x3x3 convolution tells the level of fusion of every voxel; cross-entropy and Dice, 1 : 1. */
import type { Graph } from '../../engine/graph.ts';
import { crossEntropyLoss } from '../../engine/ops/cross-entropy/cross-entropy.ts';
import { diceLoss } from '../../engine/ops/dice/dice.ts';
import { softmax } from '../../engine/ops/softmax/softmax.ts';
import { segmentationHead } from '../../model/heads.ts';
import type { ParameterNodes } from '../../model/parameters.ts';
import { unet } from '../../model/unet.ts';
import { type Forward, imageShape, type MethodProgramOptions, methodProgram } from '../method-program.ts';

/** Inputs view (N, channels, D, H, W) and truth (N, K, D, H, W), one-hot; output out.logits (N, K, D, H, W); losses crossEntropy and dice. */
export function fusionProgram(options: MethodProgramOptions) {
  const { architecture, size } = options;
  const build = (graph: Graph, parameters: ParameterNodes, samples: number): Forward => {
    const view = graph.input('view', imageShape(architecture, samples, size));
    const truth = graph.input('truth', [samples, architecture.heads.segmentation!, ...size]);
    const logits = segmentationHead(graph, parameters, unet(graph, parameters, view).local);
    return {
      losses: [
        { name: 'crossEntropy', node: crossEntropyLoss(graph, logits, truth) },
        { name: 'dice', node: diceLoss(graph, softmax(graph, logits), truth) },
      ],
      outputs: { logits },
    };
  };
  return methodProgram(options, build);
}
