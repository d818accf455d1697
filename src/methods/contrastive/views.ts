/** Two views of a subject as examples, and what the configurations of methods that compare views have in common. */
import { z } from 'zod';
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import { randomStream } from '../../common/random.ts';
import { toZyx } from '../../geometry/volume.ts';
import type { SpatialOptions } from '../augmentation/spatial/spatial.ts';
import { applyView, DEFAULT_VIEW, sampleViews, type ViewOptions } from '../augmentation/views.ts';
import { cropDataSection } from '../crops.ts';
import { type JudgementConfiguration, judgementSection } from '../judgement/options.ts';
import type { ExampleMaker, ExampleTensors } from '../method.ts';
import { count, MAX_SIGMA, type PretrainingConfiguration, probability, range, section, toPatchSize } from '../schema-parts.ts';

const factor = () => z.number().positive();

/** The section `views`: how a view is changed after its spatial transformation. */
export const viewSection = section('Changes of each view, after its spatial transform.', {
  flipProbability: probability().default(DEFAULT_VIEW.flipProbability).describe('Probability of a flip, per axis.'),
  noiseProbability: probability().default(DEFAULT_VIEW.noiseProbability).describe('Probability of Gaussian noise.'),
  noiseDeviation: range(z.number().nonnegative())
    .default([...DEFAULT_VIEW.noiseDeviation])
    .describe('Minimum and maximum standard deviation of the noise (intensities lie in [0, 1]).'),
  blurProbability: probability().default(DEFAULT_VIEW.blurProbability).describe('Probability of a Gaussian blur.'),
  blurSigmaVoxels: range(factor().max(MAX_SIGMA))
    .default([...DEFAULT_VIEW.blurSigmaVoxels])
    .describe('Minimum and maximum standard deviation of the blur.'),
  brightnessProbability: probability().default(DEFAULT_VIEW.brightnessProbability).describe('Probability of another brightness.'),
  brightness: range(factor())
    .default([...DEFAULT_VIEW.brightness])
    .describe('Minimum and maximum factor of the brightness.'),
  contrastProbability: probability().default(DEFAULT_VIEW.contrastProbability).describe('Probability of another contrast.'),
  contrast: range(factor())
    .default([...DEFAULT_VIEW.contrast])
    .describe('Minimum and maximum factor of the contrast.'),
  resolutionProbability: probability().default(DEFAULT_VIEW.resolutionProbability).describe('Probability of a lower resolution.'),
  resolution: range(factor().max(1))
    .default([...DEFAULT_VIEW.resolution])
    .describe('Minimum and maximum share of the voxels along each axis.'),
  gammaProbability: probability().default(DEFAULT_VIEW.gammaProbability).describe('Probability of a gamma curve.'),
  gamma: range(factor())
    .default([...DEFAULT_VIEW.gamma])
    .describe('Minimum and maximum exponent of the gamma curve.'),
} satisfies Record<Exclude<keyof ViewOptions, 'spatial'>, z.ZodType>);

/** The section `alarm`. */
const alarmSection = section('When a run is stopped because all images have come to look alike to the network (collapse).', {
  collapseBelow: probability()
    .default(0.1)
    .describe('Spread of the projections that counts as collapse: about 1 when healthy, 0 when all are one.'),
  collapseSteps: count().default(500).describe('Steps in a row below it after which the run stops; 0 for never.'),
});

/** Of methods with a predictor. */
export const predictorKey = z
  .boolean()
  .default(true)
  .describe('Predict from one view to the other; without the predictor the network collapses (an ablation).');

/** Keys of a method that compares views. */
export const contrastiveKeys = {
  data: cropDataSection,
  views: viewSection,
  alarm: alarmSection,
  judgement: judgementSection,
};

export interface ViewConfiguration extends PretrainingConfiguration {
  readonly data: PretrainingConfiguration['data'] & { readonly spatial: SpatialOptions & { readonly enabled: boolean } };
  readonly views: Omit<ViewOptions, 'spatial'>;
}
export interface ContrastiveConfiguration extends ViewConfiguration, JudgementConfiguration {
  readonly alarm: z.output<typeof alarmSection>;
}

/** How a configuration's views are drawn. */
export const viewOptionsOf = ({ data, views }: ViewConfiguration): ViewOptions => {
  const { enabled, ...ranges } = data.spatial;
  return { ...views, spatial: enabled && ranges };
};

/** Examples of two views of a subject. The samples of a batch are different subjects as long as there are enough. */
export function viewExamples(
  configuration: ViewConfiguration,
  subjects: readonly Subject[],
  reader: CohortReader,
): ExampleMaker<ExampleTensors> {
  const { seed, batch } = configuration;
  const patch = toPatchSize(configuration.data.patch);
  const options = viewOptionsOf(configuration);
  return async (step, sample) => {
    const order = randomStream(seed, 'subjects', step, Math.floor(sample / batch)).permutation(subjects.length);
    const subject = subjects[order[(sample % batch) % subjects.length]];
    const { starts, views } = sampleViews(
      randomStream(seed, 'views', step, sample),
      toZyx(subject.geometry.size),
      patch,
      options,
      reader.channels,
    );
    const [view1, view2] = await Promise.all(
      starts.map(async (start, i) => applyView(await reader.readCrop(subject, start, patch), patch, views[i])),
    );
    return { view1, view2 };
  };
}
