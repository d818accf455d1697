/**
 * A trained network in memory, and open on a backend: what everything that applies one stands on, in Node and in a browser. Reading it from a
 * folder is `node/network.ts`.
 */
import { namesOf } from '../cohort/network-image.ts';
import type { PrepareOptions } from '../cohort/prepare-options.ts';
import { RunError, UsageError } from '../common/errors.ts';
import { formatBytes } from '../common/format-bytes.ts';
import { parseJson } from '../common/json.ts';
import type { Backend, Session } from '../engine/backend.ts';
import type { Program } from '../engine/graph.ts';
import type { Zyx } from '../geometry/volume.ts';
import { type Architecture, inputChannelsOf } from '../model/architecture.ts';
import {
  architectureOf,
  CONFIG_FILE,
  MODEL_FILE,
  type ModelConfiguration,
  parseModelConfiguration,
  preprocessingOf,
  type Task,
  trainedPatch,
} from '../model/configuration.ts';
import { flatTensor, namedTensors } from '../model/named-parameters.ts';
import { STATES } from '../model/optimizer.ts';
import { parameterTable } from '../model/parameters.ts';
import { encodeHeader, type NamedTensor, readTensors } from '../model/safetensors.ts';
import { encoderProgram, featuresProgram, predictionProgram } from '../model/task-programs.ts';
import type { MatchingNetwork } from './registration/match.ts';

export type Modality = 'ct' | 'mr';

export interface TrainedNetwork {
  /** The folder that it was read from, or another name of it: for messages and reports. */
  readonly folder: string;
  readonly configuration: ModelConfiguration;
  readonly architecture: Architecture;
  /** The flat state 'parameters' of its programs. */
  readonly parameters: Float32Array;
  /** How images must be prepared for it. */
  readonly preprocessing: PrepareOptions;
  /** Whether the caller said what the images are: what a file says else is then a warning alone. */
  readonly modalityIsCertain: boolean;
}

/**
 * A network of its configuration and named parameters.
 * @param modality what the images are, for a model that does not say
 * @throws RunError for parameters that are not its architecture's; UsageError if the modality is missing or another than its own
 */
export function trainedNetwork(
  folder: string,
  configuration: ModelConfiguration,
  tensors: ReadonlyMap<string, NamedTensor>,
  modality?: Modality,
): TrainedNetwork {
  const architecture = architectureOf(configuration, folder);
  return {
    folder,
    configuration,
    architecture,
    parameters: flatTensor(parameterTable(architecture), tensors, folder),
    preprocessing: preprocessingOf(configuration, folder, modality),
    modalityIsCertain: modality !== undefined,
  };
}

/** The contents of the two files of a model folder (docs/file-formats.md). */
export interface ModelFiles {
  /** The folder's name, for messages. */
  readonly name: string;
  /** config.json */
  readonly config: string;
  /** model.safetensors */
  readonly weights: ArrayBuffer;
}

/** A network of the contents of its two files. @throws RunError or UsageError naming the file and what is wrong with it */
export function networkOfFiles({ name, config, weights }: ModelFiles, modality?: Modality): TrainedNetwork {
  let document: unknown;
  try {
    document = parseJson(config);
  } catch (error) {
    throw new RunError(`${name}/${CONFIG_FILE}: cannot be read as JSON: ${(error as Error).message}`);
  }
  const configuration = parseModelConfiguration(document, `${name}/${CONFIG_FILE}`);
  return trainedNetwork(name, configuration, readTensors(new Uint8Array(weights), `${name}/${MODEL_FILE}`), modality);
}

/** The contents of a network's two files: what `networkOfFiles` reads. */
export function filesOfNetwork({ folder, configuration, architecture, parameters }: TrainedNetwork): ModelFiles {
  const tensors = [...namedTensors(parameterTable(architecture), parameters).values()];
  const header = encodeHeader(tensors, { format: 'pt' });
  const weights = new Uint8Array(tensors.reduce((sum, { data }) => sum + data.byteLength, header.length));
  weights.set(header);
  let at = header.length;
  for (const { data } of tensors) {
    weights.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return { name: folder, config: `${JSON.stringify(configuration, null, 2)}\n`, weights: weights.buffer };
}

/** What must be the same of networks that predict together, in words. */
function commonFacts({ configuration, preprocessing }: TrainedNetwork): Readonly<Record<string, string>> {
  const { task, architecture } = configuration;
  const { modality, spacingMm, intensity, crop, channels } = preprocessing;
  return {
    'the task': task?.kind ?? 'none',
    'the label codes': task?.kind === 'segmentation' ? task.labels.map(({ code }) => code).join(', ') : '',
    'the classes': task?.kind === 'classification' ? task.classes.join(', ') : '',
    'the modality': modality,
    'the voxel size (mm)': spacingMm.join(' x '),
    'the scaling of intensities': intensity,
    cropping: crop,
    'the input channels': (channels ?? []).map(({ name, scale }) => `${name} (${scale})`).join(', ') || 'one',
    heads: task ? '' : JSON.stringify(architecture.heads),
  };
}

/** @throws UsageError for networks whose probabilities cannot be averaged, saying in what they differ */
function requireAgreement([first, ...others]: readonly TrainedNetwork[]): void {
  const wanted = commonFacts(first);
  for (const other of others)
    for (const [what, value] of Object.entries(commonFacts(other)))
      if (value !== wanted[what])
        throw new UsageError(
          `these models cannot predict together: ${what} must be the same; ${first.folder}: ${wanted[what]}; ${other.folder}: ${value}`,
        );
}

type TaskOf<Kind extends Task['kind']> = Extract<Task, { kind: Kind }>;

/** What the network tells apart. @throws RunError if it was not trained for that */
export function taskOfNetwork<Kind extends Task['kind']>({ folder, configuration }: TrainedNetwork, kind: Kind): TaskOf<Kind> {
  const { task, architecture, pretraining } = configuration;
  if (!task && !pretraining && architecture.heads[kind] !== undefined)
    throw new RunError(
      `${folder}: has a head for ${kind}, but its weights came without what its outputs mean; add \`task\` to its config.json (docs/file-formats.md), or train it with gvsl train ${kind} --init ${folder}`,
    );
  if (task?.kind !== kind)
    throw new RunError(
      `${folder}: ${task ? `a network for ${task.kind}` : 'a network without a head for a task'}; expected one for ${kind}: train it with gvsl train ${kind} --init ${folder}`,
    );
  return task as TaskOf<Kind>;
}

/** Whether a network can register one image to another. */
export const canRegister = (architecture: Architecture): boolean =>
  architecture.heads.matching && inputChannelsOf(architecture) === 1;

/** The network as what matches images. @throws RunError if it has no matching head, or takes several channels */
export function matchingNetwork({
  folder,
  configuration,
  architecture,
  parameters,
  preprocessing,
}: TrainedNetwork): MatchingNetwork {
  const channels = inputChannelsOf(architecture);
  if (channels > 1)
    throw new RunError(
      `${folder}: this network takes ${channels} channels together (${namesOf(preprocessing)}), and a registration is of one image to one image; use a model that was pre-trained on one channel at a time, or register without a model`,
    );
  if (!architecture.heads.matching)
    throw new RunError(
      `${folder}: this network has no matching head, so it cannot register one image to another; use a model that was pre-trained with it`,
    );
  return { architecture, parameters, trainedPatch: trainedPatch(configuration) };
}

/** Voxels that the network sees at a time: (z, y, x), or one side for all three. */
export type Window = number | Zyx;

const [MIN_SIDE, MAX_SIDE] = [8, 512];
/** Sides of the window if the model does not say what it was trained with. */
const DEFAULT_SIDE = 64;
const DEFAULT_OVERLAP = 0.5;
const MAX_OVERLAP = 0.9;

/** How a network goes over an image. */
export interface WindowOptions {
  /** Default: the crops of training. */
  readonly window?: Window;
  /** Minimum overlap of neighbouring windows, as a fraction of the side, 0 to 0.9. Default 0.5. */
  readonly overlap?: number;
}

/** How windows lie: their size (z, y, x), and the minimum overlap of neighbours. */
export interface WindowPlace {
  readonly window: Zyx;
  readonly overlap: number;
}

/** The windows of networks. @throws UsageError for sizes that are none, or networks that were trained with several if none is given */
export function windowsFor(
  { networks }: Pick<OpenNetwork, 'networks'>,
  { window, overlap = DEFAULT_OVERLAP }: WindowOptions,
): WindowPlace {
  if (!(overlap >= 0 && overlap <= MAX_OVERLAP))
    throw new UsageError(`\`overlap\` ${overlap}: expected a share from 0 to ${MAX_OVERLAP}`);
  if (window === undefined) {
    const trained = networks.map(({ configuration }) => trainedPatch(configuration));
    const [patch] = trained;
    const other = trained.findIndex((one) => one?.join() !== patch?.join());
    if (other > 0)
      throw new UsageError(
        `these models were trained with different patch sizes (${networks[0].folder}: ${patch?.join(' x ') ?? 'unknown'}; ${networks[other].folder}: ${trained[other]?.join(' x ') ?? 'unknown'}); choose the window with \`window\``,
      );
    return { window: patch ?? [DEFAULT_SIDE, DEFAULT_SIDE, DEFAULT_SIDE], overlap };
  }
  const sides: Zyx = typeof window === 'number' ? [window, window, window] : window;
  if (sides.length !== 3 || sides.some((side) => !Number.isInteger(side) || side < MIN_SIDE || side > MAX_SIDE))
    throw new UsageError(
      `\`window\` ${new Set(sides).size === 1 ? sides[0] : sides.join(',')}: expected one side from ${MIN_SIDE} to ${MAX_SIDE} voxels, or three as z,y,x`,
    );
  return { window: sides, overlap };
}

export interface AvailableMemory {
  readonly bytes: number;
  /** What limits it, in words. */
  readonly limit: string;
}

/** How much memory may be taken now, by a session of the backend and by results. */
export interface MemoryLimits {
  session(): AvailableMemory;
  results(): AvailableMemory;
}

/** Opens a session of a program with these parameters. @throws RunError if it does not fit into memory */
export async function openSession(
  parameters: Float32Array,
  backend: Backend,
  program: Program,
  window: Zyx,
  available: AvailableMemory,
): Promise<Session> {
  const needed = backend.memoryBytes(program);
  const limit =
    available.bytes <= backend.memoryLimitBytes
      ? available
      : { bytes: backend.memoryLimitBytes, limit: `the maximum that the backend ${backend.name} can address` };
  if (needed > limit.bytes)
    throw new RunError(
      `not enough memory: windows of ${window.join(' x ')} need ${formatBytes(needed)}; available: ${formatBytes(limit.bytes)} (${limit.limit}). Choose smaller windows with \`window\``,
    );
  const session = await backend.open(program);
  await session.writeState(STATES.parameters, parameters);
  return session;
}

const PROGRAMS = { predict: predictionProgram, features: featuresProgram, encoder: encoderProgram };

/** A network among those that predict together, with the session that runs it. */
export interface OpenMember {
  readonly session: Session;
  /** Puts the network's parameters into the session, which networks of one architecture share. */
  load(): Promise<void>;
}

/** A session, and whose parameters it has. */
interface HeldSession {
  readonly session: Session;
  loaded: TrainedNetwork;
}

/**
 * A network, or several that predict together, open on a backend. It owns the backend's memory that it takes: `close` gives it back. Networks of one
 * architecture take turns in one session, so that several need little more memory than one.
 */
export class OpenNetwork {
  /** The first of them: how images are prepared and what labels mean is the same for all. */
  readonly network: TrainedNetwork;
  readonly networks: readonly TrainedNetwork[];
  readonly backend: Backend;
  readonly memory: MemoryLimits;
  private held: { readonly key: string; readonly sessions: Map<string, HeldSession> } = { key: '', sessions: new Map() };
  private last: Promise<unknown> = Promise.resolve();
  private isClosed = false;

  /** @throws UsageError for networks that do not predict the same of the same images */
  constructor(networks: TrainedNetwork | readonly TrainedNetwork[], backend: Backend, memory: MemoryLimits) {
    this.networks = 'folder' in networks ? [networks] : networks;
    [this.network] = this.networks;
    requireAgreement(this.networks);
    this.backend = backend;
    this.memory = memory;
  }

  /**
   * The only network. @throws UsageError if there are several
   * @param what needs one, as the subject of a sentence: 'registration'
   */
  only(what: string): TrainedNetwork {
    if (this.networks.length > 1)
      throw new UsageError(
        `${what} takes one model; got ${this.networks.length}: ${this.networks.map(({ folder }) => folder).join(', ')}`,
      );
    return this.network;
  }

  /**
   * The first network's session of the program with the graph `predict` (a task's probabilities) or `features` (of the encoder alone: 'encoder'). The last ones are kept for the
   * next image; what was another's is closed.
   */
  async session(graph: keyof typeof PROGRAMS, window: Zyx): Promise<Session> {
    const [{ session, load }] = await this.members(graph, window, [this.network]);
    await load();
    return session;
  }

  /** Every network's session: see `session`. */
  async members(
    graph: keyof typeof PROGRAMS,
    window: Zyx,
    networks: readonly TrainedNetwork[] = this.networks,
  ): Promise<readonly OpenMember[]> {
    const key = [graph, ...window].join();
    if (this.held.key !== key) await this.release();
    const { sessions } = this.held;
    this.held = { key, sessions };
    const members: OpenMember[] = [];
    for (const network of networks) {
      const { architecture, parameters } = network;
      const kind = JSON.stringify(architecture);
      let held = sessions.get(kind);
      if (!held) {
        const { program } = PROGRAMS[graph](architecture, window);
        held = { session: await openSession(parameters, this.backend, program, window, this.memory.session()), loaded: network };
        sessions.set(kind, held);
      }
      const mine = held;
      members.push({
        session: mine.session,
        load: async () => {
          if (mine.loaded === network) return;
          await mine.session.writeState(STATES.parameters, parameters);
          mine.loaded = network;
        },
      });
    }
    return members;
  }

  /** Gives the sessions' memory back; the next image opens others. */
  async release(): Promise<void> {
    const { sessions } = this.held;
    this.held = { key: '', sessions: new Map() };
    for (const { session } of sessions.values()) await session.close();
  }

  /** Calls on one network run one after another. @throws Error once it is closed */
  async exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = this.last;
    const mine = before.then(() => {
      if (this.isClosed) throw new Error(`${this.network.folder}: the model is closed`);
      return work();
    });
    this.last = mine.catch(() => {});
    return mine;
  }

  /** Waits for what was begun, and gives all memory back. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    await this.exclusive(() => this.release());
    this.isClosed = true;
  }
}
