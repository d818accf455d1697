/**
 * Writes the tables of docs/benchmarks.md from the results in docs/benchmarks/node*.json and train-node*.json, the newest Node first. Run after a build:
 * node scripts/make-benchmarks.mjs (with --print it goes to stdout instead).
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { markdown, suiteText, trainingText } from '../dist/bench/tables.js';

const START = '<!-- results -->\n';
const END = '<!-- end of results -->\n';
const page = new URL('../docs/benchmarks.md', import.meta.url);
const folder = new URL('../docs/benchmarks/', import.meta.url);

const majors = readdirSync(folder)
  .map((name) => /^node(\d+)\.json$/.exec(name)?.[1])
  .filter((major) => major !== undefined)
  .sort((a, b) => b - a);
const read = (name) => {
  const path = new URL(name, folder);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
};
const sections = majors.map((major) => {
  const training = read(`train-node${major}.json`);
  return [
    `## Node ${major}\n\n${suiteText(read(`node${major}.json`), markdown)}\n`,
    ...(training ? [`### The loop of a training, Node ${major}\n\n${trainingText(training, markdown)}\n`] : []),
  ].join('\n');
});

const text = readFileSync(page, 'utf8');
const [start, end] = [text.indexOf(START), text.indexOf(END)];
if (start < 0 || end < start) throw new Error(`docs/benchmarks.md: expected '${START.trim()}' and '${END.trim()}' below it`);
const made = `${text.slice(0, start + START.length)}\n${sections.join('\n')}\n${text.slice(end)}`;
if (process.argv.includes('--print')) process.stdout.write(made);
else writeFileSync(page, made);
