/**
 * Preparing a whole cohort: finds the subjects, prepares each in parallel, and writes the cohort's files with every problem.
 *
 * One bad file never stops the rest. Stopped at any moment, even killed, the same call continues: subjects done with the same options
 * from unchanged files are kept. cohort.json appears only when all is done.
 */
import { readdir, rename, stat } from 'node:fs/promises';
import { dirname, join, parse } from 'node:path';
import { MachineError, RunError, UsageError } from '../../common/errors.ts';
import { type ProgressListener, toProgress } from '../../common/progress.ts';
import { isStaleTemp, makeFolder, removeLeftOvers } from '../../platform/node/files.ts';
import { isInside } from '../../platform/node/guard.ts';
import { availableBytes, availableThreads } from '../../platform/node/limits.ts';
import { lockFolder } from '../../platform/node/lock.ts';
import { isMachineTrouble, machineError, withMachineTrouble } from '../../platform/node/machine.ts';
import { COHORT_FORMAT, type Cohort, type CohortProblem } from '../cohort.ts';
import { MisfitError } from '../prepare-image.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { assignClasses, type ClassTable, findClassTable } from './classes.ts';
import { findDuplicates } from './duplicates.ts';
import { findSubjects } from './find-subjects.ts';
import { COHORT_FILE, PROBLEMS_FILE, SUBJECTS_FILE, shardOf } from './open-cohort.ts';
import { findRecord, type SubjectRecord } from './prepare-subject.ts';
import { EVERYTHING, type Selection } from './selection.ts';
import { asOwnSubject, type FoundSubjects, problemOfMisfit, type SubjectTask } from './subject-task.ts';
import { canUseProcesses, startWorker } from './workers.ts';
import { withdrawCohort, writeCohort } from './write-cohort.ts';

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
  /** Which files become images; by default all that belong to the modality. */
  readonly selection?: Selection;
  readonly progress?: ProgressListener;
  /** Stops between subjects; what is done stays done. */
  readonly signal?: AbortSignal;
}

export interface PrepareReport {
  readonly layout: FoundSubjects['layout'];
  readonly cohort: Cohort;
  /** Subjects that an earlier call had prepared already. */
  readonly kept: number;
  /** Images that no pattern of the selection fits. */
  readonly unmatched: number;
}

/** Folders with a file for each subject, in sub-folders. */
const KINDS = ['images', 'labels', 'subjects'];

/** A subject of 512 x 512 x 600 voxels needs about this much: floats before and after resampling and ITK's copies. */
const BYTES_PER_WORKER = 3 * 2 ** 30;

/**
 * Prepares every image of `source` into the folder `out`. One call at a time: `out` is locked.
 * @throws UsageError for folders that cannot be meant, RunError if there is no image, another process prepares there or the call was
 * stopped, MachineError if the disk is full or the like: what is prepared by then stays, and the same call goes on from there
 */
export async function prepareCohort(call: PrepareCall): Promise<PrepareReport> {
  const { source, out, options, selection = EVERYTHING } = call;
  await checkFolders(source, out);
  const found = await findSubjects(source, options.modality, selection);
  if (found.tasks.length === 0) throw nothingFound(source, found, selection);
  const table = await findClassTable(source, call.classes, call.classColumn);
  const unlock = lockFolder(out);
  try {
    return await withMachineTrouble(out, () => prepareFound(call, found, table));
  } finally {
    unlock();
  }
}

function nothingFound(source: string, { problems, unmatched }: FoundSubjects, { match }: Selection): RunError {
  const counts = [
    ...(unmatched > 0 ? [`${unmatched} that do not match \`match\` ${match.join(' ')}`] : []),
    ...countedProblems(problems),
  ];
  const [first] = problems;
  return new RunError(
    `${source}: no images to prepare${counts.length > 0 ? `: ${counts.join(', ')}` : ' in this folder'}${first ? `; the first: ${first.source}: ${first.message}` : ''}`,
  );
}

/** What was not prepared, in words: '3 left out (2 label maps, 1 PT)', '1 refused'. */
export function countedProblems(problems: readonly CohortProblem[]): string[] {
  const of = (kind: CohortProblem['kind']): CohortProblem[] => problems.filter((problem) => problem.kind === kind);
  const left = of('left-out');
  const whats = new Map<string, number>();
  for (const { what = 'other' } of left) whats.set(what, (whats.get(what) ?? 0) + 1);
  const kinds = [...whats].map(([what, n]) => `${n} ${n > 1 && /^[a-z]/.test(what) ? `${what}s` : what}`);
  const refused = of('refused').length;
  return [
    ...(left.length > 0 ? [`${left.length} skipped (${kinds.join(', ')})`] : []),
    ...(refused > 0 ? [`${refused} refused`] : []),
  ];
}

async function prepareFound(
  { source, out, options, selection = EVERYTHING, signal, ...call }: PrepareCall,
  found: FoundSubjects,
  table: ClassTable | null,
): Promise<PrepareReport> {
  const progress = toProgress(call.progress);
  const { allow } = selection;
  await intoShards(out);
  await removeAllLeftOvers(out);
  await makeFolder(join(out, 'subjects'));
  // until all is done again, no cohort is there to be mistaken for the whole
  await withdrawCohort(out);

  const queue: SubjectTask[] = [...found.tasks];
  const records = new Map<string, SubjectRecord>();
  const problems: CohortProblem[] = [...found.problems];
  const patients = new Map(found.tasks.map((task) => [task.id, task.patient]));
  const ids = queue.map((task) => task.id);
  const addFound = (record: SubjectRecord): void => {
    records.set(record.subject.id, record);
    for (const path of record.notLabels) {
      const own = asOwnSubject(source, path, ids);
      ids.push(own.id);
      queue.push(own);
      const { id } = record.subject;
      // both are named after one subject
      const patient = patients.get(id) ?? id;
      patients.set(id, patient);
      patients.set(own.id, patient);
      const message = `named like a label map of ${record.subject.source}, but contains an image: prepared as a separate subject`;
      problems.push({ source: path, kind: 'warning', message });
    }
  };
  // first what is done already, so that the progress begins there
  const open: SubjectTask[] = [];
  for (let task = queue.shift(); task; task = queue.shift()) {
    const record = await findRecord(task, options, allow, out);
    if (record) addFound(record);
    else open.push(task);
  }
  const kept = records.size;
  queue.push(...open);
  let total = kept + queue.length;
  let finished = kept;
  progress.start(total, 'images', kept);

  const byMemory = Math.max(1, Math.floor(availableBytes().bytes / BYTES_PER_WORKER));
  const wanted = call.workers ?? Math.min(availableThreads().threads, byMemory);
  const workers = Array.from({ length: canUseProcesses() ? Math.min(wanted, queue.length) : 1 }, () =>
    startWorker(options, allow, out),
  );
  let stopped = false;
  const stopAll = async (): Promise<void> => {
    stopped = true;
    await Promise.all(workers.map((worker) => worker.stop()));
  };
  const onAbort = (): void => void stopAll();
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) stopped = true;
  try {
    await Promise.all(
      workers.map(async (worker) => {
        for (let task = queue.shift(); task && !stopped; task = queue.shift()) {
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
            if (stopped) return;
            if (!(error instanceof RunError) || error instanceof MachineError) throw error;
            const problem = problemOf(task.image.path, error);
            finished++;
            problems.push(problem);
            progress.advance(1, task.id);
            progress.say(`${task.image.path}: ${problem.kind === 'refused' ? 'refused: ' : ''}${problem.message}`);
          }
        }
      }),
    );
  } catch (error) {
    await stopAll();
    await removeAllLeftOvers(out);
    if (error instanceof MachineError)
      throw new MachineError(
        `${error.message}. ${records.size} of ${total} images are prepared; run the same command to continue`,
        error.code,
      );
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await stopAll();
    progress.stop();
  }
  if (signal?.aborted) {
    await removeAllLeftOvers(out);
    throw new RunError(`stopped: ${records.size} of ${total} images are prepared; run the same command to continue`);
  }

  // in the order of the source, whichever worker was quicker
  const done = ids.flatMap((id) => records.get(id) ?? []);
  problems.push(...problemsOf(done), ...mixedContrasts(found.tasks, records));
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
  const subjects = done.map(({ subject }) => ({
    ...subject,
    class: classOf(subject.id),
    patient: patients.get(subject.id) ?? null,
  }));
  const cohort: Cohort = { folder: out, format: COHORT_FORMAT, options, subjects, problems };
  if (done.length > 0) await writeCohort(cohort);
  return { layout: found.layout, cohort, kept, unmatched: found.unmatched };
}

/** Puts the files of a cohort of form 1, which lie beside each other, where they are looked for. */
async function intoShards(out: string): Promise<void> {
  for (const kind of KINDS.map((name) => join(out, name))) {
    const entries = await readdir(kind, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.filter((each) => each.isFile() && !each.name.startsWith('.'))) {
      const shard = join(kind, shardOf(parse(entry.name).name));
      await makeFolder(shard);
      await rename(join(kind, entry.name), join(shard, entry.name));
    }
  }
}

async function removeAllLeftOvers(out: string): Promise<void> {
  for (const kind of KINDS.map((name) => join(out, name)))
    for (const shard of await readdir(kind).catch(() => [])) await removeLeftOvers(join(kind, shard));
}

/** A source that could not be prepared. */
function problemOf(source: string, error: RunError): CohortProblem {
  if (error instanceof MisfitError) return problemOfMisfit(source, error.misfit);
  return { source, kind: 'refused', message: error.message.replace(`${source}: `, '') };
}

/** A warning where images of several contrasts are together. */
function mixedContrasts(tasks: readonly SubjectTask[], records: ReadonlyMap<string, unknown>): CohortProblem[] {
  const counts = new Map<string, number>();
  for (const { id, contrast } of tasks)
    if (contrast !== null && records.has(id)) counts.set(contrast, (counts.get(contrast) ?? 0) + 1);
  if (counts.size < 2) return [];
  const list = [...counts].sort((a, b) => b[1] - a[1]).map(([contrast, n]) => `${n} ${contrast}`);
  const message = `several contrasts (${list.join(', ')}), each image treated as a separate example; choose one with \`match\` '*_${[...counts.keys()][0]}.*'`;
  return [{ source: 'the cohort', kind: 'warning', message }];
}

async function checkFolders(source: string, out: string): Promise<void> {
  const facts = await stat(source).catch(() => undefined);
  if (!facts) throw new RunError(`${source}: no such folder; expected a folder of images`);
  const isList = /\.json$/i.test(source) && facts.isFile();
  if (!facts.isDirectory() && !isList)
    throw new UsageError(
      `${source}: is a file; expected a folder of images, or a MONAI datalist in JSON (gvsl inspect shows single files)`,
    );
  if (!isList && (await isInside(out, source)))
    throw new UsageError(
      `${out}: is inside the source folder ${source}, where its files would be found as images; choose another folder`,
    );
  const names: string[] = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    if (error.code === 'ENOTDIR') throw new UsageError(`${out}: is a file or inside one; choose a new folder`);
    throw isMachineTrouble(error) ? machineError(out, error) : error;
  });
  const isOurs = (name: string): boolean =>
    isStaleTemp(name) || name.startsWith('.lock') || [...KINDS, COHORT_FILE, SUBJECTS_FILE, PROBLEMS_FILE].includes(name);
  const foreign = names.filter((name) => !isOurs(name));
  if (foreign.length > 0 || (names.some((name) => !name.startsWith('.')) && !names.includes('subjects')))
    throw new UsageError(`${out}: is not empty and not a cohort (found ${foreign[0] ?? names[0]}); choose a new folder`);
}

/** Problems of the prepared subjects, and of the cohort as a whole. */
function problemsOf(records: readonly SubjectRecord[]): CohortProblem[] {
  const problems = records.flatMap(({ subject }) =>
    subject.problems.map((message): CohortProblem => ({ source: subject.source, kind: 'warning', message })),
  );
  const thumbnails = records.map((record) => {
    const bytes = Buffer.from(record.thumbnail, 'base64');
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  });
  for (const { index, of, correlation } of findDuplicates(thumbnails)) {
    const message = `duplicate of ${records[of].subject.source} (correlation ${correlation.toFixed(4)}): keep one of them`;
    problems.push({ source: records[index].subject.source, kind: 'duplicate', message });
  }
  const counts = new Map<string, number>();
  for (const { subject } of records) counts.set(subject.sourceOrientation, (counts.get(subject.sourceOrientation) ?? 0) + 1);
  if (counts.size > 1) {
    const list = [...counts].sort((a, b) => b[1] - a[1]).map(([code, n]) => `${n} ${code}`);
    problems.push({
      source: 'the cohort',
      kind: 'warning',
      message: `mixed orientations (${list.join(', ')}), all reoriented to RAS`,
    });
  }
  return problems;
}
