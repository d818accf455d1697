/** Judges a network on prepared subjects: overlap of every class for segmentation, probabilities against the truth for classification. */

import { classifyVolume, classOf } from '../../apply/classification.ts';
import { slideWindows } from '../../apply/segmentation/sliding-window.ts';
import type { Subject } from '../../cohort/cohort.ts';
import { groupedByPatient } from '../../cohort/patients.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import { countedScans } from '../../common/counted.ts';
import type { Session } from '../../engine/backend.ts';
import { toZyx, type VoxelArray, type Zyx } from '../../geometry/volume.ts';
import { segmentationPicture } from '../../images/pictures/segmentation-picture.ts';
import type { EvaluationRecord, EvaluationRequest } from '../../methods/method.ts';
import { areaUnderCurve } from '../../metrics/classification.ts';
import { labelOverlap } from '../../metrics/label-overlap.ts';
import { taskLoss } from '../../metrics/task-loss.ts';
import type { Task } from '../../model/configuration.ts';
import { classIndices, outputsOf } from './classes.ts';

/** Validation subjects that pictures are made of. */
const PICTURED_SUBJECTS = 2;

/** One subject's scores. */
export interface SubjectScores {
  readonly id: string;
  /** Whose scan it is; absent where that is not known. */
  readonly patient?: string;
  /** Segmentation: Dice of each class but the background; null where prediction and truth both lack it. */
  readonly dice?: readonly (number | null)[];
  /** Classification: probability of each output, and the true class. */
  readonly probabilities?: readonly number[];
  readonly class?: string;
}

/** What a whole evaluation found. */
export interface TaskEvaluation {
  readonly subjects: number;
  /** Patients, where some have several of these subjects; absent where each has one. */
  readonly patients?: number;
  /** Mean over subjects of the mean over their classes; null without segmentation. */
  readonly dice: number | null;
  /** Mean over subjects by class, in the task's order without the background; null where no subject has it. */
  readonly dicePerClass: readonly (number | null)[] | null;
  /** Mean over outputs of the area under the ROC curve; null without classification, or where one class has no subject. */
  readonly auc: number | null;
  /** Share of subjects whose most probable class is the true one; null without classification. */
  readonly accuracy: number | null;
}

/** Predicts a stored volume window by window: planes of probabilities. */
function predictStored(
  session: Session,
  reader: CohortReader,
  subject: Subject,
  window: Zyx,
  overlap: number,
  channels: number,
): AsyncGenerator<Float32Array> {
  const predict = async (start: Zyx): Promise<Float32Array> =>
    (await session.run('predict', { image: await reader.readCrop(subject, start, window) })).probabilities;
  return slideWindows({ size: toZyx(subject.geometry.size), window, overlap, channels, predict });
}

/** The most probable class of each voxel of a plane (classes, voxels), into `out` from `at` on. */
function mostProbable(plane: Float32Array, classes: number, out: Uint16Array | Uint8Array, at: number): void {
  const voxels = plane.length / classes;
  for (let v = 0; v < voxels; v++) {
    let best = 0;
    for (let c = 1; c < classes; c++) if (plane[c * voxels + v] > plane[best * voxels + v]) best = c;
    out[at + v] = best;
  }
}

/** Class indices of a stored volume. */
async function segmentStored(
  session: Session,
  reader: CohortReader,
  subject: Subject,
  window: Zyx,
  overlap: number,
  classes: number,
): Promise<Uint16Array> {
  const size = toZyx(subject.geometry.size);
  const out = new Uint16Array(size[0] * size[1] * size[2]);
  let at = 0;
  for await (const plane of predictStored(session, reader, subject, window, overlap, classes)) {
    mostProbable(plane, classes, out, at);
    at += size[1] * size[2];
  }
  return out;
}

const meanOf = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
};

/** Dice of each class but the background. */
export function dicePerClass(predicted: VoxelArray, truth: VoxelArray, classes: number): (number | null)[] {
  const found = new Map(labelOverlap(predicted, truth).labels.map(({ label, dice }) => [label, dice]));
  return Array.from({ length: classes - 1 }, (_, i) => found.get(i + 1) ?? null);
}

/** A subject as its scores name it. */
export const whose = ({ id, patient }: Pick<Subject, 'id' | 'patient'>): Pick<SubjectScores, 'id' | 'patient'> =>
  patient === null ? { id } : { id, patient };

/** A subject's Dice: its mean over the classes that prediction or truth have; null where neither has any. */
export const subjectDice = ({ dice = [] }: SubjectScores): number | null => meanOf(dice);

/** What may be looked at while subjects are evaluated. */
export interface EvaluationLooks {
  /** Gets what a picture of each of the first subjects is made from. */
  readonly show?: (index: number, size: Zyx, image: Float32Array, truth: Uint16Array, predicted: Uint16Array) => void;
  /** Of how many. */
  readonly picturesOf?: number;
  /** Gets the class indices of each subject's segmentation. */
  readonly segmented?: (subject: Subject, truth: Uint16Array, predicted: Uint16Array) => void;
}

/**
 * Evaluates subjects one after another. Needs the program's graph 'predict'.
 * @param reader gives every channel of an image
 */
export async function evaluateSubjects(
  session: Session,
  reader: CohortReader,
  subjects: readonly Subject[],
  task: Task,
  overlap: number,
  { show, picturesOf = 0, segmented }: EvaluationLooks = {},
): Promise<SubjectScores[]> {
  const results: SubjectScores[] = [];
  for (const [index, subject] of subjects.entries()) {
    const size = toZyx(subject.geometry.size);
    if (task.kind === 'classification') {
      const predict = async (start: Zyx): Promise<Float32Array> =>
        (await session.run('predict', { image: await reader.readCrop(subject, start, task.patch) })).probabilities;
      const probabilities = await classifyVolume(size, task.patch, overlap, predict);
      results.push({ ...whose(subject), probabilities, class: subject.class! });
      continue;
    }
    const predicted = await segmentStored(session, reader, subject, task.patch, overlap, outputsOf(task));
    const truth = classIndices((await reader.readLabelCrop(subject, [0, 0, 0], size))!, task);
    results.push({ ...whose(subject), dice: dicePerClass(predicted, truth, outputsOf(task)) });
    segmented?.(subject, truth, predicted);
    if (index >= picturesOf || !show) continue;
    // of several channels the first
    const image = (await reader.readCrop(subject, [0, 0, 0], size)).subarray(0, truth.length);
    show(index, size, image, truth, predicted);
  }
  return results;
}

/** Means of the subjects' scores. */
export function summarizeScores(results: readonly SubjectScores[], task: Task): TaskEvaluation {
  const subjects = results.length;
  const patients = groupedByPatient(results).length;
  const counts = patients < subjects ? { subjects, patients } : { subjects };
  if (task.kind === 'segmentation') {
    const perClass = task.labels.slice(1).map((_, c) => meanOf(results.map(({ dice }) => dice![c]!)));
    return {
      ...counts,
      dice: meanOf(results.map(subjectDice)),
      dicePerClass: perClass,
      auc: null,
      accuracy: null,
    };
  }
  const positives = outputsOf(task) === 1 ? [task.classes[1]] : task.classes;
  const areas = positives.map((name, output) =>
    areaUnderCurve(
      results.map(({ probabilities }) => probabilities![output]),
      results.map((result) => result.class === name),
    ),
  );
  const right = results.filter((result) => classOf(result.probabilities!, task) === result.class).length;
  return {
    ...counts,
    dice: null,
    dicePerClass: null,
    auc: areas.some((area) => area === null) ? null : meanOf(areas),
    accuracy: subjects === 0 ? null : right / subjects,
  };
}

/** More structures than these would fill a screen: their range stands for them. */
const LISTED_STRUCTURES = 10;

function describeStructures(dice: readonly (number | null)[]): string {
  if (dice.length <= LISTED_STRUCTURES) return dice.map((value) => value?.toFixed(3) ?? '-').join(', ');
  const known = dice.filter((value) => value !== null);
  const range = known.length === 0 ? '-' : `${Math.min(...known).toFixed(3)} to ${Math.max(...known).toFixed(3)}`;
  const without = dice.length - known.length;
  return `${dice.length} structures: ${range}${without > 0 ? `, ${without} absent` : ''}`;
}

/** An evaluation in a line. */
export function describeScores({ dice, dicePerClass, auc, accuracy, subjects, patients }: TaskEvaluation): string {
  const of = countedScans(subjects, patients);
  if (dicePerClass) return `Dice ${dice?.toFixed(3) ?? '-'} (${describeStructures(dicePerClass)}) on ${of}`;
  return `AUC ${auc?.toFixed(3) ?? '-'}, accuracy ${accuracy?.toFixed(3) ?? '-'} on ${of}`;
}

/** Evaluates the validation subjects as a training does now and then, with pictures of the first few; null if there are none. */
export async function evaluateTask(
  session: Session,
  reader: CohortReader,
  validation: readonly Subject[],
  task: Task,
  overlap: number,
  { step, pictures: pictured }: EvaluationRequest,
): Promise<EvaluationRecord<TaskEvaluation> | null> {
  if (validation.length === 0) return null;
  const pictures: EvaluationRecord['pictures'][number][] = [];
  const show: EvaluationLooks['show'] = (index, size, image, truth, predicted) => {
    const spacingMm = toZyx(validation[index].geometry.spacingMm);
    pictures.push({ tag: `subject/${index}`, picture: segmentationPicture({ size, spacingMm, image, truth, predicted }) });
  };
  const subjects = await evaluateSubjects(session, reader, validation, task, overlap, {
    show,
    picturesOf: pictured ? PICTURED_SUBJECTS : 0,
  });
  const summary = summarizeScores(subjects, task);
  const scalars: Record<string, number> = {};
  for (const name of ['dice', 'auc', 'accuracy'] as const)
    if (summary[name] !== null) scalars[`validation/${name}`] = summary[name];
  if (task.kind === 'segmentation')
    summary.dicePerClass!.forEach((dice, c) => {
      if (dice !== null) scalars[`validation/dice/${task.labels[c + 1].name}`] = dice;
    });
  const text = `step ${step}: ${describeScores(summary)}`;
  return { score: taskLoss(summary), summary, details: { subjects }, scalars, pictures, text };
}
