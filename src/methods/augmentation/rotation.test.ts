import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { applyRotation, ROTATIONS, sampleRotation } from './rotation.ts';
import { applySpatial, IDENTITY_SPATIAL } from './spatial/spatial.ts';
import { noiseImage, numberedImage, throughJson } from './testing/images.ts';

const SIZE: Zyx = [5, 5, 5];
const classOf = (axis: 'x' | 'y' | 'z', degrees: number): number =>
  ROTATIONS.findIndex((rotation) => rotation.axis === axis && rotation.degrees === degrees);

describe('rotation', () => {
  it('has ten classes, the identity first, each as likely as any other', () => {
    expect(ROTATIONS.map(({ axis, degrees }) => `${axis ?? ''}${degrees}`)).toEqual([
      '0',
      'x90',
      'x180',
      'x270',
      'y90',
      'y180',
      'y270',
      'z90',
      'z180',
      'z270',
    ]);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 5000; i++) counts[sampleRotation(randomStream(i, 'rotation')).class]++;
    for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(90);
  });

  it('turns what lies along x to y about z, y to z about x, z to x about y', () => {
    const size: Zyx = [3, 3, 3];
    /** A cube with a 1 one voxel beside the centre, (z, y, x). */
    const beside = (z: number, y: number, x: number): Float32Array =>
      Float32Array.from({ length: 27 }, (_, i) => (i === 13 + 9 * z + 3 * y + x ? 1 : 0));
    expect(applyRotation(beside(0, 0, 1), size, { class: classOf('z', 90) })).toEqual(beside(0, 1, 0));
    expect(applyRotation(beside(0, 1, 0), size, { class: classOf('z', 90) })).toEqual(beside(0, 0, -1));
    expect(applyRotation(beside(0, 1, 0), size, { class: classOf('x', 90) })).toEqual(beside(1, 0, 0));
    expect(applyRotation(beside(1, 0, 0), size, { class: classOf('y', 90) })).toEqual(beside(0, 0, 1));
    expect(applyRotation(beside(1, 0, 0), size, { class: classOf('y', 270) })).toEqual(beside(0, 0, -1));
    expect(applyRotation(beside(1, 1, 0), size, { class: classOf('z', 180) })).toEqual(beside(1, -1, 0));
  });

  it('is the spatial transformation by the same angle, but exact', () => {
    const image = noiseImage(SIZE);
    (['x', 'y', 'z'] as const).forEach((axis, k) => {
      for (const degrees of [90, 180, 270]) {
        const rotationRadians = [0, 0, 0].map((_, i) => (i === k ? (-degrees / 180) * Math.PI : 0)) as [number, number, number];
        const near = applySpatial([image], SIZE, { ...IDENTITY_SPATIAL, rotationRadians }).images[0];
        const exact = applyRotation(image, SIZE, { class: classOf(axis, degrees) });
        // inside: at the border rounding may put a position outside
        near.forEach((value, i) => {
          const inside = [Math.floor(i / 25), Math.floor(i / 5) % 5, i % 5].every((at) => at > 0 && at < 4);
          if (inside) expect(Math.abs(value - exact[i])).toBeLessThan(1e-5);
        });
      }
    });
  });

  it('permutes the voxels; ten classes give ten images; turns add up to the whole one', () => {
    for (const size of [SIZE, [4, 4, 4], [1, 1, 1]] as Zyx[]) {
      const image = numberedImage(size);
      const turned = ROTATIONS.map((_, i) => applyRotation(image, size, { class: i }));
      for (const one of turned) expect(one.toSorted()).toEqual(image);
      expect(turned[0]).toEqual(image);
      if (image.length > 1) expect(new Set(turned.map((one) => one.join())).size).toBe(10);
      for (const axis of ['x', 'y', 'z'] as const) {
        const turn = (of: Float32Array, degrees: number) => applyRotation(of, size, { class: classOf(axis, degrees) });
        expect(turn(turn(image, 90), 90)).toEqual(turn(image, 180));
        expect(turn(turn(image, 180), 90)).toEqual(turn(image, 270));
        expect(turn(turn(image, 270), 90)).toEqual(image);
      }
    }
  });

  it('is the same again from the plan after JSON, and leaves its input alone', () => {
    const image = noiseImage(SIZE);
    const plan = sampleRotation(randomStream(4));
    expect(applyRotation(image, SIZE, throughJson(plan))).toEqual(applyRotation(image, SIZE, plan));
    expect(sampleRotation(randomStream(4))).toEqual(plan);
    expect(image).toEqual(noiseImage(SIZE));
  });

  it('refuses what is not a cube, and says what it expected', () => {
    expect(() => applyRotation(new Float32Array(60), [3, 4, 5], { class: 0 })).toThrow('expected a cube');
    expect(() => applyRotation(new Float32Array(60), [3, 4, 5], { class: 0 })).toThrow('got shape [3, 4, 5]');
    expect(() => applyRotation(new Float32Array(5), [2, 2, 2], { class: 0 })).toThrow(
      'expected 8 values for shape [2, 2, 2], got 5',
    );
    expect(() => applyRotation(new Float32Array(8), [2, 2, 2], { class: 10 })).toThrow('expected a class from 0 to 9, got 10');
  });
});
