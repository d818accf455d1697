/** From a run's folder to its report: one HTML file that holds everything it shows. */
import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { readLabelNames } from '../../cohort/node/label-names.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { UsageError } from '../../common/errors.ts';
import { version } from '../../common/version.ts';
import { GVSL, methodDescribed, methodNameOf } from '../../methods/descriptions.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { summed } from '../figures.ts';
import { renderPage } from '../page.ts';
import { shownPairs, shownPictures, shownSubjects } from '../pictures.ts';
import { type EvaluationRecord, isJudgedByPairs } from '../run-data.ts';
import { nextCommands } from './commands.ts';
import { embeddedPictures } from './pictures.ts';
import { readRun } from './read-run.ts';

export interface ReportCall {
  /** The run's folder. */
  readonly run: string;
  /** The HTML file; by default report.html in the run. */
  readonly out?: string;
  /** Above the page; by default named after the cohort. */
  readonly title?: string;
  /** How the reader calls the program, for the commands on the page. */
  readonly program?: string;
}

export interface ReportResult {
  readonly out: string;
  readonly sizeBytes: number;
  /** Steps trained. */
  readonly step: number;
  /** The last evaluation; null if there was none. */
  readonly evaluation: EvaluationRecord | null;
}

/** uPlot as it is published, found as any module is. */
async function plotFiles(): Promise<{ plotScript: string; plotStyle: string }> {
  const folder = dirname(createRequire(import.meta.url).resolve('uplot'));
  const [plotScript, plotStyle] = await Promise.all(
    ['uPlot.iife.min.js', 'uPlot.min.css'].map((name) => readFile(join(folder, name), 'utf8')),
  );
  return { plotScript: plotScript, plotStyle: plotStyle };
}

/**
 * Writes the report of a run; a report that is there is replaced.
 * @throws RunError where there is no run, UsageError if `out` is a folder
 */
export async function writeReport({ run: folder, program = 'gvsl', ...call }: ReportCall): Promise<ReportResult> {
  const data = await readRun(folder);
  const out = call.out ?? join(folder, 'report.html');
  if ((await stat(out).catch(() => undefined))?.isDirectory())
    throw new UsageError(`\`out\` ${out}: expected a file, found a folder; for example ${join(out, 'report.html')}`);
  const { run, details } = data;
  const evaluation = details && details.step !== data.evaluations.at(-1)?.step ? summed(details) : data.evaluations.at(-1);
  const step = Math.max(data.steps.at(-1)?.step ?? 0, evaluation?.step ?? 0);
  // The cohort may have moved away since; without it, files and labels go without their names.
  const cohort = run.cohort?.folder === undefined ? undefined : await openCohort(run.cohort.folder).catch(() => undefined);
  const sourceOf = (id: string | undefined): string | undefined => cohort?.subjects.find((subject) => subject.id === id)?.source;
  const [moving, fixed] = [sourceOf(details?.pairs[0]?.moving), sourceOf(details?.pairs[0]?.fixed)];
  const name = methodNameOf(run.method, run.configuration);
  const method = run.task ? undefined : methodDescribed(name);
  const isOther = !run.task && run.method !== undefined && run.method !== GVSL;
  const pictures = await embeddedPictures(folder);
  const page = renderPage({
    title:
      call.title ??
      `${run.task ? `Training a ${run.task.kind} network` : `Pre-training${isOther ? ` by ${method?.title ?? name}` : ''}`} on ${run.cohort?.folder ? basename(resolve(run.cohort.folder)) : basename(resolve(folder))}`,
    data,
    evaluation,
    shown: details ? await shownPairs(pictures, details) : [],
    shownSubjects: run.task && data.taskDetails ? await shownSubjects(pictures, data.taskDetails) : [],
    shownPictures: !run.task && !isJudgedByPairs(data) ? await shownPictures(pictures) : [],
    method,
    labelNames: cohort ? await readLabelNames(cohort) : new Map(),
    commands: nextCommands({ program, folder, run, method: name, step, pair: moving && fixed ? { moving, fixed } : undefined }),
    ...(await plotFiles()),
    version,
  });
  await writeFileAtomic(out, page);
  return { out, sizeBytes: Buffer.byteLength(page), step, evaluation: evaluation ?? null };
}
