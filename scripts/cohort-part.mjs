/** What measurements of cohorts share: their options, and a cohort of some subjects of another. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * Positional arguments, and options as the types of their defaults ask for: a number, or a list of numbers with commas.
 * @param defaults by name
 */
export function measurementOptions(defaults) {
  const options = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [name, { type: 'string', default: String(value) }]),
  );
  const { positionals, values } = parseArgs({ allowPositionals: true, options });
  const read = (name) => (Array.isArray(defaults[name]) ? values[name].split(',').map(Number) : Number(values[name]));
  return { positionals, values: Object.fromEntries(Object.keys(defaults).map((name) => [name, read(name)])) };
}

/** Makes `out` the cohort of those subjects of `folder` whose ids are named, unless it is there; volumes are linked. Reads every form of a cohort. */
export async function cohortPart(folder, out, ids) {
  if (existsSync(join(out, 'cohort.json'))) return;
  await mkdir(out, { recursive: true });
  for (const part of ['images', 'labels']) await symlink(resolve(folder, part), join(out, part));
  const head = JSON.parse(await readFile(join(folder, 'cohort.json'), 'utf8'));
  const wanted = new Set(ids);
  if (Array.isArray(head.subjects)) head.subjects = head.subjects.filter(({ id }) => wanted.has(id));
  else {
    const lines = (await readFile(join(folder, 'subjects.jsonl'), 'utf8')).trim().split('\n');
    const kept = lines.filter((line) => wanted.has(JSON.parse(line).id));
    await writeFile(join(out, 'subjects.jsonl'), `${kept.join('\n')}\n`);
    await writeFile(join(out, 'problems.jsonl'), '');
    Object.assign(head, { subjects: kept.length, problems: 0 });
  }
  await writeFile(join(out, 'cohort.json'), JSON.stringify(head));
}
