/**
 * How every method but GVSL is judged: its losses on fixed examples of held-out subjects, what a probe finds of labels, and pictures.
 *
 * A loss alone says little of a representation (it may fall while the features get worse for every task), so `best` is chosen by the probe where the
 * cohort has labels, and by the held-out loss where it has none; text and summary say which.
 */
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import type { Session } from '../../engine/backend.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import type { Picture } from '../../images/pictures/picture.ts';
import { type Heads, scaledArchitecture } from '../../model/architecture.ts';
import type { EvaluationRecord, ExampleMaker, ExampleTensors, JudgementRequest } from '../method.ts';
import { type PretrainingConfiguration, toPatchSize } from '../schema-parts.ts';
import { measureName } from './names.ts';
import type { JudgementConfiguration } from './options.ts';
import { describeProbe, type ProbeScore, probe, probeLoss } from './probe.ts';

/** Examples that pictures are made of. */
const PICTURED = 3;

/** Means over fixed examples of one side of the split. */
export interface ExampleScores {
  readonly examples: number;
  /** By name, 'total' among them. */
  readonly loss: Readonly<Record<string, number>>;
  /** What the method measures beside its losses. */
  readonly measures: Readonly<Record<string, number>>;
}

/** What a judgement found. */
export interface Judgement {
  readonly heldOut: ExampleScores | null;
  /** The same of training subjects: the gap is what was learnt by heart. */
  readonly training: ExampleScores | null;
  readonly probe: ProbeScore | null;
  /** What `best` is chosen by. */
  readonly chosenBy: 'probe' | 'held-out loss' | null;
}

/** Outputs of the graph `judge`, by name. */
export type JudgedOutputs = Readonly<Record<string, Float32Array>>;

/** What is judged. */
export interface JudgementContext<Configuration> extends JudgementRequest {
  readonly configuration: Configuration;
  readonly heads: Heads;
  readonly heldOut: readonly Subject[];
  readonly reader: CohortReader;
}

/** What of it is the method's own. */
export interface JudgedMethod<Configuration> {
  examples(configuration: Configuration, subjects: readonly Subject[], reader: CohortReader): ExampleMaker<ExampleTensors>;
  /** Subjects that an example takes at least; default 1. */
  readonly leastSubjects?: number;
  /** Measures of one example, averaged. */
  measure?(example: ExampleTensors, outputs: JudgedOutputs, side: 'training' | 'heldOut'): Readonly<Record<string, number>>;
  /** What the network is shown, what it makes of it, and what it was asked for. @param spacingMm of its voxels, (z, y, x) */
  picture?(example: ExampleTensors, outputs: JudgedOutputs, spacingMm: Zyx): Picture;
}

/** Losses and measures on the first examples of a maker. Needs the graph `judge`. */
async function scoreExamples(
  session: Session,
  make: ExampleMaker<ExampleTensors>,
  examples: number,
  look: (example: ExampleTensors, outputs: JudgedOutputs, index: number) => Readonly<Record<string, number>>,
): Promise<ExampleScores> {
  const loss: Record<string, number> = {};
  const measures: Record<string, number> = {};
  const add = (sums: Record<string, number>, name: string, value: number): void => {
    sums[name] = (sums[name] ?? 0) + value / examples;
  };
  for (let index = 0; index < examples; index++) {
    const example = await make(0, index);
    const found = await session.run('judge', example);
    const outputs: Record<string, Float32Array> = {};
    for (const [name, values] of Object.entries(found)) {
      if (name.startsWith('loss.')) add(loss, name.slice(5), values[0]);
      else outputs[name.slice('out.'.length)] = values;
    }
    for (const [name, value] of Object.entries(look(example, outputs, index))) add(measures, name, value);
  }
  return { examples, loss, measures };
}

const digits = (value: number): string => (value === 0 ? '0' : Number(value.toPrecision(4)).toString());

/** A judgement in a line. */
export function describeJudgement(step: number, { heldOut, training, probe: found, chosenBy }: Judgement): string {
  const parts: string[] = [];
  if (heldOut) {
    const beside = training ? ` (training ${digits(training.loss.total)})` : '';
    parts.push(`held-out loss ${digits(heldOut.loss.total)}${beside}`);
    for (const [name, value] of Object.entries(heldOut.measures))
      parts.push(`${measureName(name)} ${digits(value)}${training ? ` (training ${digits(training.measures[name])})` : ''}`);
  }
  if (found) parts.push(describeProbe(found));
  if (chosenBy) parts.push(`best is chosen by the ${chosenBy}`);
  return `step ${step}: ${parts.join(', ')}`;
}

/** For TensorBoard. */
function scalarsOf({ heldOut, training, probe: found }: Judgement): Record<string, number> {
  const scalars: Record<string, number> = {};
  for (const [side, scores] of Object.entries({ heldOut, training })) {
    if (!scores) continue;
    for (const [name, value] of Object.entries(scores.loss)) scalars[`${side}/loss/${name}`] = value;
    for (const [name, value] of Object.entries(scores.measures)) scalars[`${side}/${name}`] = value;
  }
  if (found?.kind === 'segmentation') scalars['probe/dice'] = found.dice;
  if (found?.kind === 'classification') {
    scalars['probe/balancedAccuracy'] = found.balancedAccuracy;
    if (found.auc !== null) scalars['probe/auc'] = found.auc;
  }
  return scalars;
}

/** Judges the session's state; null if there is nothing to judge by. Needs the graphs `judge` and `features`. */
export async function judge<Configuration extends PretrainingConfiguration & JudgementConfiguration>(
  session: Session,
  context: JudgementContext<Configuration>,
  method: JudgedMethod<Configuration>,
): Promise<EvaluationRecord<Judgement> | null> {
  const { configuration, heads, training, heldOut, reader, step } = context;
  const { examples, probe: probing, probeSubjects } = configuration.judgement;
  const pictures: EvaluationRecord['pictures'][number][] = [];
  const scores = async (side: 'training' | 'heldOut', subjects: readonly Subject[]): Promise<ExampleScores | null> => {
    if (subjects.length < (method.leastSubjects ?? 1)) return null;
    const make = method.examples(configuration, subjects, reader);
    return scoreExamples(session, make, examples, (example, outputs, index) => {
      if (side === 'heldOut' && context.pictures && method.picture && index < PICTURED)
        pictures.push({
          tag: `heldOut/${index}`,
          picture: method.picture(example, outputs, toZyx(subjects[0].geometry.spacingMm)),
        });
      return method.measure?.(example, outputs, side) ?? {};
    });
  };
  const ofHeldOut = await scores('heldOut', heldOut);
  if (!ofHeldOut && heldOut.length === 0) return null;
  const ofTraining = await scores('training', training);
  // of a network that has diverged there is nothing to probe
  const finite = [ofHeldOut, ofTraining].every((side) => !side || Number.isFinite(side.loss.total));
  const found =
    probing && finite
      ? await probe(session, {
          architecture: scaledArchitecture(configuration.model.width, heads),
          patch: toPatchSize(configuration.data.patch),
          training,
          heldOut,
          reader,
          most: probeSubjects,
          seed: configuration.seed,
        })
      : null;
  // once probed, a loss is no score of the same scale: what diverged is not chosen
  const chosenBy = found ? 'probe' : ofHeldOut && finite ? 'held-out loss' : null;
  const summary: Judgement = { heldOut: ofHeldOut, training: ofTraining, probe: found, chosenBy };
  return {
    score: found ? probeLoss(found) : finite ? (ofHeldOut?.loss.total ?? null) : null,
    summary,
    details: {},
    scalars: scalarsOf(summary),
    pictures,
    text: describeJudgement(step, summary),
  };
}
