/**
 * Dice against the number of strokes (docs/teaching.md): a network is taught structures on one image by strokes that are drawn from its hidden labels,
 * and segments that image and images of other subjects, of which nothing is drawn.
 *
 *   npm run build:ts
 *   node scripts/measure-teaching.mjs OUT                        # synthetic hearts
 *   node scripts/measure-teaching.mjs OUT --cohort FOLDER        # a prepared cohort with label maps, such as the hippocampi
 *
 * Networks: the page's example model, the same architecture with its random initial parameters, and of a cohort one that is first pre-trained on it
 * without labels (OUT/pretrained; the subjects of this measurement are those that it holds out). Every network sees the same images, prepared alike.
 *
 * Strokes are drawn as a person corrects: first one in every structure and in the background, then one after the other where most is wrong: in the
 * slice with the most wrong voxels, the longest row of one class that has another label. A stroke is at most 12 voxels of the image long and 3 wide,
 * and stays in its class. Last, what all voxels of the image teach ("everything"): the most that strokes on this image could.
 *
 * An interrupted call continues; OUT/results.jsonl has what is done, OUT/table.md its means.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { networkOfFiles } from '../dist/apply/network.js';
import { BACKGROUND_STROKE, openTeacher } from '../dist/apply/teaching/teacher.js';
import { readLabelCrop, readWhole } from '../dist/cohort/node/crops.js';
import { toZyx } from '../dist/geometry/volume.js';
import { openCohort, pretrain } from '../dist/index.js';
import { initialParameters, parameterTable } from '../dist/model/parameters.js';
import { renderSubject } from '../dist/phantom/subject.js';
import { createBackend } from '../dist/platform/node/backends.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    cohort: { type: 'string' },
    subjects: { type: 'string', default: '5' },
    others: { type: 'string', default: '5' },
    strokes: { type: 'string', default: '32' },
    seed: { type: 'string', default: '2' },
    threads: { type: 'string', default: '1' },
    l2: { type: 'string' },
    'pretrain-steps': { type: 'string', default: '1000' },
  },
});
const [out] = positionals;
const number = (name) => Number(values[name]);
const most = number('strokes');
const options = values.l2 === undefined ? {} : { l2: number('l2') };
const LENGTH = 12;
mkdirSync(out, { recursive: true });

const folder = new URL('../src/page/public/example-model/', import.meta.url);
const filesIn = (at) => ({
  name: String(at),
  config: readFileSync(new URL('config.json', at), 'utf8'),
  weights: new Uint8Array(readFileSync(new URL('model.safetensors', at))).buffer,
});

/** Synthetic hearts: left ventricle, its wall, right ventricle, left atrium. What is not taught is background. */
async function hearts() {
  const codes = [500, 205, 600, 420];
  const image = (subject) => {
    const { image, labels } = renderSubject({ kind: 'heart-ct', seed: number('seed'), subject, spacingMm: 3, pose: 0.3 });
    return { id: `patient ${subject}`, volume: image, truth: labels.data.map((code) => codes.indexOf(code) + 1) };
  };
  return {
    codes,
    count: number('subjects') + number('others'),
    image: async (k) => image(k),
    networks: {},
    as: (network) => network,
  };
}

/** A prepared cohort, and the network that is pre-trained on those of its subjects that are not measured. */
async function cohortOf(path) {
  const cohort = await openCohort(path);
  const count = number('subjects') + number('others');
  const run = join(out, 'pretrained');
  // its judgement at the end takes longer than what follows here
  const state = join(run, 'last', 'state.json');
  if (!existsSync(state) || JSON.parse(readFileSync(state, 'utf8')).step < number('pretrain-steps'))
    await pretrain({
      cohort: path,
      out: run,
      configuration: {
        steps: number('pretrain-steps'),
        batch: 2,
        learningRate: 1e-3,
        learningRateDecaySteps: number('pretrain-steps'),
        threads: number('threads'),
        model: { width: 0.125 },
        data: { patch: [32, 48, 32], heldOut: count },
        log: { everySteps: 50, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 50 },
      },
      resume: existsSync(join(run, 'run.json')),
      progress: ({ text }) => text && !text.startsWith('loss') && process.stderr.write(`${text}\n`),
    });
  const { split } = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));
  const subjects = split.heldOut.map((id) => cohort.subjects.find((subject) => subject.id === id));
  const codes = [...new Set(subjects.flatMap(({ labelCodes }) => labelCodes))].filter((code) => code !== 0).sort((a, b) => a - b);
  const side = (axis) => 16 * Math.ceil(Math.max(...subjects.map(({ geometry }) => toZyx(geometry.size)[axis])) / 16);
  return {
    codes,
    count,
    image: async (k) => {
      const { id, geometry } = subjects[k];
      const labels = await readLabelCrop(cohort, subjects[k], [0, 0, 0], toZyx(geometry.size));
      return {
        id,
        volume: { geometry, data: await readWhole(cohort, subjects[k]) },
        truth: Array.from(labels, (code) => codes.indexOf(code) + 1),
      };
    },
    networks: { 'pre-trained here': networkOfFiles(filesIn(pathToFileURL(join(run, 'last', '/')))) },
    // what the example has seen are CTs of 6 mm: here it sees the cohort's images, each as one window
    as: (network) => ({
      ...network,
      preprocessing: cohort.options,
      configuration: { ...network.configuration, preprocessing: cohort.options, patch: [side(0), side(1), side(2)] },
    }),
  };
}

const set = await (values.cohort ? cohortOf(values.cohort) : hearts());
const example = networkOfFiles(filesIn(folder));
const networks = {
  ...set.networks,
  example,
  untrained: { ...example, parameters: initialParameters(parameterTable(example.architecture), 1) },
};
const { codes } = set;
const labels = [0, ...codes].map((code, one) => ({ code: one, name: `label ${code}` }));

/** Where the longest row of one class lies where `wanted`, in the slice where most is; null where nothing is. */
function strokeWhere(truth, [nx, ny, nz], wanted) {
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
  return best && { at: best.at + Math.max(0, (best.length - LENGTH) >> 1), length: Math.min(LENGTH, best.length) };
}

/** Mean Dice of the structures. */
function dice(found, truth) {
  const scores = codes.map((_, k) => {
    let [both, all] = [0, 0];
    for (let i = 0; i < truth.length; i++) {
      const [a, b] = [found[i] === k + 1, truth[i] === k + 1];
      both += Number(a && b);
      all += Number(a) + Number(b);
    }
    return all === 0 ? 1 : (2 * both) / all;
  });
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}

const SHOWN = [codes.length + 1, 4, 8, 16, 32, 64].filter((n, i, all) => n > codes.length && n <= most && all.indexOf(n) === i);
const results = join(out, 'results.jsonl');
const done = existsSync(results)
  ? readFileSync(results, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  : [];

async function measure(name, network, k) {
  const teacher = openTeacher(set.as(network), await createBackend('cpu', number('threads')));
  const first = await set.image(k);
  const others = [];
  for (let i = 0; i < number('others'); i++) others.push(await set.image(number('subjects') + i));
  for (const { id, volume } of [first, ...others]) await teacher.add(id, volume);
  const { truth, volume } = first;
  const { geometry } = volume;
  const { size } = geometry;
  const drawn = new Uint8Array(truth.length);
  const strokeOf = (one) => (one === 0 ? BACKGROUND_STROKE : one);
  const draw = (stroke) => {
    for (let i = stroke.at; i < stroke.at + stroke.length; i++)
      for (const side of [i - size[0], i, i + size[0]]) if (truth[side] === truth[i]) drawn[side] = strokeOf(truth[i]);
  };
  for (let one = 0; one <= codes.length; one++) draw(strokeWhere(truth, size, (i) => truth[i] === one));
  const rows = [];
  for (let strokes = codes.length + 1; strokes <= most + 1; strokes++) {
    const isAll = strokes > most;
    if (isAll) for (let i = 0; i < drawn.length; i++) drawn[i] = strokeOf(truth[i]);
    const start = process.cpuUsage();
    const { voxels } = await teacher.learn(new Map([[first.id, { geometry, data: drawn }]]), labels, options);
    const fitMs = process.cpuUsage(start).user / 1000;
    const found = (await teacher.segment(first.id)).labels.data;
    if (isAll || SHOWN.includes(strokes)) {
      let sum = 0;
      for (const other of others) sum += dice((await teacher.segment(other.id)).labels.data, other.truth);
      const taught = voxels.reduce((a, b) => a + b);
      rows.push({
        strokes: isAll ? 'everything' : strokes,
        voxels: taught,
        same: dice(found, truth),
        others: sum / others.length,
        fitMs,
      });
    }
    if (isAll) break;
    const next = strokeWhere(truth, size, (i) => drawn[i] === 0 && found[i] !== truth[i]);
    if (next) draw(next);
    else strokes = most;
  }
  await teacher.close();
  return { network: name, subject: first.id, rows };
}

function table() {
  const columns = [...SHOWN, 'everything'];
  const text = ['example', 'pre-trained here', 'untrained'].flatMap((name) => {
    const of = done.filter(({ network }) => network === name);
    if (of.length === 0) return [];
    const cells = (what) =>
      columns.map((strokes) => {
        const found = of.flatMap(({ rows }) => rows.filter((row) => row.strokes === strokes).map((row) => row[what]));
        if (found.length === 0) return '';
        const mean = found.reduce((a, b) => a + b) / found.length;
        const deviation = Math.sqrt(found.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, found.length - 1));
        return what === 'fitMs'
          ? mean.toFixed(0)
          : what === 'voxels'
            ? mean.toFixed(0)
            : `${mean.toFixed(3)} ± ${deviation.toFixed(3)}`;
      });
    return [
      [`${name} (${of.length})`, 'this image', ...cells('same')],
      ['', 'others', ...cells('others')],
      ['', 'voxels', ...cells('voxels')],
      ['', 'ms of one core to fit', ...cells('fitMs')],
    ];
  });
  const lines = [['features', 'strokes', ...columns], ['---', '---', ...columns.map(() => '---')], ...text];
  const written = `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
  writeFileSync(join(out, 'table.md'), written);
  return written;
}

// one subject of each network after the other, so that all have some when time runs out
for (let k = 0; k < number('subjects'); k++)
  for (const [name, network] of Object.entries(networks)) {
    const { id } = await set.image(k);
    if (done.some((one) => one.network === name && one.subject === id)) continue;
    const found = await measure(name, network, k);
    done.push(found);
    appendFileSync(results, `${JSON.stringify(found)}\n`);
    table();
  }
process.stdout.write(table());
