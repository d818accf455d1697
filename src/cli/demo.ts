/**
 * The demo: from nothing to a trained network and its report, in six to eight minutes on two cores.
 *
 * The same library calls as `phantom`, `prepare`, `pretrain` and `report`, with a small network on coarse images. Each part keeps what
 * an earlier, interrupted call did, so the same call continues. Everything lies in subfolders of `out`.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareCohort } from '../cohort/prepare.ts';
import type { BackendName } from '../engine/backend.ts';
import { WorkError } from '../errors/errors.ts';
import type { Progress } from '../node/progress.ts';
import type { EvaluationRecord } from '../report/run-data.ts';
import { writeReport } from '../report/write-report.ts';
import { DEMO_SETTINGS } from '../training/demo-settings.ts';
import { pretrain } from '../training/pretrain.ts';
import { parseConfiguration } from '../training/read-configuration.ts';
import { readRunRecord } from '../training/run-record.ts';
import { writePhantomCohort } from './phantom-cohort.ts';

export interface DemoCall {
  readonly out: string;
  /** Names the patients and the training; equal seeds give equal demos. */
  readonly seed: number;
  readonly steps: number;
  /** All cores if left out. */
  readonly threads?: number;
  readonly backend: BackendName;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** How the reader calls the program. */
  readonly program: string;
}

export interface DemoResult {
  readonly cohort: string;
  readonly run: string;
  readonly report: string;
  readonly step: number;
  /** False if it was stopped: the same call continues. */
  readonly finished: boolean;
  /** On held-out pairs; null if it was stopped before the first one. */
  readonly evaluation: EvaluationRecord | null;
}

/** @throws WorkError if it is stopped before training, or `out` holds another demo */
export async function runDemo({ out, seed, steps, threads, backend, progress, signal, program }: DemoCall): Promise<DemoResult> {
  const { phantoms, prepare, pretrain: training } = DEMO_SETTINGS;
  const [images, cohort, run] = ['images', 'cohort', 'run'].map((name) => join(out, name)) as [string, string, string];
  const configuration = parseConfiguration(
    { ...training, steps, seed, threads: threads ?? 'auto', backend },
    [],
    'the settings of the demo',
  );
  const stopHere = (): void => {
    if (signal.aborted) throw new WorkError(`stopped; the same command continues in ${out}`);
  };

  const isThere = (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    );
  const report = join(out, 'report.html');
  if ((await isThere(report)) && !(await isThere(run)))
    throw new WorkError(`${report}: is there already, and not of a demo; give a new or an empty folder`);

  progress.say(`1/4 drawing ${phantoms.subjects} synthetic patients: ${images}`);
  await writePhantomCohort(images, { ...phantoms, seed }, progress, signal);
  stopHere();

  progress.say(`2/4 preparing them as a cohort: ${cohort}`);
  await prepareCohort({ source: images, out: cohort, options: prepare, progress, signal });
  progress.stop();
  stopHere();

  progress.say(`3/4 pre-training: ${run}`);
  const resume = (await readRunRecord(run)) !== undefined;
  const { finished, step } = await pretrain({ cohort, out: run, configuration, resume, progress, signal });

  progress.say(`4/4 writing the report: ${report}`);
  const title = `Matching hearts in ${phantoms.subjects} synthetic CTs`;
  const { evaluation } = await writeReport({ run, out: report, title, program });
  return { cohort, run, report, step, finished, evaluation };
}
