/**
 * Preparing subjects in processes of their own, so that several run at once and that one file's fault (no memory, an endless loop) ends
 * only its own process.
 *
 * Run from TypeScript source (tests), where no process could load it, subjects are prepared here instead, one after the other.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { MachineError, RunError } from '../../common/errors.ts';

import { MisfitError } from '../prepare-image.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import type { Reason } from '../reasons.ts';
import type { ChildAnswer, ChildTask } from './prepare-child.ts';
import { prepareSubject, type SubjectRecord } from './prepare-subject.ts';
import type { SubjectTask } from './subject-task.ts';

export interface SubjectWorker {
  /** @throws RunError that names the file and why it is refused, MisfitError, MachineError */
  prepare(task: SubjectTask): Promise<SubjectRecord>;
  /** Ends its process; resolves when it is gone. */
  stop(): Promise<void>;
}

/** A subject that takes longer than this is given up. */
const TIME_LIMIT_MS = 15 * 60_000;

export const canUseProcesses = (): boolean => !import.meta.url.endsWith('.ts');

export function startWorker(options: PrepareOptions, allow: readonly Reason[], out: string): SubjectWorker {
  if (!canUseProcesses()) return { prepare: (task) => prepareSubject(task, options, allow, out), stop: () => Promise.resolve() };
  let child: ChildProcess | undefined;
  return {
    prepare: (task) => {
      if (!child) {
        child = fork(fileURLToPath(new URL('./prepare-child.js', import.meta.url)), {
          stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
          serialization: 'advanced',
        });
        // one that nobody waits for must not end the process
        child.on('error', () => {});
      }
      const current = child;
      const failed = (why: string): RunError => new RunError(`${task.image.path}: ${why}`);
      return new Promise<SubjectRecord>((resolve, reject) => {
        const finish = (settle: () => void, alive: boolean): void => {
          clearTimeout(timer);
          // its own listeners only: `stop` may be waiting for the exit
          current.off('message', onMessage).off('error', onError).off('exit', onExit);
          if (!alive) {
            current.kill('SIGKILL');
            child = undefined;
          }
          settle();
        };
        const timer = setTimeout(
          () => finish(() => reject(failed(`not prepared after ${TIME_LIMIT_MS / 60_000} minutes: stopped`)), false),
          TIME_LIMIT_MS,
        );
        const onMessage = (answer: ChildAnswer): void => {
          if ('record' in answer) finish(() => resolve(answer.record), true);
          else if ('refused' in answer) finish(() => reject(new RunError(answer.refused)), true);
          else if ('misfit' in answer) finish(() => reject(new MisfitError(task.image.path, answer.misfit)), true);
          else if ('machine' in answer) finish(() => reject(new MachineError(answer.machine, answer.code)), true);
          else finish(() => reject(failed(answer.failed)), true);
        };
        const onError = (error: Error): void => finish(() => reject(failed(error.message)), false);
        const onExit = (code: number | null, signal: NodeJS.Signals | null): void =>
          finish(() => reject(failed(`its process ended (${signal ?? `exit code ${code}`}): not enough memory?`)), false);
        current.on('message', onMessage).on('error', onError).on('exit', onExit);
        current.send({ task, options, allow, out } satisfies ChildTask);
      });
    },
    stop: async () => {
      const last = child;
      if (!last || last.exitCode !== null || last.signalCode !== null) return;
      const gone = once(last, 'exit');
      last.kill('SIGKILL');
      await gone;
    },
  };
}
