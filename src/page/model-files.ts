/** A model folder's two files, read in the browser. */

import type { PrepareOptions } from '../cohort/prepare-options.ts';
import { WorkError } from '../common/errors.ts';
import { parseJson } from '../common/json.ts';
import type { Architecture } from '../model/architecture.ts';
import {
  architectureOf,
  CONFIG_FILE,
  MODEL_FILE,
  type ModelConfiguration,
  parseModelConfiguration,
  preprocessingOf,
} from '../model/configuration.ts';
import { flatTensor } from '../model/named-parameters.ts';
import { parameterTable } from '../model/parameters.ts';
import { decodeTensor, LENGTH_BYTES, type NamedTensor, parseHeader, readHeaderLength } from '../model/safetensors.ts';

export interface ModelFiles {
  /** The folder's name. */
  readonly name: string;
  readonly config: string;
  readonly weights: ArrayBuffer;
}

export interface OpenModel {
  readonly configuration: ModelConfiguration;
  readonly architecture: Architecture;
  readonly parameters: Float32Array;
  readonly preprocessing: PrepareOptions;
}

function tensorsOf(weights: ArrayBuffer, source: string): Map<string, NamedTensor> {
  const bytes = new Uint8Array(weights);
  const headerBytes = readHeaderLength(bytes.subarray(0, LENGTH_BYTES), bytes.length, source);
  const { tensors } = parseHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes), bytes.length, source);
  return new Map(
    [...tensors].map(([name, { dtype, shape, offset, sizeBytes }]) => [
      name,
      { name, shape, data: decodeTensor(dtype, bytes.slice(offset, offset + sizeBytes)) },
    ]),
  );
}

/** @throws WorkError or UsageError naming the file and what is wrong with it */
export function openModelFiles({ name, config, weights }: ModelFiles): OpenModel {
  let document: unknown;
  try {
    document = parseJson(config);
  } catch (error) {
    throw new WorkError(`${name}/${CONFIG_FILE}: cannot be read as JSON: ${(error as Error).message}`);
  }
  const configuration = parseModelConfiguration(document, `${name}/${CONFIG_FILE}`);
  const architecture = architectureOf(configuration, name);
  const source = `${name}/${MODEL_FILE}`;
  return {
    configuration,
    architecture,
    parameters: flatTensor(parameterTable(architecture), tensorsOf(weights, source), source),
    preprocessing: preprocessingOf(configuration, name, undefined),
  };
}
