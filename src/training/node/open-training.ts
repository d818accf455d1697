/**
 * Opening a training, the same for every kind: its run's folder, agreement with what the run was begun with, memory, what will happen in words,
 * examples, and a session with the state that it goes on from.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatDuration } from '../../common/format-duration.ts';
import type { Backend, Session } from '../../engine/backend.ts';
import type { Program } from '../../engine/graph.ts';
import type { Zyx } from '../../geometry/volume.ts';
import type { Memory, ProgramVariant } from '../../methods/method.ts';
import type { LoopConfiguration } from '../../methods/schema-parts.ts';
import type { Parameter, ParameterTable } from '../../model/parameters.ts';
import { withAverage } from '../../model/weight-average.ts';
import { withMachineTrouble } from '../../platform/node/machine.ts';
import { availableTo, memoryText, requireMemory } from '../../platform/node/memory.ts';
import { openRun, type Run } from './checkpoint.ts';
import type { ExampleSource } from './data-loader.ts';
import { keptStates, memoryOf, restoreState } from './loop.ts';
import { assertResumable, type RunFacts, writeRunRecord } from './run-record.ts';
import { estimateStepSeconds } from './speed.ts';
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
  /** What is unusual about the start, for people. */
  readonly warnings?: readonly string[];
  /** The flat parameters that a new run starts from. */
  readonly start: () => Float32Array;
  /** What run.json says beside the facts. */
  readonly record?: Readonly<Record<string, unknown>>;
  /** From a step on; `run` has the checkpoint that it goes on from. */
  readonly examples: (firstStep: number, run: Run) => Promise<ExampleSource<Images>>;
  /** Runs of `gradient` in a step; default: one for each sample. */
  readonly runsPerStep?: number;
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
  /** What the method remembers, of the checkpoint that the run goes on from. */
  readonly memory: Memory | undefined;
  close(): Promise<void>;
}

/** '340 ms', '2.1 s'. */
const stepText = (seconds: number): string => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`);

/** Refuses what does not fit, and says what will happen. @throws RunError with what would fit */
async function announce<Images>(plan: TrainingPlan<Images>, backend: Backend, lossScaling: boolean): Promise<void> {
  const { call, patch, width, about, warnings = [] } = plan;
  const { batch, steps, accumulate = 1 } = call.configuration;
  const bytesBeside: typeof plan.bytesBeside = (table, size, samples, multiplier) =>
    plan.bytesBeside(table, size, samples * accumulate, multiplier) + PROCESS_BYTES;
  const neededBytes = (triedPatch: Zyx, triedWidth: number, triedBatch: number): number => {
    const { program, table } = plan.program({ patch: triedPatch, width: triedWidth, batch: triedBatch });
    return backend.memoryBytes(program) + bytesBeside(table, triedPatch, triedBatch, triedWidth);
  };
  requireMemory({ patch, width, batch, neededBytes }, availableTo(backend));
  const { program, table } = plan.program({ lossScaling });
  const seconds =
    plan.stepSeconds ??
    (await estimateStepSeconds(backend, program.graphs.get('gradient')!, (plan.runsPerStep ?? batch) * accumulate));
  const lines = {
    ...about,
    network: `${table.count.toLocaleString('en')} parameters (width ${width})`,
    memory: memoryText(backend, backend.memoryBytes(program), bytesBeside(table, patch, batch, width)),
    computing: backend.description,
    time: `about ${stepText(seconds)} per step, ${formatDuration(seconds * steps * 1000)} for ${steps} steps without evaluation`,
  };
  const named = [...Object.entries(lines), ...warnings.map((warning) => ['warning', warning] as const)];
  call.progress.say(named.map(([name, text]) => `${name.padEnd(10)} ${text}`).join('\n'));
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

/**
 * Opens a training, to be closed by the caller. What was opened is closed again where something fails.
 * @throws UsageError for what is wrong with the call, RunError for a run that cannot go on or does not fit
 */
export async function openTraining<Images>(given: TrainingPlan<Images>): Promise<OpenTraining<Images>> {
  const plan = withAverageIfAsked(given);
  const { out, resume, progress } = plan.call;
  const closers: (() => unknown)[] = [() => progress.stop()];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).reverse()) await one();
  };
  try {
    const run = await openRun(out, { resume });
    closers.push(() => run.close());
    const agreed = await assertResumable(run, plan.facts, progress);
    const { backend, identity, backends } = agreed;
    const lossScaling = backend.half === true;
    await announce(plan, backend, lossScaling);
    const { program, table } = plan.program({ lossScaling });
    await withMachineTrouble(out, () => mkdir(join(out, 'pictures'), { recursive: true }));
    await writeRunRecord(out, agreed, { ...plan.record, parameters: table.count });
    await plan.prepare?.(run);
    // first, so that the thread of examples starts while the session opens
    const examples = await plan.examples(run.state?.step ?? 0, run);
    closers.push(() => examples.close());
    const session = await backend.open(program);
    closers.push(() => session.close());
    const memory = run.checkpoint && memoryOf(run.checkpoint);
    await restoreState(session, table, run, plan.start, keptStates(plan.call.configuration, plan.carried));
    return { run, identity, backends, session, table, lossScaling, examples, memory, close };
  } catch (error) {
    await close();
    throw error;
  }
}
