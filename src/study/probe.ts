/**
 * The mode `probe` of a study: a linear classifier of the encoder's levels, brought to full size, fitted on the labelled training subjects and scored
 * on the test subjects. It needs no decoder, so it says of every method what its encoder knows.
 *
 * Nothing of the network is trained. A result is kept as probe.json in its run's folder, with what it was made of.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { openSession } from '../apply/network.ts';
import type { Cohort } from '../cohort/cohort.ts';
import { cohortReader } from '../cohort/node/crops.ts';
import { fingerprintOf } from '../cohort/node/fingerprint.ts';
import { channelCount } from '../cohort/prepare-options.ts';
import type { CohortReader } from '../cohort/reader.ts';
import { RunError, UsageError } from '../common/errors.ts';
import { version } from '../common/version.ts';
import { probeEachSubject } from '../methods/judgement/probe.ts';
import { allWindows } from '../methods/judgement/windows.ts';
import { probedFeaturesGraph } from '../methods/method-program.ts';
import { NO_HEADS, scaledArchitecture } from '../model/architecture.ts';
import { jsonText, readJson } from '../model/node/documents.ts';
import { STATES } from '../model/optimizer.ts';
import { parameterTable } from '../model/parameters.ts';
import { createBackend } from '../platform/node/backends.ts';
import { findFolder, writeFileAtomic } from '../platform/node/files.ts';
import { availableTo } from '../platform/node/memory.ts';
import { changedError } from '../training/node/run-record.ts';
import { initialModelOf, readInitialModel, SCRATCH, SCRATCH_WIDTH } from '../training/node/start.ts';
import { splitForTask, type TaskSplit } from '../training/node/task/split.ts';
import { taskOf } from '../training/node/task/task.ts';
import { startFrom } from '../training/start.ts';
import { classIndices } from '../training/task/classes.ts';
import { type TransferConfiguration, transferPatch } from '../training/task/configuration.ts';
import { type SubjectScores, summarizeScores, type TaskEvaluation, whose } from '../training/task/evaluate.ts';

/** The probe's result in its run's folder. */
export const PROBE_FILE = 'probe.json';

const resultSchema = z.looseObject({
  formatVersion: z.literal(1),
  inputs: z.record(z.string(), z.string()),
  gvsl: z.string(),
  summary: z.looseObject({}),
  subjects: z.array(z.looseObject({ id: z.string() })),
});

export interface ProbeResult {
  readonly summary: TaskEvaluation;
  readonly subjects: readonly SubjectScores[];
  /** Of the gvsl that made it. */
  readonly version: string;
}

/** What a probe's result follows from, by name. */
async function inputsOf(
  cohort: Cohort,
  { init, seed, model, data }: TransferConfiguration,
  window: readonly number[],
  split: TaskSplit,
): Promise<Record<string, string>> {
  const initial = await initialModelOf(init).catch((error: unknown) => {
    if (error instanceof RunError) return undefined;
    throw error;
  });
  const ids = (part: 'training' | 'test'): string => split[part].map(({ id }) => id).join(', ');
  return {
    cohort: fingerprintOf(cohort, { withClasses: false }).hash,
    // a model of the study's own that was deleted since cannot be compared
    ...(initial === undefined ? {} : { init: initial?.sha256 ?? SCRATCH }),
    ...(initial === null && { width: String(model.width) }),
    seed: String(seed),
    patch: window.join(' x '),
    labelCodes: JSON.stringify(data.labelCodes),
    training: ids('training'),
    test: ids('test'),
  };
}

/**
 * The probe of a model on the task's test subjects: taken over if it is there, else made.
 * @throws UsageError naming what differs if the folder holds another probe's result
 */
export async function probeTask(cohort: Cohort, configuration: TransferConfiguration, folder: string): Promise<ProbeResult> {
  const task = await taskOf(cohort, configuration);
  if (task.kind !== 'segmentation') throw new UsageError('`modes`: probe is of segmentations; for classes, linear is the same');
  const split = await splitForTask(cohort, configuration);
  const window = transferPatch(configuration);
  const inputs = await inputsOf(cohort, configuration, window, split);
  const path = join(folder, PROBE_FILE);
  if ((await findFolder(path)) !== undefined) {
    const before = await readJson(path, resultSchema);
    const changed = Object.keys(inputs)
      .filter((key) => inputs[key] !== before.inputs[key])
      .map((key) => `${key}: was ${before.inputs[key] ?? 'absent'}, now ${inputs[key]}`);
    if (changed.length > 0)
      throw changedError(
        `${folder}: contains the result of a different probe; these differ`,
        changed,
        `Choose another \`out\`, or delete ${folder}`,
      );
    const { summary, subjects } = before as unknown as ProbeResult;
    return { summary, subjects, version: before.gvsl };
  }
  const { init, seed, model } = configuration;
  const initial = init === SCRATCH ? undefined : await readInitialModel(init, model.width);
  const architecture = scaledArchitecture(
    initial?.width ?? (model.width === 'auto' ? SCRATCH_WIDTH : model.width),
    NO_HEADS,
    channelCount(cohort.options),
  );
  const table = parameterTable(architecture);
  const start = startFrom(cohort, table, seed, initial);
  const program = {
    states: new Map([[STATES.parameters, [table.flatLength]]]),
    graphs: new Map([['features', probedFeaturesGraph(architecture, window, table)]]),
  };
  const threads = configuration.threads === 'auto' ? undefined : configuration.threads;
  const backend = await createBackend(configuration.backend, threads);
  const session = await openSession(start.parameters(), backend, program, window, availableTo(backend));
  try {
    const stored = cohortReader(cohort, 'all');
    const reader: CohortReader = {
      readCrop: stored.readCrop,
      readLabelCrop: async (...where) => classIndices((await stored.readLabelCrop(...where))!, task),
    };
    const scored = await probeEachSubject(
      session,
      { architecture, patch: window, training: split.training, heldOut: split.test, reader, most: 0, seed, windows: allWindows },
      task.labels.map((_, index) => index),
    );
    if (!scored)
      throw new RunError(`${cohort.folder}: the labelled training subjects have one class alone: there is nothing to probe`);
    const subjects = split.test.map((subject, i): SubjectScores => {
      const found = new Map(scored[i].map(({ label, dice }) => [label, dice]));
      // a class that no training subject has is not found; one that neither prediction nor truth has counts for nothing
      const { labelCodes } = subject;
      const dice = task.labels.slice(1).map(({ code }, c) => found.get(c + 1) ?? (labelCodes?.includes(code) ? 0 : null));
      return { ...whose(subject), dice };
    });
    const summary = summarizeScores(subjects, task);
    await writeFileAtomic(path, jsonText({ formatVersion: 1, inputs, gvsl: version, summary, subjects }));
    return { summary, subjects, version };
  } finally {
    await session.close();
  }
}
