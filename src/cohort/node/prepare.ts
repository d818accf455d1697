/**
 * Preparing a whole cohort: finds the subjects, prepares each in parallel, and writes the cohort's files with every problem.
 *
 * One bad file never stops the rest. Stopped at any moment, even killed, the same call continues: subjects done with the same options
 * from unchanged files are kept. cohort.json appears only when all is done.
 */
import { readdir, rename, stat } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { MachineError, RunError, UsageError } from '../../common/errors.ts';
import { type ProgressListener, toProgress } from '../../common/progress.ts';
import { isStaleTemp, makeFolder, removeLeftOvers } from '../../platform/node/files.ts';
import { isInside } from '../../platform/node/guard.ts';
import { availableBytes, availableThreads } from '../../platform/node/limits.ts';
import { lockFolder } from '../../platform/node/lock.ts';
import { isMachineTrouble, machineError, withMachineTrouble } from '../../platform/node/machine.ts';
import { isInPart, type Part } from '../../platform/node/parts.ts';
import { COHORT_FORMAT, type Cohort, type CohortProblem } from '../cohort.ts';
import { MisfitError } from '../prepare-image.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { assembleCohort } from './assemble.ts';
import { type ClassTable, findClassTable } from './classes.ts';
import { findSubjects } from './find-subjects.ts';
import { modalityOfChannel } from './names.ts';
import { COHORT_FILE, PROBLEMS_FILE, SUBJECTS_FILE, shardOf } from './open-cohort.ts';
import { agreeWithParts, beginPart, finishPart, missingParts, PARTS, removeParts } from './prepare-parts.ts';
import { findOutcome, type Outcome, writeRefusal } from './prepare-subject.ts';
import { EVERYTHING, type Selection } from './selection.ts';
import { type FoundSubjects, ownSubjects, problemOfMisfit, type SubjectTask } from './subject-task.ts';
import { canUseProcesses, type SubjectWorker, startWorker } from './workers.ts';
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
  /** Prepares the subjects of a part alone, and makes no cohort: `merge` does, once all parts are done. */
  readonly part?: Part;
  /** Makes the cohort of what parts have prepared, and prepares nothing. */
  readonly merge?: boolean;
  /** Stops between subjects; what is done stays done. */
  readonly signal?: AbortSignal;
}

export interface PrepareReport {
  readonly layout: FoundSubjects['layout'];
  /** Of a part, what it has prepared; not written. */
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
 * Prepares every image of `source` into the folder `out`. One call at a time: `out` is locked; of parts any number, which need no lock.
 * @throws UsageError for folders that cannot be meant, and for parts that do not fit together; RunError if there is no image, another process prepares
 * there, parts are missing, or the call was stopped; MachineError if the disk is full or the like: what is prepared by then stays, and the same call
 * goes on from there
 */
export async function prepareCohort(given: PrepareCall): Promise<PrepareReport> {
  const { source, out, selection = EVERYTHING, part, merge = false } = given;
  if (part && merge) throw new UsageError('`part` and `merge`: expected one of them; merge once all parts are done');
  await checkFolders(source, out);
  const found = await findSubjects(source, given.options.modality, selection);
  const options = withChannels(given.options, found.channels);
  const call = { ...given, options };
  if (found.tasks.length === 0) throw nothingFound(source, found, selection);
  const table = await findClassTable(source, call.classes, call.classColumn);
  if (part) return withMachineTrouble(out, () => preparePart(call, part, found));
  const unlock = lockFolder(out);
  try {
    return await withMachineTrouble(out, () => prepareWhole(call, found, table));
  } finally {
    unlock();
  }
}

/** Each channel is scaled as its modality wants: CT in Hounsfield units, everything else between values of its own. */
function withChannels(options: PrepareOptions, channels: FoundSubjects['channels']): PrepareOptions {
  if (!channels) return options;
  const isCt = (name: string): boolean => (modalityOfChannel(name) ?? options.modality.toUpperCase()) === 'CT';
  return {
    ...options,
    channels: channels.map(({ name, number }) => ({ name, number, scale: isCt(name) ? 'hounsfield' : options.intensity })),
  };
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

/** What is known of tasks, and what is still to do. */
interface Work {
  readonly outcomes: Map<string, Outcome>;
  readonly own: ReadonlyMap<string, SubjectTask>;
  /** Tasks to prepare. */
  readonly open: SubjectTask[];
  /** How many of them were prepared before, but from other files or with other options. */
  readonly stale: number;
}

/** Records that are looked for at a time: on a network drive each takes a few round trips. */
const LOOK_UPS = 16;

/** Runs `work` for every entry, several at a time. */
async function forEach<Entry>(entries: readonly Entry[], work: (entry: Entry) => Promise<void>): Promise<void> {
  const queue = entries.values();
  await Promise.all(
    Array.from({ length: LOOK_UPS }, async () => {
      for (const entry of queue) await work(entry);
    }),
  );
}

/** The tasks of files that a record says are images themselves. */
const ownOf = (outcome: Outcome, own: Work['own']): SubjectTask[] =>
  'record' in outcome ? outcome.record.notLabels.map((path) => own.get(path)!) : [];

/** Looks for what is done already. @param withRefused whether a source that was refused is done, and not tried again */
async function lookUp(
  { source, out, options, selection = EVERYTHING }: PrepareCall,
  found: FoundSubjects,
  tasks: readonly SubjectTask[],
  withRefused: boolean,
): Promise<Work> {
  const own = ownSubjects(source, found.tasks);
  const outcomes = new Map<string, Outcome>();
  const open = new Map<string, SubjectTask>();
  let stale = 0;
  const seen = new Set<string>();
  for (let round = tasks; round.length > 0; ) {
    const next: SubjectTask[] = [];
    await forEach(round, async (task) => {
      seen.add(task.id);
      const outcome = await findOutcome(task, options, selection.allow, out);
      if (outcome === 'stale') stale++;
      if (typeof outcome !== 'object' || ('refused' in outcome && !withRefused)) open.set(task.id, task);
      else {
        outcomes.set(task.id, outcome);
        next.push(...ownOf(outcome, own));
      }
    });
    round = next.filter(({ id }) => !seen.has(id));
  }
  // in the order of the source, however fast each was found
  const inOrder = [...tasks.filter(({ id }) => open.has(id)), ...[...own.values()].filter(({ id }) => open.has(id))];
  return { outcomes, own, open: inOrder, stale };
}

async function prepareWhole(call: PrepareCall, found: FoundSubjects, table: ClassTable | null): Promise<PrepareReport> {
  const { source, out, options, merge = false } = call;
  const { layout, unmatched } = found;
  if (merge) await agreeWithParts(call);
  await intoShards(out);
  await removeAllLeftOvers(out);
  await makeFolder(join(out, 'subjects'));
  const work = await lookUp(call, found, found.tasks, merge);
  if (merge && work.open.length > 0) {
    // a file that was taken for a label map is prepared with the image that it was found by
    const finder = ({ image, id }: SubjectTask): SubjectTask | undefined =>
      work.own.get(image.path)?.id === id ? found.tasks.find(({ labels }) => labels.includes(image.path)) : undefined;
    throw await missingParts(out, work.open, (task) => (finder(task) ?? task).id);
  }
  // until all is done again, no cohort is there to be mistaken for the whole
  await withdrawCohort(out);
  const kept = work.outcomes.size;
  await prepareOpen(call, work);
  const { outcomes, own } = work;
  const cohort = assembleCohort(found, { source, out, options, table, outcomes, own });
  if (cohort.subjects.length > 0) await writeCohort(cohort);
  await removeParts(out);
  return { layout, cohort, kept, unmatched };
}

async function preparePart(call: PrepareCall, part: Part, found: FoundSubjects): Promise<PrepareReport> {
  const { source, out, options } = call;
  const { layout, unmatched } = found;
  await makeFolder(join(out, 'subjects'));
  await beginPart(call, part);
  const tasks = found.tasks.filter(({ id }) => isInPart(id, part));
  const work = await lookUp(call, found, tasks, false);
  // what a merged cohort tells of these is no longer so
  if (work.stale > 0) await withdrawCohort(out);
  const kept = work.outcomes.size;
  await prepareOpen(call, work);
  await finishPart(call, part);
  const { outcomes, own } = work;
  // duplicates and mixtures are for the whole to find
  const problems = [...outcomes.values()].flatMap((outcome) => ('refused' in outcome ? outcome.refused : []));
  const { subjects } = assembleCohort({ ...found, tasks, problems: [] }, { source, out, options, table: null, outcomes, own });
  return { layout, cohort: { folder: out, format: COHORT_FORMAT, options, subjects, problems }, kept, unmatched };
}

/** Prepares what is open, several at a time, and adds what it comes to. */
async function prepareOpen(call: PrepareCall, { outcomes, own, open }: Work): Promise<void> {
  const { out, options, selection = EVERYTHING, signal, part } = call;
  const { allow } = selection;
  const progress = toProgress(call.progress);
  const queue = [...open];
  const seen = new Set([...outcomes.keys(), ...queue.map(({ id }) => id)]);
  let finished = outcomes.size;
  let total = finished + queue.length;
  const prepared = (): number => [...outcomes.values()].filter((outcome) => 'record' in outcome).length;
  const goOn = (): string => `${prepared()} of ${total} images are prepared; run the same command to continue`;
  progress.start(total, 'images', finished);

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

  const outcomeOf = async (worker: SubjectWorker, task: SubjectTask): Promise<Outcome> => {
    // a second process may be at the same part
    const there = part ? await findOutcome(task, options, allow, out) : undefined;
    if (typeof there === 'object' && 'record' in there) return there;
    try {
      return { record: await worker.prepare(task) };
    } catch (error) {
      if (stopped || !(error instanceof RunError) || error instanceof MachineError) throw error;
      const refused = problemOf(task.image.path, error);
      await writeRefusal(task, options, refused, out);
      progress.say(`${task.image.path}: ${refused.kind === 'refused' ? 'refused: ' : ''}${refused.message}`);
      return { refused };
    }
  };
  try {
    await Promise.all(
      workers.map(async (worker) => {
        for (let task = queue.shift(); task && !stopped; task = queue.shift()) {
          let outcome: Outcome;
          try {
            outcome = await outcomeOf(worker, task);
          } catch (error) {
            if (stopped) return;
            throw error;
          }
          outcomes.set(task.id, outcome);
          const further = ownOf(outcome, own).filter(({ id }) => !seen.has(id));
          for (const each of further) seen.add(each.id);
          queue.push(...further);
          if (further.length > 0) {
            total += further.length;
            progress.start(total, 'images', finished);
          }
          finished++;
          progress.advance(1, task.id);
        }
      }),
    );
  } catch (error) {
    await stopAll();
    if (!part) await removeAllLeftOvers(out);
    if (error instanceof MachineError) throw new MachineError(`${error.message}. ${goOn()}`, error.code);
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await stopAll();
    progress.stop();
  }
  if (!signal?.aborted) return;
  if (!part) await removeAllLeftOvers(out);
  throw new RunError(`stopped: ${goOn()}`);
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
    isStaleTemp(name) || name.startsWith('.lock') || [...KINDS, PARTS, COHORT_FILE, SUBJECTS_FILE, PROBLEMS_FILE].includes(name);
  const foreign = names.filter((name) => !isOurs(name));
  if (
    foreign.length > 0 ||
    (names.some((name) => !name.startsWith('.')) && !names.includes('subjects') && !names.includes(PARTS))
  )
    throw new UsageError(`${out}: is not empty and not a cohort (found ${foreign[0] ?? names[0]}); choose a new folder`);
}
