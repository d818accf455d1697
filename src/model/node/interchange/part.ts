/** Part of a network: what one use of it needs, and nothing else. */
import { RunError } from '../../../common/errors.ts';
import { type Heads, hasDecoder, NO_HEADS } from '../../architecture.ts';
import { architectureOf, type ModelConfiguration } from '../../configuration.ts';
import { flatTensor, namedTensors } from '../../named-parameters.ts';
import { parameterTable } from '../../parameters.ts';
import type { Model } from '../model-folder.ts';

export const PARTS = ['segmenter', 'backbone', 'classifier', 'encoder'] as const;
/** The U-Net with a segmentation head; the U-Net alone; the encoder with a classification head; the encoder of a network without a decoder. */
export type NetworkPart = (typeof PARTS)[number];

/** What a network is for, if nobody says: its task, else the features of its backbone. What pre-training told apart is nobody's task. */
export function usualPart({
  architecture: { heads },
  pretraining,
}: Pick<ModelConfiguration, 'architecture' | 'pretraining'>): NetworkPart {
  if (!hasDecoder(heads)) return pretraining ? 'encoder' : 'classifier';
  return heads.segmentation !== undefined && !pretraining ? 'segmenter' : 'backbone';
}

/**
 * A model reduced to a part: its parameters, in the table's order, and a configuration of its own.
 * @param folder for the errors
 * @throws RunError if the network has no such part
 */
export function takePart(model: Model, part: NetworkPart, folder: string): Model {
  const { configuration, parameters } = model;
  const { heads, ...backbone } = configuration.architecture;
  const absent = (what: string): never => {
    throw new RunError(`${folder}: has no ${what}; use \`part\` ${usualPart(configuration)}`);
  };
  if (part === 'segmenter' && heads.segmentation === undefined) absent('segmentation head');
  if (part === 'classifier' && heads.classification === undefined) absent('classification head');
  if (part === 'backbone' && !hasDecoder(heads)) absent('decoder: it is the encoder with a classification head');
  if (part === 'encoder' && hasDecoder(heads)) absent('encoder alone: it has a decoder');
  // the head is what says that there is no decoder, and stays
  const taken: Heads = {
    ...(part === 'encoder' ? heads : NO_HEADS),
    ...(part === 'segmenter' ? { segmentation: heads.segmentation, ...(heads.multiLevel && { multiLevel: true }) } : {}),
    ...(part === 'classifier' ? { classification: heads.classification } : {}),
  };
  const keepsTask = configuration.task !== null && usualPart(configuration) === part;
  const reduced = {
    ...configuration,
    architecture: { ...backbone, heads: taken },
    task: keepsTask ? configuration.task : null,
  };
  const table = parameterTable(architectureOf(reduced, folder));
  return { configuration: reduced, parameters: namedTensors(table, flatTensor(table, parameters, folder)) };
}
