/** One step of any training, and its learning rate: what the loop of a run and the page in the browser share. */
import type { Session } from '../engine/backend.ts';
import { adamStep } from '../engine/ops/adam/adam.ts';
import type { LoopConfiguration } from '../methods/schema-parts.ts';
import { parkState } from '../model/gradient-parks.ts';
import { type LossScale, lossScaleInputs } from '../model/loss-scaling.ts';
import { STATES } from '../model/optimizer.ts';
import { AVERAGE, averageDecay } from '../model/weight-average.ts';
import { type Act, actsOf, type Part, parksOf, partsWithin } from './gradient-tree.ts';

/** What the learning rate of a step follows from. */
export type Schedule = Pick<
  LoopConfiguration,
  'learningRate' | 'learningRateDecaySteps' | 'learningRateDecay' | 'learningRateEnd' | 'warmupSteps'
>;

/** Power of nnU-Net's polynomial decay. */
const POLYNOMIAL_POWER = 0.9;
/** What is left of the distance to the end of a decay, from 1 to 0, after a share of its steps. */
const DECAY_CURVES = {
  cosine: (passed: number) => 0.5 * (1 + Math.cos(Math.PI * passed)),
  polynomial: (passed: number) => (1 - passed) ** POLYNOMIAL_POWER,
};

/** The learning rate of a step (from 0): warm-up, then decay. It depends on nothing else of the run, so a resumed run has the same. */
export function learningRateOf(schedule: Schedule, step: number): number {
  const {
    learningRate,
    learningRateDecaySteps,
    learningRateDecay = 'cosine',
    learningRateEnd = 0.05,
    warmupSteps = 0,
  } = schedule;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  if (learningRateDecaySteps === 0) return learningRate;
  const passed = Math.min(1, (step - warmupSteps) / learningRateDecaySteps);
  return learningRate * (learningRateEnd + (1 - learningRateEnd) * DECAY_CURVES[learningRateDecay](passed));
}

/** How the gradients of a step become an update. */
export interface UpdateRule {
  readonly learningRate: number;
  /** Batches of a step, over which gradients are averaged. Default 1. */
  readonly accumulate?: number;
  /** Largest norm of all gradients; 0: any. */
  readonly gradientClip?: number;
  /** AdamW's factor; 0: none. */
  readonly weightDecay?: number;
  /** Decay of the average of the weights, where the program has one (weight-average.ts); 0: none. */
  readonly emaDecay?: number;
}

/** The rule of a step (from 0). */
export function updateRuleOf(configuration: Schedule & Omit<UpdateRule, 'learningRate'>, step: number): UpdateRule {
  const { accumulate = 1, gradientClip = 0, weightDecay = 0, emaDecay = 0 } = configuration;
  return { learningRate: learningRateOf(configuration, step), accumulate, gradientClip, weightDecay, emaDecay };
}

/** PyTorch's guard against division by zero. */
const CLIP_EPS = 1e-6;
/** What gradients of a norm are multiplied by, so that it is at most `most`: as torch.nn.utils.clip_grad_norm_. */
const clipFactor = (norm: number, most: number): number => Math.min(1, most / (norm + CLIP_EPS));

/** A gradient graph's outputs 'loss.NAME' as losses by name. */
export const lossesOf = (outputs: Readonly<Record<string, Float32Array>>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(outputs).flatMap(([name, [value]]) => (name.startsWith('loss.') ? [[name.slice(5), value]] : [])),
  );

/** What a run of `gradient` gives: losses as 'loss.NAME', 'loss.total' among them, and what else it lets out as 'out.NAME'. */
export type GradientOutputs = Readonly<Record<string, Float32Array>>;

/** What a step found. */
export interface StepResult {
  /** Of its runs of `gradient`, in order. */
  readonly outputs: readonly GradientOutputs[];
  readonly loss: Readonly<Record<string, number>>;
  /** Of the gradients before they are clipped, by part of the network. */
  readonly gradientNorm: Readonly<Record<string, number>>;
  /** What clipping multiplied the gradients by; undefined where they are not clipped. */
  readonly clipFactor?: number | undefined;
  readonly finite: boolean;
}

/** Whether it was the gradients alone that are not finite: with a scaled loss, a sign of too large a scale. */
export const onlyGradientsOverflowed = ({ loss, finite }: StepResult): boolean =>
  !finite && Object.values(loss).every(Number.isFinite);

/** A step of which each of several processes computes some runs, and which all of them finish alike. */
export interface SharedStep {
  /** Runs of the whole step, and those that are computed here. */
  readonly runs: number;
  readonly range: Part;
  /** What all runs gave, in order. @param own what was computed here */
  outputsOfAll(own: readonly GradientOutputs[]): Promise<readonly GradientOutputs[]>;
  /** The next run of `gradient` is the last here, and nothing is added up here after it: what of it is final may go to the others meanwhile. */
  beforeLast(): void;
  /** Makes the gradients the sum over all runs. */
  addUp(): Promise<void>;
}

/** What a step works with. */
export interface StepTools<Images> {
  readonly session: Session;
  /** Adds the gradients of one sample to the flat state, given the inputs that scale its loss. */
  readonly gradient: (images: Images, scaling: Readonly<Record<string, Float32Array>>) => Promise<GradientOutputs>;
  /** Makes one of the samples of each batch, for a `gradient` that compares them; without it, it runs once for each sample. */
  readonly join?: (samples: readonly Images[]) => readonly Images[];
  /**
   * Places of the program where sums are set aside (gradient-parks.ts): gradients are added in the tree of gradient-tree.ts. With fewer than it takes,
   * they are added one after the other, as they also are in the tree of up to three. Default: 0.
   */
  readonly parks?: number;
  /** Left out: all runs are computed here. */
  readonly shared?: SharedStep | undefined;
}

/** What is done, in order, to add up the gradients of the runs of a range. */
function sumOf(runs: number, range: Part, parks: number): Act[] {
  const acts = actsOf(partsWithin(runs, range));
  return parksOf(acts) <= parks ? acts : acts.filter((act) => 'run' in act);
}

/**
 * One step: gradients of its batches, their norms, and the update unless something is not finite. Gradients are no longer scaled by `lossScale`
 * when their norms are taken, so clipping means the same in half precision. Each sample's gradient has its share of one batch, so the sum over
 * several is divided by their number; by powers of two nothing is rounded, and two batches of one sample are one of two, bit by bit.
 * @param examples of all batches of the step, or of the runs of the shared step that are computed here
 * @param adamSteps updates made before it
 * @param lossScale where the program scales its loss
 */
export async function trainStep<Images>(
  { session, gradient, join, parks = 0, shared }: StepTools<Images>,
  examples: readonly Images[],
  { learningRate, accumulate = 1, gradientClip = 0, weightDecay = 0, emaDecay = 0 }: UpdateRule,
  adamSteps: number,
  lossScale?: LossScale,
): Promise<StepResult> {
  const scaling = lossScale ? lossScaleInputs(lossScale) : {};
  const own: GradientOutputs[] = [];
  const images = join ? join(examples) : examples;
  const { runs, range } = shared ?? { runs: images.length, range: { from: 0, to: images.length } };
  const acts = sumOf(runs, range, parks);
  for (const act of acts) {
    if ('run' in act && act === acts.at(-1)) shared?.beforeLast();
    if ('run' in act) own.push(await gradient(images[act.run - range.from], scaling));
    else if ('fold' in act) await session.run(`fold.${act.fold}`, {});
    else {
      await session.run(`park.${act.park}`, {});
      await session.run(`clear.${act.park}`, {});
    }
  }
  const outputs = shared ? await shared.outputsOfAll(own) : own;
  await shared?.addUp();
  const loss: Record<string, number> = {};
  for (const found of outputs)
    for (const [name, value] of Object.entries(lossesOf(found))) loss[name] = (loss[name] ?? 0) + value / runs;
  const gradientNorm: Record<string, number> = {};
  for (const [part, values] of Object.entries(await session.run('norms', {})))
    gradientNorm[part] = Math.sqrt(values[0]) / accumulate;
  const finite = [...Object.values(loss), ...Object.values(gradientNorm)].every(Number.isFinite);
  const norm = Math.sqrt(Object.values(gradientNorm).reduce((sum, value) => sum + value * value, 0));
  const factor = gradientClip > 0 ? clipFactor(norm, gradientClip) : undefined;
  const options = { weightDecay, gradientScale: (factor ?? 1) / accumulate };
  if (finite) {
    await session.run('update', { step: adamStep(learningRate, adamSteps + 1, options) });
    if (emaDecay > 0) await session.run(AVERAGE, { decay: Float32Array.of(averageDecay(emaDecay, adamSteps + 1)) });
  } else {
    // what is not a number would stay in the places too
    const zeros = new Float32Array((await session.readState(STATES.gradients)).length);
    await session.writeState(STATES.gradients, zeros);
    for (let place = 0; place < parks; place++) await session.writeState(parkState(place), zeros);
  }
  return { outputs, loss, gradientNorm, clipFactor: factor, finite };
}
