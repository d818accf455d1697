import { afterAll, describe, expect, it } from 'vitest';
import { applyAffine, voxelToPhysical } from '../../geometry/affine.ts';
import { IDENTITY_3, type Volume, type Xyz } from '../../geometry/volume.ts';
import { ALL_HEADS, type Heads } from '../../model/architecture.ts';
import { tinyModel } from '../../model/node/interchange/testing/tiny-model.ts';
import { renderSubject } from '../../phantom/subject.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { type Model, openModel } from '../model.ts';
import { trainedNetwork } from '../network.ts';
import { Correspondence } from './correspondence.ts';
import { localFeatureMap } from './feature-map.ts';

const open: Model[] = [];
async function modelWith(heads: Partial<Heads>): Promise<Model> {
  const { model } = tinyModel(heads, {
    preprocessing: { modality: 'ct', spacingMm: [10, 10, 10], intensity: 'minmax', crop: 'none' },
    patch: [16, 16, 16],
  });
  const opened = openModel(trainedNetwork('tiny', model.configuration, model.parameters), await createBackend('cpu', 1));
  open.push(opened);
  return opened;
}
afterAll(async () => {
  for (const model of open) await model.close();
});
const heart = (subject: number): Volume => renderSubject({ kind: 'heart-ct', seed: 3, subject, spacingMm: 10 }).image;
const near = (a: Xyz, b: Xyz): number => Math.hypot(...a.map((value, k) => value - b[k]));

describe('Correspondence', () => {
  it('finds in an image itself the voxel that is asked for', async () => {
    const image = heart(1);
    const found = await (await modelWith({ restoration: true })).correspond(image, image);
    const { geometry } = found.images.fixed.local;
    const point = applyAffine(voxelToPhysical(geometry), [10, 9, 8]);
    for (const kind of ['local', 'global'] as const) {
      const answer = found.at('fixed', point, kind)!;
      expect(answer.best.similarity).toBeCloseTo(1, 5);
      // beyond the centres of the outer boxes, global features are the same
      if (kind === 'local') expect(near(answer.best.position, point)).toBeLessThan(1e-3);
      expect(near(answer.asked, point)).toBeLessThan(1e-3);
      // no matching head, no field
      expect([answer.field, answer.distanceMm]).toEqual([null, null]);
    }
    expect(found.at('fixed', [1e4, 0, 0])).toBe(null);
  });

  it('has the features of `embed` and the field of `register`, there and back', async () => {
    const model = await modelWith(ALL_HEADS);
    const [fixed, moving] = [heart(1), heart(2)];
    const units: string[] = [];
    const found = await model.correspond(moving, fixed, {
      progress: ({ unit, done }) => {
        if (done === 0) units.push(unit);
      },
    });
    expect(units).toEqual(['windows', 'windows', 'tiles']);
    const registered = await model.register(moving, fixed);
    const point = applyAffine(voxelToPhysical(found.images.fixed.local.geometry), [12, 10, 7]);
    const there = found.mapPoint('fixed', point)!;
    expect(near(there, registered.mapPoint(point))).toBeLessThan(1e-9);
    expect(near(found.mapPoint('moving', there)!, point)).toBeLessThan(0.01);
    const answer = found.at('fixed', point)!;
    expect(answer.distanceMm).toBeCloseTo(near(there, answer.best.position), 9);
    // the similarity at the field's answer is that of its voxel
    const { local, geometry } = await model.embed(moving);
    const embedded = localFeatureMap(geometry, local!.shape[0], local!.data);
    const feature = found.images.fixed.local.featureOf([12, 10, 7]);
    expect(answer.similarity.data).toEqual(embedded.similarities(feature));
    expect(answer.similarity.data).toContain(answer.field!.similarity);
  });

  it('looks for matches outside air alone', () => {
    const geometry = { size: [3, 1, 1], spacingMm: [2, 2, 2], originMm: [0, 0, 0], direction: IDENTITY_3 } as const;
    const local = localFeatureMap(geometry, 1, Float32Array.of(1, -1, 1));
    const image = { local, global: local, seen: Float32Array.of(0, 0.5, 0.5) };
    const { best } = new Correspondence({ fixed: image, moving: image }, null).at('moving', [0.4, 0, 0])!;
    expect(best).toEqual({ position: [4, 0, 0], similarity: 1 });
  });
});
