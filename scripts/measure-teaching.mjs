/**
 * Dice against the number of strokes (docs/page.md): the page's example network is taught structures of the heart on one synthetic patient, and
 * segments that one and patients of whom nothing was drawn.
 *
 * Drawn as a person corrects: first a stroke in every structure and in the background, then in each round one stroke where most is wrong: the longest
 * row of voxels of one structure that have another label, in the slice with most errors. A stroke is at most 12 voxels of 3 mm long and 3 wide, and
 * stays in its structure. Last, what all voxels of the patient teach (at most 1000 a class).
 *
 *   npm run build:ts && node scripts/measure-teaching.mjs [--l2 10] [--neighbourhood 3] [--strokes 40] [--others 4]
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openModel } from '../dist/apply/model.js';
import { networkOfFiles } from '../dist/apply/network.js';
import { DEFAULT_TEACHING, fitSegmentationHead, voxelsOfStrokes } from '../dist/apply/teaching/fit-head.js';
import { networkWithHead } from '../dist/apply/teaching/network-with-head.js';
import { renderSubject } from '../dist/phantom/subject.js';
import { createBackend } from '../dist/platform/node/backends.js';

const { values } = parseArgs({
  options: {
    l2: { type: 'string', default: String(DEFAULT_TEACHING.l2) },
    neighbourhood: { type: 'string', default: String(DEFAULT_TEACHING.neighbourhood) },
    strokes: { type: 'string', default: '40' },
    others: { type: 'string', default: '4' },
    seed: { type: 'string', default: '2' },
  },
});
const [l2, neighbourhood, most, others, seed] = ['l2', 'neighbourhood', 'strokes', 'others', 'seed'].map((name) =>
  Number(values[name]),
);
/** Background, left ventricle, its wall, right ventricle, left atrium. */
const CODES = [0, 500, 205, 600, 420];
const STROKE = 12;
const SHOWN = [5, 10, 15, 20, 30, 40, 60, 80];

const folder = new URL('../src/page/public/example-model/', import.meta.url);
const weights = new Uint8Array(readFileSync(new URL('model.safetensors', folder))).buffer;
const network = networkOfFiles({ name: 'example', config: readFileSync(new URL('config.json', folder), 'utf8'), weights });
const backend = () => createBackend('cpu');

/** Structures that are not taught are background. */
const patient = (subject) => {
  const { image, labels } = renderSubject({ kind: 'heart-ct', seed, subject, spacingMm: 3, pose: 0.3 });
  return { image, geometry: labels.geometry, truth: labels.data.map((code) => Math.max(0, CODES.indexOf(code))) };
};
const patients = Array.from({ length: others + 1 }, (_, subject) => patient(subject));
const [{ image, geometry, truth }] = patients;
const [nx, ny, nz] = geometry.size;

/** The longest row of one class where `wanted`, in the slice where most is; null where nothing is. */
function strokeWhere(wanted) {
  const perSlice = Array.from({ length: nz }, (_, z) => {
    let count = 0;
    for (let i = z * nx * ny; i < (z + 1) * nx * ny; i++) if (wanted(i)) count++;
    return count;
  });
  const slice = perSlice.indexOf(Math.max(...perSlice));
  let best = null;
  for (let y = 0; y < ny; y++) {
    let start = -1;
    for (let x = 0; x <= nx; x++) {
      const at = (slice * ny + y) * nx + x;
      const here = x < nx && wanted(at);
      if (start >= 0 && (!here || truth[at] !== truth[at - 1])) {
        if (!best || x - start > best.length) best = { at: (slice * ny + y) * nx + start, length: x - start };
        start = -1;
      }
      if (here && start < 0) start = x;
    }
  }
  return best && { at: best.at + Math.max(0, (best.length - STROKE) >> 1), length: Math.min(STROKE, best.length) };
}

const drawn = new Uint8Array(truth.length);
const draw = (stroke) => {
  if (stroke)
    for (let i = stroke.at; i < stroke.at + stroke.length; i++)
      for (const side of [i - nx, i, i + nx]) if (truth[side] === truth[i]) drawn[side] = truth[i] + 1;
  return stroke !== null;
};
const dice = (found, expected) => {
  const scores = CODES.slice(1).map((code, k) => {
    let [both, all] = [0, 0];
    for (let i = 0; i < expected.length; i++) {
      const [a, b] = [found[i] === code, expected[i] === k + 1];
      both += Number(a && b);
      all += Number(a) + Number(b);
    }
    return (2 * both) / all;
  });
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
};

const frozen = openModel(network, await backend());
const { local, geometry: grid } = await frozen.embed(image);
await frozen.close();
CODES.forEach((_, one) => void draw(strokeWhere((i) => truth[i] === one)));
console.log(`l2 ${l2}, neighbourhood ${neighbourhood}, seed ${seed}: mean Dice of ${CODES.length - 1} structures`);
for (let strokes = CODES.length; strokes <= most + 1; strokes++) {
  const isAll = strokes > most;
  if (isAll) for (let i = 0; i < drawn.length; i++) drawn[i] = truth[i] + 1;
  const start = performance.now();
  const { voxels, classes } = voxelsOfStrokes(
    { geometry, data: drawn },
    grid,
    CODES.map((_, one) => one + 1),
  );
  const of = { features: local.data, size: local.shape.slice(1), voxels, classes };
  const head = fitSegmentationHead([of], CODES.length, { l2, neighbourhood });
  const fitMs = performance.now() - start;
  const model = openModel(
    networkWithHead(
      network,
      head,
      CODES.map((code) => ({ code, name: String(code) })),
    ),
    await backend(),
  );
  const shown = isAll || SHOWN.includes(strokes);
  const found = [];
  for (const one of shown ? patients : patients.slice(0, 1)) found.push((await model.segment(one.image)).labels.data);
  await model.close();
  if (shown) {
    const [same, ...rest] = found.map((data, i) => dice(data, patients[i].truth));
    const mean = rest.reduce((sum, score) => sum + score, 0) / rest.length;
    console.log(
      `${isAll ? 'everything' : `${strokes} strokes`}, ${voxels.length} voxels: same patient ${same.toFixed(3)}, others ${mean.toFixed(3)}; fitted in ${fitMs.toFixed(0)} ms`,
    );
  }
  const [labels] = found;
  if (!draw(strokeWhere((i) => drawn[i] === 0 && labels[i] !== CODES[truth[i]]))) break;
}
