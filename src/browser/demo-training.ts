/**
 * The demo's pre-training in the page: synthetic hearts drawn here, prepared as the command line prepares them, and the same steps. Fewer
 * patients and steps, nothing stored.
 */
import type { Backend } from '../engine/backend.ts';
import { cropPad } from '../geometry/crop.ts';
import { toXyz, toZyx, type Volume } from '../geometry/volume.ts';
import { makeExample } from '../method/example.ts';
import { STATES, trainingProgram } from '../method/gvsl.ts';
import { initialParameters } from '../model/parameters.ts';
import { renderSubject } from '../phantom/subject.ts';
import { prepareImage } from '../preparation/prepare-image.ts';
import { pretrainConfigurationSchema } from '../training/configuration.ts';
import { DEMO_SETTINGS } from '../training/demo-settings.ts';
import { exampleRequest, stepOptions } from '../training/pair-step.ts';
import { learningRateOf, lossesOf, trainStep } from '../training/step.ts';

export interface DemoTraining {
  readonly backend: Backend;
  readonly subjects: number;
  readonly steps: number;
  /** 1, 0.5, 0.25 or 0.125. */
  readonly width: number;
  readonly seed: number;
  /** Awaited, so that what a page shows keeps up. */
  readonly onSubject: (done: number) => void | Promise<void>;
  readonly onStep: (step: number, loss: Readonly<Record<string, number>>, seconds: number) => void | Promise<void>;
  readonly stopped: () => boolean;
}

/** Lets messages in: a worker that only awaits results never hears 'stop'. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

async function patients({ subjects, seed, onSubject, stopped }: DemoTraining): Promise<Volume<Float32Array>[]> {
  const { kind, spacingMm, pose } = DEMO_SETTINGS.phantoms;
  const volumes: Volume<Float32Array>[] = [];
  for (let subject = 0; subject < subjects && !stopped(); subject++) {
    const { image } = renderSubject({ kind, seed, subject, spacingMm, pose });
    const loaded = {
      path: `patient ${subject}`,
      format: 'phantom',
      storedType: 'int16',
      volume: image,
      volumesInFile: 1,
      notes: [],
    };
    volumes.push(prepareImage(loaded, DEMO_SETTINGS.prepare).whole);
    await onSubject(subject + 1);
    await nextTurn();
  }
  return volumes;
}

/** Trains, and returns the steps done. @throws WorkError where the backend fails */
export async function trainDemo(training: DemoTraining): Promise<number> {
  const { backend, steps, width, seed, onStep, stopped } = training;
  const configuration = pretrainConfigurationSchema.parse({
    ...DEMO_SETTINGS.pretrain,
    seed,
    steps,
    learningRateDecaySteps: steps,
    model: { width },
  });
  const volumes = await patients(training);
  if (stopped()) return 0;
  const sizes = volumes.map(({ geometry }) => toZyx(geometry.size));
  const { program, table } = trainingProgram(stepOptions(configuration));
  const session = await backend.open(program);
  try {
    await session.writeState(STATES.parameters, initialParameters(table, seed));
    const gradient = async (images: Record<string, Float32Array>) => lossesOf(await session.run('gradient', images));
    let adamSteps = 0;
    for (let step = 0; step < steps; step++) {
      if (stopped()) return step;
      const start = performance.now();
      const examples = await Promise.all(
        Array.from({ length: configuration.batch }, async (_, sample) => {
          const { moving, movingView, fixed } = await makeExample(
            (subject, from, size) => cropPad(volumes[subject]!, toXyz(from), toXyz(size), 0).data,
            exampleRequest(configuration, sizes, step, sample),
          );
          return { moving, movingView, fixed };
        }),
      );
      const { loss, finite } = await trainStep({ session, gradient }, examples, learningRateOf(configuration, step), adamSteps);
      if (finite) adamSteps++;
      await onStep(step + 1, loss, (performance.now() - start) / 1000);
      await nextTurn();
    }
    return steps;
  } finally {
    await session.close();
  }
}
