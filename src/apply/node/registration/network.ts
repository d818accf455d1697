/** The trained network of a model folder, ready to match: its architecture, its parameters, and how images must be prepared for it. */

import type { PrepareOptions } from '../../../cohort/prepare-options.ts';
import { WorkError } from '../../../common/errors.ts';
import { architectureOf, preprocessingOf, trainedPatch } from '../../../model/configuration.ts';
import { flatTensor } from '../../../model/named-parameters.ts';
import { readModel, resolveModel } from '../../../model/node/model-folder.ts';
import { parameterTable } from '../../../model/parameters.ts';
import type { MatchingNetwork } from '../../registration/match.ts';

/** A matching network of a folder. */
export interface StoredNetwork extends MatchingNetwork {
  readonly folder: string;
  readonly preprocessing: PrepareOptions;
  readonly step: number;
}

/**
 * Reads the model of a folder or run.
 * @param modality what the user says of the images
 * @throws WorkError for a model that is missing, damaged, or cannot match; UsageError if the modality is missing or another than its own
 */
export async function readMatchingNetwork(path: string, modality?: 'ct' | 'mr'): Promise<StoredNetwork> {
  const folder = await resolveModel(path);
  const { configuration, parameters } = await readModel(folder);
  if (!configuration.architecture.heads.matching)
    throw new WorkError(
      `${folder}: this network has no matching head, so it cannot lay one image onto another; use a model that was pre-trained with it`,
    );
  const architecture = architectureOf(configuration, folder);
  return {
    folder,
    architecture,
    parameters: flatTensor(parameterTable(architecture), parameters, folder),
    preprocessing: preprocessingOf(configuration, folder, modality),
    trainedPatch: trainedPatch(configuration),
    step: configuration.step,
  };
}
