/**
 * Fine-tuning a network on labelled images in memory: the program, examples, steps and judgement of `gvsl train segmentation`, without a run's
 * files. Equal images, configuration and backend give the parameters that the command line gives, bit for bit.
 */
import type { MemoryLimits, TrainedNetwork } from '../../apply/network.ts';
import { type MemorySubject, memoryReader } from '../../cohort/memory-subjects.ts';
import { channelCount } from '../../cohort/prepare-options.ts';
import { RunError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import type { Backend, Session } from '../../engine/backend.ts';
import { listen } from '../../engine/stoppable.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import type { EvaluationRecord } from '../../methods/method.ts';
import { type Architecture, NO_HEADS, scaledArchitecture } from '../../model/architecture.ts';
import { configurationOf, type Task } from '../../model/configuration.ts';
import { namedTensors } from '../../model/named-parameters.ts';
import { STATES } from '../../model/optimizer.ts';
import { type ParameterTable, parameterTable } from '../../model/parameters.ts';
import { transferProgram } from '../../model/task-programs.ts';
import { isBackbone, startFrom } from '../start.ts';
import { trainStep, updateRuleOf } from '../step.ts';
import { headsOf, outputsOf } from './classes.ts';
import { type TransferConfiguration, transferConfigurationSchema, transferPatch } from './configuration.ts';
import { evaluateTask, type TaskEvaluation } from './evaluate.ts';
import { oneHot, type TaskExample, taskExamples } from './examples.ts';

export interface FineTuneRequest {
  readonly network: TrainedNetwork;
  readonly backend: Backend;
  readonly memory: MemoryLimits;
  readonly training: readonly MemorySubject[];
  /** Images that judge; they train only if they are among `training` too. */
  readonly validation: readonly MemorySubject[];
  /** The background first, then the structures: codes that are no class are background. */
  readonly labels: readonly { readonly code: number; readonly name: string }[];
  /** As `gvsl train` takes it; `steps` and its decay are what `run` is told. */
  readonly configuration: Readonly<Record<string, unknown>>;
}

type SegmentationTask = Extract<Task, { kind: 'segmentation' }>;

/** What a step found. */
export interface FineTuneStep {
  /** Steps done. */
  readonly step: number;
  readonly loss: Readonly<Record<string, number>>;
}

export interface FineTuneRun {
  /** Steps in all, those of calls before included; the learning rate falls towards the last. */
  readonly steps: number;
  /** The validation images are judged after so many steps, and at the end; 0: at the end alone. */
  readonly evaluateEvery: number;
  /** Awaited, so that what shows it keeps up. */
  readonly onStep: (step: FineTuneStep) => void | Promise<void>;
  readonly onEvaluation: (step: number, found: EvaluationRecord<TaskEvaluation>) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** Bytes of a session, and of images and copies of parameters beside it. */
const fineTuningBytes = (
  session: number,
  { flatLength }: ParameterTable,
  classes: number,
  patch: Zyx,
  channels: number,
  images: readonly { readonly labels: { readonly data: { readonly length: number; readonly BYTES_PER_ELEMENT: number } } }[],
): number =>
  session +
  images.reduce((sum, { labels: { data } }) => sum + data.length * (4 * channels + data.BYTES_PER_ELEMENT), 0) +
  3 * 4 * flatLength +
  4 * classes * voxelCount(patch);

/** What a fine-tuning of a network will take at most, before its images are prepared. @param voxels of each image, as it will be prepared */
export function estimateFineTuning(
  network: TrainedNetwork,
  backend: Backend,
  { classes, patch, voxels }: { readonly classes: number; readonly patch: Zyx; readonly voxels: readonly number[] },
): number {
  const channels = channelCount(network.preprocessing);
  const { width } = network.configuration.architecture;
  const architecture = scaledArchitecture(width, { ...NO_HEADS, segmentation: classes }, channels);
  const { program, table } = transferProgram({ architecture, size: patch, batch: 1, frozen: false, loss: 'diceCrossEntropy' });
  const images = voxels.map((length) => ({ labels: { data: { length, BYTES_PER_ELEMENT: 1 } } }));
  return fineTuningBytes(backend.memoryBytes(program), table, classes, patch, channels, images);
}

/** Held by the backend until `close`. Calls must not overlap. */
export class FineTuning {
  readonly task: SegmentationTask;
  /** Bytes of the session, and of images and copies beside it. */
  readonly memoryBytes: number;
  private readonly request: FineTuneRequest;
  private readonly architecture: Architecture;
  private readonly session: Session;
  private configuration: TransferConfiguration;
  private done = 0;
  private adamSteps = 0;
  /** The parameters that the validation images judge best, and after how many steps they were. */
  private best: { readonly step: number; readonly score: number; readonly parameters: Float32Array } | undefined;

  private constructor(
    request: FineTuneRequest,
    opened: Pick<FineTuning, 'task' | 'memoryBytes'> & {
      readonly architecture: Architecture;
      readonly session: Session;
      readonly configuration: TransferConfiguration;
    },
  ) {
    this.request = request;
    this.task = opened.task;
    this.memoryBytes = opened.memoryBytes;
    this.architecture = opened.architecture;
    this.session = opened.session;
    this.configuration = opened.configuration;
  }

  /**
   * Opens a session whose backbone is the network's; its head too, if it tells the same classes apart.
   * @throws RunError for too little memory, no labelled image, or a network whose backbone does not fit
   */
  static async open(request: FineTuneRequest): Promise<FineTuning> {
    const { network, backend, memory, training, validation, labels } = request;
    const configuration = transferConfigurationSchema.parse(request.configuration);
    const codes = new Set(training.flatMap(({ subject }) => subject.labelCodes ?? []));
    if (!labels.slice(1).some(({ code }) => codes.has(code)))
      throw new RunError('no image to train on has a labelled voxel: draw and learn first, or open label files');
    const patch = transferPatch(configuration);
    const task: SegmentationTask = {
      kind: 'segmentation',
      labels: labels.map(({ code, name }) => ({ code, name })),
      patch: [patch[0], patch[1], patch[2]],
    };
    const { width } = network.configuration.architecture;
    const channels = channelCount(network.preprocessing);
    const architecture = scaledArchitecture(width, headsOf(task), channels);
    const { program, table } = transferProgram({
      architecture,
      size: patch,
      batch: configuration.batch,
      frozen: configuration.mode === 'linear',
      loss: configuration.loss.kind,
    });
    const images = [...new Set([...training, ...validation])];
    const memoryBytes = fineTuningBytes(backend.memoryBytes(program), table, labels.length, patch, channels, images);
    const limit = memory.session();
    if (memoryBytes > Math.min(limit.bytes, backend.memoryLimitBytes))
      throw new RunError(
        `not enough memory: training on crops of ${patch.join(' x ')} needs ${formatBytes(memoryBytes)}; available: ${formatBytes(limit.bytes)} (${limit.limit}). Choose smaller crops`,
      );
    const known = network.configuration.task;
    const sameClasses =
      known?.kind === 'segmentation' && known.labels.map(({ code }) => code).join() === labels.map(({ code }) => code).join();
    const start = startFrom(
      { options: network.preprocessing },
      table,
      configuration.seed,
      {
        configuration: network.configuration,
        parameters: namedTensors(parameterTable(network.architecture), network.parameters),
        init: network.folder,
        folder: network.folder,
        width,
      },
      (part) => isBackbone(part) || (part === 'out_conv' && sameClasses),
    );
    const session = await backend.open(program);
    await session.writeState(STATES.parameters, start.parameters());
    return new FineTuning(request, { task, memoryBytes, architecture, session, configuration });
  }

  /** Steps done. */
  get step(): number {
    return this.done;
  }

  /** How long a step takes here, measured on the gradient of one example; changes nothing. */
  async secondsPerStep(): Promise<number> {
    const { batch } = this.configuration;
    const { make, gradient } = this.examples(this.configuration);
    const example = await make(0, 0);
    // the first run of a graph may compile it
    let startMs = 0;
    for (let run = 0; run < 2; run++) {
      startMs = performance.now();
      await gradient(example);
    }
    const seconds = (batch * (performance.now() - startMs)) / 1000;
    await this.session.writeState(STATES.gradients, new Float32Array((await this.session.readState(STATES.gradients)).length));
    return seconds;
  }

  private examples(configuration: TransferConfiguration) {
    const { training, network } = this.request;
    const { session, task } = this;
    const make = taskExamples({
      reader: memoryReader(training),
      channels: channelCount(network.preprocessing),
      subjects: training.map(({ subject }) => subject),
      configuration,
      task,
    });
    const gradient = ({ image, truth }: TaskExample): Promise<Record<string, Float32Array>> =>
      session.run('gradient', { image, truth: oneHot(truth, outputsOf(task), truth.length) });
    return { make, gradient };
  }

  /** Trains until so many steps are done in all. Stopped, it can go on. @throws the signal's reason; RunError where losses are no numbers */
  async run({ steps, evaluateEvery, onStep, onEvaluation, signal }: FineTuneRun): Promise<void> {
    const configuration = transferConfigurationSchema.parse({
      ...this.request.configuration,
      steps,
      learningRateDecaySteps: steps,
    });
    this.configuration = configuration;
    const { session } = this;
    const { make, gradient } = this.examples(configuration);
    while (this.done < steps) {
      await listen(signal);
      const step = this.done;
      const examples = await Promise.all(Array.from({ length: configuration.batch }, (_, sample) => make(step, sample)));
      const { loss, finite } = await trainStep(
        { session, gradient },
        examples,
        updateRuleOf(configuration, step),
        this.adamSteps,
      );
      if (finite) this.adamSteps++;
      else if (this.adamSteps === 0) throw new RunError('the first loss is not a number: this network cannot be trained on here');
      this.done++;
      await onStep({ step: this.done, loss });
      if (this.done === steps || (evaluateEvery > 0 && this.done % evaluateEvery === 0)) await this.evaluate(onEvaluation);
    }
  }

  private async evaluate(tell: FineTuneRun['onEvaluation']): Promise<void> {
    const { training, validation } = this.request;
    const subjects = validation.map(({ subject }) => subject);
    const { overlap } = this.configuration.inference;
    const request = { step: this.done, pictures: true };
    const found = await evaluateTask(this.session, memoryReader(validation), subjects, this.task, overlap, request);
    if (!found) return;
    // who trains does not choose
    const chooses = validation.every((one) => !training.includes(one));
    if (chooses && found.score !== null && found.score < (this.best?.score ?? Number.POSITIVE_INFINITY))
      this.best = { step: this.done, score: found.score, parameters: await this.session.readState(STATES.parameters) };
    await tell(this.done, found);
  }

  /** The network: as the validation images judge it best, else as it is now. */
  async network(): Promise<{ readonly network: TrainedNetwork; readonly step: number }> {
    const { network, backend } = this.request;
    const { architecture, configuration, task } = this;
    const step = this.best?.step ?? this.done;
    const { heads, widths: _, inputChannels } = architecture;
    const trained = configurationOf({
      width: network.configuration.architecture.width,
      heads,
      inputChannels,
      options: { ...network.preprocessing, size: null },
      task,
      patch: task.patch,
      kind: 'training',
      configuration: { ...configuration, init: network.folder },
      seed: configuration.seed,
      step,
      backends: [backend.name],
    });
    const parameters = this.best?.parameters ?? (await this.session.readState(STATES.parameters));
    return { step, network: { ...network, configuration: trained, architecture, parameters } };
  }

  close(): Promise<void> {
    return this.session.close();
  }
}
