/**
 * The training loop as it runs (examples of a cohort with damage and transformation, losses, Adam, logs, progress; no evaluation, no checkpoint
 * on the way) beside the bare step: the same program in the same session on images that are there already. A part of one, a part of the other, in turn.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { RunError } from '../../common/errors.ts';
import type { Progress } from '../../common/progress.ts';
import type { Session } from '../../engine/backend.ts';
import type { Zyx } from '../../geometry/volume.ts';
import type { PretrainConfiguration } from '../../methods/gvsl/configuration.ts';
import { trainingProgram } from '../../methods/gvsl/program.ts';
import { stepOptions } from '../../methods/gvsl/step-options.ts';
import type { ExampleTensors } from '../../methods/method.ts';
import { configurationOf as modelConfigurationOf } from '../../model/configuration.ts';
import { initialParameters } from '../../model/parameters.ts';
import { type CpuBuild, nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import { openRun } from '../../training/node/checkpoint.ts';
import type { ExampleSource } from '../../training/node/data-loader.ts';
import { restoreState, runTraining } from '../../training/node/loop.ts';
import { openPretrainingExamples, pretrainingMaker } from '../../training/node/pretraining-examples.ts';
import { parseConfiguration } from '../../training/node/read-configuration.ts';
import { trainStep } from '../../training/step.ts';
import { median } from './machine.ts';

/** What is trained. */
export interface LoopShape {
  readonly size: Zyx;
  readonly width: number;
  /** Pairs a step. */
  readonly batch: number;
}

export interface LoopRequest extends LoopShape {
  /** Where examples are read. */
  readonly cohort: string;
  readonly threads: number;
  readonly build: CpuBuild;
  /** Steps of each part; undefined: as many as take about `PART_SECONDS`. */
  readonly steps: number | undefined;
  /** How often both are measured. */
  readonly rounds: number;
}

/** One part of each: seconds a step. */
export interface LoopRound {
  readonly steps: number;
  readonly bareS: number;
  readonly loopS: number;
  /** Of `loopS`: waiting for examples, and what running the session's graphs took. The rest is logs, progress and the loop itself. */
  readonly waitS: number;
  readonly computeS: number;
  /** Times a step that a thread of this process went to sleep of itself: waiting at a barrier, or for an example. */
  readonly bareSleeps: number;
  readonly loopSleeps: number;
}

const PART_SECONDS = 1;
/** Of the loop, before any is counted: the thread of examples loads and its code is optimised meanwhile. */
const WARMUP_SECONDS = 1.5;

const sleeps = (): number => process.resourceUsage().voluntaryContextSwitches;

/** A session that adds up what its graphs take. */
function timed(session: Session): { session: Session; spentMs: () => number } {
  let ms = 0;
  return {
    spentMs: () => ms,
    session: {
      ...session,
      run: async (...args) => {
        const start = performance.now();
        try {
          return await session.run(...args);
        } finally {
          ms += performance.now() - start;
        }
      },
    },
  };
}

/** A source that adds up how long its examples are waited for: those of a step are asked for at once. */
function waitedFor<Images>(source: ExampleSource<Images>): { source: ExampleSource<Images>; waitedMs: () => number } {
  let [ms, until] = [0, 0];
  return {
    waitedMs: () => ms,
    source: {
      ...source,
      take: async (step, sample) => {
        const asked = performance.now();
        const images = await source.take(step, sample);
        const now = performance.now();
        ms += now - Math.max(asked, until);
        until = now;
        return images;
      },
    },
  };
}

/** A training of so many steps. */
export const configurationOf = (
  { size, width, batch, threads }: LoopShape & { readonly threads: number },
  steps: number,
): PretrainConfiguration =>
  parseConfiguration(
    {
      steps,
      batch,
      threads,
      model: { width },
      data: { patch: [...size], heldOut: 0 },
      // the hook of an evaluation is where the parts begin and end
      log: { evaluateEverySteps: 1, picturesEverySteps: 0, checkpointEverySteps: 0, checkpointEveryMinutes: 0 },
    },
    [],
    'the benchmark',
  );

/** Measures in this process, in a temporary folder that is removed again. */
export async function measureLoop(request: LoopRequest, progress: Progress, signal: AbortSignal): Promise<LoopRound[]> {
  const { threads, build, rounds } = request;
  const cohort = await openCohort(request.cohort);
  const training = cohort.subjects.map(({ id }) => id);
  const first = configurationOf(request, 1);
  const { program, table } = trainingProgram(stepOptions(first));
  const opened = await nodeCpuBackend(threads, build).open(program);
  const out = await mkdtemp(join(tmpdir(), 'gvsl-bench-'));
  try {
    const { session, spentMs } = timed(opened);
    const run = await openRun(join(out, 'run'), { resume: false });
    await restoreState(session, table, run, () => initialParameters(table, first.seed));
    const make = await pretrainingMaker({ cohort: request.cohort, training, configuration: first });
    const images = await Promise.all(Array.from({ length: request.batch }, (_, sample) => make(0, sample)));
    const gradient = (given: ExampleTensors, scaling: Readonly<Record<string, Float32Array>>) =>
      session.run('gradient', { ...given, ...scaling });
    let done = 0;
    const bare = async (steps: number): Promise<number> => {
      const start = performance.now();
      for (let i = 0; i < steps; i++)
        await trainStep({ session, gradient }, images, { learningRate: first.learningRate }, done++);
      return (performance.now() - start) / 1000;
    };

    await bare(1);
    const roughS = await bare(1);
    const stepsIn = (seconds: number): number => Math.max(1, Math.round(seconds / roughS));
    const [warmup, part] = [stepsIn(WARMUP_SECONDS), request.steps ?? stepsIn(PART_SECONDS)];
    const configuration = configurationOf(request, warmup + rounds * part);
    const { source, waitedMs } = waitedFor(await openPretrainingExamples({ cohort: request.cohort, training, configuration }, 0));
    const results: LoopRound[] = [];
    let before = { ms: 0, waitedMs: 0, spentMs: 0, sleeps: 0, bareS: 0, bareSleeps: 0 };
    progress.start(configuration.steps, 'steps');
    try {
      await runTraining<ExampleTensors>({
        out: run.path,
        configuration,
        run,
        identity: '',
        session,
        table,
        progress,
        examples: source,
        gradient,
        lossScaling: false,
        modelConfiguration: (step) =>
          modelConfigurationOf({
            width: request.width,
            heads: configuration.model.heads,
            options: cohort.options,
            task: null,
            patch: request.size,
            kind: 'pretraining',
            configuration,
            seed: configuration.seed,
            step,
            backends: ['cpu'],
          }),
        evaluate: async ({ step }) => {
          const counted = step - warmup;
          if (counted < 0 || counted % part !== 0) return null;
          if (counted > 0) {
            const perStep = (from: number, to: number): number => (to - from) / 1000 / part;
            results.push({
              steps: part,
              bareS: before.bareS / part,
              loopS: perStep(before.ms, performance.now()),
              waitS: perStep(before.waitedMs, waitedMs()),
              computeS: perStep(before.spentMs, spentMs()),
              bareSleeps: before.bareSleeps / part,
              loopSleeps: (sleeps() - before.sleeps) / part,
            });
          }
          if (results.length === rounds) return null;
          // meanwhile the thread of examples has made what it makes ahead, and waits
          await bare(Math.round(0.1 * part));
          const slept = sleeps();
          const bareS = await bare(part);
          const bareSleeps = sleeps() - slept;
          before = { ms: performance.now(), waitedMs: waitedMs(), spentMs: spentMs(), sleeps: sleeps(), bareS, bareSleeps };
          return null;
        },
        signal,
      });
      if (signal.aborted) throw new RunError('stopped');
      return results;
    } finally {
      progress.stop();
      await source.close();
      run.close();
    }
  } finally {
    await opened.close();
    await rm(out, { recursive: true });
  }
}

/** Medians of several rounds. */
export function summarizeLoop(rounds: readonly LoopRound[]) {
  const of = (value: (round: LoopRound) => number): number => median(rounds.map(value));
  return {
    bareS: of(({ bareS }) => bareS),
    loopS: of(({ loopS }) => loopS),
    /** Speed of the loop over the bare step's. */
    kept: of(({ bareS, loopS }) => bareS / loopS),
    /** Shares of the loop's time: waiting; what its graphs take longer than the bare step, in which nothing else runs; logs, progress and the rest. */
    waiting: of(({ waitS, loopS }) => waitS / loopS),
    slower: of(({ computeS, bareS, loopS }) => (computeS - bareS) / loopS),
    rest: of(({ waitS, computeS, loopS }) => (loopS - waitS - computeS) / loopS),
  };
}
