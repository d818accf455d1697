/**
 * Rotation prediction (Gidaris et al., ICLR 2018; in 3D: Taleb et al., NeurIPS 2020): the network is shown a turned cube, and tells which of ten
 * ways it was turned. It trains the encoder alone.
 */
import type { z } from 'zod';
import type { Subject } from '../../cohort/cohort.ts';
import { UsageError } from '../../common/errors.ts';
import { randomStream } from '../../common/random.ts';
import { eachChannel, firstChannel, splitChannels } from '../../geometry/channels.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import { confusionPicture } from '../../images/pictures/confusion-picture.ts';
import { volumesPicture } from '../../images/pictures/volumes-picture.ts';
import { type Heads, NO_HEADS, scaledArchitecture } from '../../model/architecture.ts';
import { applyRotation, inverseRotation, ROTATIONS, sampleRotation } from '../augmentation/rotation.ts';
import { classificationProgram } from '../classification/program.ts';
import { cropDataSection, cropOf, drawSubject } from '../crops.ts';
import { type Judgement, judge } from '../judgement/judge.ts';
import { judgementSectionWith } from '../judgement/options.ts';
import type { ExampleTensors, PretrainingMethod } from '../method.ts';
import { pretrainingSchema, toPatchSize } from '../schema-parts.ts';

/** Enough to tell an accuracy from chance, 1 in 10, and to fill a table of ten classes. */
const JUDGED_EXAMPLES = 60;

export const rotationSchema = pretrainingSchema({
  data: cropDataSection,
  judgement: judgementSectionWith(JUDGED_EXAMPLES),
}).superRefine(({ data }, context) => {
  const patch = toPatchSize(data.patch);
  if (patch.some((side) => side !== patch[0]))
    context.addIssue({
      code: 'custom',
      path: ['data', 'patch'],
      message: 'rotation needs a cube, since the shape of another box gives the turn away: choose one side length',
    });
});
export type RotationConfiguration = z.output<typeof rotationSchema>;

const HEADS: Heads = { ...NO_HEADS, classification: ROTATIONS.length };
/** Relative difference of spacings that counts as none. */
const SAME_SPACING = 1e-3;

/** @throws UsageError naming the first subject whose voxels are no cubes */
function requireIsotropic(subjects: readonly Subject[]): void {
  for (const { id, geometry } of subjects) {
    const { spacingMm } = geometry;
    if (Math.max(...spacingMm) > Math.min(...spacingMm) * (1 + SAME_SPACING))
      throw new UsageError(
        `rotation needs voxels that are cubes, since stretched anatomy gives the turn away; ${id} has a spacing of ${spacingMm.join(' x ')} mm: prepare the cohort with one spacing for all axes (\`spacing\` 1)`,
      );
  }
}

/**
 * Sets to 0 what lies outside the largest cube in the middle of a patch that a smaller volume fills: zeros beside the volume along one axis alone
 * would give the turn away. Its side is even or odd as the patch's is, so that it lies in the middle exactly.
 */
export function keepMiddleCube(image: Float32Array, side: number, volume: Zyx): void {
  const filled = Math.min(side, ...volume);
  const cube = filled - ((side - filled) % 2);
  if (cube === side) return;
  const [start, end] = [(side - cube) / 2, (side + cube) / 2];
  const inside = (i: number): boolean => i >= start && i < end;
  for (let z = 0, at = 0; z < side; z++)
    for (let y = 0; y < side; y++) {
      const rowInside = inside(z) && inside(y);
      for (let x = 0; x < side; x++, at++) if (!(rowInside && inside(x))) image[at] = 0;
    }
}

const examples: PretrainingMethod<RotationConfiguration>['examples'] = (configuration, subjects, reader) => {
  requireIsotropic(subjects);
  const { seed } = configuration;
  const patch = toPatchSize(configuration.data.patch);
  return async (step, sample): Promise<ExampleTensors> => {
    const subject = drawSubject(seed, subjects, step, sample);
    const image = await cropOf(configuration, subject, reader, ['image', step, sample], (crop) => {
      for (const channel of splitChannels(crop, patch)) keepMiddleCube(channel, patch[0], toZyx(subject.geometry.size));
    });
    const plan = sampleRotation(randomStream(seed, 'rotation', step, sample));
    const truth = new Float32Array(ROTATIONS.length);
    truth[plan.class] = 1;
    return { view: eachChannel(image, patch, (channel) => applyRotation(channel, patch, plan)), class: truth };
  };
};

const greatest = (values: Float32Array): number => values.indexOf(Math.max(...values));

/** 'none', '90 about x', ... */
const nameOf = (index: number): string => {
  const { axis, degrees } = ROTATIONS[index];
  return axis === null ? 'none' : `${degrees} about ${axis}`;
};

export const rotation: PretrainingMethod<RotationConfiguration, Judgement> = {
  name: 'rotation',
  title: 'rotation',
  module: import.meta.url,
  schema: rotationSchema,
  heads: () => HEADS,
  imagesPerExample: 1,
  check: (_, subjects) => requireIsotropic(subjects),
  program: (configuration, { patch = toPatchSize(configuration.data.patch), width, inputChannels, lossScaling = false } = {}) =>
    classificationProgram({
      architecture: scaledArchitecture(width ?? configuration.model.width, HEADS, inputChannels),
      size: patch,
      batch: configuration.batch,
      lossScaling,
    }),
  examples,
  evaluate: async (session, configuration, heldOut, reader, request) => {
    const patch = toPatchSize(configuration.data.patch);
    /** Rows: how it was turned; columns: what the network said. */
    const confusion = ROTATIONS.map(() => ROTATIONS.map(() => 0));
    const record = await judge(
      session,
      { configuration, heads: HEADS, heldOut, reader, ...request },
      {
        examples,
        measure: ({ class: truth }, { logits }, side) => {
          const [turned, said] = [greatest(truth), greatest(logits)];
          if (side === 'heldOut') confusion[turned][said]++;
          return { accuracy: turned === said ? 1 : 0 };
        },
        picture: ({ view, class: truth }, { logits }) => {
          const shown = firstChannel(view, patch);
          const back = (index: number): Float32Array => applyRotation(shown, patch, { class: inverseRotation(index) });
          return volumesPicture(patch, [shown, back(greatest(logits)), back(greatest(truth))]);
        },
      },
    );
    if (!record?.summary.heldOut) return record;
    return {
      ...record,
      details: {
        confusion: confusion.map((row, i) => ({
          turned: nameOf(i),
          predicted: Object.fromEntries(row.map((count, j) => [nameOf(j), count])),
        })),
      },
      pictures: [
        ...record.pictures,
        ...(request.pictures ? [{ tag: 'heldOut/confusion', picture: confusionPicture(confusion) }] : []),
      ],
    };
  },
};
export { rotation as method };
