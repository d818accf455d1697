/** Classifying images with a trained network: each is prepared as the cohort was, and the probabilities of its windows are averaged. */
import { join } from 'node:path';
import { readForNetwork } from '../cohort/read-for-network.ts';
import { cropPad } from '../geometry/crop.ts';
import { toXyz, toZyx, type Zyx } from '../geometry/volume.ts';
import { predictionProgram } from '../method/transfer/programs.ts';
import { windowCount } from '../method/transfer/sliding-window.ts';
import { writeFileAtomic } from '../node/files.ts';
import type { Task } from '../training/model-configuration.ts';
import { jsonText } from '../training/model-folder.ts';
import { classifyVolume, classOf } from './evaluate.ts';
import { inputImages } from './inputs.ts';
import { type ApplyCall, openNetwork, readNetwork, windowOf } from './network.ts';

export interface ClassifyCall extends ApplyCall {
  readonly inputs: readonly string[];
}

export interface ClassifiedImage {
  readonly case: string;
  readonly path: string;
  /** Of every class; of two classes they add up to 1, of more each is a judgement of its own. */
  readonly probabilities: Readonly<Record<string, number>>;
  readonly prediction: string;
  readonly remarks: readonly string[];
}

export interface ClassifyReport {
  readonly model: { readonly folder: string; readonly step: number };
  readonly classes: readonly string[];
  readonly window: Zyx;
  readonly images: readonly ClassifiedImage[];
}

const cell = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Classifies images and writes classes.csv and classes.json. @throws UsageError or WorkError naming the input and why */
export async function classifyImages(call: ClassifyCall): Promise<ClassifyReport> {
  const { out, backend, progress, overlap = 0.5 } = call;
  const network = await readNetwork(call.model, call.modality, 'classification');
  const task = network.configuration.task as Extract<Task, { kind: 'classification' }>;
  const window = windowOf(call.window, task.patch);
  const inputs = await inputImages(call.inputs, call.series);
  const session = await openNetwork(network, backend, predictionProgram(network.architecture, window), window);
  const images: ClassifiedImage[] = [];
  try {
    progress.start(inputs.length, 'images');
    for (const { name, source } of inputs) {
      const { cropped, prepared } = await readForNetwork(source, network.preprocessing, call.modality !== undefined);
      const size = toZyx(cropped.geometry.size);
      const outputs = await classifyVolume(size, window, overlap, async (start) => {
        const { probabilities } = await session.run('predict', { image: cropPad(cropped, toXyz(start), toXyz(window), 0).data });
        return probabilities!;
      });
      const all = outputs.length === 1 ? [1 - outputs[0]!, outputs[0]!] : outputs;
      images.push({
        case: name,
        path: source.path,
        probabilities: Object.fromEntries(task.classes.map((label, i) => [label, all[i]!])),
        prediction: classOf(outputs, task),
        remarks: prepared.problems,
      });
      progress.advance(1, `${name} (${windowCount(size, window, overlap)} windows)`);
    }
  } finally {
    await session.close();
    progress.stop();
  }
  const report: ClassifyReport = {
    model: { folder: network.folder, step: network.configuration.step },
    classes: task.classes,
    window,
    images,
  };
  const lines = images.map(({ case: name, probabilities, prediction }) =>
    [cell(name), ...task.classes.map((label) => probabilities[label]!.toFixed(6)), cell(prediction)].join(','),
  );
  await writeFileAtomic(
    join(out, 'classes.csv'),
    `${[['case', ...task.classes.map(cell), 'prediction'].join(','), ...lines].join('\n')}\n`,
  );
  await writeFileAtomic(join(out, 'classes.json'), jsonText(report));
  return report;
}
