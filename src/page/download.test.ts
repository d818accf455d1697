import { expect, it } from 'vitest';
import { uniqueName } from './download.ts';

it('gives files of one zip names of their own, since images of different folders may have one name', () => {
  const files: Record<string, number> = {};
  for (const stem of ['a_labels', 'b_labels', 'a_labels', 'a_labels']) files[uniqueName(files, stem, '.nii.gz')] = 0;
  expect(Object.keys(files)).toEqual(['a_labels.nii.gz', 'b_labels.nii.gz', 'a_labels_2.nii.gz', 'a_labels_3.nii.gz']);
});
