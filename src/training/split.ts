/** Which subjects are kept from training: those that the source keeps, and others from the seed alone. */
import type { Cohort, Subject } from '../cohort/cohort.ts';
import { groupedByPatient, scansOfPatients, takeGroups } from '../cohort/patients.ts';
import { UsageError } from '../common/errors.ts';
import { randomStream } from '../common/random.ts';

export interface Split {
  readonly training: readonly Subject[];
  readonly heldOut: readonly Subject[];
}

/** Subjects with something to judge a matching by. */
const hasTruth = ({ labelCodes, landmarks }: Subject): boolean =>
  landmarks.length > 0 || (labelCodes?.some((code) => code !== 0) ?? false);

/**
 * Test cases of the source's layout that a network can be judged on, and everybody else. A test case without labels, landmarks or a class is an
 * image like any other; one with them judges what is trained later, so nothing may be learnt or chosen by it, nor by other scans of its patient.
 */
export function testCases({ subjects }: Pick<Cohort, 'subjects'>): {
  readonly test: readonly Subject[];
  readonly others: readonly Subject[];
} {
  const isJudge = (subject: Subject): boolean =>
    subject.split === 'test' && (subject.labelCodes !== null || subject.class !== null || subject.landmarks.length > 0);
  const isTest = scansOfPatients(subjects.filter(isJudge));
  return { test: subjects.filter(isTest), others: subjects.filter((subject) => !isTest(subject)) };
}

/**
 * Splits a cohort. Subjects with labels or landmarks are held out before others; training gets the rest, in the cohort's order. All scans of
 * a patient are on one side.
 * @param heldOut a share below 1, or a number of subjects; at least two, since pairs are of different subjects. More are held out where the
 * last patient has several scans
 * @throws UsageError if too few are left to train with
 */
export function splitCohort({ subjects, folder }: Pick<Cohort, 'subjects' | 'folder'>, heldOut: number, seed: number): Split {
  const wanted = heldOut === 0 ? 0 : Math.max(2, heldOut < 1 ? Math.round(heldOut * subjects.length) : heldOut);
  if (subjects.length - wanted < 2) {
    throw new UsageError(
      `${folder}: ${subjects.length} subjects, ${wanted} of them held out, leave ${Math.max(0, subjects.length - wanted)} for training; at least 2 are needed: prepare more, or hold out fewer (data.heldOut)`,
    );
  }
  const order = [...randomStream(seed, 'heldOut').permutation(subjects.length)];
  const preferred = [...order.filter((i) => hasTruth(subjects[i])), ...order.filter((i) => !hasTruth(subjects[i]))];
  const patients = groupedByPatient(preferred.map((i) => ({ i, patient: subjects[i].patient })));
  const kept = new Set(takeGroups(patients, wanted).map(({ i }) => i));
  if (subjects.length - kept.size < 2)
    throw new UsageError(
      `${folder}: its ${subjects.length} scans are of so few patients that ${subjects.length - kept.size} are left for training when scans of a patient stay together; at least 2 are needed: prepare more, or hold out fewer (data.heldOut)`,
    );
  return { training: subjects.filter((_, i) => !kept.has(i)), heldOut: subjects.filter((_, i) => kept.has(i)) };
}
