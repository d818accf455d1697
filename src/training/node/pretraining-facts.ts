/** What a pre-training is made of: its cohort, the split, and what `run.json` holds a later call to. */
import type { Cohort, Subject } from '../../cohort/cohort.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { UsageError } from '../../common/errors.ts';
import { gvsl } from '../../methods/gvsl/method.ts';
import type { PretrainingMethod } from '../../methods/method.ts';
import type { PretrainingConfiguration } from '../../methods/schema-parts.ts';
import { type Split, splitCohort, testCases } from '../split.ts';
import type { RunFacts } from './run-record.ts';
import { splitOfPretraining } from './split-file.ts';
import { initialModelOf } from './start.ts';

/** The name of a method that is none of this package's. */
const otherName = ({ name }: { readonly name: string }): string | undefined => (name === gvsl.name ? undefined : name);

interface PretrainingSplit extends Split {
  /** Who is left out. */
  readonly test: readonly Subject[];
}

/** By the file, where there is one; who is held out, if it names nobody, and without one, is drawn. */
async function splitOf(cohort: Cohort, { seed, data }: PretrainingConfiguration): Promise<PretrainingSplit> {
  const { folder } = cohort;
  if (!data.split) {
    const { test, others } = testCases(cohort);
    if (test.length > 0 && others.length < 2)
      throw new UsageError(
        `${folder}: ${test.length} of its ${cohort.subjects.length} subjects are test cases of the source that have labels, landmarks or a class, which pre-training leaves out, so ${others.length} are left for training; at least 2 are needed: prepare the training cases too, or say with \`data.split\` who is left out`,
      );
    return { ...splitCohort({ subjects: others, folder }, data.heldOut, seed), test };
  }
  const split = await splitOfPretraining(data.split, cohort);
  if (split.heldOut.length === 0) return { ...split, ...splitCohort({ subjects: split.training, folder }, data.heldOut, seed) };
  if (split.training.length < 2)
    throw new UsageError(
      `${folder}: the split ${data.split} leaves ${split.training.length} of ${cohort.subjects.length} subjects for training; at least 2 are needed`,
    );
  return split;
}

/** What a pre-training is made of. @throws UsageError for a cohort that is too small */
export async function pretrainFacts<Configuration extends PretrainingConfiguration>(
  folder: string,
  configuration: Configuration,
  method: PretrainingMethod<Configuration> = gvsl as unknown as PretrainingMethod<Configuration>,
) {
  const cohort = await openCohort(folder);
  const { training, heldOut, test } = await splitOf(cohort, configuration);
  const ids = (subjects: readonly Subject[]): string[] => subjects.map(({ id }) => id);
  const facts: RunFacts = {
    kind: 'pre-training',
    method: otherName(method),
    cohort,
    split: { training: ids(training), heldOut: ids(heldOut), ...(test.length > 0 && { test: ids(test) }) },
    initialModel: await initialModelOf(configuration.init),
    configuration,
    schema: method.schema,
    withClasses: false,
  };
  return { facts, cohort, training, heldOut, test };
}
