/** Whether a result in a study's folder is the one that the study wants. */
import { UsageError } from '../common/errors.ts';
import { changedError, changedSince, type RunFacts, type RunRecord } from '../training/node/run-record.ts';

/**
 * Whether a finished training in a study's folder is the one that is wanted.
 * @param run the identity that the result itself carries
 * @throws UsageError naming what differs
 */
export function requireResult(folder: string, record: RunRecord | undefined, run: string | undefined, facts: RunFacts): void {
  const again = `Choose another \`out\`, or delete ${folder} to train again`;
  if (record?.identity === undefined)
    throw new UsageError(
      `${folder}: does not record its inputs (${record ? 'an older version of gvsl made it' : 'its run.json is missing'}), so its result cannot be reused. ${again}`,
    );
  if (run !== record.identity) throw new UsageError(`${folder}: its result and run.json belong to different trainings. ${again}`);
  const changed = changedSince(record, facts, { result: true });
  if (changed.length > 0)
    throw changedError(`${folder}: contains the result of a different training; these differ`, changed, again);
}
