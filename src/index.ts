/** `gvsl`: the library in Node. What also runs in browsers is in `gvsl/core`. */
export { type Cohort, type Landmark, openCohort, type Subject } from './cohort/cohort.ts';
export { readCrop, readLabelCrop, readWhole } from './cohort/crops.ts';
export { type PrepareReport, prepareCohort } from './cohort/prepare.ts';
export { UsageError, WorkError } from './errors/errors.ts';
export { type ClassificationsReport, scoreClassifications } from './evaluation/classifications.ts';
export { type SegmentationsReport, scoreSegmentations } from './evaluation/segmentations.ts';
export type { LoadedImage } from './images/loaded-image.ts';
export { type OpenImage, openImage, readImage } from './images/node/read.ts';
export { type PlanesToWrite, writeImage, writePlanes, writeVectorImage } from './images/node/write.ts';
export { createBackend } from './node/backends.ts';
export { createProgress, type Progress, SILENT } from './node/progress.ts';
export { openSafetensors, readSafetensors, writeSafetensors } from './node/safetensors.ts';
export type { PrepareOptions } from './preparation/prepare-options.ts';
export { compare, type StudyReport } from './study/compare.ts';
export { readStudy } from './study/run.ts';
export { DEFAULT_CONFIGURATION, type PretrainConfiguration } from './training/configuration.ts';
export { type Comparison, type GoldenReport, replayGolden } from './training/golden.ts';
export type { ModelConfiguration } from './training/model-configuration.ts';
export { type Model, readModel, resolveModel, writeModel } from './training/model-folder.ts';
export { type PretrainCall, type PretrainResult, pretrain } from './training/pretrain.ts';
export {
  parseConfiguration,
  parseConfigurationOf,
  readConfiguration,
  readConfigurationOf,
} from './training/read-configuration.ts';
export { type ClassifyReport, classifyImages } from './transfer/classify.ts';
export { TRANSFER, type TransferConfiguration } from './transfer/configuration.ts';
export { type EmbedReport, embedImage } from './transfer/embed.ts';
export { type SegmentReport, segmentImages } from './transfer/segment.ts';
export { type TrainResult, train } from './transfer/train.ts';
export { version } from './version.ts';
export { type ExportReport, exportModel } from './weights/export.ts';
export { type ImportReport, importWeights } from './weights/import.ts';
