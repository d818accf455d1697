/**
 * What a cohort is, whichever folder it lies in and whenever it was made: by this a run recognises the cohort that it began with, and
 * says by name what is another's.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { formatNames } from '../../common/format-names.ts';
import type { Geometry } from '../../geometry/volume.ts';
import type { FileContent } from '../../platform/node/files.ts';
import type { Cohort, Subject } from '../cohort.ts';

export interface CohortFingerprint {
  /** SHA-256, in hexadecimal digits, of all that follows in full length. Equal hashes: the same cohort. */
  readonly hash: string;
  /** The options of its preparation. */
  readonly options: Readonly<Record<string, unknown>>;
  /**
   * The subjects in their order, a text each: eight characters that stand for the source files, eight for what is stored of them, eight
   * for the class (if it counts; else dots), a space, the id. Short, since a run keeps it: 100,000 subjects are 4 MB.
   */
  readonly subjects: readonly string[];
}

export const fingerprintSchema = z.object({
  hash: z.string(),
  options: z.record(z.string(), z.unknown()),
  subjects: z.array(z.string()),
});

/** Characters of each of the three digests: 48 bits, for finding what differs. That something does, the full hash says. */
const DIGEST = 8;
const NO_CLASS = '.'.repeat(DIGEST);

const sha256 = (value: unknown): Buffer => createHash('sha256').update(JSON.stringify(value)).digest();
const short = (digest: Buffer): string => digest.toString('base64url').slice(0, DIGEST);

const gridFacts = ({ size, spacingMm, originMm, direction }: Geometry): unknown => [size, spacingMm, originMm, direction];
const fileFacts = (file: FileContent | null): unknown => file && [file.sizeBytes, file.sha256];

/** What its files were. An older cohort does not say; then the grid stands for them. */
const sourceFacts = ({ content, sourceGeometry }: Subject): unknown =>
  content ? [fileFacts(content.image), fileFacts(content.label)] : gridFacts(sourceGeometry);

const storedFacts = ({ content, geometry, intensity, labelCodes, landmarks, split, patient }: Subject): unknown => [
  content?.stored ?? null,
  gridFacts(geometry),
  [intensity.kind, intensity.low, intensity.high],
  labelCodes,
  landmarks.map(({ name, positionMm }) => [name, positionMm]),
  split,
  patient,
];

/** Of cohorts that are there: a run asks three times, and of a hundred thousand subjects each takes seconds. */
const known = new WeakMap<readonly Subject[], Map<string, CohortFingerprint>>();

/**
 * The fingerprint of a cohort.
 * @param withClasses whether the subjects' classes count: they do where they are what is learnt
 */
export function fingerprintOf(
  { options, subjects }: Pick<Cohort, 'options' | 'subjects'>,
  { withClasses = false }: { readonly withClasses?: boolean } = {},
): CohortFingerprint {
  const sorted = Object.fromEntries(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1)));
  const key = JSON.stringify([sorted, withClasses]);
  const before = known.get(subjects)?.get(key);
  if (before) return before;
  const all = createHash('sha256').update(JSON.stringify(sorted));
  const lines = subjects.map((subject) => {
    const digests = [sha256(sourceFacts(subject)), sha256(storedFacts(subject))];
    if (withClasses) digests.push(sha256(subject.class));
    all.update(JSON.stringify(subject.id));
    for (const digest of digests) all.update(digest);
    return `${digests.map(short).join('')}${withClasses ? '' : NO_CLASS} ${subject.id}`;
  });
  const fingerprint = { hash: all.digest('hex'), options: sorted, subjects: lines };
  known.set(subjects, (known.get(subjects) ?? new Map<string, CohortFingerprint>()).set(key, fingerprint));
  return fingerprint;
}

/** Digests by subject. */
interface Parts {
  readonly source: string;
  readonly stored: string;
  readonly class: string;
}

function partsOf({ subjects }: CohortFingerprint): Map<string, Parts> {
  return new Map(
    subjects.map((line) => [
      line.slice(3 * DIGEST + 1),
      { source: line.slice(0, DIGEST), stored: line.slice(DIGEST, 2 * DIGEST), class: line.slice(2 * DIGEST, 3 * DIGEST) },
    ]),
  );
}

/** How the cohort `now` differs from the one `before`, a sentence each that names the key or the subjects; empty if it does not. */
export function compareFingerprints(before: CohortFingerprint, now: CohortFingerprint): string[] {
  if (before.hash === now.hash) return [];
  const found: string[] = [];
  const text = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));
  for (const key of new Set([...Object.keys(before.options), ...Object.keys(now.options)]))
    if (text(before.options[key]) !== text(now.options[key]))
      found.push(`options.${key}: was ${text(before.options[key])}, now ${text(now.options[key])}`);
  const [old, current] = [partsOf(before), partsOf(now)];
  if (old.size !== current.size) found.push(`subjects: was ${old.size}, now ${current.size}`);
  const [oldIds, ids] = [[...old.keys()], [...current.keys()]];
  const say = (what: string, which: readonly string[]): void => {
    if (which.length > 0) found.push(`${what}: ${formatNames(which)}`);
  };
  const common = ids.filter((id) => old.has(id));
  const differing = (part: keyof Parts): string[] => common.filter((id) => old.get(id)![part] !== current.get(id)![part]);
  say(
    'subjects added',
    ids.filter((id) => !old.has(id)),
  );
  say(
    'subjects removed',
    oldIds.filter((id) => !current.has(id)),
  );
  const sources = differing('source');
  say('subjects made from different files', sources);
  const changed = new Set(sources);
  say(
    'subjects prepared differently from the same files',
    differing('stored').filter((id) => !changed.has(id)),
  );
  say('subjects with a different class', differing('class'));
  const commonBefore = oldIds.filter((id) => current.has(id));
  if (common.some((id, k) => id !== commonBefore[k])) found.push('subjects in a different order');
  return found.length > 0 ? found : ['subjects: same ids, different content'];
}
