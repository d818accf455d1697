/** The task of a cohort: classes from the codes of its label maps, or from its subjects' classes. */
import type { Cohort } from '../../../cohort/cohort.ts';
import { readLabelNames } from '../../../cohort/node/label-names.ts';
import { UsageError } from '../../../common/errors.ts';
import type { Task } from '../../../model/configuration.ts';
import { type TransferConfiguration, transferPatch } from '../../task/configuration.ts';
import { isLabelled } from './split.ts';

/** The classes of a cohort under a configuration. @throws UsageError if there is nothing to tell apart, or a code that no label map has */
export async function taskOf(cohort: Cohort, configuration: TransferConfiguration): Promise<Task> {
  const { task, data } = configuration;
  const patch = [...transferPatch(configuration)] as [number, number, number];
  const labelled = cohort.subjects.filter((subject) => isLabelled(subject, task));
  if (task === 'classification') {
    const classes = [...new Set(labelled.map((subject) => subject.class!))].sort((a, b) =>
      a.localeCompare(b, 'en', { numeric: true }),
    );
    if (classes.length < 2)
      throw new UsageError(
        `${cohort.folder}: its subjects have ${classes.length === 1 ? `one class only ('${classes[0]}')` : 'no class'}; expected at least two`,
      );
    return { kind: 'classification', classes, patch };
  }
  const present = [...new Set(labelled.flatMap(({ labelCodes }) => labelCodes ?? []))].sort((a, b) => a - b);
  const wanted = data.labelCodes === 'all' ? present.filter((code) => code !== 0) : [...new Set(data.labelCodes)];
  if (present.every((code) => code === 0))
    throw new UsageError(`${cohort.folder}: all of its ${labelled.length} label maps are empty: there are no classes to learn`);
  const unknown = wanted.filter((code) => code === 0 || !present.includes(code));
  if (unknown.length > 0)
    throw new UsageError(
      `\`data.labelCodes\`: ${unknown.join(', ')}: ${unknown.includes(0) ? '0 is the background, which is always a class' : `not in any label map of ${cohort.folder}`}; available: ${present.filter((code) => code !== 0).join(', ')}`,
    );
  const names = await readLabelNames(cohort);
  const named = wanted.map((code) => ({ code, name: names.get(code) ?? `label ${code}` }));
  const labels = [{ code: 0, name: 'background' }, ...named];
  return { kind: 'segmentation', labels, patch };
}
