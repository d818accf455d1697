/** `gvsl`: the library in Node. What also runs in browsers is in `gvsl/core`. */

export { type ClassifyReport, classifyImages } from './apply/node/classify.ts';
export { type EmbedReport, embedImage } from './apply/node/embed.ts';
export { type SegmentReport, segmentImages } from './apply/node/segment.ts';
export type { Cohort, Landmark, Subject } from './cohort/cohort.ts';
export { readCrop, readLabelCrop, readWhole } from './cohort/node/crops.ts';
export { openCohort } from './cohort/node/open-cohort.ts';
export { type PrepareReport, prepareCohort } from './cohort/node/prepare.ts';
export type { PrepareOptions } from './cohort/prepare-options.ts';
export { UsageError, WorkError } from './common/errors.ts';
export { type Progress, type ProgressEvent, type ProgressListener, SILENT, toProgress } from './common/progress.ts';
export { version } from './common/version.ts';
export type { LoadedImage } from './images/loaded-image.ts';
export { type OpenImage, openImage, readImage } from './images/node/read.ts';
export { type PlanesToWrite, writeImage, writePlanes, writeVectorImage } from './images/node/write.ts';
export { DEFAULT_CONFIGURATION, type PretrainConfiguration } from './methods/gvsl/configuration.ts';
export { type Comparison, type GoldenReport, replayGolden } from './methods/gvsl/node/golden.ts';
export { type ClassificationsReport, scoreClassifications } from './metrics/node/classifications.ts';
export { type SegmentationsReport, scoreSegmentations } from './metrics/node/segmentations.ts';
export type { ModelConfiguration } from './model/configuration.ts';
export { type ExportReport, exportModel } from './model/node/interchange/export.ts';
export { type ImportReport, importWeights } from './model/node/interchange/import.ts';
export { type Model, readModel, resolveModel, writeModel } from './model/node/model-folder.ts';
export { openSafetensors, readSafetensors, writeSafetensors } from './model/node/safetensors.ts';
export { createBackend } from './platform/node/backends.ts';
export { compare, type StudyReport } from './study/compare.ts';
export { readStudy } from './study/run.ts';
export { type PretrainCall, type PretrainResult, pretrain } from './training/node/pretrain.ts';
export {
  parseConfiguration,
  parseConfigurationOf,
  readConfiguration,
  readConfigurationOf,
} from './training/node/read-configuration.ts';
export { type TrainResult, train } from './training/node/task/train.ts';
export { TRANSFER, type TransferConfiguration } from './training/task/configuration.ts';
