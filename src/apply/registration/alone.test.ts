/** Registration without a network: known maps are found again, what is alike stays, and results do not depend on threads. */
import { describe, expect, it } from 'vitest';
import { type Affine, applyAffine, invertAffine, voxelToPhysical } from '../../geometry/affine.ts';
import { type Geometry, perAxis, type Volume, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { alignAffine } from './classical/affine.ts';
import { correlation, mutualInformation } from './classical/similarity.ts';
import { registerVolumes } from './in-memory.ts';
import { inverseError, inverseField } from './inverse.ts';
import { composeInner, mapPoint, type PhysicalMap } from './physical-map.ts';

const FIXED: Geometry = {
  size: [40, 36, 30],
  spacingMm: [2, 2, 2.5],
  originMm: [10, -30, 40],
  direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1],
};
/** Turned by 90 degrees about the head's axis, other voxels, another frame. */
const MOVING: Geometry = {
  size: [44, 40, 34],
  spacingMm: [1.8, 2.2, 2.2],
  originMm: [400, 300, -90],
  direction: [0, -1, 0, 1, 0, 0, 0, 0, 1],
};

const centreMm = ({ size, ...rest }: Geometry): Xyz =>
  applyAffine(
    voxelToPhysical({ size, ...rest }),
    perAxis(size, (n) => (n - 1) / 2),
  );

/** A bright ellipsoid with three blobs that differ, by the place relative to its middle in mm. */
function anatomy([x, y, z]: readonly number[]): number {
  const blob = (cx: number, cy: number, cz: number, r: number): number =>
    Math.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / (2 * r * r));
  const body = 1 / (1 + Math.exp((Math.hypot(x / 30, y / 24, z / 26) - 1) * 12));
  return 300 * body + 400 * blob(10, 6, -4, 6) - 200 * blob(-9, -5, 6, 7) + 300 * blob(-4, 9, 10, 5);
}

function imageOf(geometry: Geometry, value: (mm: Xyz) => number): Volume<Float32Array> {
  const [nx, ny] = geometry.size;
  const toMm = voxelToPhysical(geometry);
  const data = Float32Array.from({ length: voxelCount(geometry.size) }, (_, i) =>
    value(applyAffine(toMm, [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))])),
  );
  return { geometry, data };
}

const minus = (a: Xyz, b: Xyz): Xyz => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

/** Rotation by 12 degrees, scales, a shear, and a shift of 9 mm beyond centre on centre. */
const TRUE: Affine = (() => {
  const [c, s] = [Math.cos(0.21), Math.sin(0.21)];
  const matrix = [1.08 * c, -s, 0.05, s, 0.95 * c, 0, 0, 0.04, 1.04] as const;
  const from = centreMm(FIXED);
  const to = centreMm(MOVING);
  const turned = applyAffine({ matrix, offset: [0, 0, 0] }, from);
  return { matrix, offset: [to[0] - turned[0] + 7, to[1] - turned[1] - 5, to[2] - turned[2] + 3] };
})();
const BACK = invertAffine(TRUE);

const fixed = imageOf(FIXED, (p) => anatomy(minus(p, centreMm(FIXED))));
const moving = imageOf(MOVING, (p) => anatomy(minus(applyAffine(BACK, p), centreMm(FIXED))));
const backend = await createBackend('cpu', 1);

/** How far a map is from the truth at points of the anatomy, at most. */
function errorMm(map: (p: Xyz) => Xyz, truth: (p: Xyz) => Xyz): number {
  let worst = 0;
  for (const [x, y, z] of [
    [0, 0, 0],
    [20, 0, 0],
    [-20, 0, 0],
    [0, 15, 0],
    [0, -15, 0],
    [0, 0, 16],
    [0, 0, -16],
    [10, 6, -4],
  ]) {
    const [cx, cy, cz] = centreMm(FIXED);
    const p: Xyz = [cx + x, cy + y, cz + z];
    worst = Math.max(worst, Math.hypot(...minus(map(p), truth(p))));
  }
  return worst;
}

describe('similarities', () => {
  it.each([
    ['squared correlation', correlation],
    ['mutual information', mutualInformation()],
  ] as const)('%s has the slopes of central differences', (_, compare) => {
    const n = 400;
    const fixedValues = Float32Array.from({ length: n }, (_, i) => 0.5 + 0.45 * Math.sin(i));
    const values = Float32Array.from(fixedValues, (f, i) => Math.min(1, Math.max(0, 0.2 + 0.5 * f * f + 0.1 * Math.cos(7 * i))));
    const slopes = new Float32Array(n);
    const { value } = compare(fixedValues, values, n, slopes);
    expect(value).toBeGreaterThan(0.1);
    const wanted = slopes.slice();
    for (const i of [3, 77, 250]) {
      const at = (h: number): number => {
        const moved = Float32Array.from(values);
        moved[i] += h;
        return compare(fixedValues, moved, n, slopes).value;
      };
      const [low, high] = [at(-0.004), at(0.004)];
      expect((high - low) / 0.008).toBeCloseTo(wanted[i], 3);
    }
  });
});

describe('registration by the images alone', () => {
  it.each(['mi', 'ncc'] as const)('finds an affine again, each image in its own space: %s', async (similarity) => {
    const found = await registerVolumes(moving, fixed, backend, { similarity, refine: 0 });
    const before = found.ncc.find(({ stage }) => stage === 'centred')!.value;
    expect(errorMm(found.mapPoint, (p) => applyAffine(TRUE, p))).toBeLessThan(0.7);
    expect(found.ncc.at(-1)).toMatchObject({ stage: 'aligned', kept: true });
    expect(found.ncc.at(-1)!.value).toBeGreaterThan(before);
    expect(found.network).toBeNull();
  });

  it('finds it where contrasts are inverted, as between CT and MR', async () => {
    const inverted = { geometry: MOVING, data: moving.data.map((value) => 800 - value) };
    const found = await registerVolumes(inverted, fixed, backend, { refine: 0 });
    expect(errorMm(found.mapPoint, (p) => applyAffine(TRUE, p))).toBeLessThan(0.7);
  });

  it('finds a deformation beyond the affine, without folds, and undoes it', async () => {
    // two bumps, of 5 and 4 mm, at two of the blobs
    const wave = (p: Xyz): Xyz => {
      const [x, y, z] = minus(p, centreMm(FIXED));
      const [a, b] = [
        Math.exp(-(Math.hypot(x - 10, y - 6, z + 4) ** 2) / 200),
        Math.exp(-(Math.hypot(x + 9, y + 5, z - 6) ** 2) / 200),
      ];
      return [p[0] + 5 * a, p[1] + 4 * b, p[2] - 4 * b];
    };
    const bent = imageOf(FIXED, (p) => anatomy(minus(wave(p), centreMm(FIXED))));
    const found = await registerVolumes(fixed, bent, backend);
    const affineOnly = await registerVolumes(fixed, bent, backend, { refine: 0 });
    const errorOf = ({ mapPoint: map }: { mapPoint: (p: Xyz) => Xyz }): number => {
      const points: Xyz[] = [
        [8, 6, -4],
        [-9, -5, 6],
        [12, 8, -4],
        [-6, -5, 4],
      ];
      const [cx, cy, cz] = centreMm(FIXED);
      const errors = points.map(([x, y, z]) =>
        Math.hypot(...minus(map([cx + x, cy + y, cz + z]), wave([cx + x, cy + y, cz + z]))),
      );
      return Math.max(...errors);
    };
    expect(errorOf(affineOnly)).toBeGreaterThan(2);
    expect(errorOf(found)).toBeLessThan(0.7 * errorOf(affineOnly));
    expect(Math.min(...found.jacobian().data)).toBeGreaterThan(0.2);
    const { error: inverse, field } = found.inverse();
    expect(inverse!.meanMm).toBeLessThan(0.05);
    expect(inverse!.maxMm).toBeLessThan(0.6);
    expect(field.geometry.size).toEqual(FIXED.size);
  });

  it('leaves an image on itself where it is', async () => {
    const found = await registerVolumes(fixed, fixed, backend);
    expect(found.ncc.filter(({ kept }) => kept).map(({ stage }) => stage)).toEqual(['asStored', 'centred']);
    expect(errorMm(found.mapPoint, (p) => p)).toBeLessThan(1e-9);
  });

  it('counts only what lies in masks', async () => {
    // something bright in one image alone, far from where the anatomy is
    const disturbed = { geometry: FIXED, data: fixed.data.slice() };
    const mask = { geometry: FIXED, data: new Uint8Array(fixed.data.length).fill(1) };
    const [nx, ny, nz] = FIXED.size;
    for (let i = 0; i < mask.data.length; i++) {
      const [x, z] = [i % nx, Math.floor(i / (nx * ny))];
      if (x > nx - 9 && z < nz / 2) [disturbed.data[i], mask.data[i]] = [900, 0];
    }
    const error = async (fixedMask?: Volume): Promise<number> => {
      const found = await registerVolumes(moving, disturbed, backend, {
        refine: 0,
        ...(fixedMask ? { masks: { fixed: fixedMask } } : {}),
      });
      return errorMm(found.mapPoint, (p) => applyAffine(TRUE, p));
    };
    expect(await error(mask)).toBeLessThan(0.7);
    expect(await error()).toBeGreaterThan(await error(mask));
    const nothing = { geometry: FIXED, data: new Uint8Array(fixed.data.length) };
    await expect(registerVolumes(moving, fixed, backend, { masks: { fixed: nothing } })).rejects.toThrow(/`fixedMask`: no voxel/);
  });

  it('gives the same bits for any number of threads', async () => {
    const three = await createBackend('cpu', 3);
    const [one, other] = [
      await registerVolumes(moving, fixed, backend, { refine: 5 }),
      await registerVolumes(moving, fixed, three, { refine: 5 }),
    ];
    expect(other.affine).toEqual(one.affine);
    expect(Buffer.from(other.displacement().data.buffer).equals(Buffer.from(one.displacement().data.buffer))).toBe(true);
  });

  it('keeps the deformation of a given map: an affine adds to it', async () => {
    const bend = ([x, y, z]: Xyz): Xyz => [x + 5 * Math.sin((y + 20) / 14), y, z + 4 * Math.sin(x / 12)];
    const toMm = voxelToPhysical(FIXED);
    const [nx, ny] = FIXED.size;
    const data = new Float32Array(3 * voxelCount(FIXED.size));
    for (let i = 0; i < data.length / 3; i++) {
      const p = applyAffine(toMm, [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))]);
      data.set(minus(bend(p), p), 3 * i);
    }
    const bent = imageOf(FIXED, (p) => anatomy(minus(bend(p), centreMm(FIXED))));
    const init: PhysicalMap = {
      affine: { matrix: [1, 0, 0, 0, 1, 0, 0, 0, 1], offset: [0, 0, 0] },
      residual: { geometry: FIXED, data },
    };
    for (const start of ['affine', 'centres'] as const) {
      const found = await registerVolumes(fixed, bent, backend, { init, start, refine: 0 });
      expect(errorMm(found.mapPoint, bend), start).toBeLessThan(0.5);
    }
  });

  it('starts from a given map, and keeps it if nothing better is found', async () => {
    const found = await registerVolumes(moving, fixed, backend, {
      init: { affine: TRUE, residual: null },
      start: 'stored',
      refine: 0,
    });
    expect(found.ncc.map(({ stage }) => stage)).toEqual(['asStored', 'given']);
    expect(found.affine).toEqual(TRUE);
    const far: PhysicalMap = { affine: { matrix: TRUE.matrix, offset: [9e4, 0, 0] }, residual: null };
    await expect(registerVolumes(moving, fixed, backend, { init: far })).rejects.toThrow(/`initTransform`: it brings no voxel/);
  });
});

describe('maps', () => {
  const bump: PhysicalMap = {
    affine: { matrix: [1, 0, 0, 0, 1, 0, 0, 0, 1], offset: [0, 0, 0] },
    residual: {
      geometry: FIXED,
      data: Float32Array.from({ length: 3 * voxelCount(FIXED.size) }, (_, i) => Math.sin(Math.floor(i / 3) / 3000 + (i % 3))),
    },
  };

  it('one after another are what points pass one after another', () => {
    const outer: PhysicalMap = { affine: TRUE, residual: { ...bump.residual!, data: bump.residual!.data.map((v) => 2 * v) } };
    const inner: PhysicalMap = {
      affine: { matrix: [1, 0.02, 0, 0, 1, 0, 0, 0, 0.97], offset: [1, 0, 2] },
      residual: bump.residual,
    };
    const both = composeInner(outer, inner, FIXED);
    for (const voxel of [
      [20, 18, 15],
      [9, 30, 4],
    ] as const) {
      const p = applyAffine(voxelToPhysical(FIXED), voxel);
      for (const [k, value] of mapPoint(outer, mapPoint(inner, p)).entries()) expect(mapPoint(both, p)[k]).toBeCloseTo(value, 3);
    }
  });

  it('are undone by their inverse, and its error says by how much', () => {
    const inverse = inverseField(bump, FIXED);
    const error = inverseError(bump, inverse, FIXED)!;
    expect(error.meanMm).toBeLessThan(0.05);
    const shifted = { ...inverse, data: inverse.data.map((v) => v + 1) };
    expect(inverseError(bump, shifted, FIXED)!.meanMm).toBeGreaterThan(1);
  });

  it('are found where the moving image, or its mask, is a tenth of the fixed image', () => {
    const near: Affine = { matrix: [1, 0, 0, 0, 1, 0, 0, 0, 1], offset: minus(centreMm(MOVING), centreMm(FIXED)) };
    const toFixed = (p: Xyz): Xyz => minus(applyAffine(BACK, p), centreMm(FIXED));
    const mask = imageOf(MOVING, (p) => (Math.hypot(...toFixed(p)) < 22 ? 1 : 0)).data;
    const size: Xyz = [20, 18, 17];
    const part: Geometry = { ...MOVING, size };
    const originMm = minus(centreMm(MOVING), minus(centreMm(part), MOVING.originMm));
    const small = imageOf({ ...part, originMm }, (p) => anatomy(toFixed(p)));
    const scaled = ({ geometry, data }: Volume<Float32Array>): Volume<Float32Array> => ({
      geometry,
      data: data.map((value) => Math.max(0, value / 1000)),
    });
    for (const to of [{ image: scaled(moving), mask }, { image: scaled(small) }]) {
      const { affine, overlaps } = alignAffine({ fixed: { image: scaled(fixed) }, moving: to, starts: [near], similarity: 'mi' });
      expect(overlaps).toBe(true);
      expect(
        errorMm(
          (p) => applyAffine(affine, p),
          (p) => applyAffine(TRUE, p),
        ),
      ).toBeLessThan(2);
    }
  });

  it('a start that brings nothing together is told', () => {
    const apart: Affine = { matrix: [1, 0, 0, 0, 1, 0, 0, 0, 1], offset: [1e5, 0, 0] };
    const { overlaps, gain } = alignAffine({
      fixed: { image: fixed },
      moving: { image: moving },
      starts: [apart],
      similarity: 'mi',
    });
    expect([overlaps, gain]).toEqual([false, 0]);
  });
});
