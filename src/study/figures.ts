/** A study's figures: score against number of labels, learning curves, t-SNE of local features, and the correlation in pre-training. */
import { join } from 'node:path';
import { tsne } from '../apply/embedding/tsne.ts';
import { openSession } from '../apply/network.ts';
import { readLabelCrop } from '../cohort/node/crops.ts';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { randomStream } from '../common/random.ts';
import { toZyx } from '../geometry/volume.ts';
import { featuresProgram } from '../model/task-programs.ts';
import { createBackend } from '../platform/node/backends.ts';
import { findFolder, isFile } from '../platform/node/files.ts';
import { availableTo } from '../platform/node/memory.ts';
import { labelsText, MODE_TITLES } from '../report/study-table.ts';
import { readMetrics } from '../training/node/log/metrics.ts';
import { featuresOf } from '../training/node/task/features.ts';
import { splitForTask } from '../training/node/task/split.ts';
import { initialWeights } from '../training/node/task/start.ts';
import { taskOf } from '../training/node/task/task.ts';
import { classIndices } from '../training/task/classes.ts';
import { transferPatch } from '../training/task/configuration.ts';
import type { Study } from './configuration.ts';
import { methodsOf } from './methods.ts';
import { type Curve, plotCurves, plotScatter, type ScatterPanel } from './plot.ts';
import { configurationOf, labelsInOrder, modesOf, pretrainedAt, runsOf } from './runs.ts';
import type { StudyRow } from './tables.ts';
import type { StudyRunResult } from './task-result.ts';

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Score against number of labels, a panel for each mode. */
export function labelsFigure(study: Study, rows: readonly StudyRow[]): string {
  const all = Math.max(...study.labels.map((labels) => (labels === 'all' ? 0 : labels))) * 2 || 1;
  const place = (labels: number | 'all'): number => (labels === 'all' ? all : labels);
  return plotCurves(
    modesOf(study).map((mode) => ({
      title: MODE_TITLES[mode],
      xLabel: 'labelled subjects',
      logX: true,
      ticks: study.labels.map((labels) => [place(labels), String(labels)] as const),
      curves: methodsOf(study).map(({ name, title }): Curve => {
        const own = rows
          .filter((row) => row.method === name && row.mode === mode)
          .sort((a, b) => place(a.labels) - place(b.labels));
        return {
          name: title,
          points: own.map((row) => [place(row.labels), row.mean]),
          spread: own.map(({ deviation }) => deviation ?? 0),
        };
      }),
    })),
  );
}

/** Validation score against steps, averaged over seeds, for the smallest number of labels (the paper's figure 6); undefined where a probe alone is fitted. */
export function learningFigure(study: Study, results: readonly StudyRunResult[]): string | undefined {
  const [labels] = labelsInOrder(study);
  const modes = study.modes.filter((mode) => mode !== 'probe');
  if (modes.length === 0) return undefined;
  return plotCurves(
    modes.map((mode) => ({
      title: `${MODE_TITLES[mode]}, ${labelsText(labels)}: validation`,
      xLabel: 'steps',
      curves: methodsOf(study).map(({ name, title }): Curve => {
        const own = results.filter((run) => run.method === name && run.mode === mode && run.labels === labels);
        const steps = [...new Set(own.flatMap(({ curve }) => curve.map(([step]) => step)))].sort((a, b) => a - b);
        return {
          name: title,
          points: steps.map((step) => [
            step,
            mean(own.flatMap(({ curve }) => curve.filter(([at]) => at === step).map(([, score]) => score))),
          ]),
        };
      }),
    })),
  );
}

/** NCC loss in pre-training with and without restoration (the paper's figure 8); undefined if no run's log is at hand. */
export async function correlationFigure(study: Study, out: string): Promise<string | undefined> {
  const curves: Curve[] = [];
  for (const { name, title } of methodsOf(study)) {
    const folder = pretrainedAt(study, out, name);
    if (folder === undefined || name === 'restoration-only') continue;
    const log = join(folder, 'metrics.jsonl');
    if (!(await isFile(log))) continue;
    const points = (await readMetrics(log)).flatMap(({ kind, step, loss }): [number, number][] => {
      const { ncc } = (loss ?? {}) as { ncc?: number | null };
      return kind === 'step' && typeof ncc === 'number' ? [[step, ncc]] : [];
    });
    // single steps are single pairs, and jump
    const window = 15;
    const smooth = points.flatMap(([step], i): [number, number][] =>
      i % 5 === 0 ? [[step, mean(points.slice(Math.max(0, i - window + 1), i + 1).map(([, value]) => value))]] : [],
    );
    if (smooth.length > 1) curves.push({ name: title, points: smooth });
  }
  if (curves.length === 0) return undefined;
  return plotCurves([{ title: 'NCC loss in pre-training (running mean)', xLabel: 'steps', curves }]);
}

/** Voxels of each structure in the t-SNE, and test subjects they are taken from. */
const VOXELS_PER_CLASS = 60;
const SUBJECTS = 3;

/** t-SNE of local features of test subjects' voxels, coloured by structure, a panel for each method (the paper's figure 7). */
export async function featuresFigure(study: Study, out: string): Promise<string | undefined> {
  if (study.task !== 'segmentation') return undefined;
  const cohort = await openCohort(study.cohort);
  const backend = await createBackend('cpu');
  const panels: ScatterPanel[] = [];
  const missing: string[] = [];
  let groups: readonly string[] = [];
  for (const { name, title, encoderOnly } of methodsOf(study)) {
    const init = pretrainedAt(study, out, name) ?? 'scratch';
    if (init !== 'scratch' && (await findFolder(init)) === undefined) {
      missing.push(title);
      continue;
    }
    const run = runsOf(study).find((each) => each.method === name)!;
    const configuration = configurationOf(study, run, init);
    const task = await taskOf(cohort, configuration);
    if (task.kind !== 'segmentation') return undefined;
    const { test } = await splitForTask(cohort, configuration);
    const { architecture, parameters } = await initialWeights(cohort, configuration, task);
    const window = transferPatch(configuration);
    const session = await openSession(
      parameters(),
      backend,
      featuresProgram(architecture, window).program,
      window,
      availableTo(backend),
    );
    const points: Float32Array[] = [];
    const labels: number[] = [];
    try {
      for (const subject of test.slice(0, SUBJECTS)) {
        const { data, channels } = await featuresOf(session, cohort, subject, window, 0.5, architecture.widths[8]);
        const size = toZyx(subject.geometry.size);
        const classes = classIndices((await readLabelCrop(cohort, subject, [0, 0, 0], size))!, task);
        const voxels = classes.length;
        for (let c = 1; c < task.labels.length; c++) {
          const own = Array.from(classes.keys()).filter((v) => classes[v] === c);
          const order = randomStream(1, 'featuresFigure', subject.id, c).permutation(own.length);
          for (const k of order.slice(0, Math.ceil(VOXELS_PER_CLASS / SUBJECTS))) {
            points.push(Float32Array.from({ length: channels }, (_, channel) => data[channel * voxels + own[k]]));
            labels.push(c - 1);
          }
        }
      }
    } finally {
      await session.close();
    }
    if (points.length < 4) continue;
    groups = task.labels.slice(1).map(({ name: label }) => label);
    const layout = tsne(points);
    panels.push({
      title: encoderOnly ? `${title} (random decoder)` : title,
      points: layout.map(([x, y], i) => [x, y, labels[i]] as const),
    });
  }
  const note = missing.length > 0 ? `Not here, since their models are not: ${missing.join(', ')}` : '';
  return panels.length > 0 ? plotScatter(panels, groups, note) : undefined;
}
