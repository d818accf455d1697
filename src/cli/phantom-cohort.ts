/**
 * Writes a cohort of phantoms: images, labels, landmarks and what was drawn for each subject, in nnU-Net layout.
 *
 * Every file is written atomically and a subject's landmarks come last, so a stopped run leaves whole files and is continued by the same
 * call. It never touches a folder that it did not begin.
 */
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RunError } from '../common/errors.ts';
import type { Progress } from '../common/progress.ts';
import { writeImage } from '../images/node/write.ts';
import { datasetJson, markupsJson, subjectId } from '../phantom/dataset.ts';
import type { PhantomKind } from '../phantom/kinds.ts';
import { renderSubject } from '../phantom/subject.ts';
import { isStaleTemp, writeFileAtomic } from '../platform/node/files.ts';

/** What the cohort was made from. Its presence marks the folder as ours, which may be continued. */
const RECIPE = 'phantom.json';

/** What to make. */
export interface PhantomCohortOptions {
  readonly kind: PhantomKind;
  readonly subjects: number;
  readonly seed: number;
  /** Isotropic voxel size; absent: each subject has its own spacing. */
  readonly spacingMm?: number;
  /** How differently patients lie; 1 if left out. See `SubjectRequest`. */
  readonly pose?: number;
  /** Share of the patients with opacities in their lungs; `labels.csv` says which. Absent: no such table, and none has any. */
  readonly opacities?: number;
}

/** What a call of `writePhantomCohort` did. */
export interface PhantomCohortReport {
  /** Subjects rendered and written by this call. */
  readonly written: number;
  /** Of those asked for, how many were there already. */
  readonly kept: number;
  /** Subjects that the folder holds now. */
  readonly numTraining: number;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** The options of a recipe, as the command line names them. */
const OPTION_OF: Readonly<Record<string, string>> = {
  kind: '--kind',
  seed: '--seed',
  spacingMm: '--spacing',
  pose: '--pose',
  opacities: '--opacities',
};

/** '--seed 1, here 9; --spacing none, here 4': in what a cohort was made otherwise; undefined where its recipe cannot be read. */
function otherOptions(found: string, wanted: string): string | undefined {
  let there: unknown;
  try {
    there = JSON.parse(found);
  } catch {
    return undefined;
  }
  if (typeof there !== 'object' || there === null) return undefined;
  const before = there as Readonly<Record<string, unknown>>;
  const now = JSON.parse(wanted) as Readonly<Record<string, unknown>>;
  const text = (value: unknown): string => String(value ?? 'none');
  const differing = Object.entries(OPTION_OF).filter(([key]) => text(before[key]) !== text(now[key]));
  return differing.length === 0
    ? undefined
    : differing.map(([key, option]) => `${option} ${text(before[key])}, here ${text(now[key])}`).join('; ');
}

/** Starts the folder, or finds that it is the same cohort begun before. @throws RunError for a folder of something else */
async function openCohort(out: string, recipe: string): Promise<void> {
  const entries: string[] = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    if (error.code === 'ENOTDIR') throw new RunError(`${out}: expected a folder, found a file; choose another folder`);
    throw error;
  });
  if (entries.every(isStaleTemp)) return writeFileAtomic(join(out, RECIPE), recipe);
  const found = await readFile(join(out, RECIPE), 'utf8').catch(() => undefined);
  if (found === undefined)
    throw new RunError(`${out}: the folder is not empty and is not a phantom cohort; choose a new or empty folder`);
  if (found === recipe) return;
  const other = otherOptions(found, recipe);
  throw new RunError(
    other === undefined
      ? `${out}: its ${RECIPE} is damaged or of another version; choose a new folder`
      : `${out}: is a phantom cohort made with other options (${other}); choose a new folder, or use the same options to continue`,
  );
}

/** Whether a subject is one of the share that has opacities: spread evenly over the numbers. */
const hasOpacities = (share: number, subject: number): boolean => Math.floor((subject + 1) * share) > Math.floor(subject * share);

/** Writes one subject, its landmarks last: with them it is complete. */
async function writeSubject(out: string, id: string, options: PhantomCohortOptions, subject: number): Promise<void> {
  const spacing = options.spacingMm === undefined ? {} : { spacingMm: options.spacingMm };
  const { kind, seed, pose = 1, opacities } = options;
  const disease = opacities === undefined ? {} : { opacities: hasOpacities(opacities, subject) };
  const { image, labels, landmarks, facts } = renderSubject({ kind, seed, subject, pose, ...spacing, ...disease });
  await writeImage(join(out, 'imagesTr', `${id}_0000.nii.gz`), image);
  await writeImage(join(out, 'labelsTr', `${id}.nii.gz`), labels);
  await writeFileAtomic(join(out, 'factsTr', `${id}.json`), `${JSON.stringify(facts, null, 2)}\n`);
  await writeFileAtomic(landmarksPath(out, id), `${JSON.stringify(markupsJson(landmarks), null, 2)}\n`);
}

const landmarksPath = (out: string, id: string): string => join(out, 'landmarksTr', `${id}.mrk.json`);

/**
 * Writes the cohort into the folder `out`, or what is missing of it.
 * @param signal stops between subjects; what is written stays
 * @throws RunError where `out` holds something else, or when stopped
 */
export async function writePhantomCohort(
  out: string,
  options: PhantomCohortOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<PhantomCohortReport> {
  const { kind, seed, subjects, spacingMm, pose = 1, opacities } = options;
  await openCohort(
    out,
    `${JSON.stringify({ format: 1, kind, seed, spacingMm: spacingMm ?? null, pose, ...(opacities === undefined ? {} : { opacities }) }, null, 2)}\n`,
  );
  progress.start(subjects, 'subjects');
  let written = 0;
  try {
    for (let subject = 0; subject < subjects; subject++) {
      if (signal?.aborted)
        throw new RunError(`${out}: stopped after ${subject} of ${subjects} subjects; run the same command to continue`);
      const id = subjectId(kind, subject);
      if (!(await exists(landmarksPath(out, id)))) {
        await writeSubject(out, id, options, subject);
        written++;
      }
      progress.advance(1, id);
    }
  } finally {
    progress.stop();
  }
  // An earlier, larger cohort keeps its further subjects, and the count says so.
  const complete = (await readdir(join(out, 'landmarksTr'))).filter((name) => name.endsWith('.mrk.json')).length;
  await writeFileAtomic(join(out, 'dataset.json'), `${JSON.stringify(datasetJson(kind, complete), null, 2)}\n`);
  if (opacities !== undefined) {
    const rows = Array.from({ length: complete }, (_, i) => `${subjectId(kind, i)},${hasOpacities(opacities, i) ? 1 : 0}`);
    await writeFileAtomic(join(out, 'labels.csv'), `${['case,label', ...rows].join('\n')}\n`);
  }
  return { written, kept: subjects - written, numTraining: complete };
}
