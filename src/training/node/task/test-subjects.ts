/** The last judgement of a training: its best state on subjects that chose nothing. */
import { join } from 'node:path';
import type { Cohort, Subject } from '../../../cohort/cohort.ts';
import type { Task } from '../../../model/configuration.ts';
import { flatTensor } from '../../../model/named-parameters.ts';
import { jsonText } from '../../../model/node/model-folder.ts';
import { STATES } from '../../../model/optimizer.ts';
import { writeFileAtomic } from '../../../platform/node/files.ts';
import type { TransferConfiguration } from '../../task/configuration.ts';
import { readCheckpoint } from '../checkpoint.ts';
import type { OpenTraining } from '../open-training.ts';
import type { CheckedCall } from '../training-call.ts';
import { evaluateSubjects, type SubjectScores, summarizeScores, type TaskEvaluation } from './evaluate.ts';

/** Scores of the test subjects. */
export const TEST_FILE = 'test.json';

/** Scores of the test subjects, as test.json has them. */
export interface TestResult {
  /** The step whose state was tested. */
  readonly step: number;
  readonly summary: TaskEvaluation;
  readonly subjects: readonly SubjectScores[];
}

/** Scores the best state (without validation the last) on the test subjects, and writes test.json. */
export async function testBest(
  { session, table, identity }: Pick<OpenTraining<unknown>, 'session' | 'table' | 'identity'>,
  { out, progress, configuration }: CheckedCall<TransferConfiguration>,
  cohort: Cohort,
  tested: readonly Subject[],
  task: Task,
): Promise<TestResult> {
  const state = (await readCheckpoint(out, 'best')) ?? (await readCheckpoint(out, 'last'))!;
  await session.writeState(STATES.parameters, flatTensor(table, state.parameters, out));
  progress.say(`testing the checkpoint of step ${state.state.step} on ${tested.length} subjects`);
  const subjects = await evaluateSubjects(session, cohort, tested, task, configuration.inference.overlap);
  const result: TestResult = { step: state.state.step, summary: summarizeScores(subjects, task), subjects };
  await writeFileAtomic(join(out, TEST_FILE), jsonText({ run: identity, task, ...result }));
  return result;
}
