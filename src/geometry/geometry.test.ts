import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import {
  applyAffine,
  cornerDistanceMm,
  isFlat,
  multiply3,
  nearestOrthogonal,
  physicalToVoxel,
  transpose3,
  voxelToPhysical,
} from './affine.ts';
import { type AxisOperator, applyAlong, applySeparable, interpolationOperator } from './axis-operator.ts';
import { centredStart, cropPad } from './crop.ts';
import { obliqueAngleDeg, orientationCode, rasPlanes, reorientToRas, shearAngleDeg } from './orientation.ts';
import { coveredShare, gridWithSpacing, resampleLinear, resampleNearest } from './resample.ts';
import { smoothGaussian } from './smooth.ts';
import { labelCodes, statisticsOf } from './statistics.ts';
import { type Geometry, IDENTITY_3, type Matrix3, planeReader, type Volume, voxelCount, type Xyz } from './volume.ts';

const RAS: Matrix3 = [-1, 0, 0, 0, -1, 0, 0, 0, 1];

/** A rotation by `degrees` about x and then z. */
function rotation(degrees: number): Matrix3 {
  const [c, s] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  return multiply3([c, -s, 0, s, c, 0, 0, 0, 1], [1, 0, 0, 0, c, -s, 0, s, c]);
}

function noise(size: Xyz, direction: Matrix3 = IDENTITY_3): Volume<Float32Array> {
  const stream = randomStream(7, 'geometry-test', ...size);
  const geometry: Geometry = { size, spacingMm: [0.7, 1.3, 2.5], originMm: [-31.5, 12.25, 404], direction };
  return { geometry, data: Float32Array.from({ length: voxelCount(size) }, () => stream.uniform()) };
}

/** The value at a physical position that is a voxel's centre. */
function valueAt(volume: Volume, positionMm: Xyz): number {
  const [x, y, z] = applyAffine(physicalToVoxel(volume.geometry), positionMm).map(Math.round);
  return volume.data[(z * volume.geometry.size[1] + y) * volume.geometry.size[0] + x];
}

describe('orientation', () => {
  it('names the sides to which the axes run', () => {
    expect(orientationCode(IDENTITY_3)).toBe('LPS');
    expect(orientationCode(RAS)).toBe('RAS');
    // x runs to the feet, y to the front, z to the left
    expect(orientationCode([0, 0, 1, 0, -1, 0, -1, 0, 0])).toBe('IAL');
    expect(obliqueAngleDeg(rotation(19))).toBeGreaterThan(19);
    expect(obliqueAngleDeg(RAS)).toBe(0);
    expect(shearAngleDeg(rotation(19))).toBeCloseTo(0, 6);
    expect(shearAngleDeg([1, 0, 0, 0, 1, Math.sin(0.1), 0, 0, Math.cos(0.1)])).toBeCloseTo((0.1 * 180) / Math.PI, 6);
  });

  it('brings all 48 permutations and flips of a volume to the same RAS volume, positions kept', () => {
    const original = reorientToRas(noise([4, 5, 6], rotation(10)));
    const { size } = original.geometry;
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ] as const) {
      for (let flips = 0; flips < 8; flips++) {
        // voxel (i, j, k) of the permuted volume is the original's voxel with axis order[a] at index a, from the far end if flipped
        const permutedSize = order.map((axis) => size[axis]) as unknown as Xyz;
        const data = new Float32Array(original.data.length);
        const toOriginal = (index: readonly number[]): Xyz => {
          const voxel = [0, 0, 0];
          order.forEach((axis, a) => {
            voxel[axis] = flips & (1 << a) ? size[axis] - 1 - index[a] : index[a];
          });
          return voxel as unknown as Xyz;
        };
        let at = 0;
        for (let k = 0; k < permutedSize[2]; k++)
          for (let j = 0; j < permutedSize[1]; j++)
            for (let i = 0; i < permutedSize[0]; i++) {
              const [x, y, z] = toOriginal([i, j, k]);
              data[at++] = original.data[(z * size[1] + y) * size[0] + x];
            }
        const { direction: d, spacingMm } = original.geometry;
        const column = (a: number, row: number): number => d[row * 3 + order[a]] * (flips & (1 << a) ? -1 : 1);
        const permuted: Volume<Float32Array> = {
          geometry: {
            size: permutedSize,
            spacingMm: order.map((axis) => spacingMm[axis]) as unknown as Xyz,
            originMm: applyAffine(voxelToPhysical(original.geometry), toOriginal([0, 0, 0])),
            direction: [0, 1, 2].flatMap((row) => [0, 1, 2].map((a) => column(a, row))) as unknown as Matrix3,
          },
          data,
        };
        const back = reorientToRas(permuted);
        expect(back.data).toEqual(original.data);
        expect(back.geometry.size).toEqual(size);
        expect(cornerDistanceMm(back.geometry, original.geometry)).toBeLessThan(1e-9);
      }
    }
  });
});

describe('resampling', () => {
  it('onto its own grid copies, bit by bit', () => {
    const volume = noise([9, 7, 5], rotation(12));
    expect(resampleLinear(volume, volume.geometry, 0).data).toEqual(volume.data);
    expect(resampleNearest(volume, volume.geometry, 0).data).toEqual(volume.data);
    expect(gridWithSpacing(volume.geometry, volume.geometry.spacingMm).size).toEqual(volume.geometry.size);
  });

  it('by whole voxels shifts, with the background beyond', () => {
    const volume = noise([6, 5, 4]);
    const shifted = cropPad(volume, [2, -1, 1], [6, 5, 4], -5);
    expect(resampleLinear(volume, shifted.geometry, -5).data).toEqual(shifted.data);
    expect(resampleNearest(volume, shifted.geometry, -5).data).toEqual(shifted.data);
  });

  it('keeps a constant and the centre of the field of view', () => {
    const volume = noise([20, 30, 10], rotation(5));
    const constant = { ...volume, data: volume.data.map(() => 3) };
    for (const spacing of [
      [1, 1, 1],
      [3, 3, 3],
      [0.5, 4, 1],
    ] as const) {
      const grid = gridWithSpacing(volume.geometry, spacing);
      const { data } = resampleLinear(constant, grid, 0);
      expect(Math.max(...data.map((v) => Math.abs(v - 3)))).toBeLessThan(2e-6);
      const centre = (g: Geometry): Xyz => applyAffine(voxelToPhysical(g), g.size.map((n) => (n - 1) / 2) as unknown as Xyz);
      centre(grid).forEach((value, k) => {
        expect(value).toBeCloseTo(centre(volume.geometry)[k], 9);
      });
    }
  });

  it('reaches as far as a sheared image does, along perpendicular axes', () => {
    for (const degrees of [-30, -8, 20]) {
      const tilt = (degrees * Math.PI) / 180;
      const sheared: Matrix3 = [1, 0, 0, 0, 1, Math.sin(tilt), 0, 0, Math.cos(tilt)];
      const geometry: Geometry = {
        size: [40, 60, 12],
        spacingMm: [0.9, 0.7, 5],
        originMm: [-20, 5, 300],
        direction: multiply3(rotation(degrees), sheared),
      };
      const grid = gridWithSpacing(geometry, [2, 2, 2]);
      expect(shearAngleDeg(grid.direction)).toBeLessThan(1e-6);
      for (let corner = 0; corner < 8; corner++) {
        const outermost = geometry.size.map((n, k) => (corner & (1 << k) ? n - 0.5 : -0.5)) as unknown as Xyz;
        const place = applyAffine(physicalToVoxel(grid), applyAffine(voxelToPhysical(geometry), outermost));
        place.forEach((p, k) => {
          expect(p).toBeGreaterThanOrEqual(-0.5 - 1e-9);
          expect(p).toBeLessThanOrEqual(grid.size[k] - 0.5 + 1e-9);
        });
      }
      expect(coveredShare(geometry, grid)).toBeGreaterThan(0.5);
    }
  });

  it('reads a linear ramp exactly at every spacing and direction', () => {
    const source = noise([16, 16, 16]);
    const ramp = {
      geometry: source.geometry,
      data: Float32Array.from(source.data, (_, i) => (i % 16) + 2 * (Math.floor(i / 16) % 16)),
    };
    const inner: Geometry = { size: [4, 4, 4], spacingMm: [0.5, 0.9, 2], originMm: [-27, 20, 420], direction: rotation(8) };
    const { data } = resampleLinear(ramp, inner, 0);
    const toSource = physicalToVoxel(source.geometry);
    const toMm = voxelToPhysical(inner);
    data.forEach((value, i) => {
      const [x, y] = applyAffine(toSource, applyAffine(toMm, [i % 4, Math.floor(i / 4) % 4, Math.floor(i / 16)]));
      expect(value).toBeCloseTo(x + 2 * y, 4);
    });
  });

  it('gives the same by the quick and by the general way', () => {
    const volume = noise([12, 11, 10]);
    const grid = gridWithSpacing(volume.geometry, [1.1, 1.1, 1.1]);
    // turned by 0.2 degrees the grids are no longer parallel, but nearly
    const turned = { ...grid, direction: multiply3(rotation(1e-3), grid.direction) };
    const [quick, general] = [resampleLinear(volume, grid, 0).data, resampleLinear(volume, turned, 0).data];
    expect(Math.max(...quick.map((v, i) => Math.abs(v - general[i])))).toBeLessThan(0.01);
  });

  it('smooths before down-sampling: a fine checkerboard becomes its mean', () => {
    const geometry: Geometry = { size: [32, 32, 32], spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: RAS };
    const data = Float32Array.from({ length: 32 ** 3 }, (_, i) => (i + Math.floor(i / 32) + Math.floor(i / 1024)) % 2);
    const { data: coarse } = resampleLinear({ geometry, data }, gridWithSpacing(geometry, [4, 4, 4]), 0);
    expect(Math.max(...coarse.map((v) => Math.abs(v - 0.5)))).toBeLessThan(0.01);
  });
});

describe('smoothing', () => {
  it('keeps mass and spreads an impulse by sigma', () => {
    const geometry: Geometry = { size: [31, 31, 31], spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: RAS };
    const data = new Float32Array(31 ** 3);
    data[(15 * 31 + 15) * 31 + 15] = 1;
    const smooth = smoothGaussian({ geometry, data }, [2, 2, 0]).data;
    let [mass, variance] = [0, 0];
    smooth.forEach((v, i) => {
      mass += v;
      variance += v * ((i % 31) - 15) ** 2;
    });
    expect(mass).toBeCloseTo(1, 5);
    expect(Math.sqrt(variance)).toBeCloseTo(2, 1);
    expect(smooth[(14 * 31 + 15) * 31 + 15]).toBe(0);
  });
});

describe('crop, grids and statistics', () => {
  it('cropping keeps every voxel at its place', () => {
    const volume = noise([6, 7, 8], rotation(30));
    const cropped = cropPad(volume, [1, 2, 3], [4, 4, 4], 0);
    const at = applyAffine(voxelToPhysical(cropped.geometry), [1, 2, 3]);
    expect(valueAt(cropped, at)).toBe(valueAt(volume, at));
    expect(cropPad(volume, [-2, -2, -2], [3, 3, 3], 9).data[26]).toBe(volume.data[0]);
    expect(cropPad(volume, [100, 0, 0], [2, 2, 2], 9).data).toEqual(new Float32Array(8).fill(9));
    expect(centredStart([10, 4, 5], [4, 8, 4])).toEqual([3, -2, 0]);
  });

  it('tells flat directions from sheared ones, whatever the voxel size', () => {
    const withColumn = (z: Xyz, scale = 1): Matrix3 => [scale, 0, z[0], 0, 2, z[1], 0, 0, z[2]];
    expect(isFlat(withColumn([0, 0, 3]))).toBe(false);
    expect(isFlat(withColumn([9, 0, 1]))).toBe(false);
    expect(isFlat(withColumn([0, 0, -1e-3], 1e30))).toBe(false);
    expect(isFlat(withColumn([200, 0, 1]))).toBe(true);
    expect(isFlat(withColumn([0, 0, 0]))).toBe(true);
    expect(isFlat(withColumn([0, Number.NaN, 1]))).toBe(true);
  });

  it('maps voxels to millimetres and back, sheared grids too', () => {
    const geometry: Geometry = {
      size: [3, 3, 3],
      spacingMm: [2, 3, 4],
      originMm: [1, 2, 3],
      direction: [1, 0, 0.1, 0, 1, 0, 0, 0, 0.99],
    };
    const there = applyAffine(voxelToPhysical(geometry), [1, 2, 3]);
    applyAffine(physicalToVoxel(geometry), there).forEach((v, k) => {
      expect(v).toBeCloseTo(k + 1, 12);
    });
    const q = nearestOrthogonal(geometry.direction);
    multiply3(q, transpose3(q)).forEach((v, i) => {
      expect(v).toBeCloseTo(IDENTITY_3[i], 12);
    });
  });

  it('counts values that are not finite and gives exact percentiles of whole numbers', () => {
    const s = statisticsOf(Int16Array.from({ length: 101 }, (_, i) => i - 50));
    expect([s.min, s.max, s.percentile(0.01), s.percentile(0.5), s.percentile(1)]).toEqual([-50, 50, -49, 0, 50]);
    const odd = statisticsOf(Float32Array.of(1, Number.NaN, 3, Number.POSITIVE_INFINITY));
    expect([odd.min, odd.max, odd.nonFinite]).toEqual([1, 3, 2]);
  });

  it('gives exact percentiles of any numbers, beside outliers and at the ends of double precision', () => {
    const stream = randomStream(3, 'percentiles');
    const many = Float64Array.from({ length: 140_000 }, () => stream.uniform(100, 200));
    const outlier = many.slice();
    outlier[7] = 1e12;
    const equal = new Float32Array(70_000).fill(3);
    equal.set([-1e30, 3e38]);
    const twoDoubles = Float64Array.from({ length: 140_000 }, (_, i) => (i % 2 === 0 ? 1e6 : 1e6 + 2 ** -33));
    const tiny = Float64Array.from({ length: 140_000 }, (_, i) => (i % 3 === 0 ? 5e-324 : 0));
    const huge = Float64Array.of(-1.7e308, 1.7e308, 0, 1, 2, Number.NaN, Number.POSITIVE_INFINITY);
    const whole = Int32Array.from({ length: 1000 }, (_, i) => (i === 3 ? 2e9 : i));
    for (const values of [many, outlier, equal, twoDoubles, tiny, huge, whole, Float32Array.of(5)]) {
      const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
      for (const share of [0, 0.005, 0.3, 0.5, 0.995, 1]) {
        const place = share * (sorted.length - 1);
        const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
        expect(statisticsOf(values).percentile(share)).toBe(low + (place - Math.floor(place)) * (high - low));
      }
    }
  });

  it('counts values of 8 and 16 bits to the figures that their range and histogram give', () => {
    const stream = randomStream(2, 'counts');
    const ends = [
      [Int8Array, -128, 127],
      [Uint8Array, 0, 255],
      [Int16Array, -32768, 32767],
      [Uint16Array, 0, 65535],
    ] as const;
    for (const [Type, low, high] of ends)
      for (const length of [1, 2, 7, 1000]) {
        const narrow = length % 2 === 0;
        const values = Array.from({ length }, () => (narrow ? stream.integer(low, low + 30) : stream.integer(low, high + 1)));
        const [counted, ranged] = [statisticsOf(Type.from(values)), statisticsOf(Int32Array.from(values))];
        const figures = ({ min, max, mean, nonFinite, percentile }: typeof counted): number[] => [
          ...[min, max, mean, nonFinite],
          ...[0, 0.01, 0.25, 0.5, 0.99, 0.999, 1].map(percentile),
        ];
        expect(figures(counted)).toEqual(figures(ranged));
        expect(ranged.counts).toBeNull();
        const { counts } = counted;
        expect(counts!.values()).toEqual([...new Set(values)].sort((a, b) => a - b));
        expect(counts!.distinct).toBe(new Set(values).size);
        for (const value of [low, values[0], high]) expect(counts!.of(value)).toBe(values.filter((v) => v === value).length);
        expect(labelCodes(Type.from(values), [length, 1, 1], counts)).toEqual(labelCodes(Type.from(values), [length, 1, 1]));
      }
    expect(statisticsOf(new Int16Array())).toMatchObject({ min: 0, max: 0, mean: 0, counts: null });
  });

  it('tells label maps from images', () => {
    const blocks = Uint8Array.from({ length: 1000 }, (_, i) => [0, 3, 7][Math.floor((i % 10) / 4)]);
    expect(labelCodes(blocks, [10, 10, 10])).toEqual([0, 3, 7]);
    // thick slabs of small structures: half of the neighbours that are not background differ
    const coarse = Uint8Array.from({ length: 1000 }, (_, i) => [0, 3, 3, 7, 7, 9, 9, 4, 4, 0][i % 10]);
    expect(labelCodes(coarse, [10, 10, 10])).toEqual([0, 3, 4, 7, 9]);
    const stream = randomStream(1, 'labels');
    expect(
      labelCodes(
        Uint8Array.from({ length: 1000 }, () => stream.uniform() * 200),
        [10, 10, 10],
      ),
    ).toBeNull();
    expect(labelCodes(Float32Array.of(0, 0.5, 1, 2), [4, 1, 1])).toBeNull();
  });
});

describe('plane by plane', () => {
  const size: Xyz = [7, 6, 9];
  const volume = noise(size);

  it.each([
    ['z shrinks most', [5, 6, 3]],
    ['x and y shrink most', [3, 2, 8]],
    ['finer', [13, 6, 17]],
    ['along y alone', [7, 4, 9]],
    ['backwards', [4, -5, -4]],
  ] as [string, Xyz][])('separable operators give the sum of the products of their weights: %s', (_, outputs) => {
    const operators = outputs.map((count, axis) => {
      const n = Math.abs(count);
      const positions = Array.from({ length: n }, (_, k) => (n === size[axis] ? k : ((k + 0.3) * (size[axis] - 1)) / n));
      return interpolationOperator(size[axis], count < 0 ? positions.reverse() : positions, n < size[axis] ? 0.8 : 0);
    }) as [AxisOperator, AxisOperator, AxisOperator];
    const got = applySeparable(operators, planeReader(volume));
    const [a, b, c] = operators;
    let at = 0;
    for (let z = 0; z < c.outputs; z++)
      for (let y = 0; y < b.outputs; y++)
        for (let x = 0; x < a.outputs; x++) {
          let sum = 0;
          for (let k = 0; k < c.taps; k++)
            for (let j = 0; j < b.taps; j++)
              for (let i = 0; i < a.taps; i++)
                sum +=
                  c.weights[z * c.taps + k] *
                  b.weights[y * b.taps + j] *
                  a.weights[x * a.taps + i] *
                  volume.data[((c.starts[z] + k) * size[1] + b.starts[y] + j) * size[0] + a.starts[x] + i];
          expect(got[at++]).toBeCloseTo(sum, 5);
        }
    expect(got.length).toBe(at);
    if (outputs[0] === size[0] && outputs[2] === size[2]) expect(applyAlong(b, 1, volume.data, size)).toEqual(got);
  });

  it('sums are rounded where they always were: the bits of plain loops', () => {
    const random = randomStream(8, 'separable');
    for (let trial = 0; trial < 40; trial++) {
      const size: Xyz = [random.integer(1, 30), random.integer(1, 30), random.integer(1, 12)];
      const operators = size.map((n) => {
        const positions = Array.from({ length: random.integer(1, 34) }, () => random.uniform(-1, n));
        return interpolationOperator(n, positions, random.integer(0, 2) * 0.7);
      }) as [AxisOperator, AxisOperator, AxisOperator];
      const input = Float32Array.from({ length: voxelCount(size) }, () => random.uniform(-1e3, 1e3));
      // one axis at a time, as the file says: x rounds once, y and z after each term
      let values = input;
      const now = [...size];
      const order = [0, 1, 2].toSorted(
        (a, b) => operators[a].outputs / operators[a].inputs - operators[b].outputs / operators[b].inputs,
      );
      for (const axis of order) {
        const { outputs, taps, starts, weights } = operators[axis];
        const inner = now.slice(0, axis).reduce((a, b) => a * b, 1);
        const outer = now.slice(axis + 1).reduce((a, b) => a * b, 1);
        const out = new Float32Array(inner * outputs * outer);
        for (let o = 0; o < outer; o++)
          for (let k = 0; k < outputs; k++)
            for (let i = 0; i < inner; i++) {
              let sum = 0;
              for (let t = 0; t < taps; t++) {
                const weight = weights[k * taps + t];
                if (weight === 0 && axis > 0) continue;
                sum += weight * values[(o * now[axis] + starts[k] + t) * inner + i];
                if (axis > 0) sum = Math.fround(sum);
              }
              out[(o * outputs + k) * inner + i] = sum;
            }
        values = out;
        now[axis] = outputs;
      }
      expect(applySeparable(operators, planeReader({ data: input }))).toEqual(values);
    }
  });

  it('a volume of any order of axes is read as RAS, what is not finite replaced', () => {
    for (const direction of [IDENTITY_3, RAS, [0, 0, 1, 0, -1, 0, -1, 0, 0] as Matrix3, rotation(40)]) {
      const stored = noise(size, direction);
      stored.data[17] = Number.NaN;
      stored.data[101] = Number.NEGATIVE_INFINITY;
      const ras = reorientToRas(stored);
      const { geometry, read } = rasPlanes(stored, -5);
      expect(geometry).toEqual(ras.geometry);
      const plane = new Float32Array(geometry.size[0] * geometry.size[1]);
      for (const z of [geometry.size[2] - 1, 0, 2]) {
        read(z, plane);
        const want = ras.data.slice(z * plane.length, (z + 1) * plane.length);
        expect(plane).toEqual(want.map((value) => (Number.isFinite(value) ? value : -5)));
      }
    }
  });
});
