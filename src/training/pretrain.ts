/**
 * Pre-training: a cohort goes in, a run folder comes out (docs/file-formats.md says what is in it).
 *
 * A step is: the gradients of the batch, one sample at a time so that memory does not grow with the batch; their norms; Adam. Everything
 * random follows from (seed, step, sample), so a run is the same in one go or resumed, on any number of threads.
 */
import { writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Cohort, openCohort, type Subject } from '../cohort/cohort.ts';
import type { Backend, Session } from '../engine/backend.ts';
import { adamStep } from '../engine/ops/adam/adam.ts';
import { UsageError, WorkError } from '../errors/errors.ts';
import { type LossOptions, STATES, type StepOptions, trainingProgram } from '../method/gvsl.ts';
import { scaledArchitecture } from '../model/architecture.ts';
import { initialParameters, type ParameterTable } from '../model/parameters.ts';
import { createBackend } from '../node/backends.ts';
import { writeFileAtomic } from '../node/files.ts';
import { formatDuration, type Progress } from '../node/progress.ts';
import { type MatchedPair, pairPicture } from '../pictures/pair-picture.ts';
import { encodePng } from '../pictures/picture.ts';
import { version } from '../version.ts';
import { type Checkpoint, INITIAL_STATE, openRun, type Run, type TrainingState } from './checkpoint.ts';
import { type PretrainConfiguration, patchSize } from './configuration.ts';
import { availableBytes, formatBytes, requireMemory } from './estimate.ts';
import { type Evaluation, evaluatePairs, type PairEvaluation, scoreOf, summarize } from './evaluate.ts';
import { openExamples } from './example-source.ts';
import { openEventLog } from './log/events.ts';
import { openMetricsLog } from './log/metrics.ts';
import { jsonText, type ModelConfiguration } from './model-folder.ts';
import { flatTensor, namedTensors } from './named-parameters.ts';
import { requireSameRun } from './same-run.ts';
import { estimateStepSeconds } from './speed.ts';
import { evaluationPairs, splitCohort } from './split.ts';

export interface PretrainCall {
  /** Folder that `prepare` made. */
  readonly cohort: string;
  /** Folder of the run. */
  readonly out: string;
  readonly configuration: PretrainConfiguration;
  readonly resume: boolean;
  readonly progress: Progress;
  /** Aborted: the run ends after the step, with a checkpoint. */
  readonly signal?: AbortSignal;
}

export interface PretrainResult {
  readonly out: string;
  /** Steps done in all. */
  readonly step: number;
  /** False if it was stopped before the last step. */
  readonly finished: boolean;
  /** Total loss of the last step that was not skipped. */
  readonly loss: number | null;
  readonly evaluation: Evaluation | null;
  readonly best: TrainingState['best'];
  readonly skippedSteps: number;
  readonly parameters: number;
  /** Share of the time that computing waited for examples. */
  readonly waitShare: number;
}

/** Bytes beside the session: a checkpoint's copies of parameters and moments, and Node itself. */
const hostBytes = (table: ParameterTable): number => 3 * 4 * table.flatLength + 300 * 2 ** 20;

function stepOptions(
  configuration: PretrainConfiguration,
  patch = patchSize(configuration),
  width: number = configuration.model.width,
): StepOptions {
  const { ncc, affineNcc, smooth, mse, nccWindow, nccOver } = configuration.loss;
  const loss: LossOptions = {
    nccWeight: ncc,
    affineNccWeight: affineNcc,
    smoothWeight: smooth,
    mseWeight: mse,
    nccWindow,
    nccOver,
  };
  return {
    architecture: scaledArchitecture(width, configuration.model.heads),
    loss,
    size: patch,
    samples: 1,
    batch: configuration.batch,
  };
}

function modelConfiguration(configuration: PretrainConfiguration, cohort: Cohort, step: number): ModelConfiguration {
  const { width, heads } = configuration.model;
  const { modality, spacingMm, intensity, crop } = cohort.options;
  return {
    format: 'gvsl-model',
    formatVersion: 1,
    architecture: { width, channels: scaledArchitecture(width).widths.slice(0, 5), heads },
    preprocessing: { modality, spacingMm: [spacingMm[0], spacingMm[1], spacingMm[2]], intensity, crop },
    task: null,
    // how long a run went on, and on what, shapes nothing of the model: equal training gives equal files
    pretraining: { ...configuration, steps: Math.max(1, step), threads: 'auto', backend: 'auto' },
    seed: configuration.seed,
    step,
    versions: { gvsl: version },
  };
}

/** Refuses what does not fit, and says what will happen. */
async function announce(
  call: PretrainCall,
  backend: Backend,
  session: { table: ParameterTable; options: StepOptions },
  cohort: Cohort,
  training: number,
): Promise<void> {
  const { configuration, progress } = call;
  const { table, options } = session;
  requireMemory(
    {
      patch: options.size,
      width: configuration.model.width,
      batch: configuration.batch,
      neededBytes: (patch, width) => {
        const other = trainingProgram(stepOptions(configuration, patch, width));
        return backend.memoryBytes(other.program) + hostBytes(other.table);
      },
    },
    availableBytes({ wasm32: backend.name === 'cpu' }),
  );
  const { program } = trainingProgram(options);
  const seconds = await estimateStepSeconds(backend, program.graphs.get('gradient')!, configuration.batch);
  progress.say(
    [
      `cohort     ${call.cohort}: ${training} subjects to train with, ${cohort.subjects.length - training} held out`,
      `network    ${table.count.toLocaleString('en')} parameters (width ${configuration.model.width})`,
      `memory     ${formatBytes(backend.memoryBytes(program) + hostBytes(table))} of ${formatBytes(availableBytes().bytes)}`,
      `computing  ${backend.description}`,
      `time       about ${seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`} a step, ${formatDuration(seconds * configuration.steps * 1000)} for ${configuration.steps} steps`,
    ].join('\n'),
  );
}

async function restore(
  session: Session,
  table: ParameterTable,
  checkpoint: Checkpoint | undefined,
  seed: number,
  source: string,
): Promise<void> {
  if (!checkpoint) {
    await session.writeState(STATES.parameters, initialParameters(table, seed));
    return;
  }
  await session.writeState(STATES.parameters, flatTensor(table, checkpoint.parameters, source));
  await session.writeState(STATES.firstMoment, flatTensor(table, checkpoint.moments.first, source));
  await session.writeState(STATES.secondMoment, flatTensor(table, checkpoint.moments.second, source));
}

/** The share of the learning rate at which a decay ends. */
const LEAST_RATE = 0.05;

/** The learning rate of a step (from 0). It depends on nothing else of the run, so a resumed run has the same. */
function learningRateOf({ learningRate, learningRateDecaySteps }: PretrainConfiguration, step: number): number {
  if (learningRateDecaySteps === 0) return learningRate;
  const passed = Math.min(1, step / learningRateDecaySteps);
  return learningRate * (LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + Math.cos(Math.PI * passed)));
}

/** What a step found. */
interface StepResult {
  readonly loss: Readonly<Record<string, number>>;
  readonly gradientNorm: Readonly<Record<string, number>>;
  readonly finite: boolean;
}

/** One step: gradients of the batch, their norms, and Adam unless something is not finite. The state is that before the step. */
async function trainStep(
  session: Session,
  configuration: PretrainConfiguration,
  examples: readonly Record<'moving' | 'movingView' | 'fixed', Float32Array>[],
  { step, adamSteps }: TrainingState,
): Promise<StepResult> {
  const loss: Record<string, number> = {};
  for (const { moving, movingView, fixed } of examples) {
    const inputs = configuration.model.heads.matching ? { moving, movingView, fixed } : { moving, movingView };
    for (const [name, values] of Object.entries(await session.run('gradient', inputs))) {
      const key = name.replace('loss.', '');
      loss[key] = (loss[key] ?? 0) + values[0]! / examples.length;
    }
  }
  const gradientNorm: Record<string, number> = {};
  for (const [part, values] of Object.entries(await session.run('norms', {}))) gradientNorm[part] = Math.sqrt(values[0]!);
  const finite = [...Object.values(loss), ...Object.values(gradientNorm)].every(Number.isFinite);
  if (finite) await session.run('update', { step: adamStep(learningRateOf(configuration, step), adamSteps + 1) });
  else await session.writeState(STATES.gradients, new Float32Array((await session.readState(STATES.gradients)).length));
  return { loss, gradientNorm, finite };
}

/** Trains. @throws UsageError for what is wrong with the call, WorkError for a run that cannot go on */
export async function pretrain(call: PretrainCall): Promise<PretrainResult> {
  const { configuration, out, progress, signal } = call;
  const cohort = await openCohort(call.cohort);
  const { training, heldOut } = splitCohort(cohort, configuration.data.heldOut, configuration.seed);
  const threads = configuration.threads === 'auto' ? undefined : configuration.threads;
  const backend = createBackend(configuration.backend, threads);
  const options = stepOptions(configuration);
  const { program, table } = trainingProgram(options);
  const run = await openRun(out, { resume: call.resume });
  try {
    const begun = run.checkpoint?.configuration.pretraining;
    if (begun) requireSameRun(begun, configuration, out);
    if (run.checkpoint && run.checkpoint.state.step > configuration.steps) {
      throw new UsageError(
        `--steps: ${out} has done ${run.checkpoint.state.step} steps already, expected at least as many, got ${configuration.steps}`,
      );
    }
    await announce(call, backend, { table, options }, cohort, training.length);
    await mkdir(join(out, 'pictures'), { recursive: true });
    await writeFileAtomic(
      join(out, 'run.json'),
      jsonText({
        cohort: {
          folder: call.cohort,
          subjects: cohort.subjects.length,
          training: training.length,
          heldOut: heldOut.length,
          heldOutIds: heldOut.map(({ id }) => id),
          modality: cohort.options.modality,
          spacingMm: cohort.options.spacingMm,
        },
        configuration,
        parameters: table.count,
        machine: { node: process.version, backend: backend.description, cpu: cpus()[0]?.model ?? 'unknown' },
      }),
    );
    const session = await backend.open(program);
    try {
      await restore(session, table, run.checkpoint, configuration.seed, out);
      return await train({ call, cohort, training, heldOut, run, session, table, ...(signal ? { signal } : {}) });
    } finally {
      await session.close();
    }
  } finally {
    run.close();
    progress.stop();
  }
}

interface Work {
  readonly call: PretrainCall;
  readonly cohort: Cohort;
  readonly training: readonly Subject[];
  readonly heldOut: readonly Subject[];
  readonly run: Run;
  readonly session: Session;
  readonly table: ParameterTable;
  readonly signal?: AbortSignal;
}

/** The loop. */
async function train({ call, cohort, training, heldOut, run, session, table, signal }: Work): Promise<PretrainResult> {
  const { configuration, progress, out } = call;
  const { steps, batch, log } = configuration;
  const patch = patchSize(configuration);
  let state: TrainingState = run.checkpoint?.state ?? INITIAL_STATE;
  const firstStep = state.step;
  const now = (): number => Date.now() / 1000;
  const metrics = openMetricsLog(join(out, 'metrics.jsonl'), firstStep > 0 ? firstStep : -1);
  const events = openEventLog(join(out, 'events'), firstStep > 0 ? firstStep : -1, now());
  const job = { cohort: call.cohort, training: training.map(({ id }) => id), configuration };
  const examples = await openExamples(job, 1, firstStep);
  const pairs = evaluationPairs(heldOut.length, log.evaluatePairs, configuration.seed).map(
    ([a, b]) => [heldOut[a]!, heldOut[b]!] as const,
  );

  let evaluation: Evaluation | null = null;
  let loss: number | null = null;
  let [waitedMs, spentMs] = [0, 0];
  let savedAtMs = performance.now();

  const checkpoint = async (): Promise<Checkpoint> => {
    const flat = (name: string) => session.readState(name).then((values) => namedTensors(table, values));
    return {
      configuration: modelConfiguration(configuration, cohort, state.step),
      parameters: await flat(STATES.parameters),
      moments: { first: await flat(STATES.firstMoment), second: await flat(STATES.secondMoment) },
      state,
    };
  };
  const save = async (): Promise<void> => {
    metrics.sync();
    await run.save('last', await checkpoint());
    savedAtMs = performance.now();
  };
  const picture = (index: number, pair: MatchedPair): string => {
    const drawn = pairPicture(pair, ['moving', 'fixed', 'warped', 'difference', 'grid', 'before', 'after']);
    const png = encodePng(drawn);
    const path = `pictures/step-${String(state.step).padStart(6, '0')}-pair-${index}.png`;
    writeFileSync(join(out, path), png);
    events.image(state.step, `pair/${index}`, { png, width: drawn.width, height: drawn.height }, now());
    return path;
  };
  const evaluate = async (drawn: number): Promise<void> => {
    if (pairs.length === 0 || !configuration.model.heads.matching) return;
    const results: PairEvaluation[] = await evaluatePairs(session, cohort, pairs, patch, (index, pair) =>
      index < drawn ? picture(index, pair) : undefined,
    );
    evaluation = summarize(results);
    metrics.append({ kind: 'evaluation', step: state.step, ...evaluation });
    const { ncc, foldedShare, landmarkErrorMm, labelDice } = evaluation;
    const scalars: Record<string, number> = { 'heldOut/ncc': ncc.after, 'heldOut/foldedShare': foldedShare.after };
    if (landmarkErrorMm) scalars['heldOut/landmarkErrorMm'] = landmarkErrorMm.after;
    if (labelDice) scalars['heldOut/labelDice'] = labelDice.after;
    events.scalars(state.step, scalars, now());
    await writeFileAtomic(join(out, 'evaluation.json'), jsonText({ step: state.step, summary: evaluation, pairs: results }));
    progress.say(describeEvaluation(state.step, evaluation));
    const score = scoreOf(evaluation);
    if (state.step > 0 && Number.isFinite(score) && (!state.best || score < state.best.score)) {
      state = { ...state, best: { step: state.step, score } };
      await run.save('best', await checkpoint());
    }
  };

  try {
    progress.start(steps, 'steps', firstStep);
    if (firstStep === 0) {
      await save();
      if (log.evaluateEverySteps > 0) await evaluate(log.picturesEverySteps > 0 ? PICTURED_PAIRS : 0);
    }
    while (state.step < steps && !signal?.aborted) {
      const startMs = performance.now();
      const taken = await Promise.all(Array.from({ length: batch }, (_, sample) => examples.take(state.step, sample)));
      const waitMs = performance.now() - startMs;
      const { loss: losses, gradientNorm, finite } = await trainStep(session, configuration, taken, state);
      const stepMs = performance.now() - startMs;
      [waitedMs, spentMs] = [waitedMs + waitMs, spentMs + stepMs];
      state = {
        ...state,
        step: state.step + 1,
        adamSteps: state.adamSteps + (finite ? 1 : 0),
        skippedSteps: state.skippedSteps + (finite ? 0 : 1),
        skippedInRow: finite ? 0 : state.skippedInRow + 1,
      };
      const last = state.step === steps;
      if (finite) loss = losses.total!;
      else
        progress.say(
          `step ${state.step}: skipped, ${Object.entries({ ...losses, ...gradientNorm })
            .filter(([, value]) => !Number.isFinite(value))
            .map(([name, value]) => `${name} is ${value}`)
            .join(', ')}`,
        );
      if (!finite || last || state.step % log.everySteps === 0) {
        const learningRate = learningRateOf(configuration, state.step - 1);
        const record = { loss: losses, gradientNorm, learningRate, stepSeconds: stepMs / 1000, waitShare: waitMs / stepMs };
        metrics.append({ kind: 'step', step: state.step, ...record, ...(finite ? {} : { skipped: true }) });
        const scalars: Record<string, number> = { learningRate, stepSeconds: stepMs / 1000 };
        for (const [name, value] of Object.entries(losses)) scalars[`loss/${name}`] = value;
        for (const [name, value] of Object.entries(gradientNorm)) scalars[`gradientNorm/${name}`] = value;
        events.scalars(state.step, scalars, now());
      }
      progress.advance(1, `loss ${losses.total?.toFixed(4)}`);
      if (state.skippedInRow >= configuration.maxNonFiniteSteps) {
        await save();
        throw new WorkError(
          `${state.skippedInRow} steps in a row had a loss or gradient that is not finite; the last good state is kept in ${join(out, 'last')}. Lower the learning rate (--lr), or look for odd images in the cohort`,
        );
      }
      const due = (every: number): boolean => every > 0 && (last || state.step % every === 0);
      if (due(log.evaluateEverySteps)) await evaluate(due(log.picturesEverySteps) ? PICTURED_PAIRS : 0);
      const minutes = (performance.now() - savedAtMs) / 60_000;
      if (last || due(log.checkpointEverySteps) || (log.checkpointEveryMinutes > 0 && minutes >= log.checkpointEveryMinutes))
        await save();
      await nextTurn(); // lets a signal in
    }
    if (state.step < steps) await save();
  } finally {
    await examples.close();
    metrics.close();
    events.close();
  }
  const { step, best, skippedSteps } = state;
  return {
    out,
    step,
    finished: step === steps,
    loss,
    evaluation,
    best,
    skippedSteps,
    parameters: table.count,
    waitShare: spentMs > 0 ? waitedMs / spentMs : 0,
  };
}

/** Pairs that pictures are made of. */
const PICTURED_PAIRS = 3;

/** An evaluation in a line: before -> affine -> after. */
export function describeEvaluation(step: number, { ncc, landmarkErrorMm, labelDice, foldedShare }: Evaluation): string {
  const arrow = ({ before, affine, after }: { before: number; affine: number | null; after: number }, digits: number): string =>
    [before, ...(affine === null ? [] : [affine]), after].map((value) => value.toFixed(digits)).join(' -> ');
  const parts = [`step ${step}: NCC ${arrow(ncc, 3)}`];
  if (landmarkErrorMm) parts.push(`landmark error ${arrow(landmarkErrorMm, 2)} mm`);
  if (labelDice) parts.push(`label overlap ${arrow(labelDice, 3)}`);
  parts.push(`folded ${(100 * foldedShare.after).toFixed(2)} %`);
  return parts.join(', ');
}
