/** A split that a file gives: who trains, who validates, who is kept for the end. The same file serves pre-training and training on tasks. */
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import type { Cohort, Subject } from '../../cohort/cohort.ts';
import { scansOfPatients } from '../../cohort/patients.ts';
import { UsageError } from '../../common/errors.ts';
import { formatNames } from '../../common/format-names.ts';
import { parseJson, quoteJson, withoutByteOrderMark } from '../../common/json.ts';
import { systemError } from '../../platform/node/machine.ts';

export interface SplitParts {
  readonly training: readonly Subject[];
  readonly validation: readonly Subject[];
  readonly test: readonly Subject[];
}

const FORM = '{"training": [ids], "validation": [ids], "test": [ids]}, of which training has one id at least';
const splitSchema = z.strictObject({
  training: z.array(z.string()).min(1),
  validation: z.array(z.string()).default([]),
  test: z.array(z.string()).default([]),
});

/**
 * The subjects that a file names, by part.
 * @throws UsageError naming the file, and the subject that is not in the cohort, or twice in the file, or whose patient is in two parts
 */
export async function readSplitFile(file: string, cohort: Cohort): Promise<SplitParts> {
  const refuse = (what: string): UsageError => new UsageError(`\`data.split\` ${file}: ${what}; expected ${FORM}`);
  const status = await stat(file).catch(() => undefined);
  if (!status?.isFile()) throw refuse(status?.isDirectory() ? 'is a folder' : 'no such file');
  let document: unknown;
  try {
    document = parseJson(withoutByteOrderMark(await readFile(file, 'utf8')));
  } catch (error) {
    throw systemError(error, file) ?? refuse(`cannot be read as JSON (${(error as Error).message})`);
  }
  const parsed = splitSchema.safeParse(document);
  if (!parsed.success) {
    // a key by another name is why one is missing
    const issue = parsed.error.issues.find(({ code }) => code === 'unrecognized_keys') ?? parsed.error.issues[0];
    if (issue.code === 'unrecognized_keys') throw refuse(`unknown key ${formatNames(issue.keys)}`);
    const at = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], document);
    const found = at === undefined ? 'is missing' : Array.isArray(at) ? `found a list of ${at.length}` : `found ${quoteJson(at)}`;
    throw refuse(`${issue.path.length === 0 ? '' : `${issue.path.join('.')}: `}${found}`);
  }
  const byId = new Map(cohort.subjects.map((subject) => [subject.id, subject]));
  const seen = new Map<string, string>();
  const subjectsOf = (part: keyof SplitParts): Subject[] =>
    parsed.data[part].map((id) => {
      const subject = byId.get(id);
      if (!subject)
        throw new UsageError(
          `\`data.split\` ${file}: ${part}: there is no subject '${id}' in ${cohort.folder}, whose subjects are ${formatNames(cohort.subjects.map((known) => known.id))}`,
        );
      const before = seen.get(id);
      if (before !== undefined)
        throw new UsageError(
          `\`data.split\` ${file}: subject '${id}' is in ${before === part ? `${part} twice` : `${before} and in ${part}`}; each subject may be in one part only`,
        );
      seen.set(id, part);
      return subject;
    });
  const split = { training: subjectsOf('training'), validation: subjectsOf('validation'), test: subjectsOf('test') };
  const partOf = new Map<string, { part: string; id: string }>();
  for (const [part, subjects] of Object.entries(split))
    for (const { id, patient } of subjects) {
      const before = patient === null ? undefined : partOf.get(patient);
      if (before && before.part !== part)
        throw new UsageError(
          `\`data.split\` ${file}: '${before.id}' in ${before.part} and '${id}' in ${part} are scans of one patient (${patient}); keep a patient's scans in one part`,
        );
      if (patient !== null) partOf.set(patient, { part, id });
    }
  return split;
}

/**
 * The same for pre-training, which needs no labels: whoever the file does not name trains too, but for scans of its patients, which stay together.
 * @returns `heldOut`: the file's validation subjects; `test`: who is left out
 */
export async function splitOfPretraining(
  file: string,
  cohort: Cohort,
): Promise<{ readonly training: Subject[]; readonly heldOut: Subject[]; readonly test: Subject[] }> {
  const { validation, test } = await readSplitFile(file, cohort);
  const [isHeldOut, isTest] = [scansOfPatients(validation), scansOfPatients(test)];
  return {
    training: cohort.subjects.filter((subject) => !isHeldOut(subject) && !isTest(subject)),
    heldOut: cohort.subjects.filter(isHeldOut),
    test: cohort.subjects.filter(isTest),
  };
}
