/** Classifying a volume: the probabilities of its windows, averaged, and the class that they speak for. */
import { listen } from '../engine/stoppable.ts';
import { cropChannels } from '../geometry/crop.ts';
import { toXyz, toZyx, type Volume, type Zyx } from '../geometry/volume.ts';
import type { Task } from '../model/configuration.ts';
import { counting, type WorkOptions } from './call-options.ts';
import { type OpenNetwork, taskOfNetwork, type WindowPlace } from './network.ts';
import { combinations, mirrored } from './prediction.ts';
import type { MirrorAxis } from './prediction-options.ts';
import { windowCount, windowsOf } from './segmentation/sliding-window.ts';

export interface ClassifyResult {
  /** By class. Of two classes they add up to 1; of more each is a judgement of its own. */
  readonly probabilities: Readonly<Record<string, number>>;
  /** The most probable class. */
  readonly prediction: string;
  readonly windows: number;
  readonly warnings: readonly string[];
}

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
  if (probabilities.length === 1) return task.classes[probabilities[0] > 0.5 ? 1 : 0];
  return task.classes[probabilities.indexOf(Math.max(...probabilities))];
}

/** A probability for a table: the digits that tell any two of single precision apart, since areas under curves come from their order. */
export const probabilityText = (probability: number): string => String(Number(probability.toPrecision(9)));

/** Classifies a prepared image, given by its channels on one grid: the mean of the networks' probabilities, and of those of mirrored windows. */
export async function classifyPrepared(
  open: OpenNetwork,
  channels: readonly Volume<Float32Array>[],
  { window, overlap, mirror = [] }: WindowPlace & { readonly mirror?: readonly MirrorAxis[] },
  { progress, signal }: WorkOptions,
): Promise<Omit<ClassifyResult, 'warnings'>> {
  const task = taskOfNetwork(open.network, 'classification');
  const members = await open.members('predict', window);
  const copies = combinations(mirror);
  const size = toZyx(channels[0].geometry.size);
  const windows = windowCount({ size, window, overlap });
  const outputs = await counting(progress, windows, 'windows', (onWindow) =>
    classifyVolume(size, window, overlap, async (start) => {
      const image = cropChannels(channels, toXyz(start), toXyz(window));
      const mean = new Float32Array(open.network.architecture.heads.classification!);
      for (const { session, load } of members) {
        await load();
        for (const axes of copies) {
          await listen(signal);
          const seen = axes.length === 0 ? image : mirrored(image, window, axes);
          const { probabilities } = await session.run('predict', { image: seen });
          for (let i = 0; i < mean.length; i++) mean[i] += probabilities[i] / (members.length * copies.length);
        }
      }
      onWindow();
      return mean;
    }),
  );
  const all = outputs.length === 1 ? [1 - outputs[0], outputs[0]] : outputs;
  return {
    probabilities: Object.fromEntries(task.classes.map((label, i) => [label, all[i]])),
    prediction: classOf(outputs, task),
    windows,
  };
}
