/**
 * A cohort of 100,000 subjects: what opening it, splitting it, and drawing from it take. 100,000 made-up entries, as long as those of a public collection
 * are, on the volumes of a prepared cohort (the first 200), or without one on 200 volumes of made-up voxels: each subject's file is a link to one of
 * them, in the shards of a cohort.
 *
 * node scripts/bench-large-cohort.mjs [--cohort FOLDER] [--subjects 100000] [--side 160] [--patch 64] [--draws 200] [--json FILE]     (after npm run build)
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    subjects: { type: 'string', default: '100000' },
    side: { type: 'string', default: '160' },
    patch: { type: 'string', default: '64' },
    draws: { type: 'string', default: '200' },
    cohort: { type: 'string' },
    json: { type: 'string' },
    measure: { type: 'string' },
  },
});
const [subjects, side, patch, draws] = [values.subjects, values.side, values.patch, values.draws].map(Number);
const VOLUMES = 200;
const SELF = fileURLToPath(import.meta.url);

/** In a process of its own, so that its memory is what is measured. */
async function measure(folder) {
  const { openCohort } = await import('../dist/cohort/node/open-cohort.js');
  const { cohortReader } = await import('../dist/cohort/node/crops.js');
  const { fingerprintOf } = await import('../dist/cohort/node/fingerprint.js');
  const { splitCohort } = await import('../dist/training/split.js');
  const { samplePair } = await import('../dist/methods/gvsl/pairs.js');
  const { toZyx } = await import('../dist/geometry/volume.js');
  const megabytes = (bytes) => Math.round(bytes / 1e6);
  const out = { node: process.version, beforeMb: megabytes(process.memoryUsage().rss) };
  const timed = async (name, work) => {
    const startMs = performance.now();
    const result = await work();
    out[name] = +(performance.now() - startMs).toFixed(1);
    return result;
  };
  const cohort = await timed('openMs', () => openCohort(folder));
  out.openedMb = megabytes(1024 * process.resourceUsage().maxRSS);
  const { training } = await timed('splitMs', () => splitCohort(cohort, 0.1, 1));
  await timed('fingerprintMs', () => fingerprintOf(cohort));
  const sizes = training.map(({ geometry }) => toZyx(geometry.size));
  const request = { seed: 1, sample: 0, sizes, patch: [patch, patch, patch], jitterVoxels: 2 };
  const pairs = await timed('drawAllMs', () => Array.from({ length: draws * 10 }, (_, step) => samplePair({ ...request, step })));
  out.drawMs = +(out.drawAllMs / pairs.length).toFixed(4);
  const reader = cohortReader(cohort);
  const read = ({ moving, fixed }) =>
    Promise.all([moving, fixed].map(({ subject, start }) => reader.readCrop(training[subject], start, request.patch)));
  await timed('readAllMs', async () => {
    for (const pair of pairs.slice(0, draws)) await read(pair);
  });
  out.readPairMs = +(out.readAllMs / draws).toFixed(2);
  // as the data loader asks: three steps ahead
  await timed('readAheadAllMs', async () => {
    const queue = pairs.slice(draws, 2 * draws).values();
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        for (const pair of queue) await read(pair);
      }),
    );
  });
  out.readAheadPairMs = +(out.readAheadAllMs / draws).toFixed(2);
  out.maxMb = megabytes(1024 * process.resourceUsage().maxRSS);
  console.log(JSON.stringify(out));
}

async function make(folder) {
  const { imagePath, openCohort } = await import('../dist/cohort/node/open-cohort.js');
  const { writeCohort } = await import('../dist/cohort/node/write-cohort.js');
  const { npyHeader } = await import('../dist/cohort/node/npy.js');
  const { randomStream } = await import('../dist/common/random.js');
  const sha256 = (text) => createHash('sha256').update(text).digest('hex');
  const madeUp = () =>
    Array.from({ length: VOLUMES }, (_, k) => {
      const size = [side, side + (k % 7), side - (k % 5)];
      const stream = randomStream(1, 'bench', k);
      const block = Uint16Array.from({ length: 4096 }, () => 0x3000 + stream.integer(0, 0xc00));
      const path = join(folder, 'volumes', `${k}.npy`);
      mkdirSync(dirname(path), { recursive: true });
      const voxels = Uint16Array.from({ length: size[0] * size[1] * size[2] }, (_, i) => block[(i * 31) & 4095]);
      writeFileSync(path, Buffer.concat([npyHeader('<f2', size.toReversed()), Buffer.from(voxels.buffer)]));
      return { path, size };
    });
  const prepared = async (from) => {
    const cohort = await openCohort(from);
    mkdirSync(join(folder, 'volumes'), { recursive: true });
    return cohort.subjects.slice(0, VOLUMES).map((subject, k) => {
      const path = join(folder, 'volumes', `${k}.npy`);
      copyFileSync(imagePath(cohort, subject), path);
      return { path, size: subject.geometry.size };
    });
  };
  const volumes = values.cohort === undefined ? madeUp() : await prepared(values.cohort);
  const entries = Array.from({ length: subjects }, (_, i) => {
    const id = `sub-${String(i).padStart(6, '0')}_ses-1_T1w`;
    const grid = (size) => ({
      size,
      spacingMm: [1, 1, 1],
      originMm: [-90.123 + i / 7, -126.5 + i / 3, -72 + i / 11],
      direction: [0.9998 - i * 1e-9, 0.001 * (i % 7), -0.01, 0, 0.99977 + i * 1e-10, 0.02, 0.0123, -0.0222, 0.9996],
    });
    return {
      id,
      source: `/data/collections/openmind/ds${i % 900}/sub-${String(i).padStart(6, '0')}/ses-1/anat/${id}.nii.gz`,
      labelSource: null,
      sourceGeometry: grid([256, 256, 180 + (i % 40)]),
      sourceOrientation: 'RAS',
      geometry: grid(volumes[i % volumes.length].size),
      intensity: { kind: 'percentile', low: 0.5 + (i % 100), high: 1234.25 + i / 9 },
      labelCodes: null,
      content: { image: { sizeBytes: 9e6 + i, sha256: sha256(`image ${i}`) }, label: null, stored: sha256(`stored ${i}`) },
      patient: `sub-${i >> 1}`,
      class: null,
      landmarks: [],
      split: 'train',
      problems: i % 20 === 0 ? ['NaN or infinite voxels: 12, set to 0'] : [],
    };
  });
  const made = new Set();
  for (const [i, entry] of entries.entries()) {
    const path = imagePath({ folder }, entry);
    if (!made.has(dirname(path))) mkdirSync(dirname(path), { recursive: true });
    made.add(dirname(path));
    linkSync(volumes[i % volumes.length].path, path);
  }
  const options = { modality: 'mr', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'percentile' };
  const problems = entries.flatMap(({ source, problems: own }) => own.map((message) => ({ source, kind: 'warning', message })));
  await writeCohort({ folder, options, subjects: entries, problems });
}

if (values.measure) await measure(values.measure);
else {
  const folder = mkdtempSync(join(tmpdir(), 'gvsl-large-'));
  try {
    await make(folder);
    const bytes = statSync(join(folder, 'subjects.jsonl')).size;
    const run = (node) => {
      const args = [SELF, '--measure', folder, '--patch', String(patch), '--draws', String(draws)];
      const { stdout, stderr, status } = spawnSync(node, args, { encoding: 'utf8' });
      if (status !== 0) throw new Error(stderr);
      return JSON.parse(stdout);
    };
    // the first reads the files from the disk, the others from memory
    const runs = [1, 2, 3].map(() => run(process.execPath));
    const report = { subjects, subjectsBytes: bytes, volumes: VOLUMES, side, patch, runs };
    console.log(JSON.stringify(report, null, 1));
    if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 1)}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
