/** Ranks over finished studies: in each mode a task is a study with a number of labels, and its methods are ranked by their mean scores. */
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../common/errors.ts';
import { jsonText, readJson } from '../model/node/documents.ts';
import { findFolder, writeFileAtomic } from '../platform/node/files.ts';
import type { Mode } from '../report/study-table.ts';
import { STUDY_METHODS } from './methods.ts';
import { type Ranking, rank, ranksFigure, ranksMarkdown } from './ranks.ts';

/** What `rankStudies` writes into its folder. */
export const RANK_FILES = ['ranks.md', 'ranks.svg', 'ranks.json'] as const;

/** A study with its runs can hold some megabytes. */
const MAX_BYTES = 64e6;
const studyFileSchema = z.looseObject({
  study: z.looseObject({ name: z.string() }),
  rows: z.array(
    z.looseObject({
      method: z.string(),
      title: z.string().optional(),
      mode: z.enum(['linear', 'probe', 'finetune']),
      labels: z.union([z.literal('all'), z.number()]),
      mean: z.number(),
    }),
  ),
});

/** The rankings of the modes that at least two tasks have, over the methods that all of these have. */
export function ranksAcross(studies: readonly z.output<typeof studyFileSchema>[]): Ranking[] {
  return (['linear', 'probe', 'finetune'] satisfies Mode[]).flatMap((mode) => {
    const tasks = studies.flatMap(({ rows }) => {
      const own = rows.filter((row) => row.mode === mode);
      return [...new Set(own.map(({ labels }) => labels))].map(
        (labels) => new Map(own.filter((row) => row.labels === labels).map(({ method, mean }) => [method, mean])),
      );
    });
    // variants have the names that their studies gave them
    const variants = new Map(studies.flatMap(({ rows }) => rows.map(({ method, title = method }) => [method, title] as const)));
    for (const { name } of STUDY_METHODS) variants.delete(name);
    const all = [...STUDY_METHODS, ...[...variants].map(([name, title]) => ({ name, title }))];
    const methods = all.filter(({ name }) => tasks.length > 0 && tasks.every((task) => task.has(name)));
    const scores = tasks.map((task) => methods.map(({ name }) => task.get(name)!));
    return rank(mode, `${tasks.length} tasks of ${studies.length} studies`, methods, scores) ?? [];
  });
}

/**
 * Ranks the methods of finished studies, and writes ranks.md, ranks.svg and ranks.json.
 * @param folders of studies that `compare` finished
 * @throws UsageError if one of them is none, or they have fewer than two tasks or methods in common
 */
export async function rankStudies(folders: readonly string[], out: string): Promise<Ranking[]> {
  const studies: z.output<typeof studyFileSchema>[] = [];
  const seen = new Map<string, string>();
  for (const folder of folders) {
    const place = await realpath(folder).catch(() => folder);
    const before = seen.get(place);
    if (before !== undefined)
      throw new UsageError(`${folder}: the same folder as ${before}: its tasks would count twice; name each study once`);
    seen.set(place, folder);
    const path = join(folder, 'study.json');
    if ((await findFolder(path)) === undefined)
      throw new UsageError(`${folder}: no study.json in it; expected the folder of a study that gvsl compare has finished`);
    studies.push(await readJson(path, studyFileSchema, MAX_BYTES));
  }
  const rankings = ranksAcross(studies);
  if (rankings.length === 0)
    throw new UsageError(
      `nothing to rank: expected at least two tasks (studies, or numbers of labels) with two methods in common, in some mode; found ${studies.map(({ rows }, i) => `${folders[i]}: ${[...new Set(rows.map(({ method }) => method))].join(', ') || 'no method'}`).join('; ')}`,
    );
  await mkdir(out, { recursive: true });
  const texts = [ranksMarkdown(rankings), ranksFigure(rankings)!, jsonText({ studies: [...folders], rankings })];
  for (const [i, name] of RANK_FILES.entries()) await writeFileAtomic(join(out, name), texts[i]);
  return rankings;
}
