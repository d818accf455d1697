/** Classifying images with a trained network: each is prepared as the cohort was, and the probabilities of its windows are averaged. */
import { join } from 'node:path';
import { readForNetwork } from '../../cohort/node/read-for-network.ts';
import { csvLine } from '../../common/csv.ts';
import { cropPad } from '../../geometry/crop.ts';
import { toXyz, toZyx, type Zyx } from '../../geometry/volume.ts';
import type { Task } from '../../model/configuration.ts';
import { jsonText } from '../../model/node/model-folder.ts';
import { predictionProgram } from '../../model/task-programs.ts';
import { type Failure, failureOf } from '../../platform/node/batch.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { guardInputs, modelInputs } from '../../platform/node/guard.ts';
import { openResults } from '../../platform/node/results.ts';
import { classifyVolume, classOf } from '../classification.ts';
import { windowCount } from '../segmentation/sliding-window.ts';
import { filesOf, inputImages, leftOut } from './inputs.ts';
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
  readonly warnings: readonly string[];
}

export interface ClassifyReport {
  readonly model: { readonly folder: string; readonly step: number };
  readonly classes: readonly string[];
  readonly window: Zyx;
  readonly images: readonly ClassifiedImage[];
  /** Inputs without a result, and why. */
  readonly failed: readonly Failure[];
  /** What concerns no single image: files of a folder that were left out. */
  readonly warnings: readonly string[];
}

const TABLE = 'classes.csv';
const REPORT = 'classes.json';

/**
 * Classifies images and writes classes.csv and classes.json. An image that cannot be read or prepared is listed in `failed`, and the others are
 * done.
 * @throws UsageError before anything is computed; WorkError if the model cannot be used, or nothing more can be computed or written
 */
export async function classifyImages(call: ClassifyCall): Promise<ClassifyReport> {
  const { out, backend, progress, overlap = 0.5, overwrite = false } = call;
  const network = await readNetwork(call.model, call.modality, 'classification');
  const task = network.configuration.task as Extract<Task, { kind: 'classification' }>;
  const window = windowOf(call.window, task.patch);
  const inputs = await inputImages(call.inputs, { series: call.series });
  return guardInputs([...filesOf(inputs.images), ...(await modelInputs(call.model))], async () => {
    const results = await openResults(out, { names: [TABLE, REPORT], overwrite, by: 'gvsl classify' });
    const images: ClassifiedImage[] = [];
    const failed = [...inputs.failed];
    const warnings = [...inputs.warnings];
    const session = await openNetwork(network, backend, predictionProgram(network.architecture, window), window);
    try {
      progress.start(inputs.images.length, 'images');
      for (const input of inputs.images) {
        const { name, source } = input;
        const certain = call.modality !== undefined;
        const image = await readForNetwork(source, network.preprocessing, certain, call.channel).catch((error: unknown) =>
          failureOf(error, source.path),
        );
        if ('reason' in image) {
          failed.push(image);
          progress.say(`${image.path}: ${image.reason}`);
          progress.advance(1, name);
          continue;
        }
        const { cropped, prepared } = image;
        const why = leftOut(input, prepared.doubts);
        if (why !== undefined) {
          warnings.push(why);
          progress.advance(1, name);
          continue;
        }
        const size = toZyx(cropped.geometry.size);
        const outputs = await classifyVolume(size, window, overlap, async (start) => {
          const { probabilities } = await session.run('predict', {
            image: cropPad(cropped, toXyz(start), toXyz(window), 0).data,
          });
          return probabilities!;
        });
        const all = outputs.length === 1 ? [1 - outputs[0]!, outputs[0]!] : outputs;
        images.push({
          case: name,
          path: source.path,
          probabilities: Object.fromEntries(task.classes.map((label, i) => [label, all[i]!])),
          prediction: classOf(outputs, task),
          warnings: prepared.problems,
        });
        progress.advance(1, `${name} (${windowCount({ size, window, overlap })} windows)`);
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
      failed,
      warnings,
    };
    const lines = images.map(({ case: name, probabilities, prediction }) =>
      csvLine([name, ...task.classes.map((label) => probabilities[label]!.toFixed(6)), prediction]),
    );
    await writeFileAtomic(join(out, TABLE), `${[csvLine(['case', ...task.classes, 'prediction']), ...lines].join('\n')}\n`);
    await writeFileAtomic(join(out, REPORT), jsonText(report));
    await results.finish([TABLE, REPORT]);
    return report;
  });
}
