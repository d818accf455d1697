/**
 * Opening a training, the same for every kind: its run's folder, agreement with what the run was begun with, memory, what will happen in words,
 * examples, and a session with the state that it goes on from.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { counted } from '../../common/counted.ts';
import { formatDuration } from '../../common/format-duration.ts';
import { version } from '../../common/version.ts';
import type { Backend, Session } from '../../engine/backend.ts';
import type { Program } from '../../engine/graph.ts';
import type { Zyx } from '../../geometry/volume.ts';
import type { Memory, ProgramVariant } from '../../methods/method.ts';
import { type LoopConfiguration, samplesPerStep } from '../../methods/schema-parts.ts';
import { withParks } from '../../model/gradient-parks.ts';
import { STATES } from '../../model/optimizer.ts';
import type { Parameter, ParameterTable } from '../../model/parameters.ts';
import { withAverage } from '../../model/weight-average.ts';
import { withMachineTrouble } from '../../platform/node/machine.ts';
import { capacityOf, type MemoryRequest, memoryText, requireMemory } from '../../platform/node/memory.ts';
import type { Ranks } from '../../platform/node/ranks/ranks.ts';
import { actsOf, type Part, parksOf, partsWithin, rangeOf } from '../gradient-tree.ts';
import { openRun, type Run } from './checkpoint.ts';
import type { ExampleSource } from './data-loader.ts';
import { agreeOnRun, broadcastStates, threadsOf } from './follow.ts';
import { keptStates, memoryOf, restoreState } from './loop.ts';
import { assertResumable, identityOf, type RunFacts, writeRunRecord } from './run-record.ts';
import { type SharedSteps, shareSteps } from './shared-step.ts';
import { estimateStepSeconds } from './speed.ts';
import type { Tracker } from './tracking/tracker.ts';
import type { CheckedCall } from './training-call.ts';

/** What Node and the code take, and what is not counted one by one. */
const PROCESS_BYTES = 300 * 2 ** 20;

/** A training before it is opened. */
export interface TrainingPlan<Images> {
  readonly call: CheckedCall<LoopConfiguration>;
  readonly facts: RunFacts;
  readonly patch: Zyx;
  readonly width: number;
  readonly program: (variant?: ProgramVariant) => { program: Program; table: ParameterTable };
  /** The parameters that are trained; default: all. */
  readonly trained?: (table: ParameterTable) => readonly Parameter[];
  /** Bytes beside the session and the process: copies of parameters and moments, examples, truth. */
  readonly bytesBeside: (table: ParameterTable, patch: Zyx, samplesPerStep: number, width: number) => number;
  /** What is said of cohort and start, by name. */
  readonly about: Readonly<Record<string, string>>;
  /** What is unusual about the start, for people; run.json keeps it. */
  readonly warnings?: readonly string[];
  /** The flat parameters that a new run starts from. */
  readonly start: () => Float32Array;
  /** What run.json says beside the facts. */
  readonly record?: Readonly<Record<string, unknown>>;
  /** From a step on, with what the method remembers of the checkpoint that the run goes on from; those samples of each step that are computed here. */
  readonly examples: (firstStep: number, memory: Memory | undefined, samples: Part) => Promise<ExampleSource<Images>>;
  /** Runs of `gradient` in a batch; default: one for each sample. */
  readonly runsPerBatch?: number;
  /** States beside `STATES` that checkpoints hold. */
  readonly carried?: readonly string[];
  /** Seconds a step takes, where that is known; otherwise it is estimated. */
  readonly stepSeconds?: number | undefined;
  /** Called when the run's folder is held and before anything is computed. */
  readonly prepare?: (run: Run) => Promise<void>;
}

export interface OpenTraining<Images> {
  readonly run: Run;
  readonly identity: string;
  /** Names of what computed it, in order. */
  readonly backends: readonly string[];
  readonly session: Session;
  readonly table: ParameterTable;
  readonly lossScaling: boolean;
  readonly examples: ExampleSource<Images>;
  /** Samples of each step that are computed here. */
  readonly samples: Part;
  /** Of the session's program: see `StepTools`. */
  readonly parks: number;
  /** Undefined for one rank. */
  readonly shared: SharedSteps | undefined;
  /** What the method remembers, of the checkpoint that the run goes on from. */
  readonly memory: Memory | undefined;
  /** Who is told of the run beside its own logs. */
  readonly tracker: Tracker | undefined;
  close(): Promise<void>;
}

/** '340 ms', '2.1 s'. */
const stepText = (seconds: number): string => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`);

/** Runs of `gradient` in a step. */
function runsOf<Images>({ call, runsPerBatch }: TrainingPlan<Images>, batch: number): number {
  const { accumulate = 1 } = call.configuration;
  return (runsPerBatch ?? batch) * accumulate;
}

/** Places for sums that are set aside, on this rank. */
function parksFor<Images>(plan: TrainingPlan<Images>, batch: number): number {
  const runs = runsOf(plan, batch);
  const { rank, size } = plan.call.ranks;
  return parksOf(actsOf(partsWithin(runs, rangeOf(runs, rank, size))));
}

const ranksText = ({ size, machines, description }: Ranks, runs: number): string => {
  const where = machines === 1 ? 'one machine' : `${machines} machines`;
  const idle = size > runs ? `; only ${runs} of them have anything to compute: use a larger batch, or fewer ranks` : '';
  return `${size} on ${where}, ${description}; ${runs} samples or batches a step are shared by them${idle}`;
};

/** Refuses what does not fit, and says what will happen. @throws RunError with what would fit */
async function announce<Images>(plan: TrainingPlan<Images>, backend: Backend, lossScaling: boolean): Promise<void> {
  const { call, patch, width, about, warnings = [] } = plan;
  const { ranks } = call;
  const { batch, steps, accumulate = 1 } = call.configuration;
  const bytesBeside: typeof plan.bytesBeside = (table, size, samples, multiplier) =>
    plan.bytesBeside(table, size, samples * accumulate, multiplier) + PROCESS_BYTES;
  const neededBytes: MemoryRequest['neededBytes'] = (triedPatch, triedWidth, triedBatch) => {
    const { program, table } = plan.program({ patch: triedPatch, width: triedWidth, batch: triedBatch });
    return { session: backend.memoryBytes(program), beside: bytesBeside(table, triedPatch, triedBatch, triedWidth) };
  };
  requireMemory({ patch, width, batch, neededBytes }, capacityOf(backend));
  const { program, table } = plan.program({ lossScaling });
  const seconds =
    plan.stepSeconds ??
    (await estimateStepSeconds(backend, program.graphs.get('gradient')!, Math.ceil(runsOf(plan, batch) / ranks.size)));
  const lines = {
    ...about,
    ...(ranks.size > 1 && { ranks: ranksText(ranks, runsOf(plan, batch)) }),
    network: `${table.count.toLocaleString('en')} parameters (width ${width})`,
    memory: memoryText(backend, backend.memoryBytes(program), bytesBeside(table, patch, batch, width)),
    computing: backend.description,
    time: `about ${stepText(seconds)} per step, ${formatDuration(seconds * steps * 1000)} for ${counted(steps, 'step')} without evaluation`,
  };
  const named = [...Object.entries(lines), ...warnings.map((warning) => ['warning', warning] as const)];
  call.progress.say(named.map(([name, text]) => `${name.padEnd(10)} ${text}`).join('\n'));
}

/** A plan whose gradients are added in a tree, and shared. */
function withSums<Images>(plan: TrainingPlan<Images>): TrainingPlan<Images> {
  const { configuration, ranks } = plan.call;
  return {
    ...plan,
    program: (variant = {}) => {
      const { program, table } = plan.program(variant);
      return { program: withParks(program, table, parksFor(plan, variant.batch ?? configuration.batch)), table };
    },
    // parts of the others' sums
    bytesBeside: (table, ...of) => plan.bytesBeside(table, ...of) + (ranks.size > 1 ? 2 * 4 * table.flatLength : 0),
  };
}

/** A plan with the average of the weights, if it is asked for. */
function withAverageIfAsked<Images>(plan: TrainingPlan<Images>): TrainingPlan<Images> {
  const { emaDecay = 0 } = plan.call.configuration;
  if (emaDecay === 0) return plan;
  const { trained = ({ parameters }) => parameters } = plan;
  return {
    ...plan,
    program: (variant) => {
      const { program, table } = plan.program(variant);
      return { program: withAverage(program, table, trained(table)), table };
    },
    // a checkpoint's copy, and the weights while the average is judged in their place
    bytesBeside: (table, ...of) => plan.bytesBeside(table, ...of) + 2 * 4 * table.flatLength,
    about: { ...plan.about, average: `of the weights, with decay ${emaDecay}: it is evaluated and saved as the model` },
  };
}

/** Tells an MLflow server of the run, if the call names one. */
async function trackerOf<Images>({ call, facts, about }: TrainingPlan<Images>, resume: boolean): Promise<Tracker | undefined> {
  const { mlflow, out, configuration, progress } = call;
  if (mlflow === undefined) return undefined;
  const { openTracker } = await import('./tracking/tracker.ts');
  const tags = {
    'gvsl.version': version,
    ...Object.fromEntries(Object.entries(about).map(([name, text]) => [`gvsl.${name}`, text])),
  };
  const of = { out, kind: facts.kind, configuration, tags };
  // a study's training that was killed before its first checkpoint begins anew, and is the same run
  if (typeof mlflow === 'object') return openTracker({ ...of, ...mlflow, resume: true });
  return openTracker({ ...of, address: mlflow, resume, say: (line) => progress.say(line) });
}

/**
 * Opens a training, to be closed by the caller. What was opened is closed again where something fails.
 * @throws UsageError for what is wrong with the call, RunError for a run that cannot go on or does not fit
 */
export async function openTraining<Images>(given: TrainingPlan<Images>): Promise<OpenTraining<Images>> {
  const plan = withSums(withAverageIfAsked(given));
  const { out, resume, progress, ranks, configuration } = plan.call;
  const closers: (() => unknown)[] = [() => progress.stop()];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).reverse()) await one();
  };
  try {
    const leads = ranks.rank === 0;
    const threads = threadsOf(ranks, (configuration as { threads?: 'auto' | number }).threads);
    const opened = leads ? await openRun(out, { resume }) : undefined;
    if (opened) closers.push(() => opened.close());
    const agreed = opened && (await assertResumable(opened, plan.facts, progress, threads));
    const led = opened && agreed && { run: opened, agreed, memory: opened.checkpoint && memoryOf(opened.checkpoint) };
    const { run, identity, backend, backends, memory } =
      led && ranks.size === 1 ? { ...led, ...led.agreed } : await agreeOnRun(ranks, out, identityOf(plan.facts), threads, led);
    const lossScaling = backend.half === true;
    await announce(plan, backend, lossScaling);
    const { program, table } = plan.program({ lossScaling });
    if (agreed) {
      await withMachineTrouble(out, () => mkdir(join(out, 'pictures'), { recursive: true }));
      const { warnings = [] } = plan;
      await writeRunRecord(out, agreed, { ...plan.record, parameters: table.count, ...(warnings.length > 0 && { warnings }) });
      await plan.prepare?.(run);
    }
    const tracker = agreed && (await trackerOf(plan, resume));
    if (tracker) closers.push(() => tracker.close());
    const runs = runsOf(plan, configuration.batch);
    const range = rangeOf(runs, ranks.rank, ranks.size);
    const samplesPerRun = samplesPerStep(configuration) / runs;
    const samples = { from: range.from * samplesPerRun, to: range.to * samplesPerRun };
    // first, so that the thread of examples starts while the session opens
    const examples = await plan.examples(run.state?.step ?? 0, memory, samples);
    closers.push(() => examples.close());
    const own = await backend.open(program);
    closers.push(() => own.close());
    const kept = keptStates(configuration, plan.carried);
    if (leads) await restoreState(own, table, run, plan.start, kept);
    const shared =
      ranks.size > 1 ? shareSteps(ranks, own, table.flatLength, runs, () => plan.call.signal?.aborted === true) : undefined;
    if (shared) await broadcastStates(ranks, own, [kept.model, ...kept.beside, STATES.firstMoment, STATES.secondMoment]);
    const parks = parksFor(plan, configuration.batch);
    const session = shared?.session ?? own;
    return { run, identity, backends, session, table, lossScaling, examples, samples, parks, shared, memory, tracker, close };
  } catch (error) {
    await close();
    throw error;
  }
}
