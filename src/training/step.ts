/** One step of any training, and its learning rate: what the loop of a run and the page in the browser share. */
import type { Session } from '../engine/backend.ts';
import { adamStep } from '../engine/ops/adam/adam.ts';
import type { LoopConfiguration } from '../methods/schema-parts.ts';
import { type LossScale, lossScaleInputs } from '../model/loss-scaling.ts';
import { STATES } from '../model/optimizer.ts';

/** The share of the learning rate at which a decay ends. */
const MIN_RATE = 0.05;

/** The learning rate of a step (from 0). It depends on nothing else of the run, so a resumed run has the same. */
export function learningRateOf(
  { learningRate, learningRateDecaySteps }: Pick<LoopConfiguration, 'learningRate' | 'learningRateDecaySteps'>,
  step: number,
): number {
  if (learningRateDecaySteps === 0) return learningRate;
  const passed = Math.min(1, step / learningRateDecaySteps);
  return learningRate * (MIN_RATE + (1 - MIN_RATE) * 0.5 * (1 + Math.cos(Math.PI * passed)));
}

/** A gradient graph's outputs 'loss.NAME' as losses by name. */
export const lossesOf = (outputs: Readonly<Record<string, Float32Array>>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(outputs).flatMap(([name, [value]]) => (name.startsWith('loss.') ? [[name.slice(5), value]] : [])),
  );

/** What a step found. */
export interface StepResult {
  readonly loss: Readonly<Record<string, number>>;
  readonly gradientNorm: Readonly<Record<string, number>>;
  readonly finite: boolean;
}

/** Whether it was the gradients alone that are not finite: with a scaled loss, a sign of too large a scale. */
export const onlyGradientsOverflowed = ({ loss, finite }: StepResult): boolean =>
  !finite && Object.values(loss).every(Number.isFinite);

/** What a step works with. */
export interface StepTools<Images> {
  readonly session: Session;
  /** Adds the gradients of one sample to the flat state, given the inputs that scale its loss; returns its losses by name, 'total' among them. */
  readonly gradient: (
    images: Images,
    scaling: Readonly<Record<string, Float32Array>>,
  ) => Promise<Readonly<Record<string, number>>>;
}

/**
 * One step: gradients of the batch, their norms, and Adam unless something is not finite.
 * @param adamSteps updates made before it
 * @param lossScale where the program scales its loss
 */
export async function trainStep<Images>(
  { session, gradient }: StepTools<Images>,
  examples: readonly Images[],
  learningRate: number,
  adamSteps: number,
  lossScale?: LossScale,
): Promise<StepResult> {
  const scaling = lossScale ? lossScaleInputs(lossScale) : {};
  const loss: Record<string, number> = {};
  for (const images of examples) {
    for (const [name, value] of Object.entries(await gradient(images, scaling)))
      loss[name] = (loss[name] ?? 0) + value / examples.length;
  }
  const gradientNorm: Record<string, number> = {};
  for (const [part, values] of Object.entries(await session.run('norms', {}))) gradientNorm[part] = Math.sqrt(values[0]);
  const finite = [...Object.values(loss), ...Object.values(gradientNorm)].every(Number.isFinite);
  if (finite) await session.run('update', { step: adamStep(learningRate, adamSteps + 1) });
  else await session.writeState(STATES.gradients, new Float32Array((await session.readState(STATES.gradients)).length));
  return { loss, gradientNorm, finite };
}
