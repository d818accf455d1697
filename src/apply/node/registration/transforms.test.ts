/** Transforms of ITK itself (scripts/itk-transforms, ITK 5.2.1) bring points where ITK does; what is written reads back; wrong files are refused. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { RunError, UsageError } from '../../../common/errors.ts';
import { applyAffine, voxelToPhysical } from '../../../geometry/affine.ts';
import { type Geometry, IDENTITY_3, voxelCount, type Xyz } from '../../../geometry/volume.ts';
import { readImage } from '../../../images/node/read.ts';
import { writeImage, writeVectorImage } from '../../../images/node/write.ts';
import { mapPoint, type PhysicalMap } from '../../registration/physical-map.ts';
import { antsAffineBytes, antsWarp, parseAntsAffine } from '../../registration/transforms/ants.ts';
import { itkAffineText, parseItkText } from '../../registration/transforms/itk-text.ts';
import { inverseMover, mapOnGrid, transformPoint } from '../../registration/transforms/transform.ts';
import { readTransform, readTransforms } from './read-transform.ts';
import { warpFiles } from './warp.ts';

const itk = fileURLToPath(new URL('./testing/itk/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gvsl-transforms-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

const FROM: Xyz[] = [
  [1, 2, 3],
  [-8.5, 12.25, 30],
  [4, 9, 14],
  [200, -100, 50],
];
const expectNear = (got: readonly number[], want: readonly number[], digits = 5): void => {
  for (const [k, value] of want.entries()) expect(got[k]).toBeCloseTo(value, digits);
};

const GRID: Geometry = {
  size: [12, 10, 8],
  spacingMm: [2, 2, 3],
  originMm: [5, -10, 20],
  direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1],
};
/** A smooth map: an affine, and a deformation of a millimetre or two. */
const MAP: PhysicalMap = {
  affine: { matrix: [1.05, 0.1, 0, -0.08, 0.95, 0.02, 0, 0.03, 1.1], offset: [30, -4, 7] },
  residual: {
    geometry: GRID,
    data: Float32Array.from({ length: 3 * voxelCount(GRID.size) }, (_, i) => {
      const [x, y, z] = [Math.floor(i / 3) % 12, Math.floor(i / 36) % 10, Math.floor(i / 360)];
      return [Math.sin(x / 3), Math.cos(y / 4), Math.sin(z / 3 + x / 6)][i % 3];
    }),
  },
};

describe('transforms of ITK', () => {
  const wanted = JSON.parse(readFileSync(join(itk, 'points.json'), 'utf8')) as Record<string, Xyz[]>;

  it.each(Object.keys(wanted))('%s brings points where ITK does', async (name) => {
    const transform = await readTransform(join(itk, name));
    for (const [k, point] of FROM.entries()) expectNear(transformPoint(transform, point), wanted[name][k], 4);
  });

  it('a displacement field is the same as an image', async () => {
    const [h5, nifti] = [await readTransform(join(itk, 'field.h5')), await readTransform(join(itk, 'field.nii.gz'))];
    for (const point of [
      [12, 2, 9],
      [14, 11, 15],
      [20, 18, 6],
    ] as const)
      expectNear(transformPoint(nifti, point), transformPoint(h5, point), 4);
  });
});

describe('what is written', () => {
  it('reads back: an affine as text and as .mat, a map as a field and as a pair of ANTs', async () => {
    const centre: Xyz = [1, 2, 3];
    for (const transform of [
      parseItkText(itkAffineText(MAP.affine, centre)),
      parseAntsAffine(antsAffineBytes(MAP.affine, centre)),
    ])
      for (const point of FROM) expectNear(transformPoint(transform, point), applyAffine(MAP.affine, point), 9);

    const warp = antsWarp(MAP, GRID);
    await writeVectorImage(at('1Warp.nii.gz'), warp.geometry, warp.data);
    writeFileSync(at('0GenericAffine.mat'), antsAffineBytes(MAP.affine, centre));
    const pair = await readTransforms([at('1Warp.nii.gz'), at('0GenericAffine.mat')]);
    const again = mapOnGrid(pair, GRID);
    for (const voxel of [
      [0, 0, 0],
      [5, 4, 3],
      [11, 9, 7],
      [2.5, 6, 1],
    ] as const) {
      const point = applyAffine(voxelToPhysical(GRID), voxel);
      expectNear(transformPoint(pair, point), mapPoint(MAP, point), 3);
      expectNear(mapPoint(again, point), mapPoint(MAP, point), 3);
    }
  });

  it('is undone by its inverse', async () => {
    const pair = await readTransforms([at('1Warp.nii.gz'), at('0GenericAffine.mat')]);
    const point = applyAffine(voxelToPhysical(GRID), [5.3, 4.2, 3.1]);
    const [x, y, z] = transformPoint(pair, point);
    const row = { x: Float64Array.of(x), y: Float64Array.of(y), z: Float64Array.of(z) };
    expect(inverseMover(pair)(row)).toBeLessThan(1e-3);
    expectNear([row.x[0], row.y[0], row.z[0]], point, 2);
  });
});

describe('warpFiles', () => {
  const MOVING: Geometry = { size: [20, 20, 20], spacingMm: [3, 3, 3], originMm: [0, -40, 10], direction: IDENTITY_3 };
  const voxels = voxelCount(MOVING.size);
  /** A linear image, so that trilinear values are exact where it reaches. */
  const linear = (p: Xyz): number => 3 * p[0] - 2 * p[1] + p[2];
  const place = (i: number): Xyz => applyAffine(voxelToPhysical(MOVING), [i % 20, Math.floor(i / 20) % 20, Math.floor(i / 400)]);

  it('brings images, label maps and points of the moving image to the fixed one, together', async () => {
    await writeImage(at('fixed.nii.gz'), { geometry: GRID, data: new Float32Array(voxelCount(GRID.size)) });
    await writeImage(at('m.nrrd'), { geometry: MOVING, data: Float32Array.from({ length: voxels }, (_, i) => linear(place(i))) });
    await writeImage(at('m-labels.nii.gz'), {
      geometry: MOVING,
      data: Uint8Array.from({ length: voxels }, (_, i) => 1 + (i % 20 >= 10 ? 1 : 0)),
    });
    const fixedPoint = applyAffine(voxelToPhysical(GRID), [5, 4, 3]);
    const [x, y, z] = mapPoint(MAP, fixedPoint);
    writeFileSync(at('p.csv'), `x,y,z,t,label\n${x},${y},${z},0,tip\n`);
    writeFileSync(
      at('p.fcsv'),
      `# Markups fiducial file version = 4.10\n# CoordinateSystem = 0\n# columns = id,x,y,z,ow\n1,${-x},${-y},${z},0\n`,
    );
    writeFileSync(at('l.fcsv'), `# CoordinateSystem = LPS\n# columns = id,x,y,z,ow\n1,${x},${y},${z},0\n`);
    writeFileSync(
      at('p.mrk.json'),
      JSON.stringify({
        markups: [{ type: 'Fiducial', coordinateSystem: 'RAS', controlPoints: [{ label: 'tip', position: [-x, -y, z] }] }],
      }),
    );
    const call = {
      transform: [at('1Warp.nii.gz'), at('0GenericAffine.mat')],
      grid: at('fixed.nii.gz'),
      image: [at('m.nrrd')],
      labels: [at('m-labels.nii.gz')],
      points: [at('p.csv'), at('p.fcsv'), at('l.fcsv'), at('p.mrk.json')],
      field: true,
      out: at('out'),
    };
    const report = await warpFiles(call);
    expect(report.inverseErrorMm).toBeLessThan(1e-3);
    const { volume } = await readImage(at('out/m_warped.nii.gz'));
    expect(volume.geometry.size).toEqual(GRID.size);
    expectNear(volume.geometry.originMm, GRID.originMm);
    const voxel = (3 * 10 + 4) * 12 + 5;
    expect(volume.data[voxel]).toBeCloseTo(linear([x, y, z]), 2);
    const labels = (await readImage(at('out/m-labels_warped.nii.gz'))).volume;
    expect(labels.data[voxel]).toBe(x / 3 >= 9.5 ? 2 : 1);
    const field = await readTransform(at('out/displacement.nii.gz'));
    expectNear(transformPoint(field, fixedPoint), [x, y, z], 3);

    const [px, py, pz] = fixedPoint;
    const fields = (name: string): number[] => readFileSync(at(name), 'utf8').trim().split('\n').at(-1)!.split(',').map(Number);
    expectNear(fields('out/p_warped.csv').slice(0, 3), [px, py, pz], 2);
    expect(readFileSync(at('out/p_warped.csv'), 'utf8')).toMatch(/^x,y,z,t,label\n.*,0,tip\n$/);
    expectNear(fields('out/p_warped.fcsv').slice(1, 4), [-px, -py, pz], 2);
    expectNear(fields('out/l_warped.fcsv').slice(1, 4), [px, py, pz], 2);
    const { markups } = JSON.parse(readFileSync(at('out/p_warped.mrk.json'), 'utf8'));
    expectNear(markups[0].controlPoints[0].position, [-px, -py, pz], 2);

    // and back
    const back = await warpFiles({ transform: call.transform, points: [at('out/p_warped.csv')], invert: true, out: at('back') });
    expect(back.files[0]).toMatchObject({ output: 'p_warped_warped.csv', kind: 'points', count: 1 });
    expectNear(fields('back/p_warped_warped.csv').slice(0, 3), [x, y, z], 2);
  });

  const text = (type: string, parameters: string, fixed = '0 0 0'): string =>
    `#Insight Transform File V1.0\n#Transform 0\nTransform: ${type}\nParameters: ${parameters}\nFixedParameters: ${fixed}\n`;
  it.each([
    ['singular.tfm', text('AffineTransform_double_3_3', '1 0 0 0 1 0 0 0 0 0 0 0'), /AffineTransform is singular/],
    ['short.tfm', text('AffineTransform_double_3_3', '1 0 0'), /3 parameters and 3 fixed ones, expected 12 and 3/],
    ['flat.tfm', text('AffineTransform_double_2_2', '1 0 0 1 0 0', '0 0'), /of 2 to 2 dimensions, expected 3 to 3/],
    [
      'spline.tfm',
      text('BSplineTransform_double_3_3', '1 0 0'),
      /a BSplineTransform is not supported; supported: AffineTransform/,
    ],
    ['words.tfm', text('TranslationTransform_double_3_3', '1 a 2', ''), /values that are no numbers/],
    ['other.txt', '(Transform "EulerTransform")\n', /its first line is not/],
    [
      'two.tfm',
      `${text('TranslationTransform_double_3_3', '1 2 3', '')}#Transform 1\nTransform: TranslationTransform_double_3_3\nParameters: 1 2 3\nFixedParameters: \n`,
      /2 transforms beside one another/,
    ],
    ['noise.mat', 'not a matrix file at all', /expected two matrices of MATLAB level 4/],
    ['noise.h5', 'not an HDF5 file at all', /cannot be read as a transform/],
    ['transform.xml', '<a/>', /not a transform by its name; expected .tfm/],
  ])('%s is refused', async (name, content, message) => {
    writeFileSync(at(name), content);
    const error = await readTransform(at(name)).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RunError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain(name);
  });

  it('takes an image and a label map of one name, as nnU-Net and the Decathlon have them', async () => {
    mkdirSync(at('labelsTr'));
    copyFileSync(at('m-labels.nii.gz'), at('labelsTr/m.nii.gz'));
    const { files } = await warpFiles({
      transform: [at('0GenericAffine.mat')],
      grid: at('fixed.nii.gz'),
      image: [at('m.nrrd')],
      labels: [at('labelsTr/m.nii.gz')],
      out: at('named'),
    });
    expect(files.map(({ output }) => output)).toEqual(['m_warped.nii.gz', 'm_labels_warped.nii.gz']);
  });

  it('takes a channel of an image with several, and says nothing of channels where there is no choice', async () => {
    const data = Float32Array.from({ length: 3 * voxels }, (_, i) => (i % 3) * 10 + (i % 7));
    await writeVectorImage(at('three.nii.gz'), MOVING, data);
    writeFileSync(at('still.tfm'), text('TranslationTransform_double_3_3', '0 0 0', ''));
    await writeImage(at('moving-grid.nii.gz'), { geometry: MOVING, data: new Uint8Array(voxels) });
    const call = { transform: [at('still.tfm')], grid: at('moving-grid.nii.gz') };
    await warpFiles({ ...call, image: [at('three.nii.gz')], channel: 2, out: at('third') });
    const { volume } = await readImage(at('third/three_warped.nii.gz'));
    expect(Math.max(...volume.data.map((value, i) => Math.abs(value - data[3 * i + 2])))).toBeLessThan(1e-4);
    await expect(warpFiles({ ...call, image: [at('three.nii.gz')], out: at('none') })).rejects.toThrow(
      /choose one with `channel`/,
    );
    const labels = warpFiles({ ...call, labels: [at('three.nii.gz')], out: at('none') });
    await expect(labels).rejects.toThrow(/holds 3 .*, expected one(?!.*channel)/);
  });

  it('says what is no number, what its files lack, and that nothing of an image lies on the grid', async () => {
    const data = Float32Array.from({ length: voxels }, (_, i) => linear(place(i)));
    data[20 * 20 * 10] = Number.NaN;
    data[0] = Number.POSITIVE_INFINITY;
    await writeImage(at('holes.nii.gz'), { geometry: MOVING, data });
    const header = 'NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n\n';
    writeFileSync(at('bare.nrrd'), Buffer.concat([Buffer.from(header), Buffer.alloc(8, 1)]));
    writeFileSync(at('away.tfm'), text('TranslationTransform_double_3_3', '900 0 0', ''));
    const grid = at('fixed.nii.gz');
    const holes = await warpFiles({ transform: [at('0GenericAffine.mat')], grid, image: [at('holes.nii.gz')], out: at('holes') });
    expect(holes.warnings).toEqual([expect.stringMatching(/holes\.nii\.gz: NaN or infinite voxels: 2, set to /)]);
    const { volume } = await readImage(at('holes/holes_warped.nii.gz'));
    expect(volume.data.every(Number.isFinite)).toBe(true);
    const bare = await warpFiles({ transform: [at('away.tfm')], grid, labels: [at('bare.nrrd')], out: at('bare') });
    expect(bare.warnings.join('\n')).toMatch(
      /bare\.nrrd: no voxel size[\s\S]*bare\.nrrd: the transform brings none of it onto the grid/,
    );
  });

  it('a field in NIfTI is ITK’s: what other programs store in such files is refused, or brought to LPS', async () => {
    await writeVectorImage(at('itk-field.nii'), GRID, MAP.residual!.data);
    const bytes = readFileSync(at('itk-field.nii'));
    const point = applyAffine(voxelToPhysical(GRID), [5, 4, 3]);
    const moved = transformPoint(await readTransform(at('itk-field.nii')), point);
    const patched = (name: string, patch: (file: Buffer) => void): Promise<Xyz> => {
      const file = Buffer.from(bytes);
      patch(file);
      writeFileSync(at(name), file);
      return readTransform(at(name)).then((transform) => transformPoint(transform, point));
    };
    // ITK 5.4 and later take intent 1006 for vectors in RAS
    const ras = await patched('ras.nii', (file) => file.writeInt16LE(1006, 68));
    expectNear(ras, [2 * point[0] - moved[0], 2 * point[1] - moved[1], moved[2]]);
    expectNear(await patched('unsaid.nii', (file) => file.writeInt16LE(0, 68)), moved);
    await expect(patched('fnirt.nii', (file) => file.writeInt16LE(2006, 68))).rejects.toThrow(/intent code is 2006/);
    await expect(patched('spm.nii', (file) => file.write('Mapping', 328))).rejects.toThrow(/holds positions/);
    await expect(patched('nifty.nii', (file) => file.write('NREG_TRANS', 328))).rejects.toThrow(/NiftyReg/);
    // four dimensions: x, y, z and three volumes
    const series = (file: Buffer): void => [4, 12, 10, 8, 3, 1].forEach((n, k) => void file.writeInt16LE(n, 40 + 2 * k));
    await expect(patched('series.nii', series)).rejects.toThrow(/3 volumes \(a time series, or a warp of FSL\)/);
  });

  it('an image that is no field, a file that is not there, a call without a grid are refused', async () => {
    await expect(readTransform(at('fixed.nii.gz'))).rejects.toThrow(
      /1 values a voxel, expected a displacement field of 3|channel/,
    );
    await expect(readTransform(at('none.tfm'))).rejects.toThrow(/none\.tfm/);
    const bare = { transform: [at('0GenericAffine.mat')], out: at('never') };
    await expect(warpFiles(bare)).rejects.toThrow(UsageError);
    await expect(warpFiles({ ...bare, image: [at('m.nrrd')] })).rejects.toThrow(/`grid` is needed/);
    writeFileSync(at('bad.csv'), 'a,b\n1,2\n');
    await expect(warpFiles({ ...bare, points: [at('bad.csv')] })).rejects.toThrow(
      /bad\.csv: cannot be read as points: its first line is/,
    );
  });
});
