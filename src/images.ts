/**
 * `gvsl/images`: what a volume is and where it lies in the patient, NIfTI as bytes, resampling, pictures, and synthetic patients.
 *
 * Runs anywhere: Node, browsers, workers. Nothing here imports Node or the DOM (`.nii.gz` is read through `DecompressionStream`, which all of
 * them have). Files and folders of every format, DICOM series among them, are read and written by `gvsl` in Node.
 *
 * Positions are in millimetres in ITK's and DICOM's frame, LPS; voxels lie x fastest.
 *
 * @module gvsl/images
 */

export { MisfitError, type PreparedImage, prepareImage } from './cohort/prepare-image.ts';
export type { PrepareOptions } from './cohort/prepare-options.ts';
export {
  type Affine,
  applyAffine,
  composeAffine,
  geometryOf,
  invertAffine,
  physicalToVoxel,
  voxelToPhysical,
} from './geometry/affine.ts';
export { cropPad } from './geometry/crop.ts';
export { orientationCode, reorientToRas } from './geometry/orientation.ts';
export { gridWithSpacing, resampleLinear, resampleNearest } from './geometry/resample.ts';
export { smoothGaussian } from './geometry/smooth.ts';
export {
  type Geometry,
  type Matrix3,
  toXyz,
  toZyx,
  type Volume,
  type VoxelArray,
  voxelCount,
  type Xyz,
  type Zyx,
} from './geometry/volume.ts';
export type { LoadedImage } from './images/loaded-image.ts';
export { readNiftiFile, writeNiftiFile } from './images/nifti-file.ts';
export { featurePicture } from './images/pictures/feature-picture.ts';
export { type MatchedPair, pairPicture } from './images/pictures/pair-picture.ts';
export type { Picture } from './images/pictures/picture.ts';
export { encodePng } from './images/pictures/png.ts';
export { segmentationPicture } from './images/pictures/segmentation-picture.ts';
export { PHANTOM_KINDS, type PhantomKind } from './phantom/kinds.ts';
export { labelsOf, renderSubject, type Subject as PhantomSubject, type SubjectRequest } from './phantom/subject.ts';
