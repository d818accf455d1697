/**
 * `gvsl`: the library in Node. Files and folders, trained models on them, cohorts, training, comparisons, reports.
 *
 * Runs in Node alone (20.19 or newer). What also runs in browsers: `gvsl/engine`, `gvsl/apply`, `gvsl/images`, `gvsl/methods`, `gvsl/metrics`.
 *
 * Errors: `UsageError` for arguments that cannot be meant (named in back-quotes in its message), `RunError` for inputs that cannot be used, of
 * which `MachineError` is the machine's trouble (disk full, no permission). Calls that take a `signal` stop where they can go on from or leave
 * nothing half written; those that take `progress` tell a function how far they are.
 *
 * @module gvsl
 */

export type { WorkOptions } from './apply/call-options.ts';
export type { ClassifyResult } from './apply/classification.ts';
export type { EmbedResult } from './apply/embedding/embed.ts';
export {
  type ImageOptions,
  Model,
  type SegmentOptions,
  type SegmentResult,
} from './apply/model.ts';
export type { MemoryLimits, Modality, OpenNetwork, TrainedNetwork, Window, WindowOptions } from './apply/network.ts';
export { type ClassifiedImage, type ClassifyCall, type ClassifyReport, classifyImages } from './apply/node/classify.ts';
export { type EmbedCall, type EmbeddedImage, type EmbedReport, embedImages } from './apply/node/embed.ts';
export { type ImageInput, load } from './apply/node/load.ts';
export type { ApplyCall, OpenOptions, TaskCall } from './apply/node/network.ts';
export { type RegisterCall, type RegistrationReport, registerImages } from './apply/node/registration/register.ts';
export { type WarpCall, type WarpedFile, type WarpReport, warpFiles } from './apply/node/registration/warp.ts';
export {
  type FoundStructure,
  type SegmentCall,
  type SegmentedImage,
  type SegmentReport,
  segmentImages,
} from './apply/node/segment.ts';
export { type SuggestCall, type SuggestedSubject, type SuggestReport, suggestSubjects } from './apply/node/suggest.ts';
export type { RegisterOptions, RegisterResult } from './apply/registration/in-memory.ts';
export type { Start as RegistrationStart } from './apply/registration/options.ts';
export type { Structure } from './apply/segmentation/structures.ts';
export type { Cohort, CohortProblem, Landmark, Subject } from './cohort/cohort.ts';
export { cohortReader, readCrop, readLabelCrop, readWhole } from './cohort/node/crops.ts';
export { openCohort } from './cohort/node/open-cohort.ts';
export { type PrepareCall, type PrepareReport, prepareCohort } from './cohort/node/prepare.ts';
export type { Selection } from './cohort/node/selection.ts';
export type { PrepareOptions } from './cohort/prepare-options.ts';
export { MachineError, RunError, UsageError } from './common/errors.ts';
export { type Progress, type ProgressEvent, type ProgressListener, SILENT, toProgress } from './common/progress.ts';
export { version } from './common/version.ts';
export type { Backend, BackendName, Session } from './engine/backend.ts';
export type { Geometry, Matrix3, Volume, VoxelArray, Xyz, Zyx } from './geometry/volume.ts';
export type { Found, ImageSource } from './images/find-images.ts';
export type { LoadedImage, ReadOptions } from './images/loaded-image.ts';
export { findImages } from './images/node/find.ts';
export { openImage, readImage } from './images/node/read.ts';
export { type PlanesToWrite, writeImage, writePlanes, writeVectorImage } from './images/node/write.ts';
export type { OpenImage } from './images/open-image.ts';
export { type Comparison, type GoldenReport, replayGolden } from './methods/node/golden.ts';
export { type ClassificationsReport, scoreClassifications } from './metrics/node/classifications.ts';
export { type SegmentationsCall, type SegmentationsReport, scoreSegmentations } from './metrics/node/segmentations.ts';
export type { ModelConfiguration } from './model/configuration.ts';
export { type ExportReport, exportModel } from './model/node/interchange/export.ts';
export { type ImportReport, importWeights } from './model/node/interchange/import.ts';
export { type Model as StoredModel, readModel, resolveModel, writeModel } from './model/node/model-folder.ts';
export { openSafetensors, readSafetensors, type SafetensorsFile, writeSafetensors } from './model/node/safetensors.ts';
export { type ModelCard, type ShippedModel, shippedModels } from './model/node/shipped.ts';
export type { NamedTensor } from './model/safetensors.ts';
export { createBackend } from './platform/node/backends.ts';
export { openRanks } from './platform/node/ranks/open-ranks.ts';
export type { Ranks } from './platform/node/ranks/ranks.ts';
export { type ReportCall, type ReportResult, writeReport } from './report/node/write-report.ts';
export { checkStudy, type StudyCheck } from './study/check.ts';
export { compare, type StudyReport } from './study/compare.ts';
export type { Study } from './study/configuration.ts';
export { readStudy } from './study/run.ts';
export type { StudyCall } from './study/runs.ts';
export { pretrain } from './training/node/pretrain.ts';
export type { NamedPretrainCall, PretrainCall, PretrainResult } from './training/node/pretraining-call.ts';
export {
  parseConfiguration,
  parseConfigurationOf,
  readConfiguration,
  readConfigurationOf,
  readPresetConfiguration,
} from './training/node/read-configuration.ts';
export {
  type CrossValidationResult,
  crossValidate,
  type FoldResult,
  type OutOfFold,
  type OutOfFoldScores,
} from './training/node/task/cross-validate.ts';
export { type TrainCall, type TrainResult, train } from './training/node/task/train.ts';
export type { TrainingCall } from './training/node/training-call.ts';
export { TRANSFER, type TransferConfiguration } from './training/task/configuration.ts';
export { PRESETS as TRAIN_PRESETS, type PresetName } from './training/task/presets.ts';
