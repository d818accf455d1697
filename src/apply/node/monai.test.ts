/** A MONAI bundle beside gvsl: the same prepared image, and the same result (scripts/check-monai.py). */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findPython } from '../../cli/bench/peer.ts';
import { prepareImage } from '../../cohort/prepare-image.ts';
import { multiply3 } from '../../geometry/affine.ts';
import { cropPad } from '../../geometry/crop.ts';
import type { Geometry, Matrix3 } from '../../geometry/volume.ts';
import { readImage } from '../../images/node/read.ts';
import { writeImage } from '../../images/node/write.ts';
import type { ModelConfiguration } from '../../model/configuration.ts';
import { exportModel } from '../../model/node/interchange/export.ts';
import { largestDifference, noise, writeTinyModel } from '../../model/node/interchange/testing/tiny-model.ts';
import { outputsOf } from '../../training/task/classes.ts';
import { classifyImages } from './classify.ts';
import { segmentImages } from './segment.ts';

const SCRIPT = fileURLToPath(new URL('../../../scripts/check-monai.py', import.meta.url));
const run = promisify(execFile);
const found = await findPython();
const python = found && (await run(found, ['-c', 'import nibabel']).catch(() => undefined)) ? found : undefined;

let folder = '';
const at = (...names: string[]): string => join(folder, ...names);
/** Thick slices of a turned head whose axes are stored as P, L, S: smoothed along two axes, made finer along the third. */
const [sine, cosine] = [Math.sin(0.2), Math.cos(0.2)];
const GRID: Geometry = {
  size: [50, 44, 21],
  spacingMm: [1.1, 0.9, 3.2],
  originMm: [12, -40, 7],
  direction: [sine, cosine, 0, cosine, -sine, 0, 0, 0, 1],
};

/** A grid turned about x and z. */
function turnedBack(angle: number): Matrix3 {
  const [s, c] = [Math.sin(angle), Math.cos(angle)];
  return multiply3([c, -s, 0, s, c, 0, 0, 0, 1], [1, 0, 0, 0, c, -s, 0, s, c]);
}
/** As of a tilted gantry. */
const sheared = (angle: number): Matrix3 => [1, 0, 0, 0, 1, Math.sin(angle), 0, 0, Math.cos(angle)];

type Preprocessing = NonNullable<ModelConfiguration['preprocessing']>;
const MR: Pick<Preprocessing, 'modality' | 'spacingMm'> = { modality: 'mr', spacingMm: [2, 1.7, 1.5] };
const SEGMENTATION: Extract<ModelConfiguration['task'], { kind: 'segmentation' }> = {
  kind: 'segmentation',
  labels: [
    { code: 0, name: 'background' },
    { code: 7, name: 'wall' },
    { code: 300, name: 'cavity' },
  ],
  patch: [24, 32, 16],
};

async function makeModel(name: string, preprocessing: Preprocessing, task: ModelConfiguration['task'], more = {}) {
  const heads = task?.kind === 'segmentation' ? { segmentation: task.labels.length } : { classification: outputsOf(task!) };
  await writeTinyModel(at(name), heads, { preprocessing, task, ...more });
  await exportModel({ model: at(name), monai: at(`${name}-bundle`) });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-monai-'));
  const bright = noise(GRID.size);
  const image = (value: (inside: boolean, noise: number) => number): Int16Array =>
    Int16Array.from({ length: bright.length }, (_, i) => {
      const [x, y, z] = [i % 50, Math.floor(i / 50) % 44, Math.floor(i / 2200)];
      return value(Math.hypot((x - 25) / 17, (y - 20) / 15, (z - 10) / 8) < 1, bright[i]);
    });
  await writeImage(at('mr.nii.gz'), { geometry: GRID, data: image((inside, n) => (inside ? 400 + 500 * n : 20 * n)) });
  // z-scores, some of them lost
  const scores = Float32Array.from(
    image((inside, n) => (inside ? 400 + 500 * n : 20 * n)),
    (v, i) => (i % 997 === 0 ? Number.NaN : (v - 300) / 250),
  );
  await writeImage(at('scores.nii.gz'), { geometry: GRID, data: scores });
  await writeImage(at('ct.nii.gz'), { geometry: GRID, data: image((inside, n) => (inside ? 900 * n - 200 : -1000 + 20 * n)) });
});
afterAll(() => rm(folder, { recursive: true }));

describe('a MONAI bundle', () => {
  it('has the files of the specification, and refuses what is no bundle', async () => {
    await makeModel('files', { ...MR, intensity: 'minmax', crop: 'none' }, SEGMENTATION);
    const files = (await readdir(at('files-bundle'), { recursive: true })).filter(
      (name) => name.includes('.') || name === 'LICENSE',
    );
    expect(files.sort()).toEqual([
      'LICENSE',
      'configs/inference.json',
      'configs/metadata.json',
      'docs/README.md',
      'models/model.pt',
      'scripts/__init__.py',
      'scripts/gvsl_torch.py',
      'scripts/net.py',
      'scripts/preparation.py',
      'scripts/transforms.py',
    ]);
    const inference = JSON.parse(await readFile(at('files-bundle/configs/inference.json'), 'utf8'));
    // MONAI's axes are x, y, z
    expect(inference.inferer.roi_size).toEqual([16, 32, 24]);
    await expect(exportModel({ model: at('files'), monai: at('two words') })).rejects.toThrow('name of a bundle');
    await writeTinyModel(at('unknown'), { segmentation: 3 }, { task: SEGMENTATION });
    await expect(exportModel({ model: at('unknown'), monai: at('x') })).rejects.toThrow('does not record its training modality');
  });
});

describe.skipIf(python === undefined)('the bundle beside gvsl (skipped where no python3 imports torch and nibabel)', () => {
  /** What Python makes of an image with a bundle, and what is prepared of it here. */
  async function both(name: string, image: string, preprocessing: Preprocessing) {
    const out = at(`${name}-python`);
    await mkdir(out);
    const { stdout } = await run(python!, [SCRIPT, at(`${name}-bundle`), at(image), out]);
    const said = JSON.parse(stdout) as { size: number[]; affine: number[][]; probabilities?: number[] };
    const loaded = await readImage(at(image));
    const { whole, box } = prepareImage(loaded, { ...preprocessing, crop: preprocessing.crop ?? 'foreground', size: null });
    const cropped = cropPad(whole, box.start, box.size, 0);
    expect(said.size).toEqual([...cropped.geometry.size]);
    // nibabel's frame is RAS, gvsl's LPS
    const [x, y, z] = cropped.geometry.originMm;
    expect(
      largestDifference(
        said.affine.slice(0, 3).map((row) => row[3]),
        [-x, -y, z],
      ),
    ).toBeLessThan(1e-4);
    const prepared = new Float32Array(new Uint8Array(await readFile(join(out, 'prepared.bin'))).buffer);
    return { said, out, difference: largestDifference(prepared, cropped.data) };
  }
  /** Segments with gvsl: its codes, and the share of voxels at which the bundle's label map has another. */
  async function beside(name: string, image: string, out: string) {
    await segmentImages({ model: at(name), inputs: [at(image)], out: at(`${name}-segmented`) });
    const ours = Int32Array.from((await readImage(at(`${name}-segmented`, image))).volume.data);
    const theirs = new Int32Array(new Uint8Array(await readFile(join(out, 'labels.bin'))).buffer);
    expect(theirs).toHaveLength(ours.length);
    return { codes: new Set(ours), share: ours.filter((code, i) => code !== theirs[i]).length / ours.length };
  }

  it.each<[string, string, Preprocessing]>([
    ['minmax', 'mr.nii.gz', { ...MR, intensity: 'minmax', crop: 'none' }],
    ['percentile', 'mr.nii.gz', { ...MR, intensity: 'percentile', crop: 'foreground' }],
    ['signed', 'scores.nii.gz', { ...MR, intensity: 'signed', crop: 'foreground' }],
    ['ct', 'ct.nii.gz', { modality: 'ct', spacingMm: [2, 2, 2], intensity: 'minmax', crop: 'foreground' }],
  ])('%s: prepares and segments as gvsl does', async (name, image, preprocessing) => {
    await makeModel(name, preprocessing, SEGMENTATION);
    const { out, difference } = await both(name, image, preprocessing);
    expect(difference).toBeLessThan(1e-6);
    const { codes, share } = await beside(name, image, out);
    expect(codes.size).toBeGreaterThan(1);
    // where windows overlap, MONAI places them otherwise, and a network that has learnt nothing is sure of nothing
    expect(share).toBeLessThan(0.05);
  });

  it('one window: the label map is the same', async () => {
    const preprocessing: Preprocessing = { ...MR, intensity: 'percentile', crop: 'foreground' };
    const task: ModelConfiguration['task'] = { ...SEGMENTATION, patch: [64, 64, 64] };
    for (const [name, postProcessing] of [
      ['whole', []],
      ['tidied', [300, 7].map((code) => ({ code, keepLargest: code === 7, minVolumeMm3: 40 }))],
    ] as const) {
      await makeModel(name, preprocessing, task, { postProcessing });
      const { out } = await both(name, 'mr.nii.gz', preprocessing);
      expect((await beside(name, 'mr.nii.gz', out)).share, name).toBeLessThan(1e-4);
    }
  });

  it.each<[string, Geometry]>([
    // half a voxel is left along each axis, and single precision takes something from the directions: sizes are rounded up all the same
    ['odd', { ...GRID, size: [51, 45, 21], spacingMm: [1, 1, 3], direction: turnedBack(0.5) }],
    ['sheared', { ...GRID, direction: sheared(0.3) }],
  ])('%s: the grid, and labels as far as the image reaches, are those of gvsl', async (name, grid) => {
    const preprocessing: Preprocessing = { modality: 'mr', spacingMm: [2, 2, 2], intensity: 'percentile', crop: 'none' };
    await makeModel(name, preprocessing, { ...SEGMENTATION, patch: [64, 64, 64] });
    await writeImage(at(`${name}.nii.gz`), { geometry: grid, data: noise(grid.size) });
    const { out, difference } = await both(name, `${name}.nii.gz`, preprocessing);
    expect(difference).toBeLessThan(1e-6);
    const { codes, share } = await beside(name, `${name}.nii.gz`, out);
    expect(codes.size).toBeGreaterThan(1);
    expect(share).toBeLessThan(1e-4);
  });

  it.each([
    ['two', ['healthy', 'ill']],
    ['three', ['healthy', 'ill', 'unsure']],
  ])('classifies as gvsl does: %s classes', async (name, classes) => {
    const preprocessing: Preprocessing = { ...MR, intensity: 'minmax', crop: 'foreground' };
    const task: ModelConfiguration['task'] = { kind: 'classification', classes, patch: [24, 32, 16] };
    await makeModel(name, preprocessing, task);
    const { said, difference } = await both(name, 'mr.nii.gz', preprocessing);
    expect(difference).toBeLessThan(1e-6);
    const { images } = await classifyImages({ model: at(name), inputs: [at('mr.nii.gz')], out: at(`${name}-classified`) });
    const all = Object.values(images[0].probabilities);
    const outputs = classes.length === 2 ? all.slice(1) : all;
    expect(said.probabilities).toHaveLength(outputs.length);
    for (const [k, probability] of outputs.entries()) expect(said.probabilities![k]).toBeCloseTo(probability, 5);
  });
});
