/**
 * Writes the tables of docs/benchmarks.md from the results in docs/benchmarks/, the newest Node first: node*.json and train-node*.json of
 * `gvsl bench`, data.json of scripts/bench-data.mjs, scans.json of scripts/bench-large-scans.mjs. Run after a build: node scripts/make-benchmarks.mjs
 * (with --print it goes to stdout instead).
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { markdown, suiteText, trainingText } from '../dist/cli/bench/tables.js';

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

/** The commands that read images, beside the same work in Python. */
function dataTables() {
  const path = new URL('data.json', folder);
  if (!existsSync(path)) return '';
  const runs = Object.entries(JSON.parse(readFileSync(path, 'utf8'))).sort(([a], [b]) => b - a);
  const seconds = (value) => (value === undefined ? '' : `${value.toPrecision(3)} s`);
  const line = (values) => `| ${values.join(' | ')} |`;
  const tables = runs.map(([major, { date, machine, node, peer, boundToOneProcessor, rows }]) => {
    const hasBefore = rows.some((row) => row.seconds.before !== undefined);
    const cells = rows.map(({ what, seconds: { gvsl, before, peer: other } }) => [
      what,
      ...(hasBefore ? [seconds(before)] : []),
      seconds(gvsl),
      seconds(other),
      other === undefined ? '' : (gvsl / other).toFixed(2),
    ]);
    return [
      `### Reading and scoring, Node ${major}\n`,
      `${date}: ${machine}; Node ${node}; ${peer ?? 'without the peer'}${boundToOneProcessor ? '; every process on one processor' : ''}\n`,
      line(['', ...(hasBefore ? ['before'] : []), 'gvsl', 'peer', 'ratio']),
      line(['---', ...(hasBefore ? ['---:'] : []), '---:', '---:', '---:']),
      ...cells.map(line),
      '',
    ].join('\n');
  });
  return tables.join('\n');
}

/** The commands on a large scan, beside an earlier build and other software; undefined if they have not been timed. */
function scansTable() {
  const path = new URL('scans.json', folder);
  if (!existsSync(path)) return undefined;
  const rows = Object.values(JSON.parse(readFileSync(path, 'utf8')));
  const time = (value) => (value === undefined ? '' : `${value.toFixed(1)} s`);
  const ratio = (a, b) => (a === undefined || b === undefined ? '' : (a / b).toFixed(2));
  const lines = rows.map(({ what, peerName, seconds: { before, now, peer } }) => {
    const other = peer === undefined ? '' : `${time(peer)} (${peerName})`;
    return `| ${[what, time(before), time(now), ratio(now, before), other, ratio(now, peer)].join(' | ')} |`;
  });
  return [
    `${rows[0].cpu}; Node ${rows[0].node}\n`,
    '| command | before | now | ratio | other software | ratio |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    ...lines,
    '',
  ].join('\n');
}

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
text = withMade(text, 'data', dataTables());
const scans = scansTable();
if (scans) text = withMade(text, 'scans', scans);
if (process.argv.includes('--print')) process.stdout.write(text);
else writeFileSync(page, text);
