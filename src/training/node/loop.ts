/**
 * The loop that every training shares: examples, gradients, Adam, logs, evaluation, checkpoints. What is computed from an example, and
 * how a state is judged, is the caller's; everything random follows from (seed, step, sample), so a run is the same in one go or resumed.
 *
 * The session's program has the flat states of `STATES` and the graphs `norms` and `update` (src/methods/gvsl/program.ts).
 */
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DivergedError, OtherRankError } from '../../common/errors.ts';
import { withSentence } from '../../common/plain-error.ts';
import type { Progress } from '../../common/progress.ts';
import type { Session } from '../../engine/backend.ts';
import { encodePng } from '../../images/pictures/png.ts';
import {
  type Alarm,
  type EvaluationRecord,
  type EvaluationRequest,
  type Memory,
  picturePath,
  type Refreshed,
  type StepOutputs,
} from '../../methods/method.ts';
import { type LoopConfiguration, samplesPerStep } from '../../methods/schema-parts.ts';
import type { ModelConfiguration } from '../../model/configuration.ts';
import { nextLossScale } from '../../model/loss-scaling.ts';
import { flatTensor, namedTensors } from '../../model/named-parameters.ts';
import { jsonText } from '../../model/node/documents.ts';
import { STATES } from '../../model/optimizer.ts';
import type { ParameterTable } from '../../model/parameters.ts';
import type { NamedTensor } from '../../model/safetensors.ts';
import { AVERAGE } from '../../model/weight-average.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { isMachineTrouble, machineError } from '../../platform/node/machine.ts';
import type { Part } from '../gradient-tree.ts';
import { onlyGradientsOverflowed, type StepTools, trainStep, updateRuleOf } from '../step.ts';
import { type Checkpoint, INITIAL_STATE, type Run, type TrainingState } from './checkpoint.ts';
import type { ExampleSource } from './data-loader.ts';
import { type EventLog, NO_EVENTS, openEventLog } from './log/events.ts';
import { type MetricsLog, NO_METRICS, openMetricsLog } from './log/metrics.ts';
import type { SharedSteps } from './shared-step.ts';
import type { Tracker } from './tracking/tracker.ts';

/** A training, as the loop sees it. */
export interface Training<Images, Summary extends object = object> {
  readonly out: string;
  readonly configuration: LoopConfiguration;
  readonly run: Run;
  /** Of the run, for its checkpoints (run-record.ts). */
  readonly identity: string;
  readonly session: Session;
  readonly table: ParameterTable;
  readonly progress: Progress;
  readonly examples: ExampleSource<Images>;
  readonly gradient: StepTools<Images>['gradient'];
  readonly join?: NonNullable<StepTools<Images>['join']>;
  /** Whether `gradient` takes the inputs that scale a loss. */
  readonly lossScaling: boolean;
  readonly modelConfiguration: (step: number) => ModelConfiguration;
  /** Judges the state; null if there is nothing to judge by. Also called before the first step. */
  readonly evaluate: (request: EvaluationRequest) => Promise<EvaluationRecord<Summary> | null>;
  /** States beside `STATES` that belong to a checkpoint. */
  readonly carried?: readonly string[];
  /** What is logged of a step's outputs. */
  readonly measure?: (outputs: readonly StepOutputs[]) => Readonly<Record<string, number>>;
  readonly alarm?: Alarm | null;
  /** After an update, the `step`-th. */
  readonly afterUpdate?: (step: number) => Promise<void>;
  /** What is computed anew between steps, and what comes of it for examples. */
  readonly refresh?: TrainingRefresh<Images> | undefined;
  /** Aborted: the run ends after the step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Places of the program where sums of gradients are set aside: see `StepTools`. */
  readonly parks?: number;
  /** Samples of each step that are computed here; left out: all. */
  readonly samples?: Part;
  /** Where ranks share each step; rank 0 alone writes and judges. */
  readonly shared?: SharedSteps | undefined;
  /** Told of what is logged, beside the logs. */
  readonly tracker?: Tracker | undefined;
}

/** What a method computes between steps, as the loop sees it. */
export interface TrainingRefresh<Images> {
  readonly every: number;
  /** Of the checkpoint that the run goes on from. */
  readonly memory: Memory | undefined;
  compute(step: number): Promise<Refreshed>;
  /** The examples from a step on. */
  examples(step: number, memory: Memory): Promise<ExampleSource<Images>>;
}

export interface TrainingResult<Summary extends object = object> {
  readonly state: TrainingState;
  /** Steps that this call did: all but those that were done before, of a run that is resumed. */
  readonly newSteps: number;
  /** True if it did all its steps, or stopped because it got no better. */
  readonly finished: boolean;
  readonly stoppedEarly: boolean;
  /** Total loss of the last step of this call that was not skipped; null if there was none. */
  readonly loss: number | null;
  /** Share of the time that computing waited for examples. */
  readonly waitShare: number;
  /** The last evaluation of this call, and the steps that were done then; null if there was none. */
  readonly evaluation: (Summary & { readonly step: number }) | null;
}

/** Scores of the last evaluation, in a run's folder. */
const EVALUATION_FILE = 'evaluation.json';

/** The tensors PREFIX.NAME, by NAME. */
const partsOf = (tensors: ReadonlyMap<string, NamedTensor>, prefix: string): Map<string, NamedTensor> =>
  new Map(
    [...tensors].flatMap(([name, tensor]) => (name.startsWith(`${prefix}.`) ? [[name.slice(prefix.length + 1), tensor]] : [])),
  );

const MEMORY = 'memory';
/** What the method of a checkpoint remembers; undefined if it has no memory. */
export function memoryOf({ carried }: Pick<Checkpoint, 'carried'>): Memory | undefined {
  const parts = [...partsOf(carried, MEMORY)].map(([name, { data }]): [string, Float32Array] => [name, data]);
  return parts.length > 0 ? Object.fromEntries(parts) : undefined;
}

/** Which state is the model, and which checkpoints hold beside it and Adam's moments. */
interface KeptStates {
  readonly model: string;
  readonly beside: readonly string[];
}
/** With an average of the weights, that is the model, and the weights are held beside it. */
export const keptStates = ({ emaDecay = 0 }: Pick<LoopConfiguration, 'emaDecay'>, carried: readonly string[] = []): KeptStates =>
  emaDecay > 0 ? { model: AVERAGE, beside: [STATES.parameters, ...carried] } : { model: STATES.parameters, beside: carried };

/** Puts a run's state into its session: that of its checkpoint, which is let go of then, or a new one's. */
export async function restoreState(
  session: Session,
  table: ParameterTable,
  run: Run,
  start: () => Float32Array,
  { model, beside }: KeptStates = keptStates({}),
): Promise<void> {
  const { checkpoint, path } = run;
  if (!checkpoint) {
    const parameters = start();
    for (const name of [model, ...beside]) await session.writeState(name, parameters);
    return;
  }
  for (const name of beside)
    await session.writeState(name, flatTensor(table, partsOf(checkpoint.carried, name), `${path} (${name})`));
  await session.writeState(model, flatTensor(table, checkpoint.parameters, path));
  await session.writeState(STATES.firstMoment, flatTensor(table, checkpoint.moments.first, path));
  await session.writeState(STATES.secondMoment, flatTensor(table, checkpoint.moments.second, path));
  run.release();
}

/** Whether so many evaluations in a row were no better. It follows from the state alone, so a resumed run stops at the same step. */
export function isExhausted(
  { step, best }: TrainingState,
  { earlyStopEvaluations: patience = 0, log }: LoopConfiguration,
): boolean {
  return patience > 0 && best !== null && step - best.step >= patience * log.evaluateEverySteps;
}

/** An event log whose values and pictures a tracker is told of too. */
const tracked = (events: EventLog, tracker: Tracker | undefined): EventLog =>
  tracker === undefined
    ? events
    : {
        path: events.path,
        scalars: (step, values, wallTimeSeconds) => {
          events.scalars(step, values, wallTimeSeconds);
          tracker.scalars(step, values);
        },
        image: (step, tag, picture, wallTimeSeconds) => {
          events.image(step, tag, picture, wallTimeSeconds);
          tracker.picture(step, tag, picture.png);
        },
        close: () => events.close(),
      };

/** Trains until the last step, a stop, or no more gain. @throws DivergedError if too many steps in a row are not finite, weights overflow, or the method's alarm goes off */
export async function runTraining<Images, Summary extends object = object>(
  training: Training<Images, Summary>,
): Promise<TrainingResult<Summary>> {
  const { configuration, out, run, session, table, progress, signal, refresh, alarm, shared } = training;
  const { model, beside } = keptStates(configuration, training.carried);
  let { examples } = training;
  let memory = refresh?.memory;
  const { steps, log } = configuration;
  const { from, to } = training.samples ?? { from: 0, to: samplesPerStep(configuration) };
  /** Whether this process writes and judges. */
  const leads = !shared || shared.ranks.rank === 0;
  let state: TrainingState = { ...(run.state ?? INITIAL_STATE), run: training.identity };
  const firstStep = state.step;
  const now = (): number => Date.now() / 1000;
  const metrics: MetricsLog = leads ? openMetricsLog(join(out, 'metrics.jsonl'), firstStep > 0 ? firstStep : -1) : NO_METRICS;
  let events: EventLog;
  try {
    events = leads
      ? tracked(openEventLog(join(out, 'events'), firstStep > 0 ? firstStep : -1, now()), training.tracker)
      : NO_EVENTS;
  } catch (error) {
    metrics.close();
    throw error;
  }

  let loss: number | null = null;
  let [waitedMs, spentMs] = [0, 0];
  let savedAtMs = performance.now();
  let saved = run.state !== undefined;
  /** Whether the run itself found that it cannot go on, and its message says so. */
  let ended = false;

  const carriedTensors = async (): Promise<Map<string, NamedTensor>> => {
    const tensors = Object.entries(memory ?? {}).map(
      ([name, data]): NamedTensor => ({ name: `${MEMORY}.${name}`, shape: [data.length], data }),
    );
    for (const state of beside)
      for (const tensor of namedTensors(table, await session.readState(state)).values())
        tensors.push({ ...tensor, name: `${state}.${tensor.name}` });
    return new Map(tensors.map((tensor) => [tensor.name, tensor]));
  };
  const checkpoint = async (): Promise<Checkpoint> => {
    const flat = async (name: string): Promise<Map<string, NamedTensor>> => {
      const values = await session.readState(name);
      // an update can overflow though its loss and gradients are finite; whoever reads such a checkpoint refuses it
      if (!values.every(Number.isFinite)) {
        ended = true;
        throw new DivergedError(
          `step ${state.step}: the weights are no longer finite, so no checkpoint of them is written${saved ? `; the last good one is in ${join(out, 'last')}` : ''}. Lower the learning rate (\`learningRate\`) or the weight decay (\`weightDecay\`)`,
        );
      }
      return namedTensors(table, values);
    };
    return {
      configuration: training.modelConfiguration(state.step),
      parameters: await flat(model),
      moments: { first: await flat(STATES.firstMoment), second: await flat(STATES.secondMoment) },
      carried: await carriedTensors(),
      state,
    };
  };
  const save = async (): Promise<void> => {
    if (leads) {
      metrics.sync();
      await run.save('last', await checkpoint());
    }
    saved = true;
    savedAtMs = performance.now();
  };
  /** With the model where graphs read the parameters. What fails in it ends the run, whose weights the checkpoint has. */
  const withModel = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (model === STATES.parameters) return work();
    const weights = await session.readState(STATES.parameters);
    await session.writeState(STATES.parameters, await session.readState(model));
    const result = await work();
    await session.writeState(STATES.parameters, weights);
    return result;
  };
  let evaluation: TrainingResult<Summary>['evaluation'] = null;
  const evaluate = async (pictures: boolean): Promise<void> => {
    if (leads) await judge(pictures);
    // the best state decides when a run ends
    if (shared) state = { ...state, best: await shared.agreeOnBest(state.best) };
  };
  const judge = async (pictures: boolean): Promise<void> => {
    const { step } = state;
    const record = await withModel(() => training.evaluate({ step, pictures, memory }));
    if (!record) return;
    const { score, summary, details, scalars, text } = record;
    const drawn = record.pictures.map(({ tag, picture }) => ({ tag, picture, png: encodePng(picture) }));
    for (const { tag, picture, png } of drawn) {
      events.image(step, tag, { png, width: picture.width, height: picture.height }, now());
      await writeFileAtomic(join(out, picturePath(step, tag)), png);
    }
    evaluation = { step, ...summary };
    metrics.append({ kind: 'evaluation', step, ...summary });
    events.scalars(step, scalars, now());
    await writeFileAtomic(join(out, EVALUATION_FILE), jsonText({ step, summary, ...details }));
    progress.say(text);
    if (state.step > 0 && score !== null && Number.isFinite(score) && (!state.best || score < state.best.score)) {
      state = { ...state, best: { step: state.step, score } };
      await run.save('best', await checkpoint());
    }
  };
  const exhausted = (): boolean => isExhausted(state, configuration);

  const isStopped = (): boolean => (shared ? shared.stopping : signal?.aborted === true);

  let refreshedAt = -1;
  /** What that took, until the line of the step after it says so. */
  let refreshMs: number | null = null;
  /** Computes anew what is due before the next step. A run that is resumed there does it again, from the same state to the same result. */
  const refreshIfDue = async (): Promise<void> => {
    const { step } = state;
    if (!refresh || refreshedAt === step || (memory !== undefined && step % refresh.every !== 0)) return;
    const startMs = performance.now();
    const made = await refresh.compute(step);
    memory = made.memory;
    refreshedAt = step;
    if (examples !== training.examples) await examples.close();
    examples = await refresh.examples(step, memory);
    refreshMs = performance.now() - startMs;
    // of the steps that follow: what resumes here takes them back with these, and writes them again
    events.scalars(step + 1, made.scalars, now());
    progress.say(`step ${step}: ${made.text}`);
  };

  try {
    if (firstStep === 0) {
      await refreshIfDue();
      await save();
      if (log.evaluateEverySteps > 0) await evaluate(log.picturesEverySteps > 0);
    }
    progress.start(steps, 'steps', firstStep);
    while (state.step < steps && !exhausted() && !isStopped()) {
      await refreshIfDue();
      const startMs = performance.now();
      const taken = await Promise.all(Array.from({ length: to - from }, (_, i) => examples.take(state.step, from + i)));
      const waitMs = performance.now() - startMs;
      const scale = training.lossScaling ? state.lossScale : undefined;
      const rule = updateRuleOf(configuration, state.step);
      const result = await trainStep(training, taken, rule, state.adamSteps, scale);
      const { loss: losses, gradientNorm, clipFactor, finite } = result;
      // of no account as long as a smaller scale may help
      const overflowed = scale !== undefined && scale.factor > 1 && onlyGradientsOverflowed(result);
      if (finite) await training.afterUpdate?.(state.adamSteps + 1);
      const measures = training.measure?.(result.outputs) ?? {};
      const alarmed = alarm !== undefined && alarm !== null && measures[alarm.measure] < alarm.below;
      const stepMs = performance.now() - startMs;
      [waitedMs, spentMs] = [waitedMs + waitMs, spentMs + stepMs];
      state = {
        ...state,
        step: state.step + 1,
        adamSteps: state.adamSteps + (finite ? 1 : 0),
        skippedSteps: state.skippedSteps + (finite ? 0 : 1),
        skippedInRow: finite ? 0 : state.skippedInRow + (overflowed ? 0 : 1),
        alarmedInRow: alarmed ? state.alarmedInRow + 1 : 0,
        lossScale: scale ? nextLossScale(scale, !finite) : state.lossScale,
      };
      const last = state.step === steps;
      if (finite) loss = losses.total;
      else if (overflowed)
        progress.say(
          `step ${state.step}: skipped, gradients overflow half precision; loss scale is now ${state.lossScale.factor}`,
        );
      else
        progress.say(
          `step ${state.step}: skipped, ${Object.entries({ ...losses, ...gradientNorm })
            .filter(([, value]) => !Number.isFinite(value))
            .map(([name, value]) => `${name} is ${value}`)
            .join(', ')}`,
        );
      if (!finite || last || refreshMs !== null || state.step % log.everySteps === 0) {
        const { learningRate } = rule;
        const clipped = clipFactor === undefined ? {} : { clipFactor };
        const timing = {
          stepSeconds: stepMs / 1000,
          waitShare: waitMs / stepMs,
          ...(refreshMs !== null && { refreshSeconds: refreshMs / 1000 }),
          ...(shared && { sharing: { ranks: shared.ranks.size, ...shared.time } }),
        };
        const record = {
          loss: losses,
          gradientNorm,
          ...(training.measure && { measure: measures }),
          ...clipped,
          learningRate,
          ...timing,
          ...(scale && { lossScale: scale.factor }),
        };
        metrics.append({ kind: 'step', step: state.step, ...record, ...(finite ? {} : { skipped: true }) });
        const scalars: Record<string, number> = { learningRate, ...clipped, stepSeconds: stepMs / 1000 };
        for (const [name, value] of Object.entries(losses)) scalars[`loss/${name}`] = value;
        for (const [name, value] of Object.entries(measures)) scalars[`measure/${name}`] = value;
        for (const [name, value] of Object.entries(gradientNorm)) scalars[`gradientNorm/${name}`] = value;
        events.scalars(state.step, scalars, now());
        refreshMs = null;
      }
      progress.advance(1, `loss ${losses.total?.toFixed(4)}`);
      if (state.skippedInRow >= configuration.maxNonFiniteSteps) {
        // without a checkpoint: the weights of now make nothing finite, and would replace those of the last one
        ended = true;
        throw new DivergedError(
          `${state.skippedInRow} steps in a row had a non-finite loss or gradient; the last good checkpoint is in ${join(out, 'last')}. Lower the learning rate (\`learningRate\`), or check the cohort for unusual images`,
        );
      }
      if (alarm && state.alarmedInRow >= alarm.steps) {
        await save();
        ended = true;
        throw new DivergedError(
          `step ${state.step}: \`${alarm.measure}\` was below ${alarm.below} for ${state.alarmedInRow} steps in a row: ${alarm.text}`,
        );
      }
      const due = (every: number): boolean => every > 0 && (last || state.step % every === 0);
      if (due(log.evaluateEverySteps)) await evaluate(due(log.picturesEverySteps));
      const minutes = (performance.now() - savedAtMs) / 60_000;
      const isDue = due(log.checkpointEverySteps) || (log.checkpointEveryMinutes > 0 && minutes >= log.checkpointEveryMinutes);
      if (last || (isDue && state.skippedInRow === 0)) await save();
      await nextTurn(); // lets a signal in
    }
    // of a run that is stopped while nothing is finite, the checkpoint before stays as well: from there it goes on the same way
    if (state.step < steps && (state.skippedInRow === 0 || exhausted())) await save();
  } catch (error) {
    // whatever failed, a step, a judgement or a checkpoint: the one before it is whole
    if (!saved || !(error instanceof Error) || error instanceof OtherRankError || ended) throw error;
    const known = isMachineTrouble(error) ? machineError((error as NodeJS.ErrnoException).path ?? out, error) : error;
    throw withSentence(known, `; the last checkpoint is in ${join(out, 'last')}; continue from it with \`resume\``);
  } finally {
    metrics.close();
    events.close();
    if (examples !== training.examples) await examples.close();
  }
  const stoppedEarly = state.step < steps && exhausted();
  const finished = state.step === steps || stoppedEarly;
  training.tracker?.ended(finished ? 'FINISHED' : 'KILLED');
  return {
    state,
    newSteps: state.step - firstStep,
    finished,
    stoppedEarly,
    loss,
    waitShare: spentMs > 0 ? waitedMs / spentMs : 0,
    evaluation,
  };
}
