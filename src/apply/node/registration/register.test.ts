import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunError, UsageError } from '../../../common/errors.ts';
import { SILENT } from '../../../common/progress.ts';
import { applyAffine, physicalToVoxel, voxelToPhysical } from '../../../geometry/affine.ts';
import { reorientToRas } from '../../../geometry/orientation.ts';
import { type Geometry, type Matrix3, toZyx, type Volume, voxelCount, type Xyz } from '../../../geometry/volume.ts';
import { readImage } from '../../../images/node/read.ts';
import { writeImage } from '../../../images/node/write.ts';
import { DEFAULT_CONFIGURATION } from '../../../methods/gvsl/configuration.ts';
import { matchingProgram } from '../../../methods/gvsl/program.ts';
import { ALL_HEADS, type Heads, scaledArchitecture } from '../../../model/architecture.ts';
import type { ModelConfiguration } from '../../../model/configuration.ts';
import { namedTensors } from '../../../model/named-parameters.ts';
import { writeModel } from '../../../model/node/model-folder.ts';
import { STATES } from '../../../model/optimizer.ts';
import { initialParameters, parameterTable, valuesOf } from '../../../model/parameters.ts';
import { createBackend } from '../../../platform/node/backends.ts';
import { planMatch } from '../../registration/match.ts';
import { readNetwork } from '../network.ts';
import { type RegisterCall, type RegistrationReport, registerImages } from './register.ts';

const folder = mkdtempSync(join(tmpdir(), 'gvsl-register-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (...parts: string[]): string => join(folder, ...parts);
const backend = await createBackend('cpu', 1);

/** Voxel size that the models here were trained on. */
const SPACING = 2;
const MR: NonNullable<ModelConfiguration['preprocessing']> = {
  modality: 'mr',
  spacingMm: [SPACING, SPACING, SPACING],
  intensity: 'minmax',
  crop: 'none',
};

/**
 * A model of the least width whose matching heads give what their biases say, whatever they see: all other weights of the last layers are
 * zero. `biases` by layer; with null the layers stay random, and the flow is made large enough to see.
 */
async function makeModel(
  name: string,
  biases: Readonly<Record<string, readonly number[]>> | null,
  heads: Heads = ALL_HEADS,
  preprocessing: ModelConfiguration['preprocessing'] = MR,
): Promise<string> {
  const architecture = scaledArchitecture(0.125, heads);
  const table = parameterTable(architecture);
  const flat = initialParameters(table, 5);
  for (const parameter of table.parameters) {
    const [layer, kind] = parameter.name.split('.');
    if (!/^(out_flow|fc_)/.test(layer)) continue;
    const values = valuesOf(flat, parameter);
    if (biases === null) for (let i = 0; i < values.length; i++) values[i] *= 10;
    else values.fill(0);
    if (kind === 'bias' && biases?.[layer]) values.set(biases[layer]);
  }
  await writeModel(
    at(name),
    {
      format: 'gvsl-model',
      formatVersion: 1,
      architecture: { width: 0.125, channels: architecture.widths.slice(0, 5), heads },
      preprocessing,
      task: null,
      training: null,
      pretraining: DEFAULT_CONFIGURATION,
      seed: 5,
      step: 7,
      versions: {},
    },
    namedTensors(table, flat).values(),
  );
  return at(name);
}

const RAS: Matrix3 = [-1, 0, 0, 0, -1, 0, 0, 0, 1];
/** Grid axes run to inferior, left, anterior. */
const ILA: Matrix3 = [0, 1, 0, 0, 0, -1, -1, 0, 0];
/** RAS turned by 20 degrees about z. */
const [C, S] = [Math.cos(Math.PI / 9), Math.sin(Math.PI / 9)];
const TURNED: Matrix3 = [-C, S, 0, -S, -C, 0, 0, 0, 1];

/** A smooth image of its patient: a function of the place relative to the image's centre, in mm along RAS axes of the grid. */
const pattern = (x: number, y: number, z: number): number =>
  100 + 40 * Math.sin(x / 9) + 30 * Math.cos(y / 7 + 1) + 20 * Math.sin(z / 8 + x / 20);

const centreOf = (geometry: Geometry): Xyz =>
  applyAffine(voxelToPhysical(geometry), geometry.size.map((n) => (n - 1) / 2) as unknown as Xyz);

function image(geometry: Geometry, value = pattern): Volume<Float32Array> {
  const toMm = voxelToPhysical(geometry);
  const centre = centreOf(geometry);
  const [nx, ny] = geometry.size;
  const data = Float32Array.from({ length: voxelCount(geometry.size) }, (_, i) => {
    const p = applyAffine(toMm, [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))]);
    return value(...([centre[0] - p[0], centre[1] - p[1], p[2] - centre[2]] as [number, number, number]));
  });
  return { geometry, data };
}

const FIXED: Geometry = { size: [20, 36, 24], spacingMm: [2, 1, 1.5], originMm: [30, -20, 100], direction: ILA };
const MOVING: Geometry = { size: [36, 24, 16], spacingMm: [1, 1.5, 2.5], originMm: [-50, 77, -300], direction: RAS };

/** The vectors of a displacement file as a field of the grid, read without our own code: x components first, then y, then z. */
function readVectors(path: string): (voxel: number) => Xyz {
  const bytes = gunzipSync(readFileSync(path));
  const dims = [0, 1, 2, 3, 4, 5].map((k) => bytes.readInt16LE(40 + 2 * k));
  expect([dims[0], dims[4], dims[5]]).toEqual([5, 1, 3]);
  expect(bytes.readInt16LE(68)).toBe(1007);
  const voxels = dims[1] * dims[2] * dims[3];
  const component = (voxel: number, k: number): number => bytes.readFloatLE(352 + 4 * (k * voxels + voxel));
  return (voxel) => [component(voxel, 0), component(voxel, 1), component(voxel, 2)];
}

/** The transform of an ITK text file. */
function readAffine(path: string): (point: Xyz) => Xyz {
  const [parameters, centre] = readFileSync(path, 'utf8')
    .split('\n')
    .slice(3, 5)
    .map((line) => line.split(' ').slice(1).map(Number));
  return (point) =>
    [0, 1, 2].map(
      (row) =>
        [0, 1, 2].reduce((sum, k) => sum + parameters[row * 3 + k] * (point[k] - centre[k]), 0) +
        parameters[9 + row] +
        centre[row],
    ) as unknown as Xyz;
}

let moving = '';
let fixed = '';
let identityModel = '';
beforeAll(async () => {
  [moving, fixed] = [at('moving.nii.gz'), at('fixed.nrrd')];
  await writeImage(moving, image(MOVING));
  await writeImage(fixed, image(FIXED));
  identityModel = await makeModel('identity', {});
});

const register = (call: Partial<RegisterCall> & { out: string }): Promise<RegistrationReport> =>
  registerImages({ model: identityModel, moving, fixed, backend, progress: SILENT, keepAll: true, ...call, out: at(call.out) });

const expectNear = (got: readonly number[], want: readonly number[], digits = 3): void => {
  for (const [k, value] of want.entries()) expect(got[k]).toBeCloseTo(value, digits);
};
/** The centre of the fixed image, and a voxel near it with its place. */
const FIXED_CENTRE = centreOf(FIXED);
const MOVING_CENTRE = centreOf(MOVING);
const INNER_VOXEL = (11 * 36 + 17) * 20 + 9;
const INNER = applyAffine(voxelToPhysical(FIXED), [9, 17, 11]);

describe('registration', () => {
  it('with a network that changes nothing lays centre on centre, each image in its own space', async () => {
    const report = await register({ out: 'identity-out' });
    expect(readdirSync(at('identity-out')).sort()).toEqual([
      '.gvsl-results.json',
      'affine.tfm',
      'displacement.nii.gz',
      'jacobian.nii.gz',
      'register.json',
      'warped.nii.gz',
    ]);
    const shift = MOVING_CENTRE.map((c, k) => c - FIXED_CENTRE[k]) as unknown as Xyz;
    const vectors = readVectors(at('identity-out', 'displacement.nii.gz'));
    for (const voxel of [0, INNER_VOXEL, voxelCount(FIXED.size) - 1]) expectNear(vectors(voxel), shift);
    expectNear(readAffine(at('identity-out', 'affine.tfm'))([1, 2, 3]), [1 + shift[0], 2 + shift[1], 3 + shift[2]]);

    // both images are the same function about their centres, so inside the warped image is the fixed one, up to interpolation
    const { volume: warped } = await readImage(at('identity-out', 'warped.nii.gz'));
    expect(warped.geometry.size).toEqual(FIXED.size);
    expect(warped.data).toBeInstanceOf(Float32Array);
    const { data } = image(FIXED);
    for (const voxel of [INNER_VOXEL, INNER_VOXEL + 3, INNER_VOXEL + 20 * 4])
      expect(Math.abs(warped.data[voxel] - data[voxel])).toBeLessThan(1);

    const jacobian = (await readImage(at('identity-out', 'jacobian.nii.gz'))).volume.data;
    expect(Math.max(...jacobian.map((value) => Math.abs(value - 1)))).toBeLessThan(1e-4);
    expect(report.stages.map(({ stage }) => stage)).toEqual(['asStored', 'centred', 'affine', 'deformable']);
    const [asStored, centred, affine, deformable] = report.stages;
    expect(asStored.coveredShare).toBe(0);
    expect(centred.coveredShare).toBeGreaterThan(0.9);
    expect(centred.ncc).toBeGreaterThan(0.9);
    expect(affine.ncc).toBeCloseTo(centred.ncc, 5);
    expect(deformable.ncc).toBeCloseTo(centred.ncc, 5);
    expect(report.jacobian.foldedShare).toBe(0);
    expect(JSON.parse(readFileSync(at('identity-out', 'register.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(report)));
  });

  it('turns flows in voxels (z, y, x) of the RAS grid into millimetres, LPS, and leaves them out of the affine', async () => {
    // the bias of the flow is in the order z, y, x: 1 voxel up, 2 to the front, 3 to the right
    const model = await makeModel('flow', { out_flow: [1, 2, 3] });
    await register({ model, out: 'flow-out' });
    const [affine, vectors] = [readAffine(at('flow-out', 'affine.tfm')), readVectors(at('flow-out', 'displacement.nii.gz'))];
    const shift = MOVING_CENTRE.map((c, k) => c - FIXED_CENTRE[k]);
    expectNear(affine(INNER), [INNER[0] + shift[0], INNER[1] + shift[1], INNER[2] + shift[2]]);
    // right and front are negative in LPS
    for (const voxel of [0, INNER_VOXEL])
      expectNear(vectors(voxel), [shift[0] - 3 * SPACING, shift[1] - 2 * SPACING, shift[2] + 1 * SPACING]);
  });

  it('turns an affine of the network into one between the physical spaces: translation, rotation and scale', async () => {
    // rotation limit 20 degrees, scale limit 0.25, translation in halves of the extent; tanh(0.5) of each
    const part = Math.tanh(0.5);
    const cases: [string, Record<string, number[]>, Matrix3, Xyz][] = [
      ['translation', { fc_trans: [0.1, 0.2, -0.3] }, [1, 0, 0, 0, 1, 0, 0, 0, 1], [0.1, 0.2, -0.3]],
      ['about-x', { fc_rot: [0.5, 0, 0] }, rotationLps(0, (part * Math.PI) / 9), [0, 0, 0]],
      ['about-z', { fc_rot: [0, 0, 0.5] }, rotationLps(2, (part * Math.PI) / 9), [0, 0, 0]],
      ['scale', { fc_scl: [0.5, 0, -0.5] }, [1 + part / 4, 0, 0, 0, 1, 0, 0, 0, 1 - part / 4], [0, 0, 0]],
    ];
    for (const [name, biases, matrix, halves] of cases) {
      const report = await register({ model: await makeModel(name, biases), out: `${name}-out` });
      expectNear(report.affine.matrix, matrix, 5);
      // where the fixed centre goes: to the moving centre, and half the extent of the network's grid times the translation
      const extent = report.network!.inputSize.map((n) => (n * SPACING) / 2);
      const moved: Xyz = [-halves[0] * extent[0], -halves[1] * extent[1], halves[2] * extent[2]];
      const got = readAffine(at(`${name}-out`, 'affine.tfm'));
      expectNear(
        got(FIXED_CENTRE),
        MOVING_CENTRE.map((c, k) => c + moved[k]),
      );
      const inner = got(INNER);
      const vector = readVectors(at(`${name}-out`, 'displacement.nii.gz'))(INNER_VOXEL);
      expectNear(
        vector,
        inner.map((value, k) => value - INNER[k]),
      );
      const determinant = (1 + (name === 'scale' ? part / 4 : 0)) * (1 - (name === 'scale' ? part / 4 : 0));
      const jacobian = (await readImage(at(`${name}-out`, 'jacobian.nii.gz'))).volume.data;
      expect(jacobian[INNER_VOXEL]).toBeCloseTo(determinant, 4);
      expect(jacobian[0]).toBeCloseTo(determinant, 4);
    }
  });

  it('maps between scans whose axes are turned against each other along their own axes, and says so', async () => {
    const turned: Geometry = { ...MOVING, direction: TURNED };
    await writeImage(at('turned.nii'), image(turned));
    const report = await register({ moving: at('turned.nii'), out: 'turned-out' });
    // the fixed image's right is the moving image's right, 20 degrees off
    expectNear(report.affine.matrix, [C, -S, 0, S, C, 0, 0, 0, 1], 4);
    expect(report.warnings.join()).toMatch(/rotation of 20 degrees/);
  });

  it('is what the network computed: its warped image is ours, and ours is the moving image where the field points', async () => {
    const model = await makeModel('random', null);
    const size: Xyz = [24, 20, 28];
    const grids = [FIXED, MOVING].map(
      ({ originMm }): Geometry => ({ size, spacingMm: [SPACING, SPACING, SPACING], originMm, direction: RAS }),
    );
    const volumes = [image(grids[0]), image(grids[1], (x, y, z) => pattern(x + 3, y, z - 2))];
    await writeImage(at('same-fixed.nii'), volumes[0]);
    await writeImage(at('same-moving.nii'), volumes[1]);
    const report = await register({ model, moving: at('same-moving.nii'), fixed: at('same-fixed.nii'), out: 'random-out' });
    expect(report.deformationMm.max).toBeGreaterThan(0.5);
    const { data: ours } = (await readImage(at('random-out', 'warped.nii.gz'))).volume;

    const { architecture, parameters } = await readNetwork(model);
    const session = await backend.open(matchingProgram(architecture, toZyx(size)).program);
    await session.writeState(STATES.parameters, parameters);
    const scaled = ({ data }: Volume<Float32Array>): Float32Array => {
      const [least, most] = [Math.min(...data), Math.max(...data)];
      return data.map((value) => (value - least) / (most - least));
    };
    const { warped } = await session.run('match', { moving: scaled(volumes[1]), fixed: scaled(volumes[0]) });
    await session.close();
    const vectors = readVectors(at('random-out', 'displacement.nii.gz'));
    const [toMm, toMoving] = [voxelToPhysical(grids[0]), physicalToVoxel(grids[1])];
    const [least, most] = [Math.min(...volumes[1].data), Math.max(...volumes[1].data)];
    let [compared, toNetwork, toField] = [0, 0, 0];
    for (let voxel = 0; voxel < warped.length; voxel++) {
      const p = applyAffine(toMm, [voxel % 24, Math.floor(voxel / 24) % 20, Math.floor(voxel / 480)]);
      const v = vectors(voxel);
      const place = applyAffine(toMoving, [p[0] + v[0], p[1] + v[1], p[2] + v[2]]);
      // near the border the network's zeros come in
      if (place.some((q, k) => q < 0 || q > size[k] - 1)) continue;
      compared++;
      toNetwork = Math.max(toNetwork, Math.abs((ours[voxel] - least) / (most - least) - warped[voxel]));
      toField = Math.max(toField, Math.abs(ours[voxel] - trilinear(volumes[1], place)));
    }
    expect(toNetwork).toBeLessThan(1e-4);
    expect(toField).toBeLessThan(0.01);
    expect(compared).toBeGreaterThan(3000);
  });

  it('in tiles gives the same where every tile says the same, and one affine', async () => {
    const model = await makeModel('tiles', { out_flow: [1, 0, 0], fc_rot: [0, 0, 0.2] });
    const same = { model, moving: fixed, fixed };
    const whole = await register({ ...same, out: 'whole-out' });
    expect(whole.network).toMatchObject({ tiles: 1, reason: '' });
    const tiled = await register({ ...same, tile: 16, out: 'tiled-out' });
    expect(tiled.network!.inputSize).toEqual([16, 16, 16]);
    expect(tiled.network!.tiles).toBeGreaterThan(1);
    // tiles turn about their own centres: the common affine turns as much, and the flow is left to the deformation
    expect(tiled.affine.matrix[1]).not.toBeCloseTo(0, 2);
    const flat = await makeModel('tiles-flow', { out_flow: [1, -2, 3] });
    await register({ ...same, model: flat, out: 'whole-out' });
    await register({ ...same, model: flat, tile: 16, out: 'tiled-out' });
    const [a, b] = ['whole-out', 'tiled-out'].map((name) => readVectors(at(name, 'displacement.nii.gz')));
    for (let voxel = 0; voxel < voxelCount(FIXED.size); voxel += 17) expectNear(b(voxel), a(voxel), 4);
  });

  it('can start where the files say that the images lie, if they share a place', async () => {
    const nearby: Geometry = { ...MOVING, direction: TURNED, originMm: [0, 0, 0] };
    const centre = centreOf(nearby);
    const originMm = FIXED_CENTRE.map((c, k) => c - centre[k] + k) as unknown as Xyz;
    await writeImage(at('nearby.nii'), image({ ...nearby, originMm }));
    const report = await register({ moving: at('nearby.nii'), start: 'stored', out: 'stored-out' });
    expect(report.stages.map(({ stage }) => stage)).toEqual(['asStored', 'affine', 'deformable']);
    expectNear(report.affine.matrix, [1, 0, 0, 0, 1, 0, 0, 0, 1], 6);
    expectNear(report.affine.offset, [0, 0, 0], 4);
    await expect(register({ start: 'stored', out: 'stored-out' })).rejects.toThrow(/`start` stored: .* do not overlap; omit/);
  });

  it('works without an affine head, and leaves that stage out', async () => {
    const model = await makeModel('no-affine', { out_flow: [0, 0, 1] }, { ...ALL_HEADS, affine: false });
    const report = await register({ model, out: 'no-affine-out' });
    expect(report.stages.map(({ stage }) => stage)).toEqual(['asStored', 'centred', 'deformable']);
    expectNear(report.affine.matrix, [1, 0, 0, 0, 1, 0, 0, 0, 1], 6);
    expect(report.deformationMm).toEqual({ mean: expect.closeTo(SPACING, 4), max: expect.closeTo(SPACING, 4) });
  });
});

describe('labels and landmarks', () => {
  it('travel along: codes kept, overlap and error at every stage', async () => {
    // the same patient lying elsewhere: matching by centres is perfect
    const elsewhere: Geometry = { ...FIXED, originMm: [FIXED.originMm[0] + 40, FIXED.originMm[1], FIXED.originMm[2] - 25] };
    const codes = (g: Geometry): Volume<Uint16Array> => {
      const { data } = image(g);
      return { geometry: g, data: Uint16Array.from(data, (v) => (v > 130 ? 820 : v > 100 ? 205 : 0)) };
    };
    await writeImage(at('elsewhere.nii'), { geometry: elsewhere, data: Int16Array.from(image(elsewhere).data) });
    // stored in another order of axes than its image
    await writeImage(at('elsewhere-labels.nii'), reorientToRas(codes(elsewhere)));
    await writeImage(at('fixed-labels.nii'), codes(FIXED));
    const points = (path: string, list: Record<string, Xyz>): string => {
      const controlPoints = Object.entries(list).map(([label, position]) => ({ label, position }));
      writeFileSync(at(path), JSON.stringify({ markups: [{ coordinateSystem: 'LPS', controlPoints }] }));
      return at(path);
    };
    const call = {
      moving: at('elsewhere.nii'),
      movingLabels: at('elsewhere-labels.nii'),
      fixedLabels: at('fixed-labels.nii'),
      movingLandmarks: points('m.mrk.json', { apex: [INNER[0] + 40, INNER[1], INNER[2] - 25], only: [0, 0, 0] }),
      fixedLandmarks: points('f.mrk.json', { apex: INNER }),
      out: 'labels-out',
    };
    const report = await register(call);
    const [asStored, centred, , deformable] = report.stages;
    expect(asStored.meanDice).toBeLessThan(0.7);
    expect(asStored.meanLandmarkErrorMm).toBeCloseTo(Math.hypot(40, 25), 3);
    for (const stage of [centred, deformable]) {
      expect(stage.dice).toEqual([
        { label: 205, dice: 1 },
        { label: 820, dice: 1 },
      ]);
      expect(stage.meanLandmarkErrorMm).toBeCloseTo(0, 3);
    }
    expect(report.unpairedLandmarks).toEqual(['only']);
    const warped = (await readImage(at('labels-out', 'warped_labels.nii.gz'))).volume.data;
    expect(warped).toEqual(codes(FIXED).data);
    // whole numbers stay whole numbers
    expect((await readImage(at('labels-out', 'warped.nii.gz'))).volume.data).toBeInstanceOf(Int16Array);

    // a later registration without labels must not leave the earlier ones' labels behind; what is not ours stays
    writeFileSync(at('labels-out', 'warnings.txt'), 'mine');
    await register({ out: 'labels-out' });
    expect(existsSync(at('labels-out', 'warped_labels.nii.gz'))).toBe(false);
    expect(readFileSync(at('labels-out', 'warnings.txt'), 'utf8')).toBe('mine');
  });
});

describe('wrong input', () => {
  const refused = async (
    call: Partial<RegisterCall>,
    kind: typeof UsageError | typeof RunError,
    message: RegExp,
  ): Promise<void> => {
    const error = await register({ out: 'refused', ...call }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message).toMatch(message);
    expect(existsSync(at('refused', 'register.json'))).toBe(false);
  };

  it('is refused with the file or option, the reason, and what to do', async () => {
    await refused({ moving: at('nowhere.nii') }, RunError, /nowhere\.nii: no such file/);
    await refused({ model: at('nowhere') }, RunError, /nowhere: no such folder/);
    await refused({ fixedLabels: fixed }, UsageError, /`fixedLabels` needs `movingLabels`/);
    await refused({ fixedLandmarks: fixed }, UsageError, /go together/);
    await refused({ movingLabels: moving }, RunError, /moving\.nii\.gz: not a label map: expected whole numbers/);
    await writeImage(at('other-grid.nii'), { geometry: FIXED, data: new Uint8Array(voxelCount(FIXED.size)) });
    await refused({ movingLabels: at('other-grid.nii') }, RunError, /other-grid\.nii: on a different grid than its image/);
    await writeImage(at('constant.nii'), { geometry: FIXED, data: new Uint8Array(voxelCount(FIXED.size)) });
    await refused({ fixed: at('constant.nii') }, RunError, /constant\.nii: every voxel is 0/);
    writeFileSync(at('file.txt'), 'text');
    await refused({ moving: at('file.txt') }, RunError, /file\.txt: not a supported format/);
    await refused({ modality: 'ct' }, UsageError, /`modality` ct: the model .* was trained on mr/);
  });

  it('is refused where a model cannot match, or is not what it says', async () => {
    const noMatching = await makeModel('no-matching', {}, { affine: false, matching: false, restoration: true });
    await refused({ model: noMatching }, RunError, /no matching head.*use a model/);
    const unknown = await makeModel('unknown', {}, ALL_HEADS, null);
    await refused({ model: unknown }, UsageError, /does not record its training modality: add `modality`/);
    const config = JSON.parse(readFileSync(join(identityModel, 'config.json'), 'utf8'));
    mkdirSync(at('wide'));
    writeFileSync(at('wide', 'model.safetensors'), readFileSync(join(identityModel, 'model.safetensors')));
    const write = (architecture: object): void =>
      writeFileSync(
        at('wide', 'config.json'),
        JSON.stringify({ ...config, architecture: { ...config.architecture, ...architecture } }),
      );
    write({ channels: [8, 8, 16, 32, 128] });
    await refused({ model: at('wide') }, RunError, /a different architecture/);
    write({ width: 0.25, channels: scaledArchitecture(0.25).widths.slice(0, 5) });
    await refused({ model: at('wide') }, RunError, /a different architecture/);
  });

  it('is refused where results cannot be put', async () => {
    await refused({ out: 'file.txt' }, UsageError, /file\.txt: is a file; expected a folder/);
    mkdirSync(at('in-out'));
    await writeImage(at('in-out', 'warped.nii.gz'), image(MOVING));
    await refused(
      { moving: at('in-out', 'warped.nii.gz'), out: 'in-out' },
      UsageError,
      /warped\.nii\.gz: would replace .*, the moving image/,
    );
  });
});

describe('memory', () => {
  it('decides: whole images, tiles as in training, smaller ones, or a refusal with advice', async () => {
    const network = { ...(await readNetwork(identityModel)), trainedPatch: [48, 64, 64] as const };
    const plan = (bytes: number, tile?: number) =>
      planMatch(network, backend, [150, 100, 80], [120, 110, 90], { bytes, limit: 'a test' }, tile);
    const whole = plan(1e12);
    expect(whole).toMatchObject({ size: [150, 110, 90], reason: '' });
    const tiled = plan(whole.neededBytes - 1);
    expect(tiled.size).toEqual([64, 64, 48]);
    expect(tiled.reason).toMatch(/150 x 110 x 90 voxels\) need .* available: .* \(a test\)/);
    const smaller = plan(tiled.neededBytes - 1);
    expect(smaller.size).toEqual([48, 48, 48]);
    expect(smaller.tiles.length).toBeGreaterThan(tiled.tiles.length);
    expect(() => plan(1e6)).toThrow(/not enough memory.*tiles of 32 x 32 x 32 need.*narrower model/);
    expect(plan(1e12, 48).size).toEqual([48, 48, 48]);
    expect(() => plan(1e6, 48)).toThrow(/`tile` 48 needs/);
  });
});

/** A rotation about a RAS axis by an angle, as it reads in LPS: there x and y point the other way. */
function rotationLps(axis: 0 | 2, angle: number): Matrix3 {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return axis === 2 ? [c, -s, 0, s, c, 0, 0, 0, 1] : [1, 0, 0, 0, c, s, 0, -s, c];
}

/** The image between voxels, by the definition. */
function trilinear({ geometry: { size }, data }: Volume, place: Xyz): number {
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    let [weight, index, stride] = [1, 0, 1];
    for (let k = 0; k < 3; k++) {
      const low = Math.min(size[k] - 2, Math.floor(place[k]));
      const up = (corner >> k) & 1;
      weight *= up ? place[k] - low : 1 - (place[k] - low);
      index += (low + up) * stride;
      stride *= size[k];
    }
    sum += weight * data[index];
  }
  return sum;
}
