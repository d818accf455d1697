import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { outPaint } from './damage/out-painting.ts';
import { NO_FLIP } from './flips.ts';
import { applyModelsGenesis, type ModelsGenesisPlan, sampleModelsGenesis } from './models-genesis.ts';
import { AWKWARD_SIZES, inUnit, isSame, meanOf, noiseImage, numberedImage, shareOf, throughJson } from './testing/images.ts';

const SIZE: Zyx = [28, 42, 35];
const NO_DAMAGE = { shuffling: null, intensity: null, inPainting: null };

describe("Models Genesis' damage", () => {
  const plans = Array.from({ length: 4000 }, (_, i) => sampleModelsGenesis(randomStream(i, 'plans'), SIZE));

  it('has the probabilities of the specification', () => {
    const expectShare = (holds: (plan: ModelsGenesisPlan) => unknown, expected: number): void =>
      expect(Math.abs(shareOf(plans, holds) - expected)).toBeLessThan(0.025);
    for (const axis of [0, 1, 2]) expectShare((plan) => plan.flip[axis], 0.4);
    expectShare((plan) => plan.flip.every(Boolean), 0.4 ** 3);
    expectShare((plan) => plan.damage.intensity, 0.9);
    expectShare((plan) => plan.damage.intensity?.descending, 0.45);
    expectShare((plan) => plan.damage.shuffling, 0.5);
    expectShare((plan) => plan.outPainting, 0.9 * 0.8);
    // in-painting has no box with probability 0.05
    expectShare((plan) => plan.damage.inPainting, 0.9 * 0.2 * 0.95);
    expect(plans.some((plan) => plan.outPainting && plan.damage.inPainting)).toBe(false);
  });

  it("has the authors' sizes: windows of 3/7 to 4/7 of a side, holes of a sixth to a third, three voxels from the border", () => {
    const boxesOf = (of: (plan: ModelsGenesisPlan) => readonly { start: Zyx; size: Zyx }[] | undefined) =>
      plans.flatMap((plan) => of(plan) ?? []);
    const range = (values: readonly number[]): [number, number] => [
      values.reduce((a, b) => Math.min(a, b)),
      values.reduce((a, b) => Math.max(a, b)),
    ];
    const windows = boxesOf((plan) => plan.outPainting?.windows);
    const holes = boxesOf((plan) => plan.damage.inPainting?.boxes);
    SIZE.forEach((n, axis) => {
      expect(range(windows.map(({ size }) => size[axis]))).toEqual([(3 * n) / 7, (4 * n) / 7]);
      expect(range(holes.map(({ size }) => size[axis]))).toEqual([Math.floor(n / 6), Math.floor(n / 3)]);
      for (const boxes of [windows, holes]) {
        expect(range(boxes.map(({ start }) => start[axis]))[0]).toBe(3);
        expect(range(boxes.map(({ start, size }) => start[axis] + size[axis]))[1]).toBe(n - 3);
      }
    });
    expect(range(plans.flatMap((plan) => plan.outPainting?.windows.length ?? []))).toEqual([1, 5]);
    expect(range(plans.flatMap((plan) => plan.damage.inPainting?.boxes.length ?? []))).toEqual([1, 5]);
    const { shuffling } = plans.find((plan) => plan.damage.shuffling)!.damage;
    expect(shuffling).toMatchObject({ boxes: 10_000, least: [2, 2, 2], most: [2, 4, 3] });
  });

  it('out-paints with uniform noise everywhere but inside the windows', () => {
    const image = new Float32Array(voxelCount(SIZE)).fill(-1);
    outPaint(image, SIZE, {
      windows: [
        { start: [3, 4, 5], size: [10, 12, 14] },
        { start: [4, 4, 5], size: [10, 12, 14] },
      ],
      seed: 2,
    });
    const kept = image.filter((value) => value === -1);
    expect(kept.length).toBe(11 * 12 * 14);
    expect(image[(3 * 42 + 4) * 35 + 5]).toBe(-1);
    const noise = image.filter((value) => value !== -1);
    expect(noise.every((value) => value >= 0 && value < 1)).toBe(true);
    expect(Math.abs(meanOf(noise) - 0.5)).toBeLessThan(0.01);
  });

  it('asks for the flipped clean image', () => {
    const image = numberedImage([2, 2, 3]);
    const plan: ModelsGenesisPlan = { flip: [true, false, true], damage: NO_DAMAGE, outPainting: null };
    const { view, target } = applyModelsGenesis(image, [2, 2, 3], plan);
    expect([...target]).toEqual([8, 7, 6, 11, 10, 9, 2, 1, 0, 5, 4, 3]);
    expect(view).toEqual(target);
    // the damage is done to the flipped image
    const flipped = { ...plans.find((one) => one.outPainting)!, flip: [true, true, false] as const };
    const painted = applyModelsGenesis(noiseImage(SIZE), SIZE, { ...flipped, damage: NO_DAMAGE });
    const { start } = flipped.outPainting!.windows[0];
    const corner = (start[0] * SIZE[1] + start[1]) * SIZE[2] + start[2];
    expect(painted.view[corner]).toBe(painted.target[corner]);
    expect(painted.view[0]).not.toBe(painted.target[0]);
  });

  it('turns dark to bright on a curve that falls', () => {
    const image = Float32Array.of(0, 0.2, 0.6, 1);
    const points = [
      [0.2, 0.4],
      [0.5, 0.6],
    ] as const;
    const of = (descending: boolean) =>
      applyModelsGenesis(image, [1, 1, 4], {
        flip: NO_FLIP,
        damage: { ...NO_DAMAGE, intensity: descending ? { points, descending } : { points } },
        outPainting: null,
      }).view;
    const [rising, falling] = [of(false), of(true)];
    expect([falling[0], falling[3]]).toEqual([1, 0]);
    falling.forEach((value, i) => {
      expect(value).toBeCloseTo(1 - rising[i], 6);
    });
  });

  it('is the same again from the seed, and from the plan after JSON; the image given is left alone; any size will do', () => {
    for (const size of [SIZE, ...AWKWARD_SIZES]) {
      const image = noiseImage(size);
      for (let seed = 0; seed < 8; seed++) {
        const plan = sampleModelsGenesis(randomStream(seed, 'a'), size);
        const example = applyModelsGenesis(image, size, plan);
        expect(isSame(image, noiseImage(size))).toBe(true);
        expect(sampleModelsGenesis(randomStream(seed, 'a'), size)).toEqual(plan);
        const again = applyModelsGenesis(image, size, throughJson(plan));
        expect(isSame(again.view, example.view) && isSame(again.target, example.target)).toBe(true);
        expect(inUnit(example.view)).toBe(true);
        expect(isSame(example.target.toSorted(), image.toSorted())).toBe(true);
        expect(example.view).not.toBe(example.target);
      }
    }
  });

  it('can be switched off part by part, and says what it expected', () => {
    const off = { flipProbability: 0, intensityProbability: 0, shufflingProbability: 0, paintingProbability: 0 };
    const plan = sampleModelsGenesis(randomStream(1), SIZE, off);
    expect(plan).toEqual({ flip: NO_FLIP, damage: NO_DAMAGE, outPainting: null });
    expect(isSame(applyModelsGenesis(noiseImage(SIZE), SIZE, plan).view, noiseImage(SIZE))).toBe(true);
    expect(() => applyModelsGenesis(new Float32Array(5), [1, 2, 3], plan)).toThrow(
      'expected 6 values for shape [1, 2, 3], got 5',
    );
  });
});
