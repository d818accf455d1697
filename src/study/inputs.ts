/** What a study was made of, by contents: whoever has the same cohort and models can see that they are the same. */
import { join } from 'node:path';
import { fingerprintOf } from '../cohort/node/fingerprint.ts';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { findFolder } from '../platform/node/files.ts';
import { initialModelOf } from '../training/node/start.ts';
import type { Study } from './configuration.ts';
import { methodsOf } from './methods.ts';
import { pretrainedAt } from './runs.ts';

export interface StudyInputs {
  /** SHA-256 of the fingerprint (cohort/node/fingerprint.ts) of the labelled cohort. */
  readonly cohort: string;
  /** The same of the unlabelled one; null where it is the labelled one. */
  readonly pretrainingCohort: string | null;
  /** SHA-256 of the model.safetensors that each method gave; null of one that was deleted since. */
  readonly models: Readonly<Record<string, string | null>>;
}

/** @param known hashes of models that another folder had */
export async function studyInputs(study: Study, out: string, known: StudyInputs['models'] = {}): Promise<StudyInputs> {
  const { task, cohort, pretraining } = study;
  const models: Record<string, string | null> = {};
  for (const { name } of methodsOf(study)) {
    const init = pretrainedAt(study, out, name);
    if (init === undefined) continue;
    const isThere = pretraining.models[name] !== undefined || (await findFolder(join(init, 'last'))) !== undefined;
    models[name] = isThere ? (await initialModelOf(init))!.sha256 : (known[name] ?? null);
  }
  return {
    cohort: fingerprintOf(await openCohort(cohort), { withClasses: task === 'classification' }).hash,
    pretrainingCohort: pretraining.cohort === null ? null : fingerprintOf(await openCohort(pretraining.cohort)).hash,
    models,
  };
}
