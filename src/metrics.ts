/**
 * `gvsl/metrics`: overlap, surface distances, ROC, registration measures, clusters and probes of features, and the statistics of comparisons.
 *
 * Runs anywhere: Node, browsers, workers. Nothing here imports Node or the DOM. Files against references are scored by `gvsl` in Node
 * (`scoreSegmentations`, `scoreClassifications`).
 *
 * @module gvsl/metrics
 */

export {
  areaUnderCurve,
  averagePrecision,
  type ClassScores,
  classScores,
  type ThresholdScores,
  thresholdScores,
} from './metrics/classification.ts';
export {
  type Clusters,
  DEFAULT_K_MEANS,
  type KMeansOptions,
  kMeans,
  kMeansFrom,
  nearestCentres,
  samplePoint,
} from './metrics/clustering/k-means.ts';
export {
  clusteringDimensions,
  clusteringPoints,
  componentsOfPoints,
  type PrincipalComponents,
  whiten,
} from './metrics/clustering/principal-components.ts';
export { type ClassifiedCase, delongArea, delongTest } from './metrics/delong.ts';
export { surfaceDistances } from './metrics/distance.ts';
export { type LabelOverlap, labelOverlap } from './metrics/label-overlap.ts';
export { type Points, pointsOf, unitPoints } from './metrics/points.ts';
export { collapseMeasure } from './metrics/probe/collapse.ts';
export {
  DEFAULT_LINEAR_PROBE,
  fitLinearProbe,
  type LinearProbe,
  type LinearProbeOptions,
  type LinearProbeScore,
  linearProbeScore,
  probeProbabilities,
} from './metrics/probe/linear-probe.ts';
export {
  DEFAULT_NEAREST_NEIGHBOUR,
  type LabelledPoints,
  type NearestNeighbourOptions,
  type NearestNeighbourScore,
  nearestNeighbourScore,
} from './metrics/probe/nearest-neighbour.ts';
export { compareRanks, type RankComparison } from './metrics/ranks.ts';
export { displacementAt, insideShare } from './metrics/registration/displacement.ts';
export { foldedShare, jacobianDeterminant } from './metrics/registration/jacobian.ts';
export { type LandmarkError, targetRegistrationError } from './metrics/registration/landmark-error.ts';
export { ncc } from './metrics/registration/ncc.ts';
export { warpLabels } from './metrics/registration/warp-labels.ts';
export { type SegmentationScores, segmentationScores } from './metrics/segmentation.ts';
export { bootstrapDifference, bootstrapMean, holm, type Interval, wilcoxonSignedRank } from './metrics/statistics.ts';
export { type Intensities, PERCENTILES, type StructureMeasures, StructureMeter } from './metrics/structures.ts';
