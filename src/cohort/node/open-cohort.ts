/** Opening a prepared cohort, and where its files lie. */
import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { RunError } from '../../common/errors.ts';
import { namingFile } from '../../platform/node/machine.ts';
import {
  CHANNELS_FORMAT,
  COHORT_FORMAT,
  type Cohort,
  type CohortProblem,
  optionsSchema,
  problemSchema,
  type Subject,
} from '../cohort.ts';
import { subjectReader } from '../subject-line.ts';

export const COHORT_FILE = 'cohort.json';
export const SUBJECTS_FILE = 'subjects.jsonl';
export const PROBLEMS_FILE = 'problems.jsonl';

const headSchema = z.discriminatedUnion('format', [
  z.object({
    format: z.literal(1),
    options: optionsSchema,
    subjects: z.array(z.unknown()),
    problems: z.array(problemSchema),
  }),
  // numbers of lines, so that a copy that was cut short is noticed
  z.object({
    format: z.literal([COHORT_FORMAT, CHANNELS_FORMAT]),
    options: optionsSchema,
    labelNames: z.record(z.string(), z.string()).optional(),
    subjects: z.int().nonnegative(),
    problems: z.int().nonnegative(),
  }),
]);

const AGAIN = 'prepare the cohort again';
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Opens the cohort in `folder`. @throws RunError naming the file and the first thing in it that is wrong */
export async function openCohort(folder: string): Promise<Cohort> {
  const path = join(folder, COHORT_FILE);
  const there = await stat(folder).catch(() => undefined);
  if (!there?.isDirectory()) throw new RunError(`${folder}: no such folder; expected a cohort made by gvsl prepare`);
  const text = await namingFile(path, () =>
    readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      throw new RunError(`${folder}: no cohort.json in it; make the cohort with gvsl prepare SOURCE ${folder} --modality ct|mr`);
    }),
  );
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new RunError(`${path}: not JSON (${textOf(error)}); ${AGAIN}`);
  }
  const parsed = headSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new RunError(`${path}: ${issue.path.join('.') || 'document'}: ${issue.message}; ${AGAIN}`);
  }
  const { format, options } = parsed.data;
  const readSubject = subjectReader();
  if (parsed.data.format === 1) {
    const subjects = parsed.data.subjects.map((value, i) => named(`${path}: subjects.${i}`, () => readSubject(value)));
    return { folder, format, options, subjects, problems: parsed.data.problems };
  }
  const lines = <Entry>(name: string, expected: number, read: (value: unknown) => Entry): Promise<Entry[]> => {
    const file = join(folder, name);
    return namingFile(file, () => readLines(file, expected, read));
  };
  const subjects = await lines(SUBJECTS_FILE, parsed.data.subjects, readSubject);
  const problems = await lines(PROBLEMS_FILE, parsed.data.problems, readProblem);
  const { labelNames } = parsed.data;
  return { folder, format, options, ...(labelNames && { labelNames }), subjects, problems };
}

function readProblem(value: unknown): CohortProblem {
  const parsed = problemSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new RunError(`${issue.path.join('.') || 'problem'}: ${issue.message}`);
}

/** @throws RunError that begins with `where` */
function named<Result>(where: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof RunError) throw new RunError(`${where}: ${error.message}; ${AGAIN}`);
    throw error;
  }
}

/** Larger ones save no time, and the heap of Node 24 grows further before it is collected. */
const PIECE_BYTES = 2 ** 16;
const NEWLINE = 0x0a;

/** Every line of a file as JSON, read piece by piece. @throws RunError naming the line that is wrong, or how many are missing */
async function readLines<Entry>(path: string, expected: number, read: (value: unknown) => Entry): Promise<Entry[]> {
  const entries: Entry[] = [];
  const add = (line: string): void => {
    const where = `${path}:${entries.length + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new RunError(`${where}: not JSON (${textOf(error)}); ${AGAIN}`);
    }
    entries.push(named(where, () => read(value)));
  };
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new RunError(`${path}: missing; copy the cohort again, or ${AGAIN}`);
  });
  try {
    let piece = Buffer.allocUnsafe(PIECE_BYTES);
    let kept = 0;
    for (;;) {
      const { bytesRead } = await file.read(piece, kept, piece.length - kept);
      if (bytesRead === 0) break;
      const held = piece.subarray(0, kept + bytesRead);
      let start = 0;
      for (let end = held.indexOf(NEWLINE); end >= 0; end = held.indexOf(NEWLINE, start)) {
        add(held.toString('utf8', start, end));
        start = end + 1;
      }
      kept = held.length - start;
      piece.copyWithin(0, start, held.length);
      // a line that fills it
      if (kept === piece.length) piece = Buffer.concat([piece], 2 * piece.length);
    }
    if (kept > 0) add(piece.toString('utf8', 0, kept));
  } finally {
    await file.close();
  }
  if (entries.length !== expected)
    throw new RunError(
      `${path}: ${entries.length} lines, but ${COHORT_FILE} says ${expected}; copy the cohort again, or ${AGAIN}`,
    );
  return entries;
}

/** A cohort's folder, for where its files lie. */
export type CohortPlace = Pick<Cohort, 'folder'> & Partial<Pick<Cohort, 'format'>>;

/** The sub-folder of a subject's files, of 256: the first two hexadecimal digits of the SHA-256 of its id. */
export const shardOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 2);

const storedAt = ({ folder, format = COHORT_FORMAT }: CohortPlace, kind: 'images' | 'labels', id: string): string =>
  format === 1 ? join(folder, kind, `${id}.npy`) : join(folder, kind, shardOf(id), `${id}.npy`);

/** Where a subject's voxels lie. */
export const imagePath = (cohort: CohortPlace, { id }: Pick<Subject, 'id'>): string => storedAt(cohort, 'images', id);
export const labelPath = (cohort: CohortPlace, { id }: Pick<Subject, 'id'>): string => storedAt(cohort, 'labels', id);
