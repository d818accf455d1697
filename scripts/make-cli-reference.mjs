/**
 * Writes docs/cli.md from the commands' own help. Run after a build: node scripts/make-cli-reference.mjs (with --print it goes to
 * stdout instead). A test holds the file to it.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const help = (...args) =>
  spawnSync(process.execPath, [main, ...args, '--help'], {
    encoding: 'utf8',
    env: { ...process.env, COLUMNS: '110' },
  }).stdout.trimEnd();

/** The whole reference as Markdown. */
function cliReference() {
  const overview = help();
  const commands = [...overview.split('Commands:')[1].matchAll(/^ {2}([a-z]+)/gm)]
    .map(([, name]) => name)
    .filter((name) => name !== 'help');
  const sections = commands.map((name) => `## gvsl ${name}\n\n\`\`\`\n${help(name)}\n\`\`\`\n`);
  return [
    '# Command line',
    '',
    'Made from the commands themselves by `node scripts/make-cli-reference.mjs`.',
    '',
    'Every command takes `--json` (one JSON document on stdout) and `--help`. Progress goes to stderr. Exit code 0: done; 1: the work failed; 2: wrong usage or configuration.',
    '',
    `\`\`\`\n${overview}\n\`\`\``,
    '',
    ...sections,
  ].join('\n');
}

if (process.argv.includes('--print')) process.stdout.write(cliReference());
else writeFileSync(new URL('../docs/cli.md', import.meta.url), cliReference());
