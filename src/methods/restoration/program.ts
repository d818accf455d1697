/**
 * Restoration as a program: the network is shown a changed image and asked for the image, by the head that GVSL restores with. Denoising,
 * in-painting, Models Genesis and MAE differ in what is changed, and in the voxels that count.
 */
import type { Graph } from '../../engine/graph.ts';
import { maskedMseLoss, mseLoss } from '../../engine/ops/mse/mse.ts';
import { restorationHead } from '../../model/heads.ts';
import type { ParameterNodes } from '../../model/parameters.ts';
import { unet } from '../../model/unet.ts';
import { type Forward, imageShape, type MethodProgramOptions, methodProgram } from '../method-program.ts';

export interface RestorationProgramOptions extends MethodProgramOptions {
  /** Whether the error is a mean over the voxels of a mask: the input `mask`, 1 there and 0 elsewhere. */
  readonly masked: boolean;
}

/**
 * Inputs view, target and, with `masked`, mask, each (N, channels, D, H, W); output out.restored; loss mse: the mean over samples of each sample's
 * mean squared error (over its masked voxels).
 */
export function restorationProgram(options: RestorationProgramOptions, everything = false) {
  const { architecture, size, masked } = options;
  const build = (graph: Graph, parameters: ParameterNodes, samples: number): Forward => {
    const shape = imageShape(architecture, samples, size);
    const view = graph.input('view', shape);
    const target = graph.input('target', shape);
    const restored = restorationHead(graph, parameters, unet(graph, parameters, view).local);
    const mse = masked ? maskedMseLoss(graph, restored, target, graph.input('mask', shape)) : mseLoss(graph, restored, target);
    return { losses: [{ name: 'mse', node: mse }], outputs: { restored } };
  };
  return methodProgram(options, build, everything);
}
