/** A trained network of a model folder, ready to be applied to images at windows of the size it was trained with. */

import type { PrepareOptions } from '../../cohort/prepare-options.ts';
import { UsageError, WorkError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import type { Progress } from '../../common/progress.ts';
import type { Backend, Session } from '../../engine/backend.ts';
import type { Program } from '../../engine/graph.ts';
import type { Zyx } from '../../geometry/volume.ts';
import type { Architecture } from '../../model/architecture.ts';
import { architectureOf, preprocessingOf, type Task } from '../../model/configuration.ts';
import { flatTensor } from '../../model/named-parameters.ts';
import { type Model, readModel, resolveModel } from '../../model/node/model-folder.ts';
import { STATES } from '../../model/optimizer.ts';
import { type ParameterTable, parameterTable } from '../../model/parameters.ts';
import { availableTo } from '../../platform/node/memory.ts';

/** What every command that applies a model is told. */
export interface ApplyCall {
  /** Model folder, or a run. */
  readonly model: string;
  /** Folder for the results. */
  readonly out: string;
  /** Replaces files of the results' names that no earlier call wrote (or that were changed since); inputs never. */
  readonly overwrite?: boolean;
  readonly backend: Backend;
  readonly progress: Progress;
  /** What the images are, for a model that does not say. */
  readonly modality?: 'ct' | 'mr';
  /** Of a DICOM folder with several: its number as listed, or its UID. */
  readonly series?: string;
  /** Of images with several channels (4D, several values a voxel), the one to take, from 0. */
  readonly channel?: number;
  /** 'z,y,x' or one side; the crops' of training if not said. */
  readonly window?: string;
  /** Minimum overlap of neighbouring windows, as a fraction of the side. Default 0.5. */
  readonly overlap?: number;
}

export interface TrainedNetwork {
  readonly folder: string;
  readonly configuration: Model['configuration'];
  readonly architecture: Architecture;
  readonly parameters: Float32Array;
  readonly preprocessing: PrepareOptions;
}

/**
 * Reads the network of a folder or run.
 * @param task what it must have been trained for; undefined: any network will do
 * @throws WorkError for a model that is missing, damaged or for something else; UsageError if the modality is missing or another than its own
 */
export async function readNetwork(path: string, modality?: 'ct' | 'mr', task?: Task['kind']): Promise<TrainedNetwork> {
  const folder = await resolveModel(path);
  const { configuration, parameters } = await readModel(folder);
  const has = configuration.task?.kind;
  if (task !== undefined && has !== task)
    throw new WorkError(
      `${folder}: ${has ? `a network for ${has}` : 'a network without a head for a task'}; expected one for ${task}: train it with gvsl train ${task} --init ${path}`,
    );
  const architecture = architectureOf(configuration, folder);
  return {
    folder,
    configuration,
    architecture,
    parameters: flatTensor(parameterTable(architecture), parameters, folder),
    preprocessing: preprocessingOf(configuration, folder, modality),
  };
}

/** Opens a session of a program with the network's parameters. @throws WorkError if it does not fit into memory */
export async function openNetwork(
  { parameters }: Pick<TrainedNetwork, 'parameters'>,
  backend: Backend,
  { program }: { readonly program: Program; readonly table: ParameterTable },
  window: Zyx,
): Promise<Session> {
  const [needed, available] = [backend.memoryBytes(program), availableTo(backend)];
  if (needed > available.bytes)
    throw new WorkError(
      `too little memory: windows of ${window.join(' x ')} need ${formatBytes(needed)}; there are ${formatBytes(available.bytes)} (${available.limit}). Choose smaller windows with \`window\``,
    );
  const session = await backend.open(program);
  await session.writeState(STATES.parameters, parameters);
  return session;
}

/** The window as an option gives it: one side or 'z,y,x'. @throws UsageError if it is no size */
export function windowOf(text: string | undefined, otherwise: Zyx): Zyx {
  if (text === undefined) return otherwise;
  const sides = text.split(/[,x]/).map(Number);
  if (![1, 3].includes(sides.length) || sides.some((side) => !Number.isInteger(side) || side < 8 || side > 512))
    throw new UsageError(`\`window\` ${text}: expected one side from 8 to 512 voxels, or three as z,y,x`);
  const [z, y = z, x = z] = sides as [number, number?, number?];
  return [z, y, x];
}
