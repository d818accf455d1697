/** What a pre-training is made of: its cohort, the split, and what `run.json` holds a later call to. */
import type { Subject } from '../../cohort/cohort.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { gvsl } from '../../methods/gvsl/method.ts';
import type { PretrainingMethod } from '../../methods/method.ts';
import type { PretrainingConfiguration } from '../../methods/schema-parts.ts';
import { splitCohort } from '../split.ts';
import type { RunFacts } from './run-record.ts';
import { initialModelOf } from './start.ts';

/** The name of a method that is none of this package's. */
const otherName = ({ name }: { readonly name: string }): string | undefined => (name === gvsl.name ? undefined : name);

/** What a pre-training is made of. @throws UsageError for a cohort that is too small */
export async function pretrainFacts<Configuration extends PretrainingConfiguration>(
  folder: string,
  configuration: Configuration,
  method: PretrainingMethod<Configuration> = gvsl as unknown as PretrainingMethod<Configuration>,
) {
  const cohort = await openCohort(folder);
  const { training, heldOut } = splitCohort(cohort, configuration.data.heldOut, configuration.seed);
  const ids = (subjects: readonly Subject[]): string[] => subjects.map(({ id }) => id);
  const facts: RunFacts = {
    kind: 'pre-training',
    method: otherName(method),
    cohort,
    split: { training: ids(training), heldOut: ids(heldOut) },
    initialModel: await initialModelOf(configuration.init),
    configuration,
    schema: method.schema,
    withClasses: false,
  };
  return { facts, cohort, training, heldOut };
}
