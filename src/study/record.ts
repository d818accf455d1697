/**
 * What a study's folder was begun with, so that no other study's results are taken for its own: `declared.json` in it, and the `run.json` of each
 * of its trainings. Which methods, modes, numbers of labels and seeds there are may grow and shrink: each training is known by itself.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { compareFingerprints, fingerprintOf, fingerprintSchema } from '../cohort/node/fingerprint.ts';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { UsageError } from '../common/errors.ts';
import { version } from '../common/version.ts';
import { jsonText, readJson } from '../model/node/documents.ts';
import { findFolder } from '../platform/node/files.ts';
import { changedError, isFreeOfAResult } from '../training/node/run-record.ts';
import { writeFirst } from './claims.ts';
import type { Study } from './configuration.ts';
import { baseOf, namesOfKeys } from './methods.ts';

const FILE = 'declared.json';
/** Two fingerprints of 100,000 subjects, and the study. */
const MAX_BYTES = 64e6;

const declaredSchema = z.object({
  formatVersion: z.literal(1),
  study: z.looseObject({ methods: z.array(z.string()) }),
  cohort: fingerprintSchema,
  pretrainingCohort: fingerprintSchema.nullable(),
  versions: z.record(z.string(), z.string()),
});

/** Free to change: names, paths (contents are compared), and what each training is known by. */
const FREE = /^(name|cohort|methods|modes|labels|seeds|baseline|pretraining\.(cohort|models|variants)(\..*)?)$/;
/** What studies of older versions, which do not say it, were made with. */
const BEFORE: Readonly<Record<string, string>> = { 'pretraining.budget': '"steps"', 'pretraining.search.learningRate': '[]' };
/** The part of a path that is a key of a training's configuration. */
const CONFIGURATION = /^(?:pretraining\.(?:configuration|methods\.[\w-]+)|transfer\.(?:configuration|linear|finetune))\.(.*)$/;

/** Every leaf of nested objects by its path. */
function leaves(value: unknown, path = ''): [path: string, value: string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, child]) => leaves(child, path === '' ? key : `${path}.${key}`));
}

/** A key of a single method. */
const OF_METHOD = /^pretraining\.methods\.([\w-]+)\./;

/**
 * The keys in which two studies differ so that neither's trainings are the other's, a line each. Keys of methods that only one of them has are free.
 */
export function changedDeclaration(before: Pick<Study, 'methods'>, now: Study): string[] {
  const [old, current] = [new Map(leaves(before)), new Map(leaves(now))];
  for (const [path, value] of Object.entries(BEFORE)) if (!old.has(path)) old.set(path, value);
  const shared = now.methods.filter((name) => before.methods.includes(name));
  const taken = new Set(shared.flatMap((name) => namesOfKeys(baseOf(now, name))));
  return [...new Set([...old.keys(), ...current.keys()])]
    .filter((path) => old.get(path) !== current.get(path))
    .filter((path) => {
      const method = OF_METHOD.exec(path)?.[1];
      return method === undefined || taken.has(method);
    })
    .filter((path) => !FREE.test(path) && !isFreeOfAResult(CONFIGURATION.exec(path)?.[1] ?? ''))
    .map((path) => `${path}: was ${old.get(path) ?? 'absent'}, now ${current.get(path) ?? 'absent'}`);
}

const anew = (out: string): string => `Choose another \`out\`, or delete ${out} to start again`;

/**
 * Compares a study with what its folder was begun with, and records it in a new one.
 * @throws UsageError naming every key and subject that differs
 */
export async function agreeWithStudy(study: Study, out: string): Promise<void> {
  const cohort = fingerprintOf(await openCohort(study.cohort), { withClasses: study.task === 'classification' });
  const other = study.pretraining.cohort;
  const pretrainingCohort = other === null ? null : fingerprintOf(await openCohort(other));
  const path = join(out, FILE);
  if ((await findFolder(path)) === undefined) {
    const older = ['runs', 'pretrained', 'study.json'];
    for (const name of older)
      if ((await findFolder(join(out, name))) !== undefined)
        throw new UsageError(
          `${out}: holds a study (${name}) without ${FILE}: it was made by an older version of gvsl that did not record its inputs, so its results cannot be reused. ${anew(out)}`,
        );
    const text = jsonText({ formatVersion: 1, study, cohort, pretrainingCohort, versions: { gvsl: version } });
    // of processes that begin at the same moment one writes it
    if (await writeFirst(path, text)) return;
  }
  const before = await readJson(path, declaredSchema, MAX_BYTES);
  const changed = [
    ...changedDeclaration(before.study, study),
    ...compareFingerprints(before.cohort, cohort).map((line) => `cohort ${line}`),
    // null: the labelled one, which may then be named as well
    ...compareFingerprints(before.pretrainingCohort ?? before.cohort, pretrainingCohort ?? cohort)
      .filter(() => before.pretrainingCohort !== null || pretrainingCohort !== null)
      .map((line) => `pretraining.cohort ${line}`),
  ];
  if (changed.length > 0)
    throw changedError(`${out}: contains the results of a different study; these differ`, changed, anew(out));
}
