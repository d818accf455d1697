/** A trained network of a model folder, open on a backend of this machine; and what every call that applies one to files is told. */
import { UsageError } from '../../common/errors.ts';
import { type Progress, type ProgressListener, toProgress } from '../../common/progress.ts';
import type { Backend, BackendName } from '../../engine/backend.ts';
import { readModel, resolveModel, resolveModels } from '../../model/node/model-folder.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { type Input, modelInputs } from '../../platform/node/guard.ts';
import { availableBytes } from '../../platform/node/limits.ts';
import { availableTo } from '../../platform/node/memory.ts';
import type { Part } from '../../platform/node/parts.ts';
import {
  type MemoryLimits,
  type Modality,
  OpenNetwork,
  type TrainedNetwork,
  trainedNetwork,
  type WindowOptions,
} from '../network.ts';

/** How a model is opened. */
export interface OpenOptions {
  /** What computes. Default 'cpu'. */
  readonly backend?: Backend | BackendName;
  /** Threads of the backend 'cpu'. Default: all that are of use. */
  readonly threads?: number;
  /** What the images are, for a model that does not say. */
  readonly modality?: Modality;
}

/** What every call is told that applies a model to files. */
export interface ApplyCall extends OpenOptions, WindowOptions {
  /** A model folder, or a run (its best state); or a model that is open already, with which backend and modality are given. */
  readonly model: string | OpenNetwork;
  /** Folder for the results. */
  readonly out: string;
  /** Replaces files of the results' names that no earlier call wrote (or that were changed since); inputs never. */
  readonly overwrite?: boolean;
  readonly progress?: ProgressListener;
  /** Ends the work before the next window: the call then rejects with the signal's reason; images that are finished stay. */
  readonly signal?: AbortSignal;
  /** Of a DICOM folder with several: its number as listed, or its UID. */
  readonly series?: string;
  /** Of images with several channels (4D, several values a voxel), the one to take, from 0. */
  readonly channel?: number;
}

/**
 * Reads the network of a folder or run.
 * @throws RunError for a model that is missing or damaged; UsageError if the modality is missing or another than its own
 */
export async function readNetwork(path: string, modality?: Modality): Promise<TrainedNetwork> {
  const folder = await resolveModel(path);
  const { configuration, parameters } = await readModel(folder);
  return trainedNetwork(folder, configuration, parameters, modality);
}

export const openBackend = ({ backend = 'cpu', threads }: OpenOptions): Promise<Backend> =>
  typeof backend === 'string' ? createBackend(backend, threads) : Promise.resolve(backend);

/** What this machine has for a backend's sessions, and beside them. */
export const memoryFor = (backend: Backend): MemoryLimits => ({ session: () => availableTo(backend), results: availableBytes });

/** What every call is told that applies one model or several together. */
export interface TaskCall extends Omit<ApplyCall, 'model'> {
  /**
   * Model folders or runs, whose probabilities are averaged; a cross-validation means the models of all its folds. Or models that are open already,
   * with which backend and modality are given.
   */
  readonly model: string | readonly string[] | OpenNetwork;
  /** Only the images of a part, by their names: for job arrays, which may share a folder of results. */
  readonly part?: Part | undefined;
}

/** Reads the networks of folders, runs and cross-validations: see `readNetwork`. */
export async function readNetworks(paths: string | readonly string[], modality?: Modality): Promise<TrainedNetwork[]> {
  const networks: TrainedNetwork[] = [];
  for (const path of typeof paths === 'string' ? [paths] : paths)
    for (const folder of await resolveModels(path)) {
      if (networks.some((network) => network.folder === folder))
        throw new UsageError(`\`model\` ${path}: is named twice; each model counts once in the mean`);
      networks.push(await readNetwork(folder, modality));
    }
  if (networks.length === 0) throw new UsageError('`model`: expected at least one model');
  return networks;
}

/** Where the models of a call lie, for the guard of what is read. */
export const modelInputsOf = async ({ model }: Pick<TaskCall, 'model'>): Promise<Input[]> => {
  const paths = typeof model === 'string' ? [model] : 'networks' in model ? model.networks.map(({ folder }) => folder) : model;
  const folders = await Promise.all(paths.map((path) => resolveModels(path).catch(() => [])));
  return (await Promise.all([...new Set([...paths, ...folders.flat()])].map((path) => modelInputs(path)))).flat();
};

/** What a report says of the models. */
export const modelsOf = ({ networks }: OpenNetwork): { folder: string; step: number }[] =>
  networks.map(({ folder, configuration }) => ({ folder, step: configuration.step }));

/** Applies the models of a call, and closes them afterwards if they were opened here. */
export async function withNetwork<Result>(
  call: TaskCall,
  work: (open: OpenNetwork, progress: Progress) => Promise<Result>,
): Promise<Result> {
  const { model, modality } = call;
  const progress = toProgress(call.progress);
  if (typeof model !== 'string' && 'networks' in model) {
    for (const name of ['modality', 'backend', 'threads'] as const)
      if (call[name] !== undefined) throw new UsageError(`\`${name}\`: the model is open already; give it to load`);
    return model.exclusive(() => work(model, progress));
  }
  const networks = await readNetworks(model, modality);
  const backend = await openBackend(call);
  const open = new OpenNetwork(networks, backend, memoryFor(backend));
  try {
    return await work(open, progress);
  } finally {
    await open.close();
  }
}
