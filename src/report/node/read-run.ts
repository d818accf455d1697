/** A run's folder, read for its report. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RunError } from '../../common/errors.ts';
import { namingFile } from '../../platform/node/machine.ts';
import { logRecord, type RunData, runData } from '../run-data.ts';

const readIfThere = (path: string): Promise<string | undefined> =>
  namingFile(path, () =>
    readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    }),
  );

/**
 * Reads the run in `folder`.
 * @throws RunError where there is none
 */
export async function readRun(folder: string): Promise<RunData> {
  const there = await stat(folder).catch(() => undefined);
  if (!there?.isDirectory()) throw new RunError(`${folder}: no such folder; expected a run of pretrain or train, its \`out\``);
  const metrics = await readIfThere(join(folder, 'metrics.jsonl'));
  const fold = join(folder, 'fold-1');
  if (metrics === undefined && (await stat(join(fold, 'metrics.jsonl')).catch(() => undefined)))
    throw new RunError(`${folder}: a cross-validation; a report is of one run: that of a fold, such as ${fold}`);
  if (metrics === undefined)
    throw new RunError(
      `${folder}: no metrics.jsonl in it; expected a run of pretrain or train, its \`out\`, that has started training`,
    );
  const [run, evaluation, validation, test] = await Promise.all(
    ['run.json', 'evaluation.json', 'validation.json', 'test.json'].map((name) => readIfThere(join(folder, name))),
  );
  const records = metrics.split('\n').flatMap((line) => logRecord(line) ?? []);
  return runData(folder, { run, evaluation, validation, test }, records);
}
