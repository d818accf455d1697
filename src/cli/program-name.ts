/** How the user called the program, so that commands which it prints can be pasted as they are. */
import nodePath, { type PlatformPath } from 'node:path';

/**
 * 'gvsl' where it is installed as a command, 'npx gvsl' inside a project, else 'node PATH'.
 * @param script what Node was told to run: a link named gvsl where npm installed it, on Windows the file that its gvsl.cmd runs
 * @param system whose paths they are; for tests
 */
export function programName(script = process.argv[1] ?? 'gvsl', folder = process.cwd(), system: PlatformPath = nodePath): string {
  const { basename, isAbsolute, join, relative, sep } = system;
  const isInside = (way: string): boolean => way.split(sep)[0] !== '..' && !isAbsolute(way);
  if (basename(script) === 'gvsl') return script.includes(join('node_modules', '.bin') + sep) ? 'npx gvsl' : 'gvsl';
  const [project, rest] = script.split(join(sep, 'node_modules', 'gvsl', sep));
  if (rest !== undefined) return isInside(relative(project, folder)) ? 'npx gvsl' : 'gvsl';
  const near = relative(folder, script);
  return `node ${isInside(near) ? near : script}`;
}
