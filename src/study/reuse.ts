/**
 * Trainings of a published study, taken over into another that declares them too: a row can be added to a table by whoever has the table's scores
 * and no longer its models. Only what makes a training what it is must agree: cohorts by contents, the declaration, the model that it starts from.
 */
import { UsageError } from '../common/errors.ts';
import { changedError } from '../training/node/run-record.ts';
import { summarizeScores } from '../training/task/evaluate.ts';
import type { Study } from './configuration.ts';
import type { PretrainingCost } from './cost.ts';
import { type StudyInputs, studyInputs } from './inputs.ts';
import { SCRATCH } from './methods.ts';
import { readPublished } from './published.ts';
import { changedDeclaration } from './record.ts';
import type { StudyRun } from './runs.ts';
import type { StudyRunResult } from './task-result.ts';

export interface ReusedStudy {
  /** Where it was published. */
  readonly folder: string;
  readonly inputs: StudyInputs;
  /** A training's result; undefined of one that the published study does not have. */
  of(run: StudyRun): StudyRunResult | undefined;
  /** What pre-training cost. */
  costOf(method: string): PretrainingCost | undefined;
}

/** A variant of one name stands for one thing. */
function changedVariants(before: Study, now: Study): string[] {
  const [old, current] = [before, now].map((study) => study.pretraining.variants);
  return now.methods
    .filter((name) => before.methods.includes(name))
    .filter((name) => JSON.stringify(keysOf(old[name])) !== JSON.stringify(keysOf(current[name])))
    .map((name) => `pretraining.variants.${name}: another variant`);
}
/** In one order, without what it is called. */
const keysOf = (value: unknown): unknown =>
  typeof value !== 'object' || value === null || Array.isArray(value)
    ? value
    : Object.entries(value)
        .filter(([key]) => key !== 'title')
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, child]) => [key, keysOf(child)]);

/**
 * Opens a published study to take trainings over from it.
 * @param out the folder of `study`, whose given models are compared
 * @throws UsageError naming what differs, or what the folder lacks; RunError naming a damaged file
 */
export async function openReused(folder: string, study: Study, out: string): Promise<ReusedStudy> {
  const { document, scores, runOf } = await readPublished(folder);
  const { inputs, task, pretraining } = document;
  if (inputs === undefined)
    throw new UsageError(
      `${folder}: study.json does not say what the study was made of (an older version of gvsl wrote it), so nothing can be taken over`,
    );
  const own = await studyInputs(study, out);
  const given = Object.keys(study.pretraining.models).filter((name) => document.study.methods.includes(name));
  const changed = [
    ...changedDeclaration(document.study, study),
    ...changedVariants(document.study, study),
    ...(inputs.cohort === own.cohort ? [] : ['cohort: other images, labels or options']),
    ...(inputs.pretrainingCohort === own.pretrainingCohort ? [] : ['pretraining.cohort: other images or options']),
    ...given
      .filter((name) => inputs.models[name] !== own.models[name])
      .map((name) => `pretraining.models.${name}: another model`),
  ];
  if (changed.length > 0)
    throw changedError(
      `${folder}: holds the results of a different study; these differ`,
      changed,
      'Leave out `reuse` to do all trainings',
    );
  return {
    folder,
    inputs,
    of: (run) => {
      const [known, subjects] = [runOf(run), scores.of(run)];
      if (!known || !subjects) return undefined;
      const { curve = [], version = 'unknown' } = known;
      return { ...run, task, subjects, summary: summarizeScores(subjects, task), curve, version };
    },
    costOf: (method) => (pretraining as unknown[] as PretrainingCost[]).find((cost) => cost.method === method),
  };
}

/**
 * A method's further trainings must start from the model that those which were taken over started from.
 * @throws UsageError where they do not
 */
export function requireSameModel({ folder, inputs }: ReusedStudy, method: string, sha256: string | undefined): void {
  const before = inputs.models[method];
  if (method === SCRATCH || before === undefined || (before !== null && before === sha256)) return;
  const [here, there] = [sha256, before].map((hash) => hash?.slice(0, 12) ?? 'unknown');
  throw new UsageError(
    `${method}: pre-training gave another model here than in ${folder} (SHA-256 ${here}, there ${there}), so their trainings cannot stand in one row. Leave out \`reuse\`, or declare for ${method} only the trainings that are there`,
  );
}
