/** Opening a prepared cohort, and where its files lie. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RunError } from '../../common/errors.ts';
import { type Cohort, cohortSchema, type Subject } from '../cohort.ts';

/** Opens the cohort in `folder`. @throws RunError naming cohort.json and the first thing in it that is wrong */
export async function openCohort(folder: string): Promise<Cohort> {
  const path = join(folder, 'cohort.json');
  const there = await stat(folder).catch(() => undefined);
  if (!there?.isDirectory()) throw new RunError(`${folder}: no such folder; expected a cohort made by gvsl prepare`);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new RunError(`${folder}: no cohort.json in it; make the cohort with gvsl prepare SOURCE ${folder} --modality ct|mr`);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new RunError(`${path}: not JSON (${(error as Error).message}); prepare the cohort again`);
  }
  const parsed = cohortSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new RunError(`${path}: ${issue.path.join('.') || 'document'}: ${issue.message}; prepare the cohort again`);
  }
  const { options, subjects, problems } = parsed.data;
  return { folder, options, subjects, problems };
}

/** Where a subject's voxels lie in its cohort's folder. */
export const imagePath = (folder: string, subject: Pick<Subject, 'id'>): string => join(folder, 'images', `${subject.id}.npy`);
export const labelPath = (folder: string, subject: Pick<Subject, 'id'>): string => join(folder, 'labels', `${subject.id}.npy`);
