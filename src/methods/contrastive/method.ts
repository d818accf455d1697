/** What SimCLR, SimSiam and BYOL have in common: two views of a subject, a projection that compares them, and the watch for collapse. */
import type { z } from 'zod';
import { volumesPicture } from '../../images/pictures/volumes-picture.ts';
import { pointsOf, rowOf } from '../../metrics/points.ts';
import { collapseMeasure } from '../../metrics/probe/collapse.ts';
import { type Heads, NO_HEADS, type Projection, scaledArchitecture } from '../../model/architecture.ts';
import { describeJudgement, type Judgement, judge } from '../judgement/judge.ts';
import type { ExampleMaker, ExampleTensors, PretrainingMethod, StepOutputs } from '../method.ts';
import { joinSamples } from '../samples.ts';
import { toPatchSize } from '../schema-parts.ts';
import { contrastiveProgram } from './program.ts';
import { type ContrastiveConfiguration, viewExamples } from './views.ts';

/** The name of the measure of collapse. */
export const SPREAD = 'spread';

export interface ContrastiveDescription<Configuration extends ContrastiveConfiguration> {
  readonly name: string;
  readonly title: string;
  /** `import.meta.url` of the method's module. */
  readonly module: string;
  readonly schema: z.ZodType<Configuration>;
  /** By the channels of f^g. */
  projection(configuration: Configuration, channels: number): Projection;
  readonly temperature?: (configuration: Configuration) => number;
  /** Whether the loss compares the samples of a batch. */
  readonly takes?: 'batch';
  readonly carried?: PretrainingMethod<Configuration>['carried'];
  readonly afterUpdate?: NonNullable<PretrainingMethod<Configuration>['afterUpdate']>;
}

/** The projections of the first views and of the second. @param samples that each run took */
function projectionsOf(outputs: readonly StepOutputs[], samples: number): readonly [number[][], number[][]] {
  const views: [number[][], number[][]] = [[], []];
  for (const { z } of outputs) {
    const points = { count: 2 * samples, dimensions: z.length / (2 * samples), values: z };
    for (let row = 0; row < points.count; row++) views[row < samples ? 0 : 1].push(Array.from(rowOf(points, row)));
  }
  return views;
}

/**
 * The collapse measure of projections. The two views of one image are meant to be alike, so only views of different images are compared: the first
 * ones, the second ones, and the mean of both. Undefined for one image alone, and where something is not finite.
 */
function spreadOf(outputs: readonly StepOutputs[], samples: number): number | undefined {
  const spreads = projectionsOf(outputs, samples).map((rows) =>
    rows.every((row) => row.every(Number.isFinite)) ? collapseMeasure(pointsOf(rows)) : null,
  );
  return spreads[0] === null || spreads[1] === null ? undefined : (spreads[0] + spreads[1]) / 2;
}

/** A method that compares two views of each subject. */
export function contrastiveMethod<Configuration extends ContrastiveConfiguration>({
  projection,
  temperature,
  takes,
  carried,
  afterUpdate,
  ...about
}: ContrastiveDescription<Configuration>): PretrainingMethod<Configuration, Judgement & { readonly spread?: number }> {
  const headsFor = (configuration: Configuration, width = configuration.model.width): Heads => ({
    ...NO_HEADS,
    projection: projection(configuration, scaledArchitecture(width).widths[4]),
  });
  const samplesOf = (batch: number): number => (takes === 'batch' ? batch : 1);
  return {
    ...about,
    ...(takes && { takes }),
    ...(carried && { carried }),
    ...(afterUpdate && { afterUpdate }),
    heads: headsFor,
    imagesPerExample: 2,
    program: (configuration, variant = {}) => {
      const { patch = toPatchSize(configuration.data.patch), inputChannels, lossScaling = false } = variant;
      const { width = configuration.model.width, batch = configuration.batch } = variant;
      return contrastiveProgram({
        architecture: scaledArchitecture(width, headsFor(configuration, width), inputChannels),
        size: patch,
        samples: samplesOf(batch),
        judgedSamples: samplesOf(batch),
        batch,
        lossScaling,
        ...(temperature && { temperature: temperature(configuration) }),
      });
    },
    examples: viewExamples,
    measure: (outputs, { batch }) => {
      const spread = spreadOf(outputs, samplesOf(batch));
      return spread === undefined ? {} : { [SPREAD]: spread };
    },
    alarm: ({ alarm }) =>
      alarm.collapseSteps > 0
        ? {
            measure: SPREAD,
            below: alarm.collapseBelow,
            steps: alarm.collapseSteps,
            text: 'the network has collapsed, and says the same of every image. Lower the learning rate (`learningRate`), or use larger batches (`batch`); `alarm.collapseSteps` 0 lets it go on',
          }
        : null,
    evaluate: async (session, configuration, heldOut, reader, request) => {
      const patch = toPatchSize(configuration.data.patch);
      const samples = samplesOf(configuration.batch);
      const seen: StepOutputs[] = [];
      const record = await judge(
        session,
        { configuration, heads: headsFor(configuration), heldOut, reader, ...request },
        {
          leastSubjects: takes === 'batch' ? 2 : 1,
          examples: (settings, subjects, from): ExampleMaker<ExampleTensors> => {
            // as many samples as the graph takes, all of step 0, so that they are of different subjects
            const make = viewExamples({ ...settings, batch: Math.max(1, subjects.length) }, subjects, from);
            return async (step, index) =>
              joinSamples(
                await Promise.all(Array.from({ length: samples }, (_, sample) => make(step, index * samples + sample))),
              );
          },
          measure: (_, outputs, side) => {
            if (side === 'heldOut') seen.push(outputs);
            return {};
          },
          picture: ({ view1, view2 }, _, spacingMm) => volumesPicture(patch, [view1, view2], spacingMm),
        },
      );
      const spread = seen.length > 0 ? spreadOf(seen, samples) : undefined;
      if (!record || spread === undefined) return record;
      return {
        ...record,
        summary: { ...record.summary, spread },
        scalars: { ...record.scalars, [`heldOut/${SPREAD}`]: spread },
        text: `${describeJudgement(request.step, record.summary)}, spread of held-out projections ${spread.toFixed(2)} (0: collapsed)`,
      };
    },
  };
}
