/**
 * `gvsl/apply`: a trained model on volumes in memory: segment, classify, embed, register, compare by features.
 *
 * Runs anywhere: Node, browsers, workers. Nothing here imports Node or the DOM. A model is made of the contents of its two files
 * (`networkOfFiles`) and a backend of `gvsl/engine`; in Node, `load` of `gvsl` reads a folder, and takes files as images too.
 *
 * @module gvsl/apply
 */

export type { WorkOptions } from './apply/call-options.ts';
export type { ClassifyResult } from './apply/classification.ts';
export type { EmbedResult } from './apply/embedding/embed.ts';
export { tsne } from './apply/embedding/tsne.ts';
export {
  type ImageOptions,
  Model,
  openModel,
  type PrepareImage,
  type SegmentOptions,
  type SegmentResult,
} from './apply/model.ts';
export {
  type AvailableMemory,
  filesOfNetwork,
  type MemoryLimits,
  type Modality,
  type ModelFiles,
  networkOfFiles,
  OpenNetwork,
  type TrainedNetwork,
  trainedNetwork,
  type Window,
  type WindowOptions,
} from './apply/network.ts';
export {
  MIRROR_AXES,
  type MirrorAxis,
  type PredictionOptions,
  UNCERTAINTIES,
  type Uncertainty,
} from './apply/prediction-options.ts';
export {
  type RegisterOptions,
  type RegisterResult,
  type RegisterVolumesOptions,
  registerVolumes,
} from './apply/registration/in-memory.ts';
export type { InverseError } from './apply/registration/inverse.ts';
export type { RefineLoss, RegistrationOptions, Similarity, Start as RegistrationStart } from './apply/registration/options.ts';
export type { PhysicalMap, VectorField } from './apply/registration/physical-map.ts';
export type { Masks } from './apply/registration/refine.ts';
export {
  applyPostProcessing,
  type PostProcessingOptions,
  type PostProcessingRule,
} from './apply/segmentation/post-processing.ts';
export { type SlidingWindowRequest, slideWindows } from './apply/segmentation/sliding-window.ts';
export type { Structure } from './apply/segmentation/structures.ts';
export {
  type ComparedImage,
  Correspondence,
  type CorrespondOptions,
  type FeatureKind,
  type PointAnswer,
  type Side,
} from './apply/similarity/correspondence.ts';
export { type CoarseFeatures, type FeatureMap, globalFeatureMap, localFeatureMap } from './apply/similarity/feature-map.ts';
export { type Choice, type Choices, chooseNext, standardised } from './apply/suggestion/choose.ts';
export { STRATEGIES, type Strategy } from './apply/suggestion/strategies.ts';
export {
  DEFAULT_TEACHING,
  fitSegmentationHead,
  type SegmentationHead,
  type TaughtVoxels,
  type TeachOptions,
  voxelsOfStrokes,
  type WindowFeatures,
} from './apply/teaching/fit-head.ts';
export { headOfNetwork, networkWithHead, type TaughtLabel } from './apply/teaching/network-with-head.ts';
export {
  BACKGROUND_STROKE,
  type Learnt,
  openTeacher,
  type TaughtImage,
  Teacher,
  type TeacherOptions,
} from './apply/teaching/teacher.ts';
export { RunError, UsageError } from './common/errors.ts';
export { type Progress, type ProgressEvent, type ProgressListener, SILENT, toProgress } from './common/progress.ts';
export { type PrincipalComponents, principalComponents } from './metrics/clustering/principal-components.ts';
