/** Classifying a volume: the probabilities of its windows, averaged, and the class that they speak for. */
import type { Zyx } from '../geometry/volume.ts';
import type { Task } from '../model/configuration.ts';
import { windowsOf } from './segmentation/sliding-window.ts';

/** The mean of the windows' probabilities for each output. */
export async function classifyVolume(
  size: Zyx,
  window: Zyx,
  overlap: number,
  predict: (start: Zyx) => Promise<Float32Array>,
): Promise<number[]> {
  let [sums, count] = [[] as number[], 0];
  for (const start of windowsOf({ size, window, overlap })) {
    sums = Array.from(await predict(start), (p, i) => (sums[i] ?? 0) + p);
    count++;
  }
  return sums.map((sum) => sum / count);
}

/** The most probable class of a classification's outputs. */
export function classOf(probabilities: readonly number[], task: Extract<Task, { kind: 'classification' }>): string {
  if (probabilities.length === 1) return task.classes[probabilities[0]! > 0.5 ? 1 : 0]!;
  return task.classes[probabilities.indexOf(Math.max(...probabilities))]!;
}
