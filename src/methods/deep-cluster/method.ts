/**
 * DeepCluster (Caron et al., ECCV 2018): crops are clustered by their features, and the network learns to tell the cluster of a crop from a view of
 * it; now and then they are clustered anew, and the last layer with them. It trains the encoder alone.
 */
import type { z } from 'zod';
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import { randomStream } from '../../common/random.ts';
import type { Session } from '../../engine/backend.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import { arrange, type Picture } from '../../images/pictures/picture.ts';
import { PLANES, paintSlice, sliceOf, zoomBy } from '../../images/pictures/slices.ts';
import { volumesPicture } from '../../images/pictures/volumes-picture.ts';
import { samplePoint } from '../../metrics/clustering/k-means.ts';
import { type Heads, NO_HEADS, scaledArchitecture } from '../../model/architecture.ts';
import { STATES } from '../../model/optimizer.ts';
import { initialParameters, parameterTable, valuesOf } from '../../model/parameters.ts';
import { AVERAGE } from '../../model/weight-average.ts';
import { applyView, sampleView } from '../augmentation/views.ts';
import { classificationProgram } from '../classification/program.ts';
import { viewOptionsOf, viewSection } from '../contrastive/views.ts';
import { cropDataSection } from '../crops.ts';
import { type Judgement, judge } from '../judgement/judge.ts';
import { judgementSection } from '../judgement/options.ts';
import type { EvaluationRecord, ExampleMaker, ExampleTensors, Memory, PretrainingMethod } from '../method.ts';
import { count, pretrainingSchema, section, toPatchSize } from '../schema-parts.ts';
import { clusterOf, computeClusters, pooledOf, readPoint, requirePoints } from './clusters.ts';

export const deepClusterSchema = pretrainingSchema({
  data: cropDataSection,
  views: viewSection,
  judgement: judgementSection,
  clusters: section('How crops are clustered.', {
    count: count(2).max(65_536).default(16).describe('Number of clusters.'),
    everySteps: count(1).default(500).describe('Steps between two clusterings; the last layer starts anew at each.'),
    pointsPerSubject: count(1).max(1000).default(4).describe('Fixed crops of each training subject that are clustered.'),
    iterations: count(1).max(10_000).default(20).describe('Maximum number of iterations of k-means.'),
  }),
});
export type DeepClusterConfiguration = z.output<typeof deepClusterSchema>;

const headsOf = ({ clusters }: DeepClusterConfiguration): Heads => ({ ...NO_HEADS, classification: clusters.count });

/** What of a configuration the crops and clusters follow from. */
const pointOptions = ({ seed, data, clusters }: DeepClusterConfiguration) => ({
  seed,
  patch: toPatchSize(data.patch),
  ...clusters,
});

const oneHot = (index: number, length: number): Float32Array => {
  const values = new Float32Array(length);
  values[index] = 1;
  return values;
};

function examples(
  configuration: DeepClusterConfiguration,
  subjects: readonly Subject[],
  reader: CohortReader,
  memory: Memory | undefined,
): ExampleMaker<ExampleTensors> {
  if (!memory) throw new Error('deep-cluster: examples before the first clustering');
  const options = pointOptions(configuration);
  const views = viewOptionsOf(configuration);
  const assignment = Int32Array.from(memory.assignment);
  const sizes = new Int32Array(options.count);
  for (const cluster of assignment) sizes[cluster]++;
  return async (step, sample) => {
    const point = samplePoint(randomStream(options.seed, 'point', step, sample), { assignment, sizes });
    const crop = await readPoint(point, options, subjects, reader);
    const view = applyView(
      crop,
      options.patch,
      sampleView(randomStream(options.seed, 'view', step, sample), options.patch, views, reader.channels),
    );
    return { view, class: oneHot(assignment[point], options.count) };
  };
}

/** Examples of other subjects: crops whose clusters are found by the features that they have now. */
const judgedExamples =
  (session: Session, memory: Memory) =>
  (configuration: DeepClusterConfiguration, subjects: readonly Subject[], reader: CohortReader): ExampleMaker<ExampleTensors> => {
    const options = pointOptions(configuration);
    const views = viewOptionsOf(configuration);
    return async (_, index) => {
      const crop = await readPoint(index % (subjects.length * options.pointsPerSubject), options, subjects, reader);
      const cluster = clusterOf(await pooledOf(session, crop), memory);
      const plan = sampleView(randomStream(options.seed, 'judged view', index), options.patch, views, reader.channels);
      return { view: applyView(crop, options.patch, plan), class: oneHot(cluster, options.count) };
    };
  };

/** The last layer and its moments as at the start of a run, but with other random numbers. */
async function renewLastLayer(
  session: Session,
  configuration: DeepClusterConfiguration,
  step: number,
  channels: number | undefined,
): Promise<void> {
  const table = parameterTable(scaledArchitecture(configuration.model.width, headsOf(configuration), channels));
  const layer = table.parameters.filter(({ name }) => name.startsWith('fc.'));
  const seed = randomStream(configuration.seed, 'last layer', step).integer(0, 2 ** 31);
  const start = initialParameters({ ...table, parameters: layer }, seed);
  const none = new Float32Array(table.flatLength);
  const renewed: (readonly [state: string, values: Float32Array])[] = [
    [STATES.parameters, start],
    [STATES.firstMoment, none],
    [STATES.secondMoment, none],
    // an average of layers that tell other clusters apart means nothing
    ...((configuration.emaDecay ?? 0) > 0 ? [[AVERAGE, start] as const] : []),
  ];
  for (const [state, values] of renewed) {
    const flat = (await session.readState(state)).slice();
    for (const parameter of layer) valuesOf(flat, parameter).set(valuesOf(values, parameter));
    await session.writeState(state, flat);
  }
}

const greatest = (values: Float32Array): number => values.indexOf(Math.max(...values));

/** Clusters and crops of each that a picture shows. */
const [SHOWN_CLUSTERS, SHOWN_CROPS] = [16, 8];

/** The middle axial slice, as it lies. */
function middlePlane(size: Zyx, volume: Float32Array, spacingMm: Zyx): Picture {
  return paintSlice(sliceOf(size, PLANES[0]), zoomBy(1, spacingMm), (voxel) => {
    const grey = Math.round(255 * Math.min(1, Math.max(0, volume[voxel])));
    return [grey, grey, grey];
  });
}

/** A row for each cluster: the middle planes of its first crops. */
async function clusterPicture(
  configuration: DeepClusterConfiguration,
  { assignment }: Memory,
  training: readonly Subject[],
  reader: CohortReader,
): Promise<Picture> {
  const options = pointOptions(configuration);
  const spacingMm = toZyx(training[0].geometry.spacingMm);
  const rows: Picture[][] = [];
  for (let cluster = 0; cluster < Math.min(SHOWN_CLUSTERS, options.count); cluster++) {
    const points = [...assignment.keys()].filter((point) => assignment[point] === cluster).slice(0, SHOWN_CROPS);
    const row: Picture[] = [];
    for (const point of points)
      row.push(middlePlane(options.patch, await readPoint(point, options, training, reader), spacingMm));
    rows.push(row);
  }
  return arrange(rows);
}

export const deepCluster: PretrainingMethod<DeepClusterConfiguration, Judgement> = {
  name: 'deep-cluster',
  title: 'DeepCluster',
  module: import.meta.url,
  schema: deepClusterSchema,
  heads: headsOf,
  imagesPerExample: 1,
  check: ({ clusters }, _, training) => requirePoints(clusters, training),
  program: (
    configuration,
    { patch = toPatchSize(configuration.data.patch), width, batch, inputChannels, lossScaling = false } = {},
  ) =>
    classificationProgram({
      architecture: scaledArchitecture(width ?? configuration.model.width, headsOf(configuration), inputChannels),
      size: patch,
      batch: batch ?? configuration.batch,
      lossScaling,
    }),
  examples,
  refresh: {
    every: ({ clusters }) => clusters.everySteps,
    passes: ({ clusters }, subjects) => subjects * clusters.pointsPerSubject,
    compute: async (session, configuration, training, reader, step) => {
      const { memory, clusters } = await computeClusters(session, pointOptions(configuration), training, reader, step);
      await renewLastLayer(session, configuration, step, reader.channels);
      const { sizes, inertia, assignment } = clusters;
      const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
      return {
        memory,
        text: `${assignment.length} crops in ${sizes.length} clusters of ${least} to ${most}`,
        scalars: { 'clusters/inertia': inertia / assignment.length, 'clusters/least': least, 'clusters/most': most },
      };
    },
  },
  evaluate: async (session, configuration, heldOut, reader, request) => {
    const { memory } = request;
    const patch = toPatchSize(configuration.data.patch);
    const record = await judge(
      session,
      { configuration, heads: headsOf(configuration), heldOut, reader, ...request },
      {
        // before the first clustering there is nothing to tell apart
        leastSubjects: memory ? 1 : Number.POSITIVE_INFINITY,
        examples: memory ? judgedExamples(session, memory) : () => async () => ({}),
        measure: ({ class: truth }, { logits }) => ({ accuracy: greatest(truth) === greatest(logits) ? 1 : 0 }),
        picture: ({ view }, _, spacingMm) => volumesPicture(patch, [view], spacingMm),
      },
    );
    if (!record || !memory || !request.pictures) return record;
    const picture = await clusterPicture(configuration, memory, request.training, reader);
    return { ...record, pictures: [...record.pictures, { tag: 'clusters', picture }] } satisfies EvaluationRecord<Judgement>;
  },
};
export { deepCluster as method };
