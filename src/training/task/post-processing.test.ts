import { describe, expect, it } from 'vitest';
import type { Task } from '../../model/configuration.ts';
import { CANDIDATES, candidateDice, choosePostProcessing, describeRules, rulesOf } from './post-processing.ts';

const task: Extract<Task, { kind: 'segmentation' }> = {
  kind: 'segmentation',
  labels: [0, 4, 9].map((code) => ({ code, name: `structure ${code}` })),
  patch: [16, 16, 16],
};
/** A row of voxels of 2 mm3. */
const dice = (predicted: readonly number[], truth: readonly number[]) =>
  candidateDice(
    Uint16Array.from(predicted),
    Uint16Array.from(truth),
    { size: [predicted.length, 1, 1], spacingMm: [2, 1, 1] },
    3,
  );

describe('post-processing', () => {
  it('knows the Dice of every candidate without making its label map', () => {
    const [first, second] = dice([1, 1, 1, 0, 1, 0, 0, 2], [1, 1, 1, 0, 0, 0, 0, 2]);
    expect(first[0]).toBeCloseTo(6 / 7, 12);
    expect(first[1]).toBe(1);
    const at = (mm3: number): number => CANDIDATES.findIndex(({ minVolumeMm3 }) => minVolumeMm3 === mm3);
    expect([first[at(2)], first[at(5)], first[at(10)]]).toEqual([6 / 7, 1, 0]);
    expect([second[0], second[1], second[at(5)]]).toEqual([1, 1, 0]);
    expect(dice([0, 0], [0, 0])[0][0]).toBe(null);
  });

  it('keeps what helps, for each structure by itself', () => {
    const subjects = [
      dice([1, 1, 1, 0, 1, 0, 0, 2], [1, 1, 1, 0, 0, 0, 0, 2]),
      // the second part of structure 2 is right
      dice([1, 1, 0, 0, 2, 2, 0, 2], [1, 1, 0, 0, 2, 2, 0, 2]),
    ];
    const found = choosePostProcessing(subjects, task);
    expect(rulesOf(found)).toEqual([{ code: 4, keepLargest: true, minVolumeMm3: 0 }]);
    expect(describeRules(found)).toEqual(['structure 4: only the largest part (Dice 0.9286 to 1.0000)']);
    expect(rulesOf(choosePostProcessing([dice([1, 0], [1, 0])], task))).toBe(undefined);
  });

  it('takes what is found where nothing is for wrong', () => {
    const found = choosePostProcessing([dice([2, 0, 0], [0, 0, 0]), dice([0, 2, 2, 2], [0, 2, 2, 2])], task);
    expect(found[1]).toMatchObject({ before: 0.5, after: 1 });
    expect(rulesOf(found)).toEqual([{ code: 9, keepLargest: false, minVolumeMm3: 5 }]);
  });
});
