import { expect, it } from 'vitest';
import { studyRunsOf } from './study-table.ts';

it('finds the trainings of a cell whatever their seeds, and no other cell', () => {
  const paths = ['7', '12', '3'].map((seed) => `a/runs/mae-linear-4-seed${seed}`);
  const others = [
    'a/runs/mae-linear-all-seed7',
    'a/runs/mae-linear-4-seed7/last',
    'b/runs/mae-linear-4-seed7',
    'a/runs/my-mae-linear-4-seed7',
  ];
  expect(studyRunsOf([...others, ...paths], 'a/runs', 'mae', 'linear', 4)).toEqual(paths);
});
