/**
 * What a run is made of, as `run.json` in its folder keeps it: its cohort, who is held out, the model that it starts from, its whole
 * configuration. A run that goes on must be made of the same, and so must a study's results that are taken over; what differs is named.
 *
 * Files may move: a cohort is known by its fingerprint, a model by its bytes, a split by its ids.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Cohort } from '../../cohort/cohort.ts';
import { compareFingerprints, fingerprintOf, fingerprintSchema } from '../../cohort/node/fingerprint.ts';
import { counted } from '../../common/counted.ts';
import { UsageError } from '../../common/errors.ts';
import { formatNames } from '../../common/format-names.ts';
import type { Progress } from '../../common/progress.ts';
import { version } from '../../common/version.ts';
import type { Backend } from '../../engine/backend.ts';
import type { ModelConfiguration } from '../../model/configuration.ts';
import { jsonText, readJson } from '../../model/node/documents.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { type ConfigurationSchema, configurationKeys } from '../configuration-reference.ts';

export const RUN_FILE = 'run.json';
/** 100,000 subjects with their ids in two lists are 10 MB. */
const MAX_RECORD_BYTES = 256e6;

/** Whether a key shapes nothing of a result: what to write down on the way, how fast, and when to give up. Such keys may differ from what a finished result had. */
export const isFreeOfAResult = (path: string): boolean =>
  /^(threads|maxNonFiniteSteps|alarm\.(collapseBelow|collapseSteps)|log\.(everySteps|picturesEverySteps|checkpointEverySteps|checkpointEveryMinutes))$/.test(
    path,
  );
/** Whether a key may change when a run goes on: also how long, and on what. */
const isFree = (path: string): boolean => /^(steps|backend)$/.test(path) || isFreeOfAResult(path);
/** Paths, for which contents are compared. */
const PATHS = /^(init|data\.split)$/;

/** What a run is made of. */
export interface RunFacts {
  readonly kind: (typeof RUN_KINDS)[keyof typeof RUN_KINDS];
  /** The way to pre-train, where it is another than this package's own. */
  readonly method?: string | undefined;
  readonly cohort: Cohort;
  /** Ids by part: training, and heldOut or validation and test. */
  readonly split: Readonly<Record<string, readonly string[]>>;
  /** The model that it starts from: as the configuration names it, and SHA-256 of its model.safetensors; null: random numbers. */
  readonly initialModel: { readonly path: string; readonly sha256: string } | null;
  readonly configuration: object & { readonly backend: string };
  readonly schema: ConfigurationSchema;
  /** Whether the subjects' classes are what is learnt. */
  readonly withClasses: boolean;
}

/** What run.json says. Runs of version 0.1 lack what is optional. Unknown keys are kept. */
const recordSchema = z.looseObject({
  formatVersion: z.literal(1).optional(),
  /** SHA-256 over what must not change; each checkpoint carries it too, so that it is known to be this run's. */
  identity: z.string().optional(),
  kind: z.string().optional(),
  method: z.string().optional(),
  startedAt: z.string().optional(),
  cohort: z.looseObject({ fingerprint: fingerprintSchema.optional(), heldOutIds: z.array(z.string()).optional() }),
  split: z.record(z.string(), z.array(z.string())).optional(),
  initialModel: z.looseObject({ path: z.string(), sha256: z.string() }).nullable().optional(),
  configuration: z.record(z.string(), z.unknown()),
  /** What computed it, each from a step on (0-based). */
  backends: z.array(z.object({ fromStep: z.int().nonnegative(), backend: z.string() })).optional(),
  versions: z.record(z.string(), z.string()).optional(),
});
/** What a run of each command is called. */
export const RUN_KINDS = { pretrain: 'pre-training', train: 'training on a task' } as const;
export type RunRecord = z.output<typeof recordSchema>;

/** The record of the run in a folder; undefined if there is none. @throws RunError naming the file if it is damaged */
export async function readRunRecord(out: string): Promise<RunRecord | undefined> {
  const path = join(out, RUN_FILE);
  const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  return there ? readJson(path, recordSchema, MAX_RECORD_BYTES) : undefined;
}

const at = (configuration: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], configuration);
const text = (value: unknown): string => JSON.stringify(value) ?? 'absent';

/** How two configurations differ, a line each that names the key. What an older one does not say was the default. */
export function changedKeys(
  before: unknown,
  now: unknown,
  schema: ConfigurationSchema | undefined,
  isLeftOut: (path: string) => boolean = isFree,
): string[] {
  return configurationKeys(schema)
    .filter(({ path, section }) => !section && !isLeftOut(path))
    .flatMap(({ path, default: standard }) => {
      const [was, is] = [text(at(before, path) ?? standard), text(at(now, path))];
      return was === is ? [] : [`${path}: was ${was}, now ${is}`];
    });
}

/** Who moved between the parts of a split, a line for each part. */
function changedSplit(before: RunRecord, now: RunFacts['split']): string[] {
  // runs of version 0.1 of pre-training list the held-out ones alone
  const old = before.split ?? (before.cohort.heldOutIds ? { heldOut: before.cohort.heldOutIds } : {});
  return Object.keys(old).flatMap((part) => {
    const [was, is] = [new Set(old[part]), new Set(now[part] ?? [])];
    const [more, fewer] = [[...is].filter((id) => !was.has(id)), [...was].filter((id) => !is.has(id))];
    if (more.length === 0 && fewer.length === 0)
      return text(old[part]) === text(now[part] ?? []) ? [] : [`${part} subjects: in a different order`];
    const parts = [
      ...(more.length > 0 ? [`added ${formatNames(more)}`] : []),
      ...(fewer.length > 0 ? [`removed ${formatNames(fewer)}`] : []),
    ];
    return [`${part} subjects: ${parts.join('; ')}`];
  });
}

const modelText = (model: RunRecord['initialModel']): string =>
  model ? `${model.path} (SHA-256 ${model.sha256.slice(0, 12)}...)` : 'random numbers';

/**
 * How what a run is made of differs from what it was, a line each that names the key or the subjects; empty if it does not.
 * @param result whether it is a finished result that is compared: then steps and evaluations count too, and the backend unless it is `auto`
 */
export function changedSince(record: RunRecord, facts: RunFacts, { result = false } = {}): string[] {
  if (record.kind !== undefined && record.kind !== facts.kind) return [`kind: was ${record.kind}, now ${facts.kind}`];
  if (record.method !== facts.method) return [`method: was ${record.method ?? 'gvsl'}, now ${facts.method ?? 'gvsl'}`];
  const { configuration, cohort, schema, withClasses } = facts;
  const known = record.initialModel !== undefined;
  const begun = record.backends?.at(-1)?.backend;
  const isLeftOut = (path: string): boolean => {
    if (result && path === 'backend') return configuration.backend === 'auto' || begun === configuration.backend;
    // their contents are compared below, where the record has them
    if (PATHS.test(path)) return path === 'init' ? known : record.split !== undefined;
    return result ? isFreeOfAResult(path) : isFree(path);
  };
  return [
    ...changedKeys(record.configuration, configuration, schema, isLeftOut),
    ...(known && record.initialModel?.sha256 !== facts.initialModel?.sha256
      ? [`init: was ${modelText(record.initialModel)}, now ${modelText(facts.initialModel)}`]
      : []),
    ...(record.cohort.fingerprint
      ? compareFingerprints(record.cohort.fingerprint, fingerprintOf(cohort, { withClasses })).map((line) => `cohort ${line}`)
      : []),
    ...changedSplit(record, facts.split),
  ];
}

/** What must not change, as one number. */
export function identityOf({ kind, method, cohort, split, initialModel, configuration, schema, withClasses }: RunFacts): string {
  const shaping = configurationKeys(schema)
    .filter(({ path, section }) => !section && !isFree(path) && !PATHS.test(path))
    .map(({ path }) => [path, at(configuration, path)]);
  const fingerprint = fingerprintOf(cohort, { withClasses }).hash;
  return createHash('sha256')
    .update(
      JSON.stringify([
        kind,
        fingerprint,
        split,
        initialModel?.sha256 ?? null,
        shaping,
        ...(method === undefined ? [] : [method]),
      ]),
    )
    .digest('hex');
}

/** A run that may begin or go on. */
export interface AgreedRun {
  readonly identity: string;
  readonly backend: Backend;
  /** Names of what computes it, in order. */
  readonly backends: readonly string[];
  /** What run.json says but for what only its program knows. */
  readonly record: RunRecord;
}

/** What computes a run: by its configuration; a run that goes on keeps what `auto` chose when it began. */
async function backendOf(
  { configuration }: RunFacts,
  begun: string | undefined,
  out: string,
  threads?: number,
): Promise<Backend> {
  const { backend: wanted } = configuration;
  const kept = wanted === 'auto' ? begun : undefined;
  try {
    return await createBackend(kept ?? wanted, threads);
  } catch (error) {
    if (!(error instanceof UsageError) || begun === undefined || (kept ?? wanted) !== begun) throw error;
    throw new UsageError(
      `${out}: this run uses the backend ${begun}${kept ? ", chosen by 'auto' at its start" : ''}, which is not available: ${error.message}. With another \`backend\`, results agree up to rounding, but not bit by bit`,
    );
  }
}

/** What is looked at of an opened run (checkpoint.ts). */
interface OpenedRun {
  readonly path: string;
  readonly checkpoint:
    | {
        readonly configuration: ModelConfiguration;
        readonly state: { readonly step: number; readonly run?: string | undefined };
      }
    | undefined;
  readonly record: RunRecord | undefined;
}

/**
 * Compares a run that goes on with what it was begun with, and opens what computes it.
 * @param threads of the backend; default: all that are of use
 * @throws UsageError naming every key and subject that differs, and how to begin anew
 */
export async function assertResumable(
  { path: out, checkpoint, record: before }: OpenedRun,
  facts: RunFacts,
  progress: Progress,
  threads?: number,
): Promise<AgreedRun> {
  const step = checkpoint?.state.step ?? 0;
  const anew = `start again: choose another \`out\`, or delete ${out}`;
  const requireSame = (changed: readonly string[]): void => {
    if (changed.length > 0)
      throw changedError(`${out}: cannot resume, because the inputs of the run changed`, changed, `Restore these, or ${anew}`);
  };
  if (checkpoint) {
    const { pretraining, training } = checkpoint.configuration;
    const wrong = facts.kind === 'pre-training' ? training : pretraining;
    if (wrong)
      throw new UsageError(
        `\`out\` ${out}: contains a run of ${facts.kind === 'pre-training' ? 'training on a task' : 'pre-training'}; choose another folder`,
      );
    if (!before && checkpoint.state.run !== undefined)
      throw new UsageError(`${join(out, RUN_FILE)}: missing, so the inputs of the run cannot be checked; restore it, or ${anew}`);
    // a checkpoint of version 0.1 carries no identity, also where its run was recorded since
    if (before && checkpoint.state.run !== undefined && checkpoint.state.run !== before.identity)
      throw new UsageError(
        `${out}: ${RUN_FILE} and the checkpoint in last/ belong to different runs; restore the right one, or ${anew}`,
      );
    const configured = before?.configuration ?? pretraining ?? training;
    requireSame(before ? changedSince(before, facts) : changedKeys(configured, facts.configuration, facts.schema));
    if (before?.cohort.fingerprint === undefined)
      progress.say(
        `warning: ${out} was started by a version of gvsl that did not record its cohort: only the configuration${before ? ' and the split' : ''} could be compared. The cohort is now recorded`,
      );
    const { steps } = facts.configuration as { steps?: number };
    if (steps !== undefined && step > steps)
      throw new UsageError(
        `\`steps\`: ${out} has already done ${counted(step, 'step')}; expected at least as many, got ${steps}`,
      );
  } else if (before) {
    requireSame(changedSince(before, facts));
  }
  const history = before?.backends ?? [];
  const begun = history.at(-1)?.backend;
  const backend = await backendOf(facts, begun, out, threads);
  if (begun !== undefined && begun !== backend.name && step > 0)
    progress.say(
      `backend: was ${begun} up to step ${step}, now ${backend.name}: results agree up to rounding, but not bit by bit`,
    );
  const kept = step > 0 ? history : [];
  const backends = kept.at(-1)?.backend === backend.name ? kept : [...kept, { fromStep: step, backend: backend.name }];
  const identity = before?.identity ?? identityOf(facts);
  return {
    identity,
    backend,
    backends: [
      ...new Set([...(step > 0 ? (checkpoint?.configuration.backends ?? []) : []), ...backends.map((one) => one.backend)]),
    ],
    record: {
      formatVersion: 1,
      identity,
      kind: facts.kind,
      ...(facts.method === undefined ? {} : { method: facts.method }),
      startedAt: before?.startedAt ?? new Date().toISOString(),
      cohort: {
        folder: facts.cohort.folder,
        subjects: facts.cohort.subjects.length,
        training: facts.split.training?.length,
        heldOut: (facts.split.heldOut ?? facts.split.validation)?.length,
        modality: facts.cohort.options.modality,
        spacingMm: facts.cohort.options.spacingMm,
        fingerprint: recordedFingerprint(facts),
      },
      split: Object.fromEntries(Object.entries(facts.split).map(([part, ids]) => [part, [...ids]])),
      initialModel: facts.initialModel,
      configuration: { ...facts.configuration },
      backends: [...backends],
      versions: { gvsl: version },
    },
  };
}

const recordedFingerprint = ({ cohort, withClasses }: RunFacts): z.output<typeof fingerprintSchema> => {
  const { hash, options, subjects } = fingerprintOf(cohort, { withClasses });
  return { hash, options: { ...options }, subjects: [...subjects] };
};

/** Says what has changed, a line each, and what to do. */
export const changedError = (what: string, changed: readonly string[], advice: string): UsageError =>
  new UsageError(`${what}:\n${changed.map((line) => `  ${line}`).join('\n')}\n${advice}`);

/** Writes run.json. */
export const writeRunRecord = (
  out: string,
  { record, backend }: AgreedRun,
  more: Readonly<Record<string, unknown>>,
): Promise<void> =>
  writeFileAtomic(
    join(out, RUN_FILE),
    jsonText({
      ...record,
      ...more,
      machine: { node: process.version, backend: backend.description, cpu: cpus()[0]?.model ?? 'unknown' },
    }),
  );
