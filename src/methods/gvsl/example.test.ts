import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { applyDamage } from '../augmentation/damage/damage.ts';
import { applySpatial } from '../augmentation/spatial/spatial.ts';
import { type ExampleRequest, makeExample, planExample, replayExample } from './example.ts';

const PATCH: Zyx = [12, 16, 20];
const REQUEST: ExampleRequest = {
  seed: 1,
  step: 5,
  sample: 1,
  sizes: [
    [20, 20, 24],
    [18, 22, 24],
    [16, 16, 30],
  ],
  patch: PATCH,
  jitterVoxels: 2,
};
/** A crop that says whose it is and where it lies. */
const readCrop = (subject: number, start: Zyx, size: Zyx): Float32Array => {
  const stream = randomStream(subject, ...start);
  return Float32Array.from({ length: voxelCount(size) }, () => stream.uniform());
};

describe('mirrored pairs', () => {
  const sizes: Zyx[] = [
    [20, 20, 20],
    [22, 20, 21],
    [20, 24, 20],
  ];
  it.each(['shared', 'independent'] as const)('are the pair before, the other way round, with %s transformations', (spatial) => {
    const [first, second] = [2, 3].map((sample) =>
      planExample({ seed: 3, step: 5, sizes, patch: [16, 16, 16], mirrored: true, sample, spatial }),
    );
    expect(second.pair).toEqual({ moving: first.pair.fixed, fixed: first.pair.moving });
    expect(second.damage).not.toEqual(first.damage);
    if (spatial === 'shared') expect(second.spatial).toEqual(first.spatial);
    else expect(second.spatial).toEqual({ moving: first.spatial!.fixed, fixed: first.spatial!.moving });
  });
});

describe('makeExample', () => {
  it('depends on seed, step and sample alone, and replays from its plan after JSON', async () => {
    const example = await makeExample(readCrop, REQUEST);
    expect(await makeExample(async (...crop) => readCrop(...crop), REQUEST)).toEqual(example);
    for (const other of [{ seed: 2 }, { step: 6 }, { sample: 0 }]) {
      const another = await makeExample(readCrop, { ...REQUEST, ...other });
      expect(another.moving).not.toEqual(example.moving);
      expect(another.plan.damage).not.toEqual(example.plan.damage);
    }
    const replayed = await replayExample(readCrop, PATCH, JSON.parse(JSON.stringify(example.plan)));
    expect(replayed).toEqual(example);
  });

  it('damages clean A, then transforms clean A, damaged A and B alike', async () => {
    const { moving, movingView, fixed, plan } = await makeExample(readCrop, REQUEST);
    const clean = readCrop(plan.pair.moving.subject, plan.pair.moving.start, PATCH);
    const other = readCrop(plan.pair.fixed.subject, plan.pair.fixed.start, PATCH);
    expect(plan.pair.moving.subject).not.toBe(plan.pair.fixed.subject);
    expect(plan.spatial!.fixed).toBeUndefined();
    const images = [clean, applyDamage(clean, PATCH, plan.damage!), other];
    expect(applySpatial(images, PATCH, plan.spatial!.moving).images).toEqual([moving, movingView, fixed]);
    expect(movingView).not.toEqual(moving);
  });

  it('transforms A and B each in its own way where asked to', async () => {
    const { fixed, plan } = await makeExample(readCrop, { ...REQUEST, spatial: 'independent' });
    const other = readCrop(plan.pair.fixed.subject, plan.pair.fixed.start, PATCH);
    expect(plan.spatial!.fixed).not.toEqual(plan.spatial!.moving);
    expect(applySpatial([other], PATCH, plan.spatial!.fixed!).images[0]).toEqual(fixed);
  });

  it('gives the crops themselves with everything off, and the other parts the same draws with one part off', async () => {
    const { moving, movingView, fixed, plan } = await makeExample(readCrop, { ...REQUEST, damage: false, spatial: false });
    expect(moving).toEqual(readCrop(plan.pair.moving.subject, plan.pair.moving.start, PATCH));
    expect(movingView).toEqual(moving);
    expect(fixed).toEqual(readCrop(plan.pair.fixed.subject, plan.pair.fixed.start, PATCH));
    const whole = planExample(REQUEST);
    expect(planExample({ ...REQUEST, spatial: false }).damage).toEqual(whole.damage);
    expect(planExample({ ...REQUEST, damage: false }).spatial).toEqual(whole.spatial);
    expect(planExample({ ...REQUEST, spatial: 'independent' }).spatial!.moving).toEqual(whole.spatial!.moving);
  });
});
