/** How the user called the program, so that commands which it prints can be pasted as they are. */
import { basename, join, relative, sep } from 'node:path';

/**
 * 'gvsl' where it is installed as a command, 'npx gvsl' inside a project, else 'node PATH'.
 * @param script what Node was told to run: a link named gvsl where npm installed it
 */
export function programName(script = process.argv[1] ?? 'gvsl', folder = process.cwd()): string {
  if (basename(script).replace(/\.(cmd|ps1)$/, '') === 'gvsl')
    return script.includes(join('node_modules', '.bin') + sep) ? 'npx gvsl' : 'gvsl';
  const near = relative(folder, script);
  return `node ${near.startsWith('..') ? script : near}`;
}
