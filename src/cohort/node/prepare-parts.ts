/**
 * Parts of a preparation, each perhaps on another machine: a small file of each in `parts/` says with what it was begun and whether it has come to its
 * end. What is prepared is known by the subjects' own records; these files are for what people want to know: which part is missing, and which was
 * called differently.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { RunError, UsageError } from '../../common/errors.ts';
import { formatNames } from '../../common/format-names.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { type Part, partName, partNamed, partOf, partText } from '../../platform/node/parts.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { COHORT_FILE } from './open-cohort.ts';
import type { Selection } from './selection.ts';
import type { SubjectTask } from './subject-task.ts';

/** The folder of these files. */
export const PARTS = 'parts';

/** What all parts must have alike. */
interface Told {
  readonly out: string;
  readonly options: PrepareOptions;
  readonly selection?: Selection;
}

const markSchema = z.object({
  finished: z.boolean(),
  told: z.record(z.string(), z.unknown()),
});

const toldOf = ({ options, selection }: Told): Record<string, unknown> => ({ ...options, ...selection });

const markPath = (out: string, part: Part): string => join(out, PARTS, `${partName(part)}.json`);

async function writeMark(call: Told, part: Part, finished: boolean): Promise<void> {
  await writeFileAtomic(markPath(call.out, part), `${JSON.stringify({ finished, told: toldOf(call) })}\n`);
}

interface Mark extends z.output<typeof markSchema> {
  readonly part: Part;
}

async function marksIn(out: string): Promise<Mark[]> {
  const names = await readdir(join(out, PARTS)).catch(() => []);
  const marks = await Promise.all(
    names.map(async (name): Promise<Mark[]> => {
      const part = partNamed(name.replace(/\.json$/, ''));
      if (!part || name.startsWith('.')) return [];
      const text = await readFile(join(out, PARTS, name), 'utf8').catch(() => undefined);
      return text === undefined ? [] : [{ part, ...markSchema.parse(JSON.parse(text)) }];
    }),
  );
  return marks.flat().sort((a, b) => a.part.of - b.part.of || a.part.index - b.part.index);
}

const text = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));
/** What differs, by the names of options. */
const differences = (before: Readonly<Record<string, unknown>>, now: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(now)
    .filter((key) => text(before[key]) !== text(now[key]))
    .map((key) => `\`${key}\`: was ${text(before[key])}, now ${text(now[key])}`);

/** @throws UsageError if a part was begun with other options, naming it and them */
export async function agreeWithParts(call: Told): Promise<void> {
  const now = toldOf(call);
  for (const { part, told } of await marksIn(call.out)) {
    const found = differences(told, now);
    if (found.length > 0)
      throw new UsageError(
        `${call.out}: part ${partText(part)} was prepared with other options: ${found.join('; ')}. Use the same for all parts, or choose another folder`,
      );
  }
}

/** Begins a part. @throws UsageError if another part, or the cohort that is there, was made with other options */
export async function beginPart(call: Told, part: Part): Promise<void> {
  const cohort = await readFile(join(call.out, COHORT_FILE), 'utf8').catch(() => undefined);
  if (cohort !== undefined) {
    const { options } = JSON.parse(cohort) as { options?: Record<string, unknown> };
    const found = differences(options ?? {}, { ...call.options });
    if (found.length > 0)
      throw new UsageError(
        `${call.out}: holds a cohort that was prepared with other options: ${found.join('; ')}. Choose another folder`,
      );
  }
  await agreeWithParts(call);
  await writeMark(call, part, false);
  // of two that begin at the same moment one sees the other; merging sees both
  await agreeWithParts(call);
}

export const finishPart = (call: Told, part: Part): Promise<void> => writeMark(call, part, true);

/** The files of parts are gone when the cohort is there. */
export const removeParts = (out: string): Promise<void> => rm(join(out, PARTS), { recursive: true, force: true });

/** Why parts cannot be merged: which are missing. @param ownerOf the id whose part a task falls to */
export async function missingParts(
  out: string,
  open: readonly SubjectTask[],
  ownerOf: (task: SubjectTask) => string,
): Promise<RunError> {
  const marks = await marksIn(out);
  const which = `${open.length} ${open.length === 1 ? 'image is' : 'images are'} not prepared (${formatNames(open.map(({ id }) => id))})`;
  const of = marks.at(-1)?.part.of;
  if (of === undefined) return new RunError(`${out}: ${which}, and no part has been begun there; run the parts first`);
  const needed = [...new Set(open.map((task) => partOf(ownerOf(task), of)))].sort((a, b) => a - b);
  const stateOf = (index: number): string => {
    const mark = marks.find(({ part }) => part.of === of && part.index === index);
    if (!mark) return `${index}/${of} (not begun)`;
    return `${index}/${of} (${mark.finished ? 'done, but files have changed since' : 'begun, not finished'})`;
  };
  return new RunError(`${out}: ${which}. Run again: \`part\` ${formatNames(needed.map(stateOf))}; then merge`);
}
