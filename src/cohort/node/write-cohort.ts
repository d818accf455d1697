/** Writing what a cohort is, beside the voxels that are there already. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomic, writeFileAtomic } from '../../platform/node/files.ts';
import { CHANNELS_FORMAT, COHORT_FORMAT, type Cohort, optionsSchema, problemSchema } from '../cohort.ts';
import { subjectLine } from '../subject-line.ts';
import { COHORT_FILE, PROBLEMS_FILE, SUBJECTS_FILE } from './open-cohort.ts';

/** As many lines as are written at a time. */
const LINES = 1000;

const writeLines = <Entry>(path: string, entries: readonly Entry[], lineOf: (entry: Entry) => string): Promise<void> =>
  writeAtomic(path, async (file) => {
    for (let at = 0; at < entries.length; at += LINES)
      await file.writeFile(
        entries
          .slice(at, at + LINES)
          .map(lineOf)
          .join(''),
      );
  });

/** Takes a cohort's declaration away, so that what is there is not taken for the whole. */
export const withdrawCohort = (folder: string): Promise<void> => rm(join(folder, COHORT_FILE), { force: true });

/** Writes the files that `openCohort` reads, cohort.json last. Equal cohorts give equal bytes, prepared at once or in parts. */
export async function writeCohort(cohort: Omit<Cohort, 'format'>): Promise<void> {
  const { folder, options, labelNames, subjects, problems } = cohort;
  await withdrawCohort(folder);
  await writeLines(join(folder, SUBJECTS_FILE), subjects, subjectLine);
  await writeLines(join(folder, PROBLEMS_FILE), problems, (problem) => `${JSON.stringify(problemSchema.parse(problem))}\n`);
  const head = {
    format: options.channels ? CHANNELS_FORMAT : COHORT_FORMAT,
    options: optionsSchema.parse(options),
    ...(labelNames && { labelNames }),
    subjects: subjects.length,
    problems: problems.length,
  };
  await writeFileAtomic(join(folder, COHORT_FILE), `${JSON.stringify(head, null, 1)}\n`);
}
