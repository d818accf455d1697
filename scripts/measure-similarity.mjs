/**
 * Whether the same structure of two patients has the same features: voxels of each structure of one patient are looked up in another by a network's
 * features and by its registration.
 *
 *   node scripts/measure-similarity.mjs MODEL... --images FOLDER --labels FOLDER [--split FILE] [--pairs 10] [--every 29] [--picture FILE]
 *
 * Run after a build. Pairs are neighbours in the list of test subjects of a split, or of all label maps in their order. For each model and kind of feature: the probability
 * that a voxel of the same structure is more alike than another one (the area under the curve of the similarity; 0.5 by chance), how many best matches lie in
 * the structure they came from, and how many voxels the registration brings there. --picture draws one voxel of the first pair, how alike the other
 * patient's voxels are to it by each model's local features, and the registration by the last one.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { arrange, paint } from '../dist/images/pictures/picture.js';
import { sliceOf } from '../dist/images/pictures/slices.js';
import { applyAffine, encodePng, physicalToVoxel, voxelToPhysical } from '../dist/images.js';
import { load, readImage } from '../dist/index.js';
import { areaUnderCurve } from '../dist/metrics.js';

const { values: options, positionals: models } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string' },
    labels: { type: 'string' },
    split: { type: 'string' },
    pairs: { type: 'string', default: '10' },
    every: { type: 'string', default: '29' },
    picture: { type: 'string' },
  },
});
const { images, labels, split } = options;
if (models.length === 0 || !images || !labels) throw new Error('expected MODEL... --images FOLDER --labels FOLDER');
const [pairs, every] = [Number(options.pairs), Number(options.every)];
const KINDS = ['local', 'global'];
const ZOOM = 5;

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const percent = (values) => (values.length > 0 ? `${(100 * mean(values)).toFixed(1)} %` : '-');
const offsetOf = ({ size: [nx, ny] }, [x, y, z]) => (z * ny + y) * nx + x;
const placeOf = ({ size: [nx, ny] }, at) => [at % nx, Math.floor(at / nx) % ny, Math.floor(at / (nx * ny))];
/** The voxel of a grid in which a point (mm, LPS) lies; undefined outside. */
function voxelOf(geometry, point) {
  const voxel = applyAffine(physicalToVoxel(geometry), point).map(Math.round);
  return voxel.every((at, axis) => at >= 0 && at < geometry.size[axis]) ? offsetOf(geometry, voxel) : undefined;
}
const labelAt = ({ labels: { geometry, data } }, point) => data[voxelOf(geometry, point)];
/** A label map on another grid, by its nearest voxels. */
function labelsOn({ labels: { geometry, data } }, grid) {
  const [toPhysical, count] = [voxelToPhysical(grid), grid.size[0] * grid.size[1] * grid.size[2]];
  return Array.from({ length: count }, (_, at) => data[voxelOf(geometry, applyAffine(toPhysical, placeOf(grid, at)))] ?? 0);
}
const ENDING = '.nii.gz';
const ids = split
  ? JSON.parse(readFileSync(split, 'utf8')).test
  : readdirSync(labels)
      .filter((name) => name.endsWith(ENDING))
      .map((name) => name.slice(0, -ENDING.length))
      .sort();
const subjects = [];
for (const id of ids.slice(0, pairs + 1)) {
  const image = [`${id}${ENDING}`, `${id}_0000${ENDING}`].map((name) => join(images, name)).find(existsSync);
  subjects.push({ id, image: await readImage(image), labels: (await readImage(join(labels, `${id}${ENDING}`))).volume });
}

/** Of each model the first pair, for the picture. */
const drawn = [];
for (const name of models) {
  const model = await load(name);
  try {
    const figures = Object.fromEntries(KINDS.map((kind) => [kind, { areas: [], hits: [] }]));
    const mapped = [];
    for (const [k, moving] of subjects.slice(1).entries()) {
      const fixed = subjects[k];
      const { geometry, data } = fixed.labels;
      const compared = await model.correspond(moving.image, fixed.image);
      if (k === 0) drawn.push({ compared, fixed, moving });
      const codes = labelsOn(moving, compared.images.moving.local.geometry);
      const isOf = new Map([...new Set(data)].map((code) => [code, codes.map((one) => one === code)]));
      const asked = [...data.keys()].filter((at) => data[at] !== 0).filter((_, count) => count % every === 0);
      const here = Object.fromEntries(KINDS.map((kind) => [kind, { areas: [], hits: [] }]));
      const brought = [];
      for (const at of asked) {
        const point = applyAffine(voxelToPhysical(geometry), placeOf(geometry, at));
        for (const kind of KINDS) {
          const { best, similarity } = compared.at('fixed', point, kind);
          here[kind].areas.push(areaUnderCurve(Array.from(similarity.data), isOf.get(data[at])));
          here[kind].hits.push(Number(labelAt(moving, best.position) === data[at]));
        }
        const there = compared.mapPoint('fixed', point);
        if (there) brought.push(Number(labelAt(moving, there) === data[at]));
      }
      for (const kind of KINDS) {
        figures[kind].areas.push(mean(here[kind].areas));
        figures[kind].hits.push(mean(here[kind].hits));
      }
      if (brought.length > 0) mapped.push(mean(brought));
    }
    for (const kind of KINDS)
      console.log(
        `${name}, ${kind}: AUC ${mean(figures[kind].areas).toFixed(3)}, best match in the same structure ${percent(figures[kind].hits)}`,
      );
    console.log(`${name}, registration: in the same structure ${percent(mapped)} (${subjects.length - 1} pairs)`);
  } finally {
    await model.close();
  }
}

if (options.picture) {
  const { fixed, moving } = drawn[0];
  const { geometry, data } = fixed.labels;
  // the middle voxel of the first structure
  const first = data.reduce((least, code) => (code !== 0 && code < least ? code : least), Number.POSITIVE_INFINITY);
  const inside = [...data.keys()].filter((at) => data[at] === first);
  const voxel = placeOf(geometry, inside[Math.floor(inside.length / 2)]);
  const point = applyAffine(voxelToPhysical(geometry), voxel);
  /** The sagittal slice of an image through a point, `colour` of (value from 0 to 1), with a cross there. */
  const panel = (values, grid, at, colour) => {
    const place = placeOf(grid, voxelOf(grid, at) ?? 0);
    const slice = sliceOf([...grid.size].reverse(), 'sagittal', place[0]);
    return paint(slice.width * ZOOM, slice.height * ZOOM, (column, row) => {
      const offset = slice.offset(Math.floor(column / ZOOM), Math.floor(row / ZOOM));
      const [, y, z] = placeOf(grid, offset);
      const isCross = (y === place[1]) !== (z === place[2]) && Math.abs(y - place[1]) + Math.abs(z - place[2]) <= 3;
      return isCross ? [90, 220, 120] : colour(values[offset]);
    });
  };
  const grey = (value) => Array(3).fill(Math.round(255 * Math.min(1, Math.max(0, value))));
  const heat = (value) => [Math.round(255 * Math.min(1, 2 * value)), Math.round(255 * Math.max(0, 2 * value - 1)), 40];
  const { compared } = drawn.at(-1);
  const [still, moved] = [compared.images.fixed, compared.images.moving];
  const rows = [
    panel(still.seen, still.local.geometry, point, grey),
    panel(moved.seen, moved.local.geometry, compared.mapPoint('fixed', point) ?? point, grey),
    ...drawn.map((one) => {
      const { best, similarity } = one.compared.at('fixed', point);
      // by rank, so that all models use all colours
      const ranks = new Float32Array(similarity.data.length);
      const order = Uint32Array.from(similarity.data.keys()).sort((a, b) => similarity.data[a] - similarity.data[b]);
      for (const [rank, at] of order.entries()) ranks[at] = rank / order.length;
      return panel(ranks, similarity.geometry, best.position, heat);
    }),
  ];
  writeFileSync(options.picture, encodePng(arrange([rows])));
  console.log(`${options.picture}: ${fixed.id} in ${moving.id}`);
}
