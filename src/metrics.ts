/**
 * `gvsl/metrics`: overlap, surface distances, ROC, registration measures, and the statistics of comparisons.
 *
 * Runs anywhere: Node, browsers, workers. Nothing here imports Node or the DOM. Files against references are scored by `gvsl` in Node
 * (`scoreSegmentations`, `scoreClassifications`).
 */

export { areaUnderCurve, averagePrecision, type ThresholdScores, thresholdScores } from './metrics/classification.ts';
export { type ClassifiedCase, delongArea, delongTest } from './metrics/delong.ts';
export { surfaceDistances } from './metrics/distance.ts';
export { type LabelOverlap, labelOverlap } from './metrics/label-overlap.ts';
export { displacementAt, insideShare } from './metrics/registration/displacement.ts';
export { foldedShare, jacobianDeterminant } from './metrics/registration/jacobian.ts';
export { type LandmarkError, targetRegistrationError } from './metrics/registration/landmark-error.ts';
export { ncc } from './metrics/registration/ncc.ts';
export { warpLabels } from './metrics/registration/warp-labels.ts';
export { type SegmentationScores, segmentationScores } from './metrics/segmentation.ts';
export { bootstrapDifference, bootstrapMean, holm, type Interval, wilcoxonSignedRank } from './metrics/statistics.ts';
