/** `gvsl/core`: what runs anywhere, browsers included. Nothing here imports Node or the DOM. */

export { differentiate } from './engine/autodiff.ts';
export type { Backend, Session } from './engine/backend.ts';
export { type CpuHost, cpuBackend } from './engine/backends/cpu/backend.ts';
export { referenceBackend } from './engine/backends/reference/backend.ts';
export { Graph, type Node, type Operation, type Program, type Shape, ShapeError } from './engine/graph.ts';
export { verifyProgram } from './engine/verify.ts';
export { UsageError, WorkError } from './errors/errors.ts';
export { orientationCode, reorientToRas } from './geometry/orientation.ts';
export type { Geometry, Matrix3, Volume, VoxelArray, Xyz, Zyx } from './geometry/volume.ts';
export { principalComponents } from './method/embedding/principal-components.ts';
export { tsne } from './method/embedding/tsne.ts';
export { foldedShare, jacobianDeterminant } from './method/evaluation/jacobian.ts';
export { labelOverlap } from './method/evaluation/label-overlap.ts';
export { targetRegistrationError } from './method/evaluation/landmark-error.ts';
export { ncc } from './method/evaluation/ncc.ts';
export { warpLabels } from './method/evaluation/warp-labels.ts';
export { type LossOptions, matchingProgram, PAPER_LOSS, STATES, type StepOptions, trainingProgram } from './method/gvsl.ts';
export { featuresProgram, predictionProgram, type TransferOptions, transferProgram } from './method/transfer/programs.ts';
export { slideWindows } from './method/transfer/sliding-window.ts';
export { ALL_HEADS, type Architecture, type Heads, NO_HEADS, PAPER_WIDTHS, scaledArchitecture } from './model/architecture.ts';
export { initialParameters, type Parameter, type ParameterTable, parameterTable, valuesOf } from './model/parameters.ts';
export { renderSubject } from './phantom/subject.ts';
export { type RandomStream, randomStream } from './random/random.ts';
export { areaUnderCurve, averagePrecision, thresholdScores } from './scores/classification.ts';
export { type SegmentationScores, segmentationScores } from './scores/segmentation.ts';
export { bootstrapDifference, bootstrapMean, type Interval, wilcoxonSignedRank } from './scores/statistics.ts';
export { version } from './version.ts';
