/** What the outputs of a task's head stand for. */

import type { Subject } from '../../cohort/cohort.ts';
import { mapInto } from '../../common/map-into.ts';
import { type Heads, NO_HEADS } from '../../model/architecture.ts';
import type { Task } from '../../model/configuration.ts';

/** Outputs of a task's head: 1 for two classes. */
export const outputsOf = (task: Task): number =>
  task.kind === 'segmentation' ? task.labels.length : task.classes.length === 2 ? 1 : task.classes.length;

/** The heads of a network for a task. */
export const headsOf = (task: Task): Heads => ({
  ...NO_HEADS,
  ...(task.kind === 'segmentation' ? { segmentation: outputsOf(task) } : { classification: outputsOf(task) }),
});

/** Class indices of a label map's codes; codes that are no class are background. */
export function classIndices(codes: ArrayLike<number>, task: Extract<Task, { kind: 'segmentation' }>): Uint16Array {
  const index = new Map(task.labels.map(({ code }, i) => [code, i]));
  return mapInto(new Uint16Array(codes.length), codes, (code) => index.get(code) ?? 0);
}

/** The truth of a classification: (1, outputs). */
export function classTruth({ class: name }: Subject, task: Extract<Task, { kind: 'classification' }>): Float32Array {
  const index = task.classes.indexOf(name!);
  return outputsOf(task) === 1 ? Float32Array.of(index) : Float32Array.from(task.classes, (_, i) => (i === index ? 1 : 0));
}
