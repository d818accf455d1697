import { expect, it } from 'vitest';
import { resultName } from './image-names.ts';

const named = (...titles: string[]): string[] => {
  const images = titles.map((title) => ({ title, name: title.split(' + ')[0].split('/').at(-1)!.replace('.nii.gz', '') }));
  return images.map((image) => resultName(image, images));
};

it('names results of images of one name after the folders in which they differ', () => {
  expect(named('a/scan/image.nii.gz', 'b/scan/image.nii.gz')).toEqual(['a_image', 'b_image']);
  expect(named('all/a/1/image.nii.gz', 'all/a/2/image.nii.gz', 'all/b/1/image.nii.gz')).toEqual([
    'a_1_image',
    'a_2_image',
    'b_1_image',
  ]);
  expect(named('a/image.nii.gz', 'image.nii.gz')).toEqual(['a_image', 'image']);
  expect(named('a/Image.nii.gz', 'b/image.nii.gz')).toEqual(['a_Image', 'b_image']);
  expect(named('a/x.nii.gz + a/y.nii.gz', 'b/x.nii.gz')).toEqual(['a_x', 'b_x']);
});

it('leaves the names of others, and of a file that is open twice, as they are', () => {
  expect(named('a/one.nii.gz', 'b/two.nii.gz', 'three.nii.gz')).toEqual(['one', 'two', 'three']);
  expect(named('image.nii.gz', 'image.nii.gz')).toEqual(['image', 'image']);
});
