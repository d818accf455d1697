/** Whether a result in a study's folder is the one that the study wants. */
import { UsageError } from '../common/errors.ts';
import { changedError, changedSince, type RunFacts, type RunRecord } from '../training/node/run-record.ts';

/**
 * Whether a finished training in a study's folder is the one that is wanted.
 * @param run the identity that the result itself carries
 * @throws UsageError naming what differs
 */
export function requireResult(folder: string, record: RunRecord | undefined, run: string | undefined, facts: RunFacts): void {
  const again = `Give another \`out\`, or delete ${folder} to train it again`;
  if (record?.identity === undefined)
    throw new UsageError(
      `${folder}: does not say what it was made from (${record ? 'an older version of gvsl made it' : 'its run.json is missing'}), so its result cannot be taken over. ${again}`,
    );
  if (run !== record.identity)
    throw new UsageError(`${folder}: its result and its run.json are of different trainings. ${again}`);
  const changed = changedSince(record, facts, { result: true });
  if (changed.length > 0)
    throw changedError(`${folder}: holds another training's result; what it was made from has changed`, changed, again);
}
