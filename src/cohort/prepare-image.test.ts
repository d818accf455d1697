import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import { rasPlanes } from '../geometry/orientation.ts';
import { gridWithSpacing, resampleLinear } from '../geometry/resample.ts';
import { IDENTITY_3, type Matrix3, type Volume, voxelCount, type Xyz } from '../geometry/volume.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import { isBoxOf } from './label-map.ts';
import { Preparation, prepareImage } from './prepare-image.ts';
import type { PrepareOptions } from './prepare-options.ts';

const size: Xyz = [21, 18, 15];
const random = randomStream(4, 'prepare-image');
const scan = (direction: Matrix3): Volume => ({
  geometry: { size, spacingMm: [0.9, 1.1, 1.3], originMm: [-9, 4, 30], direction },
  data: Int16Array.from({ length: voxelCount(size) }, () => random.integer(-1000, 600)),
});
const loadedOf = (volume: Volume): LoadedImage => ({
  path: 'scan.nii',
  format: 'NIfTI-1',
  storedType: 'int16',
  volume,
  volumesInFile: 1,
  warnings: [],
});
const OPTIONS: PrepareOptions = { modality: 'ct', spacingMm: [2, 2, 2], crop: 'none', intensity: 'minmax', size: null };

describe('a box of a grid', () => {
  const { geometry: whole } = scan(IDENTITY_3);
  const box = { ...whole, size: [4, 5, 6] as Xyz, originMm: [-9 + 0.9 * 17, 4 + 1.1 * 2, 30 + 1.3 * 9] as Xyz };
  it('lies in it, voxel on voxel', () => {
    expect(isBoxOf(box, whole)).toBe(true);
    expect(isBoxOf(whole, box)).toBe(false);
    expect(isBoxOf({ ...box, size: [5, 5, 6] }, whole)).toBe(false);
    expect(isBoxOf({ ...box, originMm: [box.originMm[0] + 0.3, box.originMm[1], box.originMm[2]] }, whole)).toBe(false);
    expect(isBoxOf({ ...box, spacingMm: [0.9, 1.1, 1.4] }, whole)).toBe(false);
    expect(isBoxOf({ ...box, direction: [0, 1, 0, 1, 0, 0, 0, 0, 1] }, whole)).toBe(false);
  });
});

describe('preparing while planes come', () => {
  const GRIDS: [string, Matrix3][] = [
    ['LPS', IDENTITY_3],
    ['feet first', [1, 0, 0, 0, 1, 0, 0, 0, -1]],
    ['sagittal', [0, 0, 1, 1, 0, 0, 0, -1, 0]],
    ['oblique', [0.36, 0.48, -0.8, -0.8, 0.6, 0, 0.48, 0.64, 0.6]],
  ];
  it.each(GRIDS)('reads no plane before it is there, and gives what the whole image gives: %s', (_, direction) => {
    const volume = scan(direction);
    const whole = prepareImage(loadedOf(volume), OPTIONS);
    const ras = rasPlanes(volume, -1024);
    const inRas = new Float32Array(voxelCount(size));
    const plane = ras.geometry.size[0] * ras.geometry.size[1];
    for (let z = 0; z < ras.geometry.size[2]; z++) ras.read(z, inRas.subarray(z * plane, (z + 1) * plane));
    const grid = gridWithSpacing(ras.geometry, [2, 2, 2]);
    const resampled = resampleLinear({ geometry: ras.geometry, data: inRas }, grid, -1024);
    expect(whole.whole.data).toEqual(resampled.data.map((v) => Math.min(1, Math.max(0, (v + 1024) / 2048))));

    const coming: Volume = { geometry: volume.geometry, data: new Int16Array(volume.data.length) };
    const preparation = new Preparation(OPTIONS);
    const stored = size[0] * size[1];
    for (let z = 0; z < size[2]; z++) {
      coming.data.set(volume.data.subarray(z * stored, (z + 1) * stored), z * stored);
      preparation.add(coming, z);
    }
    expect(preparation.finish(loadedOf(coming), 'all')).toEqual(whole);
  });

  it('says that a spike leaves no contrast, and names values that cannot be prepared for what they are', () => {
    const mr: PrepareOptions = { ...OPTIONS, modality: 'mr', spacingMm: [1, 1, 1] };
    const { geometry } = scan(IDENTITY_3);
    const grey = Float64Array.from({ length: voxelCount(size) }, () => random.integer(1, 600));
    const problemsOf = (data: Volume['data'], options = mr): string =>
      prepareImage(loadedOf({ geometry, data }), options).problems.join('\n');
    expect(problemsOf(grey)).toBe('');
    const spiked = grey.slice();
    spiked[5000] = 1e9;
    expect(problemsOf(spiked)).toMatch(
      /99\.8 % of its values are at most .* hardly any contrast is left; use `intensity` percentile/,
    );
    // however far the spike is from all other values
    const percentile: PrepareOptions = { ...mr, intensity: 'percentile' };
    expect(problemsOf(spiked, percentile)).toBe('');
    const scaled = (data: Volume['data']): Float32Array => prepareImage(loadedOf({ geometry, data }), percentile).whole.data;
    const [plain, beside] = [scaled(grey), scaled(spiked)];
    // but for what resampling takes from the spike to its neighbours
    const differences = plain.map((value, i) => Math.abs(value - beside[i])).sort();
    expect(differences[Math.floor(0.8 * differences.length)]).toBeLessThan(0.02);
    const blob = grey.map((value, i) => (i < 3 ? value : 0));
    expect(() => problemsOf(blob, percentile)).toThrow(/99 % of its values are the same, 0, .* use `intensity` minmax/);
    expect(() => problemsOf(grey.map(() => Number.NaN))).toThrow('scan.nii: every voxel is NaN or infinite');
    for (const factor of [1e200, 1e-300])
      expect(() => problemsOf(grey.map((value) => value * factor))).toThrow(/do not fit single precision: rescale them/);
  });

  it('refuses nothing before the whole image is there', () => {
    const flat: Volume = { ...scan(IDENTITY_3), data: new Int16Array(voxelCount(size)).fill(7) };
    const preparation = new Preparation({ ...OPTIONS, spacingMm: [1e-3, 1e-3, 1e-3] });
    for (let z = 0; z < size[2]; z++) preparation.add(flat, z);
    expect(() => preparation.finish(loadedOf(flat), 'all')).toThrow('scan.nii: every voxel is 7');
    expect(() => prepareImage(loadedOf(scan(IDENTITY_3)), { ...OPTIONS, spacingMm: [1e-3, 1e-3, 1e-3] })).toThrow(
      /more than supported; choose a larger/,
    );
  });
});
