/** A network with a segmentation head that was fitted to its features: a model as `gvsl train segmentation` writes one. */
import type { Zyx } from '../../geometry/volume.ts';
import { architectureOf, type ModelConfiguration, trainedPatch } from '../../model/configuration.ts';
import { flatTensor, namedTensors } from '../../model/named-parameters.ts';
import { parameterTable } from '../../model/parameters.ts';
import type { TrainedNetwork } from '../network.ts';
import type { SegmentationHead } from './fit-head.ts';

/** A class: its code in label maps, and its name. The first is the background. */
export interface TaughtLabel {
  readonly code: number;
  readonly name: string;
}

const USUAL_PATCH: Zyx = [64, 64, 64];

/**
 * The network with the head in place of its own. What it has for other tasks is left out; what registers stays.
 * @param facts how it was taught, for the record
 * @throws RangeError for a head of other classes or channels
 */
export function networkWithHead(
  network: TrainedNetwork,
  head: SegmentationHead,
  labels: readonly TaughtLabel[],
  facts: Readonly<Record<string, unknown>> = {},
): TrainedNetwork {
  const { configuration, folder } = network;
  const channels = network.architecture.widths[8];
  if (head.classes !== labels.length || head.channels !== channels)
    throw new RangeError(
      `networkWithHead: expected a head of ${labels.length} classes and ${channels} channels, got ${head.classes} and ${head.channels}`,
    );
  const { classification, ...heads } = configuration.architecture.heads;
  const { postProcessing, ...rest } = configuration;
  const [depth, height, width] = trainedPatch(configuration) ?? USUAL_PATCH;
  const taught: ModelConfiguration = {
    ...rest,
    architecture: { ...configuration.architecture, heads: { ...heads, segmentation: head.classes } },
    task: { kind: 'segmentation', labels: labels.map(({ code, name }) => ({ code, name })), patch: [depth, height, width] },
    training: { taught: facts },
  };
  const architecture = architectureOf(taught, folder);
  const tensors = namedTensors(parameterTable(network.architecture), network.parameters);
  const add = (name: string, shape: readonly number[], data: Float32Array) => tensors.set(name, { name, shape, data });
  add('out_conv.weight', [head.classes, channels, 3, 3, 3], head.weight);
  add('out_conv.bias', [head.classes], head.bias);
  return {
    ...network,
    configuration: taught,
    architecture,
    parameters: flatTensor(parameterTable(architecture), tensors, folder),
  };
}
