/**
 * A process that reads what it is told to, with the library as the commands use it, and answers how that went. It is the parent's (mutation.mjs)
 * to watch its time and memory, and to start another if it dies.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DIST } from './support.mjs';

const load = (path) => import(pathToFileURL(join(DIST, path)).href);
const {
  readImage,
  openCohort,
  readWhole,
  readLabelCrop,
  readModel,
  resolveModel,
  readStudy,
  readConfiguration,
  importWeights,
  scoreClassifications,
} = await load('index.js');
const [{ findSubjects }, { readLandmarks }, { findClassTable }, { readCheckpoint }, { readRunConfiguration }] = await Promise.all(
  [
    'cohort/node/find-subjects.js',
    'cohort/node/landmarks.js',
    'cohort/node/classes.js',
    'training/node/checkpoint.js',
    'training/node/read-configuration.js',
  ].map(load),
);
const scratch = mkdtempSync(join(tmpdir(), 'gvsl-read-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

/** What is wrong with values as such; undefined if they may be. */
function implausible({ geometry, data }) {
  const { size, spacingMm, originMm, direction } = geometry;
  if (!size.every((n) => Number.isInteger(n) && n > 0)) return `size ${size}`;
  if (data.length !== size[0] * size[1] * size[2]) return `${data.length} voxels for ${size}`;
  if (!spacingMm.every((n) => Number.isFinite(n) && n > 0)) return `spacing ${spacingMm}`;
  if (![...originMm, ...direction].every(Number.isFinite)) return `place ${[...originMm, ...direction]}`;
  const [a, b, c, d, e, f, g, h, i] = direction;
  const volume = Math.abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g));
  // slices may be sheared, as those of a tilted gantry are, but not flat
  if (!(volume > 0.05)) return `directions that span no space: ${direction}`;
  return undefined;
}

const allZero = (values) => {
  for (const value of values) if (value !== 0) return false;
  return true;
};

/** One image or several of a path, each judged. */
async function image(path) {
  const loaded = await readImage(path);
  const { volume, warnings } = loaded;
  return {
    implausible: implausible(volume),
    zero: allZero(volume.data),
    warnings: warnings.length,
    what: `${loaded.format} ${volume.geometry.size.join('x')}`,
  };
}

async function cohort(path) {
  const opened = await openCohort(path);
  const bad = [];
  let zero = false;
  for (const subject of opened.subjects) {
    const values = await readWhole(opened, subject);
    if (allZero(values)) zero = true;
    if (!values.every(Number.isFinite)) bad.push(`${subject.id}: values that are not finite`);
    const { size } = subject.geometry;
    const labels = await readLabelCrop(opened, subject, [0, 0, 0], [size[2], size[1], size[0]]);
    if (labels && labels.length !== values.length) bad.push(`${subject.id}: ${labels.length} labels`);
  }
  return { implausible: bad[0], zero, warnings: 0, what: `${opened.subjects.length} subjects` };
}

const finite = (tensors) => {
  for (const { data, name, shape } of tensors.values()) {
    if (data.length !== shape.reduce((product, n) => product * n, 1)) return `${name}: ${data.length} values for ${shape}`;
    if (!data.every(Number.isFinite)) return `${name} is not finite`;
  }
  return undefined;
};
const model = async (path) => ({
  implausible: finite((await readModel(await resolveModel(path))).parameters),
  zero: false,
  warnings: 0,
  what: 'model',
});

const READERS = {
  image,
  cohort,
  model,
  weights: async (path) => {
    const out = join(scratch, 'model');
    rmSync(out, { recursive: true, force: true });
    const { matched } = await importWeights({ file: path, out });
    return { ...(await model(out)), what: `${matched} tensors` };
  },
  checkpoint: async (path) => {
    const read = await readCheckpoint(path, 'last');
    await readRunConfiguration(path);
    return {
      implausible: read ? finite(read.parameters) : undefined,
      zero: false,
      warnings: 0,
      what: read ? `step ${read.state.step}` : 'no checkpoint',
    };
  },
  dataset: async (path) => {
    const found = await findSubjects(path);
    for (const task of found.tasks) if (task.landmarksPath) await readLandmarks(task.landmarksPath);
    const table = await findClassTable(path);
    return { zero: false, warnings: found.problems.length, what: `${found.tasks.length} subjects ${table ? 'and classes' : ''}` };
  },
  datalist: async (path) => {
    const found = await findSubjects(path);
    return { zero: false, warnings: found.problems.length, what: `${found.tasks.length} subjects` };
  },
  landmarks: async (path) => {
    const points = await readLandmarks(path);
    const wrong = points.find(({ positionMm }) => !positionMm.every(Number.isFinite));
    return { implausible: wrong && `landmark ${wrong.name}`, zero: false, warnings: 0, what: `${points.length} points` };
  },
  configuration: async (path) => ({ zero: false, warnings: 0, what: `${(await readConfiguration(path)).steps} steps` }),
  'run-configuration': async (path) => ({ zero: false, warnings: 0, what: `${(await readRunConfiguration(path)).steps} steps` }),
  study: async (path) => ({ zero: false, warnings: 0, what: `${(await readStudy(path)).methods.length} methods` }),
  classes: async (path) => ({
    zero: false,
    warnings: 0,
    what: `${JSON.stringify(await findClassTable('.', path)).length} of table`,
  }),
  scores: async (path) => {
    await scoreClassifications(join(path, 'predictions.csv'), join(path, 'references.csv'), {});
    return { zero: false, warnings: 0, what: 'scores' };
  },
};

/** The most memory since it was last asked, where Linux tells it. */
const memory = (reset) => {
  try {
    if (reset) writeFileSync('/proc/self/clear_refs', '5');
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
  } catch {
    return undefined;
  }
};

process.on('message', async ({ reader, path }) => {
  memory(true);
  const began = process.cpuUsage();
  let answer;
  try {
    answer = { outcome: 'read', ...(await READERS[reader](path)) };
  } catch (error) {
    const user = ['UsageError', 'RunError', 'MachineError'].includes(error?.name);
    const system = error instanceof Error && 'code' in error && 'syscall' in error;
    answer = {
      outcome: user || system ? 'refused' : 'internal error',
      message: String(error?.message ?? error),
      stack: user || system ? undefined : error?.stack,
    };
  }
  const { user, system } = process.cpuUsage(began);
  process.send({ ...answer, cpuSeconds: (user + system) / 1e6, peakMb: memory(false) });
});
process.on('disconnect', () => process.exit());
process.send({ ready: true });
