/**
 * Pre-training: a cohort goes in, a run folder comes out (docs/file-formats.md says what is in it).
 *
 * A step is: the gradients of the batch, one sample at a time so that memory does not grow with the batch; their norms; Adam. Everything
 * random follows from (seed, step, sample), so a run is the same in one go or resumed, on any number of threads.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cohort, Subject } from '../../cohort/cohort.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { formatDuration } from '../../common/format-duration.ts';
import { version } from '../../common/version.ts';
import type { Backend, Session } from '../../engine/backend.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { type MatchedPair, pairPicture } from '../../images/pictures/pair-picture.ts';
import { encodePng } from '../../images/pictures/png.ts';
import { type PretrainConfiguration, patchSize, pretrainConfigurationSchema } from '../../methods/gvsl/configuration.ts';
import { type Evaluation, evaluatePairs, type PairEvaluation, scoreOf, summarize } from '../../methods/gvsl/node/evaluate.ts';
import { type ExampleImages, openPairExamples } from '../../methods/gvsl/node/examples.ts';
import { type StepOptions, trainingProgram } from '../../methods/gvsl/program.ts';
import { stepOptions } from '../../methods/gvsl/step-options.ts';
import { scaledArchitecture } from '../../model/architecture.ts';
import type { ModelConfiguration } from '../../model/configuration.ts';
import { jsonText } from '../../model/node/model-folder.ts';
import type { ParameterTable } from '../../model/parameters.ts';
import { type ExampleSource, examplesHeld } from '../../platform/node/example-source.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { withMachineTrouble } from '../../platform/node/machine.ts';
import { availableTo, memoryText, requireMemory } from '../../platform/node/memory.ts';
import type { Progress } from '../../platform/node/progress.ts';
import { evaluationPairs, splitCohort } from '../split.ts';
import { lossesOf } from '../step.ts';
import { openRun, type Run, type TrainingState } from './checkpoint.ts';
import { type EvaluationContext, restoreState, runTraining } from './loop.ts';
import { agreeWithRun, type RunFacts, writeRunRecord } from './run-record.ts';
import { estimateStepSeconds } from './speed.ts';

export interface PretrainCall {
  /** Folder that `prepare` made. */
  readonly cohort: string;
  /** Folder of the run. */
  readonly out: string;
  readonly configuration: PretrainConfiguration;
  readonly resume: boolean;
  readonly progress: Progress;
  /** What a step takes, where that is known; otherwise it is estimated. */
  readonly stepSeconds?: number;
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
  /** The last evaluation of this call, and the steps that were done then; null if there was none. */
  readonly evaluation: (Evaluation & { readonly step: number }) | null;
  readonly best: TrainingState['best'];
  readonly skippedSteps: number;
  readonly parameters: number;
  /** Share of the time that computing waited for examples. */
  readonly waitShare: number;
}

/** Images of an example. */
const IMAGES = 3;
/** Bytes beside the session: a checkpoint's copies of parameters and moments, the examples that are made ahead, and Node itself. */
const hostBytes = (table: ParameterTable, patch: Zyx, batch: number): number =>
  3 * 4 * table.flatLength + 4 * IMAGES * voxelCount(patch) * examplesHeld(batch) + 300 * 2 ** 20;

export function modelConfiguration(
  configuration: PretrainConfiguration,
  cohort: Cohort,
  step: number,
  backends: readonly string[],
): ModelConfiguration {
  const { width, heads } = configuration.model;
  const { modality, spacingMm, intensity, crop } = cohort.options;
  return {
    format: 'gvsl-model',
    formatVersion: 1,
    architecture: { width, channels: scaledArchitecture(width).widths.slice(0, 5), heads },
    preprocessing: { modality, spacingMm: [spacingMm[0], spacingMm[1], spacingMm[2]], intensity, crop },
    task: null,
    training: null,
    // how long a run went on, and on what, shapes nothing of the model: equal training gives equal files
    patch: [...patchSize(configuration)] as [number, number, number],
    pretraining: { ...configuration, steps: Math.max(1, step), threads: 'auto', backend: 'auto' },
    seed: configuration.seed,
    step,
    backends: [...backends],
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
      neededBytes: (patch, width, batch) => {
        const other = trainingProgram(stepOptions(configuration, patch, width));
        return backend.memoryBytes(other.program) + hostBytes(other.table, patch, batch);
      },
    },
    availableTo(backend),
  );
  const { program } = trainingProgram(options);
  const seconds = call.stepSeconds ?? (await estimateStepSeconds(backend, program.graphs.get('gradient')!, configuration.batch));
  progress.say(
    [
      `cohort     ${call.cohort}: ${training} subjects to train with, ${cohort.subjects.length - training} held out`,
      `network    ${table.count.toLocaleString('en')} parameters (width ${configuration.model.width})`,
      `memory     ${memoryText(backend, backend.memoryBytes(program), hostBytes(table, options.size, configuration.batch))}`,
      `computing  ${backend.description}`,
      `time       about ${seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`} a step, ${formatDuration(seconds * configuration.steps * 1000)} for ${configuration.steps} steps`,
    ].join('\n'),
  );
}

/** What a pre-training is made of. @throws UsageError for a cohort that is too small */
export async function pretrainFacts(folder: string, configuration: PretrainConfiguration) {
  const cohort = await openCohort(folder);
  const { training, heldOut } = splitCohort(cohort, configuration.data.heldOut, configuration.seed);
  const ids = (subjects: readonly Subject[]): string[] => subjects.map(({ id }) => id);
  const facts: RunFacts = {
    kind: 'pre-training',
    cohort,
    split: { training: ids(training), heldOut: ids(heldOut) },
    initialModel: null,
    configuration,
    schema: pretrainConfigurationSchema,
    withClasses: false,
  };
  return { facts, cohort, training, heldOut };
}

/** Trains. @throws UsageError for what is wrong with the call, WorkError for a run that cannot go on */
export async function pretrain(call: PretrainCall): Promise<PretrainResult> {
  const { configuration, out, progress, signal } = call;
  const { facts, cohort, training, heldOut } = await pretrainFacts(call.cohort, configuration);
  const run = await openRun(out, { resume: call.resume });
  try {
    const agreed = await agreeWithRun(run, facts, progress);
    const { backend, identity, backends } = agreed;
    const lossScaling = backend.half === true;
    const options = { ...stepOptions(configuration), lossScaling };
    const { program, table } = trainingProgram(options);
    await announce(call, backend, { table, options }, cohort, training.length);
    await withMachineTrouble(out, () => mkdir(join(out, 'pictures'), { recursive: true }));
    await writeRunRecord(out, agreed, { parameters: table.count });
    // first, so that the thread of examples starts while the session opens
    const examples = await openPairExamples(
      { cohort: call.cohort, training: training.map(({ id }) => id), configuration },
      run.state?.step ?? 0,
    );
    try {
      const session = await backend.open(program);
      try {
        await restoreState(session, table, run, configuration.seed);
        const work = { call, cohort, heldOut, run, identity, backends, session, table, lossScaling, examples };
        return await train({ ...work, ...(signal ? { signal } : {}) });
      } finally {
        await session.close();
      }
    } finally {
      await examples.close();
    }
  } finally {
    run.close();
    progress.stop();
  }
}

interface Work {
  readonly call: PretrainCall;
  readonly cohort: Cohort;
  readonly heldOut: readonly Subject[];
  readonly run: Run;
  readonly identity: string;
  readonly backends: readonly string[];
  readonly session: Session;
  readonly table: ParameterTable;
  readonly lossScaling: boolean;
  readonly examples: ExampleSource<ExampleImages>;
  readonly signal?: AbortSignal;
}

/** The loop. */
async function train({
  call,
  cohort,
  heldOut,
  run,
  identity,
  backends,
  session,
  table,
  lossScaling,
  examples,
  signal,
}: Work): Promise<PretrainResult> {
  const { configuration, progress, out } = call;
  const patch = patchSize(configuration);
  const { matching } = configuration.model.heads;
  const pairs = evaluationPairs(heldOut.length, configuration.log.evaluatePairs, configuration.seed).map(
    ([a, b]) => [heldOut[a]!, heldOut[b]!] as const,
  );
  let evaluation: PretrainResult['evaluation'] = null;

  const evaluate = async ({ step, pictures, metrics, events, now }: EvaluationContext): Promise<number | null> => {
    if (pairs.length === 0 || !matching) return null;
    const drawings: [path: string, png: Uint8Array][] = [];
    const picture = (index: number, pair: MatchedPair): string | undefined => {
      if (!pictures || index >= PICTURED_PAIRS) return undefined;
      const drawn = pairPicture(pair, ['moving', 'fixed', 'warped', 'difference', 'grid', 'before', 'after']);
      const png = encodePng(drawn);
      const path = `pictures/step-${String(step).padStart(6, '0')}-pair-${index}.png`;
      drawings.push([path, png]);
      events.image(step, `pair/${index}`, { png, width: drawn.width, height: drawn.height }, now());
      return path;
    };
    const results: PairEvaluation[] = await evaluatePairs(session, cohort, pairs, patch, picture);
    for (const [path, png] of drawings) await writeFileAtomic(join(out, path), png);
    const summary = summarize(results);
    evaluation = { step, ...summary };
    metrics.append({ kind: 'evaluation', step, ...summary });
    const { ncc, foldedShare, landmarkErrorMm, labelDice } = summary;
    const scalars: Record<string, number> = { 'heldOut/ncc': ncc.after, 'heldOut/foldedShare': foldedShare.after };
    if (landmarkErrorMm) scalars['heldOut/landmarkErrorMm'] = landmarkErrorMm.after;
    if (labelDice) scalars['heldOut/labelDice'] = labelDice.after;
    events.scalars(step, scalars, now());
    await writeFileAtomic(join(out, 'evaluation.json'), jsonText({ step, summary, pairs: results }));
    progress.say(describeEvaluation(step, summary));
    return scoreOf(summary);
  };

  const { state, finished, loss, waitShare } = await runTraining<ExampleImages>({
    out,
    configuration,
    run,
    identity,
    session,
    table,
    progress,
    examples,
    gradient: async ({ moving, movingView, fixed }, scaling) => {
      const images = matching ? { moving, movingView, fixed } : { moving, movingView };
      return lossesOf(await session.run('gradient', { ...images, ...scaling }));
    },
    lossScaling,
    modelConfiguration: (step) => modelConfiguration(configuration, cohort, step, backends),
    evaluate,
    ...(signal ? { signal } : {}),
  });
  const { step, best, skippedSteps } = state;
  return { out, step, finished, loss, evaluation, best, skippedSteps, parameters: table.count, waitShare };
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
