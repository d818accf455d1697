/** Classifying images with a trained network: each is prepared as the cohort was, and the probabilities of its windows are averaged. */
import { join } from 'node:path';
import { channelsOf } from '../../cohort/network-image.ts';
import { readForNetwork } from '../../cohort/node/read-for-network.ts';
import { csvLine } from '../../common/csv.ts';
import type { Progress } from '../../common/progress.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { jsonText } from '../../model/node/documents.ts';
import { type Failure, failureOf } from '../../platform/node/batch.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { guardInputs } from '../../platform/node/guard.ts';
import { inResults } from '../../platform/node/results.ts';
import { classifyPrepared, probabilityText } from '../classification.ts';
import { type OpenNetwork, taskOfNetwork, windowsFor } from '../network.ts';
import { mirrorAxes, mirrorWarnings } from '../prediction.ts';
import type { MirrorAxis, PredictionOptions } from '../prediction-options.ts';
import { filesOf, inputImages, inputOptions, leftOut, partFile } from './inputs.ts';
import { modelInputsOf, modelsOf, type TaskCall, withNetwork } from './network.ts';

export interface ClassifyCall extends TaskCall, PredictionOptions {
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
  /** Whose probabilities were averaged. */
  readonly models: readonly { readonly folder: string; readonly step: number }[];
  readonly classes: readonly string[];
  readonly window: Zyx;
  /** Axes in which every window was mirrored too. */
  readonly mirror: readonly MirrorAxis[];
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
 * @throws UsageError before anything is computed; RunError if the model cannot be used, or nothing more can be computed or written
 */
export async function classifyImages(call: ClassifyCall): Promise<ClassifyReport> {
  return withNetwork(call, (open, progress) => classifyWith(open, progress, call));
}

async function classifyWith(open: OpenNetwork, progress: Progress, call: ClassifyCall): Promise<ClassifyReport> {
  const { out, signal, part, overwrite = false } = call;
  const [table, reportName] = [TABLE, REPORT].map((name) => partFile(name, part));
  const { network } = open;
  const task = taskOfNetwork(network, 'classification');
  const { window, overlap } = windowsFor(open, call);
  const mirror = mirrorAxes(open.networks, call.mirror);
  const inputs = await inputImages(call.inputs, inputOptions(call, network.preprocessing));
  const into = { names: [table, reportName], overwrite, by: 'gvsl classify', part };
  return guardInputs([...filesOf(inputs.images), ...(await modelInputsOf(call))], () =>
    inResults(out, into, async (results) => {
      const images: ClassifiedImage[] = [];
      const failed = [...inputs.failed];
      const warnings = [...mirrorWarnings(open.networks, mirror), ...inputs.warnings];
      try {
        progress.start(inputs.images.length, 'images');
        for (const input of inputs.images) {
          signal?.throwIfAborted();
          const { name, source } = input;
          const image = await readForNetwork(
            source,
            network.preprocessing,
            network.modalityIsCertain,
            input.channel ?? call.channel,
            input.others,
          ).catch((error: unknown) => failureOf(error, source.path));
          if ('reason' in image) {
            failed.push(image);
            progress.say(`${image.path}: ${image.reason}`);
            progress.advance(1, name);
            continue;
          }
          const { prepared } = image;
          const why = leftOut(input, prepared.doubts);
          if (why !== undefined) {
            warnings.push(why);
            progress.advance(1, name);
            continue;
          }
          const found = await classifyPrepared(open, channelsOf(image), { window, overlap, mirror }, signal ? { signal } : {});
          const { probabilities, prediction, windows } = found;
          images.push({ case: name, path: source.path, probabilities, prediction, warnings: prepared.problems });
          progress.advance(1, `${name} (${windows} windows)`);
        }
      } finally {
        progress.stop();
      }
      const report: ClassifyReport = {
        models: modelsOf(open),
        classes: task.classes,
        window,
        mirror,
        images,
        failed,
        warnings,
      };
      const lines = images.map(({ case: name, probabilities, prediction }) =>
        csvLine([name, ...task.classes.map((label) => probabilityText(probabilities[label])), prediction]),
      );
      await writeFileAtomic(join(out, table), `${[csvLine(['case', ...task.classes, 'prediction']), ...lines].join('\n')}\n`);
      await writeFileAtomic(join(out, reportName), jsonText(report));
      await results.finish([table, reportName]);
      return report;
    }),
  );
}
