import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { type ExampleRequest, makeExample } from './example.ts';
import { knownPose } from './known-pose.ts';

const PATCH: Zyx = [20, 24, 28];
const SIZE: Zyx = [40, 44, 48];
const REQUEST: ExampleRequest = {
  seed: 1,
  step: 0,
  sample: 0,
  sizes: [SIZE, SIZE],
  patch: PATCH,
  jitterVoxels: 3,
  damage: false,
  spatialOptions: {
    rotationRadians: 0.2,
    scale: [0.9, 1.1],
    shearRadians: 0.1,
    translationShare: 0.05,
    elasticAlphaVoxels: [0, 0],
  },
};
/** A smooth image without bounds, the same for both subjects. */
const imageAt = (z: number, y: number, x: number): number =>
  Math.sin(z / 5 + x / 9) + Math.cos(y / 6 - z / 8) + Math.sin((x + y) / 7);
const readCrop = (_: number, [z0, y0, x0]: Zyx, size: Zyx): Float32Array => {
  const [, height, width] = size;
  return Float32Array.from({ length: voxelCount(size) }, (_, i) =>
    imageAt(z0 + Math.floor(i / (height * width)), y0 + (Math.floor(i / width) % height), x0 + (i % width)),
  );
};

/** Largest difference of B and A under the pose, where what is shown of both comes from inside their crops; and under the identity. */
async function residues(
  request: ExampleRequest,
): Promise<{ laid: number; before: number; pose: Float32Array; compared: number }> {
  const { moving, fixed, plan } = await makeExample(readCrop, request);
  const pose = knownPose(plan, request);
  const inside = await makeExample((_, __, size) => new Float32Array(voxelCount(size)).fill(1), request);
  const [depth, height, width] = PATCH;
  const index = (z: number, y: number, x: number): number => (z * height + y) * width + x;
  const found = { laid: 0, before: 0, compared: 0, pose };
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const p = [x - (width - 1) / 2, y - (height - 1) / 2, z - (depth - 1) / 2];
        const [qx, qy, qz] = [0, 1, 2].map(
          (row) => pose[4 * row] * p[0] + pose[4 * row + 1] * p[1] + pose[4 * row + 2] * p[2] + pose[4 * row + 3],
        );
        const [fx, fy, fz] = [qx + (width - 1) / 2, qy + (height - 1) / 2, qz + (depth - 1) / 2];
        const i = index(z, y, x);
        if (inside.fixed[i] < 0.999 || fx < 1 || fy < 1 || fz < 1 || fx > width - 2 || fy > height - 2 || fz > depth - 2)
          continue;
        const [x0, y0, z0] = [fx, fy, fz].map(Math.floor);
        let sum = 0;
        let outside = false;
        for (let n = 0; n < 8; n++) {
          const [dz, dy, dx] = [n >> 2, (n >> 1) & 1, n & 1];
          const from = index(z0 + dz, y0 + dy, x0 + dx);
          outside ||= inside.moving[from] < 0.999;
          sum += (1 - Math.abs(fz - z0 - dz)) * (1 - Math.abs(fy - y0 - dy)) * (1 - Math.abs(fx - x0 - dx)) * moving[from];
        }
        if (outside) continue;
        found.laid = Math.max(found.laid, Math.abs(sum - fixed[i]));
        found.before = Math.max(found.before, Math.abs(moving[i] - fixed[i]));
        found.compared++;
      }
  return found;
}

describe('knownPose', () => {
  it.each([0, 1, 2, 3, 4])('lays one image onto itself in another pose, pair %i', async (step) => {
    const request: ExampleRequest = { ...REQUEST, step, spatial: 'independent' };
    const { laid, before, compared } = await residues(request);
    expect(compared).toBeGreaterThan(1000);
    expect(before).toBeGreaterThan(0.5);
    expect(laid).toBeLessThan(0.1);
  });

  it('is the jitter where both images are transformed alike, seen through that transformation', async () => {
    const request: ExampleRequest = { ...REQUEST, spatial: 'shared' };
    const { pose, laid } = await residues(request);
    expect([0, 5, 10].map((i) => pose[i])).toEqual([expect.closeTo(1, 5), expect.closeTo(1, 5), expect.closeTo(1, 5)]);
    expect(laid).toBeLessThan(0.1);
  });

  it('of a pair the other way round is the inverse', async () => {
    const request = (sample: number): ExampleRequest => ({ ...REQUEST, spatial: 'independent', mirrored: true, sample });
    const [there, back] = await Promise.all(
      [0, 1].map(async (sample) => knownPose((await makeExample(readCrop, request(sample))).plan, request(sample))),
    );
    const apply = (pose: Float32Array, [x, y, z]: readonly number[]): number[] =>
      [0, 1, 2].map((row) => pose[4 * row] * x + pose[4 * row + 1] * y + pose[4 * row + 2] * z + pose[4 * row + 3]);
    const stream = randomStream(7);
    const point = [0, 1, 2].map(() => stream.uniform(-10, 10));
    expect(apply(back, apply(there, point))).toEqual(point.map((value) => expect.closeTo(value, 4)));
  });
});
