/**
 * The clusters that DeepCluster learns from (Caron et al., ECCV 2018): fixed crops of the training subjects, their averaged f^g brought to unit
 * variance along the first principal components and to unit length, k-means.
 */
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import { UsageError } from '../../common/errors.ts';
import { randomStream } from '../../common/random.ts';
import type { Session } from '../../engine/backend.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import { type Clusters, kMeans, nearestCentres } from '../../metrics/clustering/k-means.ts';
import { clusteringDimensions, clusteringPoints, componentsOfPoints } from '../../metrics/clustering/principal-components.ts';
import { pointsOf } from '../../metrics/points.ts';
import { sampleCropStart } from '../augmentation/crop-start.ts';
import type { Memory } from '../method.ts';

/** How crops are clustered. */
export interface ClusterOptions {
  readonly count: number;
  readonly iterations: number;
  readonly pointsPerSubject: number;
}

/** @throws UsageError for fewer points than clusters */
export function requirePoints({ count, pointsPerSubject }: ClusterOptions, training: readonly Subject[]): void {
  const points = training.length * pointsPerSubject;
  if (points < count)
    throw new UsageError(
      `\`clusters.count\` ${count}: ${training.length} training subjects give ${points} crops, fewer than clusters; expected at most ${points}, or more crops of each subject (\`clusters.pointsPerSubject\`)`,
    );
}

/** The crop of a point, without augmentation: point p is crop p mod `pointsPerSubject` of subject floor(p / `pointsPerSubject`). */
export async function readPoint(
  point: number,
  { seed, patch, pointsPerSubject }: { readonly seed: number; readonly patch: Zyx; readonly pointsPerSubject: number },
  subjects: readonly Subject[],
  reader: CohortReader,
): Promise<Float32Array> {
  const subject = subjects[Math.floor(point / pointsPerSubject)];
  const stream = randomStream(seed, 'point', subject.id, point % pointsPerSubject);
  return reader.readCrop(subject, sampleCropStart(stream, toZyx(subject.geometry.size), patch), patch);
}

/** f^g of a crop, averaged. Needs the graph `features`. */
export const pooledOf = async (session: Session, image: Float32Array): Promise<Float32Array> =>
  (await session.run('features', { image }, ['pooled'])).pooled;

/**
 * Clusters the points of the training subjects by what the network makes of them now. The memory holds each point's cluster, and what brings
 * further crops to one.
 */
export async function computeClusters(
  session: Session,
  options: ClusterOptions & { readonly seed: number; readonly patch: Zyx },
  training: readonly Subject[],
  reader: CohortReader,
  step: number,
): Promise<{ readonly memory: Memory; readonly clusters: Clusters }> {
  const { seed, count, iterations, pointsPerSubject } = options;
  const points = training.length * pointsPerSubject;
  const rows: Float32Array[] = [];
  for (let point = 0; point < points; point++)
    rows.push(await pooledOf(session, await readPoint(point, options, training, reader)));
  const features = pointsOf(rows);
  const components = componentsOfPoints(features, clusteringDimensions(features));
  const clusters = kMeans(randomStream(seed, 'clusters', step), clusteringPoints(features, components), {
    clusters: count,
    iterations,
  });
  const memory = {
    assignment: Float32Array.from(clusters.assignment),
    mean: Float32Array.from(components.mean),
    directions: Float32Array.from(components.directions.flatMap((direction) => [...direction])),
    variances: Float32Array.from(components.variances.slice(0, components.directions.length)),
    centres: Float32Array.from(clusters.centres.values),
  };
  return { memory, clusters };
}

/** The cluster of any crop's features. */
export function clusterOf(pooled: Float32Array, { mean, directions, variances, centres }: Memory): number {
  const [count, dimensions] = [variances.length, mean.length];
  const components = {
    mean: Float64Array.from(mean),
    directions: Array.from({ length: count }, (_, k) =>
      Float64Array.from(directions.subarray(k * dimensions, (k + 1) * dimensions)),
    ),
    variances: [...variances],
    explained: [],
  };
  const point = clusteringPoints(pointsOf([pooled]), components);
  const all = { count: centres.length / count, dimensions: count, values: Float64Array.from(centres) };
  return nearestCentres(point, all)[0];
}
