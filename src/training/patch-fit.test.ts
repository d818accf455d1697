import { expect, it } from 'vitest';
import { subjectOf } from '../methods/testing/subjects.ts';
import { patchWarnings } from './patch-fit.ts';

it('warns of patches that are mostly padding', () => {
  const subjects = [subjectOf('a', [35, 50, 36]), subjectOf('b', [40, 40, 40])];
  expect(patchWarnings([32, 48, 32], subjects)).toEqual([]);
  expect(patchWarnings([48, 64, 48], subjects)).toEqual([
    expect.stringContaining('`data.patch` 48 x 64 x 48: 57 % of a patch is padding'),
  ]);
  expect(patchWarnings([128, 128, 128], subjects)[0]).toMatch(/97 % .* the largest image has \d+ x 50 x \d+ voxels \(z, y, x\)/);
  expect(patchWarnings([128, 128, 128], [])).toEqual([]);
});
