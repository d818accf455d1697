/**
 * A configuration from a YAML or JSON file and from options, which override it; every problem is said at once, each with where
 * it stands, what was expected and what was found.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import type { z } from 'zod';
import { UsageError } from '../../common/errors.ts';
import { parseJson, quoteJson } from '../../common/json.ts';
import { GVSL, methodNameOf } from '../../methods/descriptions.ts';
import { type PretrainConfiguration, pretrainConfigurationSchema } from '../../methods/gvsl/configuration.ts';
import { methodNamed } from '../../methods/registry.ts';
import { type ConfigurationKind, type ConfigurationSchema, configurationKeys, expectedAt } from '../configuration-reference.ts';
import { TRANSFER, type TransferConfiguration } from '../task/configuration.ts';
import { PRESETS, type PresetName } from '../task/presets.ts';
import { RUN_FILE, RUN_KINDS, type RunRecord, readRunRecord } from './run-record.ts';

/** A value that an option gives; it goes before the file's. */
export interface Override {
  /** 'data.patch' */
  readonly path: string;
  /** How messages name it, such as '--patch'. */
  readonly option: string;
  readonly value: unknown;
}

/** Some of its keys, at every depth: the others are at their defaults. */
export type Partially<Configuration> = Configuration extends readonly unknown[]
  ? Configuration
  : Configuration extends object
    ? { readonly [Key in keyof Configuration]?: Partially<Configuration[Key]> | undefined }
    : Configuration;

/** A configuration is a page of text; more is some other file. */
const MAX_FILE_BYTES = 1_000_000;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What a file of YAML or JSON holds. @throws UsageError if it is missing or neither */
export async function readDocument(file: string): Promise<unknown> {
  const status = await stat(file).catch(() => undefined);
  if (!status?.isFile())
    throw new UsageError(
      `${file}: ${status?.isDirectory() ? 'is a folder' : 'no such file'}; expected a configuration in YAML or JSON`,
    );
  const sizeBytes = status.size;
  if (sizeBytes > MAX_FILE_BYTES)
    throw new UsageError(`${file}: ${sizeBytes} bytes is too large for a configuration; expected a YAML or JSON file`);
  try {
    const text = await readFile(file, 'utf8');
    // An empty file is an empty configuration: everything at its default.
    return (/\.json$/i.test(file) ? parseJson(text) : parseYaml(text)) ?? {};
  } catch (error) {
    const what = error instanceof YAMLParseError ? 'YAML' : 'JSON or YAML';
    throw new UsageError(`${file}: not readable as ${what}: ${(error as Error).message.trim()}`);
  }
}

/** A copy of `document` with `value` at `path`; sections on the way that are missing are made. */
function withValue(document: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  // What is no section stays as it is, so that the schema can say what is wrong with it.
  if (document !== undefined && !isRecord(document)) return document;
  return { ...document, [key]: withValue(document?.[key], rest, value) };
}

/** `document` with what `base` has and it has not, section by section; a list counts as one value. */
function onBase(base: unknown, document: unknown): unknown {
  if (document === undefined) return base;
  if (!isRecord(base) || !isRecord(document)) return document;
  const whole: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(document)) whole[key] = onBase(base[key], value);
  return whole;
}

/** What stands at `path`; undefined where it leads nowhere. */
const valueAt = (document: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key], document);

/** The known path nearest to an unknown one: a neighbour, or the same name in another section. */
function nearest(path: string, schema: ConfigurationSchema): string | undefined {
  const parent = path.slice(0, path.lastIndexOf('.') + 1);
  const leaf = (of: string): string => of.slice(of.lastIndexOf('.') + 1);
  const name = leaf(path).toLowerCase();
  let best: { path: string; score: number } | undefined;
  for (const { path: known } of configurationKeys(schema)) {
    const edits = distance(name, leaf(known).toLowerCase());
    const neighbour = known.slice(0, known.lastIndexOf('.') + 1) === parent;
    if (edits > (neighbour ? Math.max(2, name.length / 2) : name.length / 4)) continue;
    // The very name in another section beats a neighbour that is not quite it.
    const score = edits + (neighbour ? 0 : 0.5);
    if (!best || score < best.score) best = { path: known, score };
  }
  return best?.path;
}

/** What stands at `path` in a document, as a message shows it. */
function found(document: unknown, path: readonly PropertyKey[]): string {
  const value = valueAt(document, path);
  return typeof value === 'number' ? String(value) : value === undefined ? 'nothing' : quoteJson(value);
}

const PRETRAIN: ConfigurationKind<typeof pretrainConfigurationSchema> = {
  schema: pretrainConfigurationSchema,
  command: 'pretrain',
};

/** How messages and documents name what a configuration of pre-training is of. */
const nameOf = ({ method = GVSL, variant }: ConfigurationKind<ConfigurationSchema>): string => variant?.name ?? method;

/**
 * Takes `method` out of a document of pre-training, and puts in what its variant fixes.
 * @throws UsageError if it is of another method, or has another value for a fixed key
 */
function forMethod(kind: ConfigurationKind<ConfigurationSchema>, document: unknown, source: string): unknown {
  if (kind.command !== PRETRAIN.command || !isRecord(document)) return document;
  const { method = nameOf(kind), ...keys } = document;
  if (method !== nameOf(kind) && method !== (kind.method ?? GVSL))
    throw new UsageError(`${source}: method: expected ${nameOf(kind)}; found ${quoteJson(method)}`);
  let whole: unknown = keys;
  for (const [path, value] of Object.entries(kind.variant?.fixes ?? {})) {
    const parts = path.split('.');
    const given = valueAt(keys, parts);
    if (given !== undefined && given !== value)
      throw new UsageError(`${source}: ${path}: ${nameOf(kind)} fixes it to ${quoteJson(value)}; found ${quoteJson(given)}`);
    whole = withValue(whole, parts, value);
  }
  return whole;
}

/**
 * Checks a document (what a file holds) with its overrides and fills in the defaults.
 * @param source names the document in messages: the file's path
 * @throws UsageError with a line for each problem
 */
export function parseConfigurationOf<Schema extends ConfigurationSchema>(
  kind: ConfigurationKind<Schema>,
  document: unknown,
  overrides: readonly Override[] = [],
  source = 'configuration',
): z.output<Schema> {
  const { schema, command } = kind;
  const given = overrides.reduce((before, { path, value }) => withValue(before, path.split('.'), value), document);
  const whole = forMethod(kind, given, source);
  const result = schema.safeParse(whole);
  if (result.success) return result.data;

  const lines = result.error.issues.flatMap((issue: z.core.$ZodIssue): string[] => {
    const names = issue.path.filter((part) => typeof part === 'string');
    const path = names.join('.');
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => {
        const unknown = [...names, key].join('.');
        const known = nearest(unknown, schema);
        return `${source}: ${unknown}: unknown key${known ? `; did you mean ${known}?` : `; gvsl ${command} ${command === 'compare' ? '--help shows a study' : '--print-config lists all keys'}`}`;
      });
    const option = overrides.find((override) => override.path === path)?.option;
    const where = option ?? (path ? `${source}: ${path}` : source);
    const expected = expectedAt(schema, names);
    return [
      issue.code === 'custom'
        ? `${where}: ${issue.message}; found ${found(whole, names)}`
        : `${where}: expected ${expected}; found ${found(whole, names)}`,
    ];
  });
  throw new UsageError(lines.join('\n'));
}

/** `parseConfigurationOf` for pre-training. */
export const parseConfiguration = (document: unknown, overrides?: readonly Override[], source?: string): PretrainConfiguration =>
  parseConfigurationOf(PRETRAIN, document, overrides, source);

/**
 * The configuration of a run.
 * @param file YAML, or JSON where its name says so; without it all defaults
 * @param base what stands in the place of defaults: a preset's configuration
 * @throws UsageError if the file is missing, no YAML or JSON, or holds what the schema refuses
 */
export async function readConfigurationOf<Schema extends ConfigurationSchema>(
  kind: ConfigurationKind<Schema>,
  file: string | undefined,
  overrides: readonly Override[] = [],
  base: unknown = {},
): Promise<z.output<Schema>> {
  return parseConfigurationOf(kind, onBase(base, file === undefined ? {} : await readDocument(file)), overrides, file);
}

/** `readConfigurationOf` for a task, with a preset in the place of the defaults. */
export async function readPresetConfiguration(
  name: PresetName,
  file: string | undefined,
  overrides: readonly Override[] = [],
): Promise<TransferConfiguration> {
  const { configuration, steps } = PRESETS[name];
  // file and options may say another number of steps, or a warm-up: the rate falls over what is left
  const first = await readConfigurationOf(TRANSFER, file, overrides, configuration(steps, 0));
  return readConfigurationOf(TRANSFER, file, overrides, configuration(first.steps, first.warmupSteps));
}

/** `readConfigurationOf` for pre-training. */
export const readConfiguration = (file: string | undefined, overrides?: readonly Override[]): Promise<PretrainConfiguration> =>
  readConfigurationOf(PRETRAIN, file, overrides);

/** @throws UsageError if a run is of another method than `kind` */
function requireMethodOf(run: string, record: RunRecord, kind: ConfigurationKind<ConfigurationSchema>): void {
  const fixed = Object.entries(kind.variant?.fixes ?? {});
  const isFixed = ([path, value]: [string, unknown]): boolean =>
    (valueAt(record.configuration, path.split('.')) ?? value) === value;
  if (record.method === kind.method && fixed.every(isFixed)) return;
  const own = methodNameOf(record.method, record.configuration);
  throw new UsageError(
    `\`resume\`: ${run} is a run of the method ${own}, not of ${nameOf(kind)}; ${methodNamed(own) ? `continue it with \`method\` ${own}` : 'continue it with the library: pretrain({ method, resume: true, ... })'}, or choose another \`out\``,
  );
}

/**
 * The configuration with which a run goes on: its own as it began, with what the options change.
 * @throws UsageError as above, and if the folder does not say with what a run was begun
 */
export async function readRunConfigurationOf<Schema extends ConfigurationSchema>(
  kind: ConfigurationKind<Schema>,
  run: string,
  overrides: readonly Override[] = [],
): Promise<z.output<Schema>> {
  const record = await readRunRecord(run);
  if (!record) {
    const folder = await stat(run).catch(() => undefined);
    throw new UsageError(
      folder
        ? `\`resume\`: ${join(run, RUN_FILE)} is missing, so the configuration of the run is unknown: pass it with \`config\`, or omit \`resume\` to start a new run`
        : `\`resume\`: there is no run at ${run}; omit \`resume\` to start one`,
    );
  }
  const expected = RUN_KINDS[kind.command as keyof typeof RUN_KINDS] as string | undefined;
  if (record.kind !== undefined && record.kind !== expected)
    throw new UsageError(
      `\`resume\`: ${run} contains a run of ${record.kind}, which gvsl ${kind.command} cannot continue; choose another folder`,
    );
  requireMethodOf(run, record, kind);
  return parseConfigurationOf(kind, record.configuration, overrides, join(run, RUN_FILE));
}

/** `readRunConfigurationOf` for pre-training. */
export const readRunConfiguration = (run: string, overrides?: readonly Override[]): Promise<PretrainConfiguration> =>
  readRunConfigurationOf(PRETRAIN, run, overrides);
