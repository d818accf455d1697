/**
 * Draws the curves of a run as one SVG for docs/results: training losses, and what was measured on held-out pairs.
 *   node scripts/plot-curves.mjs RUN/metrics.jsonl OUT.svg
 */
import { readFileSync, writeFileSync } from 'node:fs';

const [source, out] = process.argv.slice(2);
if (!source || !out) {
  process.stderr.write('usage: node scripts/plot-curves.mjs RUN/metrics.jsonl OUT.svg\n');
  process.exit(2);
}
const lines = readFileSync(source, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
const steps = lines.filter(({ kind }) => kind === 'step');
const evaluations = lines.filter(({ kind }) => kind === 'evaluation');
const lastStep = Math.max(...lines.map(({ step }) => step));

/** Running mean over a window of logged steps: single steps are single pairs, and jump. */
const smooth = (points, window = 11) =>
  points.map(([step], i) => {
    const part = points.slice(Math.max(0, i - window + 1), i + 1);
    return [step, part.reduce((sum, [, value]) => sum + value, 0) / part.length];
  });

const COLOURS = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e'];
const [WIDTH, HEIGHT, LEFT, TOP] = [420, 260, 48, 28];

function panel(title, curves, at) {
  const values = curves.flatMap(({ points }) => points.map(([, value]) => value));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [w, h] = [WIDTH - LEFT - 12, HEIGHT - TOP - 34];
  const x = (step) => LEFT + (w * step) / lastStep;
  const y = (value) => TOP + h - (h * (value - low)) / (high - low || 1);
  const parts = [
    `<text x="${LEFT}" y="16" font-weight="bold">${title}</text>`,
    `<rect x="${LEFT}" y="${TOP}" width="${w}" height="${h}" fill="none" stroke="#888"/>`,
  ];
  for (const value of [low, (low + high) / 2, high])
    parts.push(`<text x="${LEFT - 4}" y="${y(value) + 4}" text-anchor="end">${value.toPrecision(3)}</text>`);
  for (const step of [0, lastStep]) parts.push(`<text x="${x(step)}" y="${TOP + h + 14}" text-anchor="middle">${step}</text>`);
  curves.forEach(({ name, points }, i) => {
    const path = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
    parts.push(`<polyline points="${path}" fill="none" stroke="${COLOURS[i]}" stroke-width="1.5"/>`);
    parts.push(`<text x="${LEFT + i * 92}" y="${TOP + h + 30}" fill="${COLOURS[i]}">${name}</text>`);
  });
  return `<g transform="translate(${(at % 2) * WIDTH} ${Math.floor(at / 2) * HEIGHT})">${parts.join('')}</g>`;
}

const lossCurves = ['ncc', 'affineNcc'].map((name) => ({
  name,
  points: smooth(steps.filter(({ loss }) => loss[name] != null).map(({ step, loss }) => [step, loss[name]])),
}));
const stages = (key) =>
  ['before', 'affine', 'after']
    .map((name) => ({
      name,
      points: evaluations.filter((each) => each[key]?.[name] != null).map((each) => [each.step, each[key][name]]),
    }))
    .filter(({ points }) => points.length > 0);
const panels = [
  ['training loss (mean of 11 logged steps)', lossCurves.filter(({ points }) => points.length > 0)],
  [
    'restoration loss',
    [{ name: 'mse', points: smooth(steps.filter(({ loss }) => loss.mse != null).map(({ step, loss }) => [step, loss.mse])) }],
  ],
  ['held out: NCC', stages('ncc')],
  ['held out: label overlap (Dice)', stages('labelDice')],
  ['held out: landmark error (mm)', stages('landmarkErrorMm')],
  ['held out: folded share', stages('foldedShare')],
].filter(([, curves]) => curves.some(({ points }) => points.length > 0));
const rows = Math.ceil(panels.length / 2);
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${2 * WIDTH}" height="${rows * HEIGHT}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>${panels.map(([title, curves], i) => panel(title, curves, i)).join('')}</svg>\n`;
writeFileSync(out, svg);
