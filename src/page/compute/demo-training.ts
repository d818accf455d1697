/**
 * The demo's pre-training in the page: synthetic hearts drawn here, prepared as the command line prepares them, and the same steps. Fewer
 * patients and steps, nothing stored.
 */

import { prepareImage } from '../../cohort/prepare-image.ts';
import type { Backend } from '../../engine/backend.ts';
import { listen, stoppable } from '../../engine/stoppable.ts';
import { cropPad } from '../../geometry/crop.ts';
import { toXyz, toZyx, type Volume } from '../../geometry/volume.ts';
import { pretrainConfigurationSchema } from '../../methods/gvsl/configuration.ts';
import { makeExample } from '../../methods/gvsl/example.ts';
import { trainingProgram } from '../../methods/gvsl/program.ts';
import { exampleRequest, stepOptions } from '../../methods/gvsl/step-options.ts';
import { STATES } from '../../model/optimizer.ts';
import { initialParameters } from '../../model/parameters.ts';
import { renderSubject } from '../../phantom/subject.ts';
import { DEMO_SETTINGS } from '../../training/demo-settings.ts';
import { trainStep, updateRuleOf } from '../../training/step.ts';

export interface DemoTraining {
  readonly backend: Backend;
  readonly subjects: number;
  readonly steps: number;
  /** 1, 0.5, 0.25 or 0.125. */
  readonly width: number;
  readonly seed: number;
  /** What it will take. Callbacks are awaited, so that what a page shows keeps up. */
  readonly onStart: (memoryBytes: number) => void | Promise<void>;
  readonly onSubject: (done: number) => void | Promise<void>;
  readonly onStep: (step: number, loss: Readonly<Record<string, number>>) => void | Promise<void>;
  readonly signal: AbortSignal;
}

async function patients({ subjects, seed, onSubject, signal }: DemoTraining): Promise<Volume<Float32Array>[]> {
  const { kind, spacingMm, pose } = DEMO_SETTINGS.phantoms;
  const volumes: Volume<Float32Array>[] = [];
  for (let subject = 0; subject < subjects; subject++) {
    const { image } = renderSubject({ kind, seed, subject, spacingMm, pose });
    const loaded = {
      path: `patient ${subject}`,
      format: 'phantom',
      storedType: 'int16',
      volume: image,
      volumesInFile: 1,
      warnings: [],
    };
    volumes.push(prepareImage(loaded, DEMO_SETTINGS.prepare).whole);
    await onSubject(subject + 1);
    await listen(signal);
  }
  return volumes;
}

const configurationOf = ({ steps, width, seed }: Pick<DemoTraining, 'steps' | 'width' | 'seed'>) =>
  pretrainConfigurationSchema.parse({
    ...DEMO_SETTINGS.pretrain,
    seed,
    steps,
    learningRateDecaySteps: steps,
    model: { width },
  });

/** Voxels of a patient as it is prepared, about. */
const PATIENT_VOXELS = 32 * 36 * 40;

/** What a training will take: the network's program, and the patients. */
export function demoTrainingBytes(backend: Backend, { width, subjects }: Pick<DemoTraining, 'width' | 'subjects'>): number {
  const { program } = trainingProgram(stepOptions(configurationOf({ steps: 1, width, seed: 1 })));
  return backend.memoryBytes(program) + 4 * PATIENT_VOXELS * subjects;
}

/** @throws RunError where the backend fails, and the signal's reason once that aborts */
export async function trainDemo(training: DemoTraining): Promise<void> {
  const { steps, seed, onStart, onStep, signal } = training;
  const backend = stoppable(training.backend, signal);
  const configuration = configurationOf(training);
  const { program, table } = trainingProgram(stepOptions(configuration));
  await onStart(backend.memoryBytes(program));
  const volumes = await patients(training);
  const sizes = volumes.map(({ geometry }) => toZyx(geometry.size));
  const session = await backend.open(program);
  try {
    await session.writeState(STATES.parameters, initialParameters(table, seed));
    const gradient = (images: Record<string, Float32Array>) => session.run('gradient', images);
    let adamSteps = 0;
    for (let step = 0; step < steps; step++) {
      const examples = await Promise.all(
        Array.from({ length: configuration.batch }, async (_, sample) => {
          const { moving, movingView, fixed } = await makeExample(
            (subject, from, size) => cropPad(volumes[subject], toXyz(from), toXyz(size), 0).data,
            exampleRequest(configuration, sizes, step, sample),
          );
          return { moving, movingView, fixed };
        }),
      );
      const { loss, finite } = await trainStep({ session, gradient }, examples, updateRuleOf(configuration, step), adamSteps);
      if (finite) adamSteps++;
      await onStep(step + 1, loss);
    }
  } finally {
    await session.close();
  }
}
