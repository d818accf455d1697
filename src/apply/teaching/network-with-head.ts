/** A network with a segmentation head that was fitted to its features: a model as `gvsl train segmentation` writes one. */
import { RunError } from '../../common/errors.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { architectureOf, type ModelConfiguration, trainedPatch } from '../../model/configuration.ts';
import { flatTensor, namedTensors } from '../../model/named-parameters.ts';
import { multiLevelParameters, parameterTable } from '../../model/parameters.ts';
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
 * @throws RangeError for a head of other classes; RunError for one of another network
 */
export function networkWithHead(
  network: TrainedNetwork,
  head: SegmentationHead,
  labels: readonly TaughtLabel[],
  facts: Readonly<Record<string, unknown>> = {},
): TrainedNetwork {
  const { configuration, folder } = network;
  if (head.classes !== labels.length)
    throw new RangeError(`networkWithHead: expected a head of ${labels.length} classes, got ${head.classes}`);
  const { classification, ...heads } = configuration.architecture.heads;
  const { postProcessing, pretraining, ...rest } = configuration;
  const [depth, height, width] = trainedPatch(configuration) ?? USUAL_PATCH;
  const taught: ModelConfiguration = {
    ...rest,
    architecture: { ...configuration.architecture, heads: { ...heads, segmentation: head.classes, multiLevel: true } },
    task: { kind: 'segmentation', labels: labels.map(({ code, name }) => ({ code, name })), patch: [depth, height, width] },
    // a pre-training at the top level would say that segmenting is not what the network is for
    pretraining: null,
    training: { taught: facts, pretraining },
  };
  const architecture = architectureOf(taught, folder);
  const tensors = new Map([...namedTensors(parameterTable(network.architecture), network.parameters), ...head.parameters]);
  return {
    ...network,
    configuration: taught,
    architecture,
    parameters: flatTensor(parameterTable(architecture), tensors, folder),
  };
}

/** The multi-level head of a network that was taught. @throws RunError if it has none */
export function headOfNetwork({ architecture, parameters, folder }: TrainedNetwork): SegmentationHead {
  const { segmentation, multiLevel } = architecture.heads;
  if (segmentation === undefined || !multiLevel)
    throw new RunError(`${folder}: it was not taught by strokes: expected a segmentation head that reads all levels`);
  const tensors = namedTensors(parameterTable(architecture), parameters);
  const names = multiLevelParameters(architecture, segmentation).map(({ name }) => name);
  return { classes: segmentation, parameters: new Map(names.map((name) => [name, tensors.get(name)!])) };
}
