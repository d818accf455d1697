/**
 * Preparing a whole cohort: finds the subjects, prepares each in parallel, and writes cohort.json with every problem.
 *
 * One bad file never stops the rest. Stopped at any moment, even killed, the same call continues: subjects done with the same options
 * from unchanged files are kept. cohort.json appears only when all is done.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve, sep } from 'node:path';
import { UsageError, WorkError } from '../errors/errors.ts';
import { isLeftOver, makeFolder, writeFileAtomic } from '../node/files.ts';
import { availableBytes } from '../node/limits.ts';
import { type Progress, SILENT } from '../node/progress.ts';
import type { PrepareOptions } from '../preparation/prepare-options.ts';
import { assignClasses, findClassTable } from './classes.ts';
import { type Cohort, type CohortProblem, formatCohort } from './cohort.ts';
import { findDuplicates } from './duplicates.ts';
import { asOwnSubject, type FoundSubjects, findSubjects, type SubjectTask } from './find-subjects.ts';
import { findRecord, type SubjectRecord } from './prepare-subject.ts';
import { canUseProcesses, startWorker } from './workers.ts';

export interface PrepareCall {
  readonly source: string;
  readonly out: string;
  readonly options: PrepareOptions;
  /** A table of the subjects' classes; without it `labels.csv` or `classes.csv` in the source folder, if one is there. */
  readonly classes?: string;
  /** Its column of classes; `label` or `class` if not said. */
  readonly classColumn?: string;
  /** Subjects at the same time; by default what processors and memory allow. */
  readonly workers?: number;
  readonly progress?: Progress;
  /** Stops between subjects; what is done stays done. */
  readonly signal?: AbortSignal;
}

export interface PrepareReport {
  readonly layout: FoundSubjects['layout'];
  readonly cohort: Cohort;
  /** Subjects that an earlier call had prepared already. */
  readonly kept: number;
}

/** A subject of 512 x 512 x 600 voxels needs about this much: floats before and after resampling and ITK's copies. */
const BYTES_PER_WORKER = 3 * 2 ** 30;

/**
 * Prepares every image of `source` into the folder `out`.
 * @throws UsageError for folders that cannot be meant, WorkError if no subject at all could be prepared or the call was stopped
 */
export async function prepareCohort({
  source,
  out,
  options,
  progress = SILENT,
  signal,
  ...call
}: PrepareCall): Promise<PrepareReport> {
  await checkFolders(source, out);
  const found = await findSubjects(source);
  if (found.tasks.length === 0)
    throw new WorkError(
      `${source}: no images in this folder${found.problems.length ? `: ${found.problems[0].source}: ${found.problems[0].message}` : ''}`,
    );
  const table = await findClassTable(source, call.classes, call.classColumn);
  for (const name of ['images', 'labels', 'subjects']) await clearLeftOvers(join(out, name));
  // until all is done again, no cohort is there to be mistaken for the whole
  await rm(join(out, 'cohort.json'), { force: true });

  const queue: SubjectTask[] = [...found.tasks];
  const records = new Map<string, SubjectRecord>();
  const problems: CohortProblem[] = [...found.problems];
  const ids = queue.map((task) => task.id);
  const addFound = (record: SubjectRecord): void => {
    records.set(record.subject.id, record);
    for (const path of record.notLabels) {
      const own = asOwnSubject(source, path, ids);
      ids.push(own.id);
      queue.push(own);
      const message = `named like a label map of ${record.subject.source}, but holds an image: a subject of its own`;
      problems.push({ source: path, kind: 'odd', message });
    }
  };
  // first what is done already, so that the progress begins there
  const open: SubjectTask[] = [];
  for (let task = queue.shift(); task; task = queue.shift()) {
    const record = await findRecord(task, options, out);
    if (record) addFound(record);
    else open.push(task);
  }
  const kept = records.size;
  queue.push(...open);
  let total = kept + queue.length;
  let finished = kept;
  progress.start(total, 'images', kept);

  const byMemory = Math.max(1, Math.floor(availableBytes().bytes / BYTES_PER_WORKER));
  const wanted = call.workers ?? Math.min(availableParallelism(), byMemory);
  const workers = Array.from({ length: canUseProcesses() ? Math.min(wanted, queue.length) : 1 }, () => startWorker(options, out));
  const stopAll = (): void => {
    for (const worker of workers) worker.stop();
  };
  signal?.addEventListener('abort', stopAll, { once: true });
  try {
    await Promise.all(
      workers.map(async (worker) => {
        for (let task = queue.shift(); task && !signal?.aborted; task = queue.shift()) {
          try {
            const record = await worker.prepare(task);
            finished++;
            addFound(record);
            if (record.notLabels.length > 0) {
              total += record.notLabels.length;
              progress.start(total, 'images', finished - 1);
            }
            progress.advance(1, task.id);
          } catch (error) {
            if (signal?.aborted) return;
            if (!(error instanceof WorkError)) throw error;
            const message = error.message.replace(`${task.image.path}: `, '');
            finished++;
            problems.push({ source: task.image.path, kind: 'refused', message });
            progress.advance(1, task.id);
            progress.say(`refused ${task.image.path}: ${message}`);
          }
        }
      }),
    );
  } finally {
    signal?.removeEventListener('abort', stopAll);
    stopAll();
    progress.stop();
  }
  if (signal?.aborted)
    throw new WorkError(`stopped: ${records.size} of ${total} images are prepared; the same command continues`);

  // in the order of the source, whichever worker was quicker
  const done = ids.flatMap((id) => records.get(id) ?? []);
  problems.push(...problemsOf(done));
  const order = new Map(ids.map((id, k) => [records.get(id)?.subject.source ?? '', k]));
  problems.sort(
    (a, b) =>
      (order.get(a.source) ?? -1) - (order.get(b.source) ?? -1) || (a.source < b.source ? -1 : a.source > b.source ? 1 : 0),
  );
  const root = found.layout === 'MONAI' ? dirname(source) : source;
  // refused images too: their rows are in order
  const named = new Map(found.tasks.map(({ id, image }) => [id, { id, source: image.path }]));
  for (const { subject } of done) named.set(subject.id, subject);
  const assigned = table ? assignClasses(table, [...named.values()], root) : { classes: new Map<string, string>(), problems: [] };
  problems.push(...assigned.problems);
  // the table before the list of files: it is what a call names
  const listed = new Map(found.tasks.map((task) => [task.id, task.class]));
  const classOf = (id: string): string | null => assigned.classes.get(id) ?? listed.get(id) ?? null;
  const subjects = done.map(({ subject }) => ({ ...subject, class: classOf(subject.id) }));
  const cohort: Cohort = { folder: out, options, subjects, problems };
  if (done.length > 0) await writeFileAtomic(join(out, 'cohort.json'), formatCohort(cohort));
  return { layout: found.layout, cohort, kept };
}

async function checkFolders(source: string, out: string): Promise<void> {
  const facts = await stat(source).catch(() => undefined);
  if (!facts) throw new UsageError(`${source}: no such folder; expected a folder of images`);
  const isList = /\.json$/i.test(source) && facts.isFile();
  if (!facts.isDirectory() && !isList)
    throw new UsageError(
      `${source}: a file; expected a folder of images, or MONAI's datalist in JSON (gvsl inspect shows single files)`,
    );
  const [from, to] = [resolve(source), resolve(out)];
  if (to === from || to.startsWith(from + sep))
    throw new UsageError(
      `${out}: lies in the source folder ${source}, where its files would be found as images; choose another place`,
    );
  const names: string[] = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw new UsageError(`${out}: cannot be used as a folder (${error.code})`);
  });
  const foreign = names.filter((name) => !isLeftOver(name) && !['cohort.json', 'images', 'labels', 'subjects'].includes(name));
  if (foreign.length > 0 || (names.length > 0 && !names.includes('subjects')))
    throw new UsageError(`${out}: holds something else than a cohort (${foreign[0] ?? names[0]}); choose a new folder`);
  try {
    await makeFolder(join(to, 'subjects'));
  } catch (error) {
    throw new UsageError(
      `${out}: cannot be made (${(error as NodeJS.ErrnoException).code}); choose a folder that you may write to`,
    );
  }
}

/** Removes what a killed process left half written. */
async function clearLeftOvers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) if (isLeftOver(name)) await rm(join(folder, name), { force: true });
}

/** Problems of the prepared subjects, and of the cohort as a whole. */
function problemsOf(records: readonly SubjectRecord[]): CohortProblem[] {
  const problems = records.flatMap(({ subject }) =>
    subject.problems.map((message): CohortProblem => ({ source: subject.source, kind: 'odd', message })),
  );
  const thumbnails = records.map((record) => {
    const bytes = Buffer.from(record.thumbnail, 'base64');
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  });
  for (const { index, of, correlation } of findDuplicates(thumbnails)) {
    const message = `shows the same as ${records[of].subject.source} (correlation ${correlation.toFixed(4)}): keep one of them`;
    problems.push({ source: records[index].subject.source, kind: 'duplicate', message });
  }
  const counts = new Map<string, number>();
  for (const { subject } of records) counts.set(subject.sourceOrientation, (counts.get(subject.sourceOrientation) ?? 0) + 1);
  if (counts.size > 1) {
    const list = [...counts].sort((a, b) => b[1] - a[1]).map(([code, n]) => `${n} ${code}`);
    problems.push({ source: 'the cohort', kind: 'odd', message: `mixed orientations (${list.join(', ')}), all brought to RAS` });
  }
  return problems;
}
