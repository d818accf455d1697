/** A process that prepares subjects for `prepare`: it gets a task, answers with a record or the reason of refusal, and waits for the next. */
import { WorkError } from '../errors/errors.ts';
import type { PrepareOptions } from '../preparation/prepare-options.ts';
import type { SubjectTask } from './find-subjects.ts';
import { prepareSubject, type SubjectRecord } from './prepare-subject.ts';

export interface ChildTask {
  readonly task: SubjectTask;
  readonly options: PrepareOptions;
  readonly out: string;
}
export type ChildAnswer = { readonly record: SubjectRecord } | { readonly refused: string } | { readonly failed: string };

/** Ctrl-C reaches the whole group of processes; the parent decides what happens. */
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
process.on('message', async ({ task, options, out }: ChildTask) => {
  let answer: ChildAnswer;
  try {
    answer = { record: await prepareSubject(task, options, out) };
  } catch (error) {
    if (error instanceof WorkError) answer = { refused: error.message };
    else
      answer = {
        failed: error instanceof Error ? ((process.env.GVSL_DEBUG ? error.stack : error.message) ?? '') : String(error),
      };
  }
  process.send?.(answer);
});
