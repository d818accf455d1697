/** A process that prepares subjects for `prepare`: it gets a task, answers with a record or with what is wrong, and waits for the next. */
import { MachineError, RunError } from '../../common/errors.ts';
import { defectText, systemError } from '../../platform/node/machine.ts';
import type { Misfit } from '../fitness.ts';
import { MisfitError } from '../prepare-image.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import type { Reason } from '../reasons.ts';
import { prepareSubject, type SubjectRecord } from './prepare-subject.ts';
import type { SubjectTask } from './subject-task.ts';

export interface ChildTask {
  readonly task: SubjectTask;
  readonly options: PrepareOptions;
  readonly allow: readonly Reason[];
  readonly out: string;
}
export type ChildAnswer =
  | { readonly record: SubjectRecord }
  /** The source is to blame. */
  | { readonly refused: string }
  | { readonly misfit: Misfit }
  /** The machine is to blame: nothing of the source is known. */
  | { readonly machine: string; readonly code?: string | undefined }
  /** We are; as `defectText` says it. */
  | { readonly failed: string };

/** Ctrl-C reaches the whole group of processes; the parent decides what happens. */
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
process.on('message', async ({ task, options, allow, out }: ChildTask) => {
  let answer: ChildAnswer;
  try {
    answer = { record: await prepareSubject(task, options, allow, out) };
  } catch (error) {
    answer = answerFor(error, task.image.path);
  }
  process.send?.(answer);
});

function answerFor(error: unknown, path: string): ChildAnswer {
  if (error instanceof MisfitError) return { misfit: error.misfit };
  if (error instanceof MachineError) return { machine: error.message, code: error.code };
  if (error instanceof RunError) return { refused: error.message };
  const known = systemError(error, path);
  if (known) return known instanceof MachineError ? { machine: known.message, code: known.code } : { refused: known.message };
  return { failed: defectText(error) };
}
