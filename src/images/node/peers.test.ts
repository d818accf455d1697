/**
 * nibabel and ITK as second sources: random headers that one side writes and the other reads. Skipped where no python3 imports nibabel; ITK
 * comes with the development dependencies.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { metaReadImageNode, mghReadImageNode, niftiReadImageNode, nrrdReadImageNode } from '@itk-wasm/image-io';
import type { Image } from 'itk-wasm';
import { afterAll, describe, expect, it } from 'vitest';
import { voxelToPhysical } from '../../geometry/affine.ts';
import { type Geometry, type Matrix3, type VoxelArray, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { readImage } from './read.ts';
import { writeImage, writeVectorImage } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'gvsl-peers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const python = ['python3', '/usr/bin/python3'].find((one) => spawnSync(one, ['-c', 'import nibabel']).status === 0);

let state = 7;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
const between = (low: number, high: number): number => low + (high - low) * random();
const whole = (low: number, high: number): number => Math.floor(between(low, high + 1));
const oneOf = <T>(items: readonly T[]): T => items[whole(0, items.length - 1)];

function rotation(): Matrix3 {
  const q = [0, 1, 2, 3].map(() => between(-1, 1));
  const [a, b, c, d] = q.map((value) => value / Math.hypot(...q));
  const s = oneOf([1, -1]);
  return [
    a * a + b * b - c * c - d * d,
    2 * (b * c - a * d),
    s * 2 * (b * d + a * c),
    2 * (b * c + a * d),
    a * a + c * c - b * b - d * d,
    s * 2 * (c * d - a * b),
    2 * (b * d - a * c),
    2 * (c * d + a * b),
    s * (a * a + d * d - b * b - c * c),
  ];
}
const randomGrid = (): Geometry => ({
  size: [whole(1, 6), whole(1, 6), whole(1, 6)],
  spacingMm: [between(0.3, 5), between(0.3, 5), between(0.3, 5)],
  originMm: [between(-300, 300), between(-300, 300), between(-300, 300)],
  direction: rotation(),
});
const TYPES = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array] as const;
function randomVoxels(length: number, type = oneOf(TYPES)): VoxelArray {
  const data: VoxelArray = new type(length);
  for (let i = 0; i < length; i++) data[i] = between(-120, 120);
  return data;
}

/** Voxel to RAS, row by row, as nibabel has it. */
function rasAffine(geometry: Geometry): number[] {
  const { matrix, offset } = voxelToPhysical(geometry);
  return [0, 1, 2].flatMap((row) =>
    [...matrix.slice(3 * row, 3 * row + 3), offset[row]].map((value) => (row < 2 ? -value : value)),
  );
}
const worst = (found: ArrayLike<number>, expected: readonly number[]): number =>
  found.length === expected.length
    ? expected.reduce((most, value, i) => Math.max(most, Object.is(value, found[i]) ? 0 : Math.abs(value - found[i])), 0)
    : Number.POSITIVE_INFINITY;

interface Expected {
  readonly path: string;
  readonly affine: readonly number[];
  readonly shape: readonly number[];
  readonly data: readonly number[];
  /** Of what is written: the same by the qform, if there is one. */
  readonly qform?: readonly number[] | null;
  readonly type: string;
}

const SCRIPT = `
import gzip, json, sys
import numpy as np, nibabel as nib
from nibabel.freesurfer.mghformat import MGHImage
folder, mode = sys.argv[1], sys.argv[2]
rng = np.random.default_rng(20261125)
def described(path):
    image = nib.load(path)
    data = np.asanyarray(image.dataobj).astype('f8')
    qform = image.header.get_qform(coded=True)[0] if hasattr(image.header, 'get_qform') else None
    return dict(path=path, affine=image.affine[:3].ravel().tolist(), shape=list(map(int, image.shape)), data=data.ravel(order='F').tolist(),
                qform=None if qform is None else qform[:3].ravel().tolist(), type=image.get_data_dtype().name)
def affine():
    q = rng.normal(size=4)
    r = nib.quaternions.quat2mat(q / np.linalg.norm(q)) @ np.diag([1, 1, rng.choice([1, -1])])
    if rng.random() < .2: r = r + rng.normal(size=(3, 3)) * .05
    return nib.affines.from_matvec(r @ np.diag(rng.uniform(.3, 5, 3)), rng.uniform(-300, 300, 3))
def voxels(kind, shape):
    kind = np.dtype(kind)
    if kind.kind == 'f': return (rng.normal(size=shape) * 100).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(max(int(limits.min), -2**52), min(int(limits.max), 2**52), size=shape, dtype=kind, endpoint=True)
paths = []
if mode == 'write':
    for k in range(80):
        kind = str(rng.choice(['u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'u8', 'i8', 'f4', 'f8']))
        shape = tuple(map(int, rng.integers(1, 6, 3)))
        cls = [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair][int(rng.integers(3))]
        order = str(rng.choice(['<', '>']))
        header = cls.header_class(endianness=order)
        header.set_data_dtype(np.dtype(kind)); header.set_data_shape(shape)
        a = affine()
        image = cls(voxels(kind, shape), a, header=header)
        forms = int(rng.integers(3))
        if forms == 0: image.set_qform(a, code=1); image.set_sform(None, code=0)
        if forms == 1: image.set_sform(a, code=2); image.set_qform(a, code=1)
        if forms == 2: image.set_sform(a, code=1); image.set_qform(None, code=0)
        path = f"{folder}/n{k}{'.img' if cls is nib.Nifti1Pair else '.nii'}{'.gz' if rng.random() < .4 else ''}"
        nib.save(image, path)
        slope = rng.choice([None, 2.0, 0.5, -1.0, 0.1])
        if slope is not None:
            name = path.replace('.img', '.hdr'); opened = gzip.open if name.endswith('.gz') else open
            with opened(name, 'rb') as f: content = bytearray(f.read())
            two = cls is nib.Nifti2Image
            pair = np.array([slope, float(rng.choice([0, -1024, 3.25]))], np.dtype(order + ('f8' if two else 'f4'))).tobytes()
            at = 176 if two else 112
            content[at:at + len(pair)] = pair
            with opened(name, 'wb') as f: f.write(bytes(content))
        paths.append(path)
    for k in range(20):
        shape = tuple(map(int, rng.integers(1, 6, 3)))
        path = f"{folder}/m{k}{rng.choice(['.mgh', '.mgz'])}"
        nib.save(MGHImage(voxels(str(rng.choice(['u1', 'i2', 'i4', 'f4'])), shape), affine().astype('f4')), path)
        paths.append(path)
else:
    paths = json.load(open(f'{folder}/paths.json'))
json.dump([described(path) for path in paths], open(f'{folder}/expected.json', 'w'))
`;

function nibabel(place: string, mode: 'read' | 'write'): readonly Expected[] {
  const run = spawnSync(python!, ['-c', SCRIPT, place, mode], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(readFileSync(join(place, 'expected.json'), 'utf8')) as Expected[];
}

describe.skipIf(!python)('nibabel (skipped where no python3 imports it)', () => {
  it('reads as we do what it writes: NIfTI-1, -2, pairs, MGH; every type, both byte orders, slopes, forms', async () => {
    const place = join(folder, 'theirs');
    mkdirSync(place);
    for (const { path, affine, data, shape } of nibabel(place, 'write')) {
      const { volume } = await readImage(path);
      expect(worst(rasAffine(volume.geometry), affine), path).toBeLessThan(2e-3);
      expect(volume.geometry.size, path).toEqual([...shape, 1, 1, 1].slice(0, 3));
      // where we give float32 that is all the file's own precision
      const rounded = volume.data instanceof Float32Array ? data.map(Math.fround) : data;
      const largest = Math.max(1, ...data.map(Math.abs));
      expect(worst(volume.data, rounded) / largest, path).toBeLessThan(volume.data instanceof Float32Array ? 2e-7 : 1e-15);
    }
  });

  it('reads what we write: grid by sform and by qform, types, values, vectors', async () => {
    const place = join(folder, 'ours');
    mkdirSync(place);
    const made: { path: string; geometry: Geometry; data: VoxelArray; components: number }[] = [];
    for (let k = 0; k < 60; k++) {
      const geometry = randomGrid();
      const components = k % 3 === 0 ? 3 : 1;
      const path = join(place, `${k}.nii${k % 2 ? '.gz' : ''}`);
      const data = randomVoxels(components * voxelCount(geometry.size), components === 3 ? Float32Array : undefined);
      await (components === 3 ? writeVectorImage(path, geometry, data as Float32Array) : writeImage(path, { geometry, data }));
      made.push({ path, geometry, data, components });
    }
    writeFileSync(join(place, 'paths.json'), JSON.stringify(made.map(({ path }) => path)));
    const read = nibabel(place, 'read');
    for (const [k, { path, geometry, data, components }] of made.entries()) {
      const { affine, qform, shape, data: found, type } = read[k];
      expect(worst(affine, rasAffine(geometry)), path).toBeLessThan(1e-3);
      if (qform) expect(worst(qform, affine), path).toBeLessThan(0.03);
      expect(`${type[0].toUpperCase()}${type.slice(1)}Array`, path).toBe(data.constructor.name);
      const n = voxelCount(geometry.size);
      const expected =
        components === 1 ? [...data] : Array.from({ length: 3 * n }, (_, i) => data[(i % n) * 3 + Math.floor(i / n)]);
      expect(
        shape.reduce((a, b) => a * b, 1),
        path,
      ).toBe(expected.length);
      expect(worst(found, expected), path).toBe(0);
    }
    expect(read.filter(({ qform }) => qform).length).toBeGreaterThan(50);
  });
});

describe('ITK', () => {
  const numbers = (values: readonly number[]): string => values.map((value) => String(value)).join(' ');
  const rows = (d: Matrix3): number[] => [0, 1, 2].flatMap((k) => [d[k], d[k + 3], d[k + 6]]);

  function expectSame(image: Image, geometry: Geometry, data: ArrayLike<number>, what: string): void {
    expect(image.size, what).toEqual([...geometry.size]);
    const found = [...image.spacing, ...image.origin, ...Array.from(image.direction, Number)];
    expect(worst(found, [...geometry.spacingMm, ...geometry.originMm, ...geometry.direction]), what).toBeLessThan(1e-4);
    expect(worst(data, Array.from(image.data as unknown as ArrayLike<number>)), what).toBe(0);
  }

  it('reads MetaImage and NRRD as we do', async () => {
    for (let k = 0; k < 24; k++) {
      const geometry = randomGrid();
      const type = oneOf([Uint8Array, Int16Array, Uint16Array, Int32Array, Float32Array, Float64Array]);
      const data = randomVoxels(voxelCount(geometry.size), type);
      const width = data.BYTES_PER_ELEMENT;
      const body = Buffer.from(data.slice().buffer as ArrayBuffer);
      const big = random() < 0.4;
      if (big && width === 2) body.swap16();
      if (big && width === 4) body.swap32();
      if (big && width === 8) body.swap64();
      const zipped = random() < 0.5;
      const { size, spacingMm, originMm, direction } = geometry;
      if (k % 2 === 0) {
        const met = {
          Uint8Array: 'UCHAR',
          Int16Array: 'SHORT',
          Uint16Array: 'USHORT',
          Int32Array: 'INT',
          Float32Array: 'FLOAT',
          Float64Array: 'DOUBLE',
        };
        const stored = zipped ? deflateSync(body) : body;
        const path = join(folder, `${k}.mha`);
        const header = `ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = ${big ? 'True' : 'False'}\nCompressedData = ${zipped ? `True\nCompressedDataSize = ${stored.length}` : 'False'}\nTransformMatrix = ${numbers(rows(direction))}\nOffset = ${numbers(originMm)}\nElementSpacing = ${numbers(spacingMm)}\nDimSize = ${numbers(size)}\nElementType = MET_${met[type.name as keyof typeof met]}\nElementDataFile = LOCAL\n`;
        writeFileSync(path, Buffer.concat([Buffer.from(header), stored]));
        const ours = await readImage(path);
        expectSame((await metaReadImageNode(path)).image, ours.volume.geometry, ours.volume.data, path);
        expect(ours.volume.data).toEqual(data);
      } else {
        const names = {
          Uint8Array: 'uchar',
          Int16Array: 'short',
          Uint16Array: 'ushort',
          Int32Array: 'int',
          Float32Array: 'float',
          Float64Array: 'double',
        };
        const space = oneOf(['left-posterior-superior', 'right-anterior-superior']);
        const axes = [0, 1, 2].map((c) => `(${[0, 1, 2].map((r) => direction[3 * r + c] * spacingMm[c]).join(',')})`);
        const path = join(folder, `${k}.nrrd`);
        const header = `NRRD0004\ntype: ${names[type.name as keyof typeof names]}\ndimension: 3\nspace: ${space}\nsizes: ${numbers(size)}\nspace directions: ${axes.join(' ')}\nkinds: domain domain domain\nendian: ${big ? 'big' : 'little'}\nencoding: ${zipped ? 'gzip' : 'raw'}\nspace origin: (${originMm.join(',')})\n\n`;
        writeFileSync(path, Buffer.concat([Buffer.from(header), zipped ? gzipSync(body) : body]));
        const ours = await readImage(path);
        expectSame((await nrrdReadImageNode(path)).image, ours.volume.geometry, ours.volume.data, path);
        expect(ours.volume.data).toEqual(data);
      }
    }
  });

  it('reads MGH as we do', async () => {
    for (let k = 0; k < 6; k++) {
      const { size, spacingMm, originMm, direction } = randomGrid();
      const header = Buffer.alloc(284);
      for (const [i, value] of [1, ...size, 1, 3, 0].entries()) header.writeInt32BE(value, 4 * i);
      header.writeInt16BE(1, 28);
      for (const [i, value] of [...spacingMm, ...rows(direction), ...originMm].entries()) header.writeFloatBE(value, 30 + 4 * i);
      const body = Buffer.from(randomVoxels(voxelCount(size), Float32Array).slice().buffer as ArrayBuffer).swap32();
      const path = join(folder, `${k}.mgh`);
      writeFileSync(path, Buffer.concat([header, body]));
      const ours = await readImage(path);
      expectSame((await mghReadImageNode(path)).image, ours.volume.geometry, ours.volume.data, path);
    }
  });

  it('reads what we write, vectors too', async () => {
    for (let k = 0; k < 12; k++) {
      const geometry = { ...randomGrid(), size: [whole(2, 6), whole(2, 6), whole(2, 6)] as Xyz };
      const nrrd = k % 2 === 0;
      const path = join(folder, `written-${k}.${nrrd ? 'nrrd' : 'nii'}`);
      const vector = k % 3 === 0;
      const data = randomVoxels((vector ? 3 : 1) * voxelCount(geometry.size), vector ? Float32Array : Int16Array);
      await (vector ? writeVectorImage(path, geometry, data as Float32Array) : writeImage(path, { geometry, data }));
      const { image } = await (nrrd ? nrrdReadImageNode(path) : niftiReadImageNode(path));
      expect(image.imageType.components).toBe(vector ? 3 : 1);
      expectSame(image, geometry, data, path);
    }
  });
});
