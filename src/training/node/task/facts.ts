/** What a training on a task is made of: its subjects by part, and what run.json keeps of it. */
import type { Cohort, Subject } from '../../../cohort/cohort.ts';
import { counted } from '../../../common/counted.ts';
import { type TransferConfiguration, transferConfigurationSchema } from '../../task/configuration.ts';
import type { RunFacts } from '../run-record.ts';
import { isNegative, splitForTask, type TaskSplit } from './split.ts';

/** '5 subjects', '5 subjects (2 of them negative, without any label)'. */
export function describeSubjects(subjects: readonly Subject[]): string {
  const negatives = subjects.filter(isNegative).length;
  return `${counted(subjects.length, 'subject')}${negatives > 0 ? ` (${negatives} of them negative, without any label)` : ''}`;
}

/** What a training is made of. @throws UsageError for a cohort without such labels, or a split that is none */
export async function trainFacts(
  opened: Cohort,
  configuration: TransferConfiguration,
  initialModel: RunFacts['initialModel'],
): Promise<{ facts: RunFacts; split: TaskSplit }> {
  const split = await splitForTask(opened, configuration);
  const ids = (part: keyof TaskSplit): string[] => split[part].map(({ id }) => id);
  const facts: RunFacts = {
    kind: 'training on a task',
    cohort: opened,
    split: { training: ids('training'), validation: ids('validation'), test: ids('test') },
    initialModel,
    configuration,
    schema: transferConfigurationSchema,
    withClasses: configuration.task === 'classification',
  };
  return { facts, split };
}
