/**
 * Classes of subjects from a table: which row is whose.
 *
 * A table may name a case by its subject's id, by its file (with as many of its folders as tell it apart), or by a folder above it, as
 * tables of patients do. What could mean two images is left out and said.
 */
import nodePath, { join, type PlatformPath, resolve } from 'node:path';
import { UsageError } from '../../common/errors.ts';
import { isFile } from '../../platform/node/files.ts';
import type { CohortProblem } from '../cohort.ts';
import { casePath, readClasses } from './table.ts';

/** Tables that are read where no other is named. */
const USUAL_NAMES = ['labels.csv', 'classes.csv'];

export interface ClassTable {
  readonly path: string;
  /** By case, as `casePath` writes it. */
  readonly classes: ReadonlyMap<string, string>;
}

/**
 * The table that a call names, or that lies in the folder `source`; null without one.
 * @throws UsageError naming the file and what is wrong with it
 */
export async function findClassTable(source: string, given?: string, column?: string): Promise<ClassTable | null> {
  if (given !== undefined) return { path: given, classes: await readClasses(given, column, casePath) };
  for (const name of USUAL_NAMES) {
    const path = join(source, name);
    if (!(await isFile(path))) continue;
    try {
      return { path, classes: await readClasses(path, column, casePath) };
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(
        `${error.message}. A file of this name is read as the table of classes; rename it if it is something else`,
      );
    }
  }
  if (column !== undefined)
    throw new UsageError(`\`classColumn\` ${column}: no table of classes: expected \`classes\` FILE, or labels.csv in ${source}`);
  return null;
}

/** What the table is matched with. */
interface Named {
  readonly id: string;
  /** The file, or the folder of a DICOM series. */
  readonly source: string;
}

/** The parts of a path, as `casePath` cuts them, without its first folders: the whole, then ever less. */
function* tails(path: string): Generator<string> {
  const parts = casePath(path).split('/');
  for (let k = 0; k < parts.length; k++) yield parts.slice(k).join('/');
}

/** The folders above a file, nearest first, that lie in `root`: as seen from there. @param system whose paths they are; for tests */
export function foldersAbove(root: string, path: string, system: PlatformPath = nodePath): string[] {
  const way = system.relative(root, system.dirname(path));
  const parts = way === '' || system.isAbsolute(way) ? [] : way.split(system.sep);
  return parts[0] === '..' ? [] : parts.map((_, k) => parts.slice(0, parts.length - k).join('/'));
}

/**
 * The class of each subject that has one, by id.
 * @param root the folder of the source: folders above it name no case
 */
export function assignClasses(
  { path: table, classes }: ClassTable,
  subjects: readonly Named[],
  root: string,
): { classes: ReadonlyMap<string, string>; problems: readonly CohortProblem[] } {
  const baseOf = (name: string): string => name.slice(name.lastIndexOf('/') + 1);
  const count = (names: Iterable<string>): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    return counts;
  };
  const listed = count([...classes.keys()].map(baseOf));
  const there = count([...new Set(subjects.map(({ source }) => casePath(resolve(source))))].map(baseOf));
  const byBase = new Map([...classes.keys()].map((name) => [baseOf(name), name]));

  /** The table's name of a subject, and whether it names the image itself and not a folder of several. */
  const find = ({ id, source }: Named): { name: string; isOwn: boolean } | undefined => {
    const path = resolve(source);
    for (const name of [id, ...tails(path)]) if (classes.has(name)) return { name, isOwn: true };
    for (const folder of foldersAbove(resolve(root), path))
      for (const name of tails(folder)) if (classes.has(name)) return { name, isOwn: false };
    // a table with folders from elsewhere
    const base = baseOf(casePath(path));
    return listed.get(base) === 1 && there.get(base) === 1 ? { name: byBase.get(base)!, isOwn: true } : undefined;
  };

  const sources = new Map<string, Set<string>>();
  const used = new Set<string>();
  const found = subjects.flatMap((subject) => {
    const match = find(subject);
    if (!match) return [];
    used.add(match.name);
    if (match.isOwn) sources.set(match.name, (sources.get(match.name) ?? new Set()).add(subject.source));
    return [{ id: subject.id, name: match.name }];
  });
  const isAmbiguous = (name: string): boolean => (sources.get(name)?.size ?? 0) > 1;
  const problems = [...classes.keys()].flatMap((name): CohortProblem[] => {
    const source = `${table}: case '${name}'`;
    if (!used.has(name)) return [{ source, kind: 'warning', message: 'has a class, but there is no such image' }];
    if (!isAmbiguous(name)) return [];
    const message = `ambiguous: several images have this name (${[...sources.get(name)!].slice(0, 2).join(', ')}), so none gets its class; add their folders`;
    return [{ source, kind: 'warning', message }];
  });
  const assigned = found.filter(({ name }) => !isAmbiguous(name)).map(({ id, name }) => [id, classes.get(name)!] as const);
  return { classes: new Map(assigned), problems };
}

export interface ClassCounts {
  readonly classes: Readonly<Record<string, number>>;
  readonly without: number;
}

/** How many subjects each class has, in the order of the classes' names (numbers by value), and how many have none. */
export function countClasses(classes: Iterable<string | null>): ClassCounts {
  const counts = new Map<string, number>();
  let without = 0;
  for (const name of classes) {
    if (name === null) without++;
    else counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  return { classes: Object.fromEntries(sorted), without };
}

/** '3 of class 'a', 2 of class 'b', 1 without a class'; empty where no class is known. */
export function describeClasses({ classes, without }: ClassCounts): string {
  const parts = Object.entries(classes).map(([name, count]) => `${count} of class '${name}'`);
  return parts.length === 0 ? '' : [...parts, ...(without > 0 ? [`${without} without a class`] : [])].join(', ');
}
