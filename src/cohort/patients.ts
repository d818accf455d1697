/** Scans of one patient, which belong on one side of every split: what is learnt of one of them would be tested on another. */
import type { Subject } from './cohort.ts';

/**
 * The subjects in groups, one a patient, in the order in which the patients come first. A subject whose patient is not known is a group of
 * its own, so that a cohort with one scan a patient is taken apart as if nothing were known.
 */
export function groupedByPatient<Known extends { readonly patient?: string | null | undefined }>(
  subjects: readonly Known[],
): Known[][] {
  const groups = new Map<string | Known, Known[]>();
  for (const subject of subjects) {
    const key = subject.patient ?? subject;
    const group = groups.get(key);
    if (group) group.push(subject);
    else groups.set(key, [subject]);
  }
  return [...groups.values()];
}

/** Takes whole groups from the front until there are at least `wanted` subjects. */
export function takeGroups<Known>(groups: Known[][], wanted: number): Known[] {
  const taken: Known[] = [];
  while (taken.length < wanted && groups.length > 0) taken.push(...groups.shift()!);
  return taken;
}

/** Whether a subject is one of those given, or another scan of one of their patients. */
export function scansOfPatients(subjects: readonly Subject[]): (subject: Subject) => boolean {
  const ids = new Set(subjects.map(({ id }) => id));
  const patients = new Set(subjects.flatMap(({ patient }) => patient ?? []));
  return ({ id, patient }) => ids.has(id) || (patient !== null && patients.has(patient));
}
