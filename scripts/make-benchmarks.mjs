/**
 * Writes the tables of docs/benchmarks.md from the results in docs/benchmarks/node*.json and train-node*.json, the newest Node first. Run after a build:
 * node scripts/make-benchmarks.mjs (with --print it goes to stdout instead).
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { markdown, suiteText, trainingText } from '../dist/bench/tables.js';

const page = new URL('../docs/benchmarks.md', import.meta.url);
const folder = new URL('../docs/benchmarks/', import.meta.url);

/** The tables of every `<name><major>.json`, the newest Node first. */
const sections = (name, textOf, heading) =>
  readdirSync(folder)
    .flatMap((file) => new RegExp(`^${name}(\\d+)\\.json$`).exec(file)?.[1] ?? [])
    .sort((a, b) => b - a)
    .map((major) => {
      const result = JSON.parse(readFileSync(new URL(`${name}${major}.json`, folder), 'utf8'));
      return `${heading} Node ${major}\n\n${textOf(result, markdown)}\n`;
    })
    .join('\n');

/** The page with the made text between `<!-- mark -->` and `<!-- end of mark -->`. */
function withMade(text, mark, made) {
  const [first, last] = [`<!-- ${mark} -->\n`, `<!-- end of ${mark} -->\n`];
  const [start, end] = [text.indexOf(first), text.indexOf(last)];
  if (start < 0 || end < start) throw new Error(`docs/benchmarks.md: expected '${first.trim()}' and '${last.trim()}' below it`);
  return `${text.slice(0, start + first.length)}\n${made}\n${text.slice(end)}`;
}

let text = readFileSync(page, 'utf8');
text = withMade(text, 'training', sections('train-node', trainingText, '###'));
text = withMade(text, 'results', sections('node', suiteText, '##'));
if (process.argv.includes('--print')) process.stdout.write(text);
else writeFileSync(page, text);
