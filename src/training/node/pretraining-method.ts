/** From the name of a way to pre-train to the method itself, and to configurations of it. */
import { distance } from 'fastest-levenshtein';
import { UsageError } from '../../common/errors.ts';
import { quoteJson } from '../../common/json.ts';
import { GVSL, methodNameOf } from '../../methods/descriptions.ts';
import type { PretrainingMethod } from '../../methods/method.ts';
import { METHODS, methodNamed, type NamedMethod } from '../../methods/registry.ts';
import type { PretrainingConfiguration } from '../../methods/schema-parts.ts';
import type { ConfigurationKind } from '../configuration-reference.ts';
import { type Override, readConfigurationOf, readDocument, readRunConfigurationOf } from './read-configuration.ts';
import { readRunRecord } from './run-record.ts';

/** A way to pre-train that has been loaded, and how its configurations are read. */
export interface ChosenMethod {
  readonly method: PretrainingMethod;
  readonly kind: ConfigurationKind<PretrainingMethod['schema']>;
  /** Undefined for a method of the caller's own. */
  readonly named: NamedMethod | undefined;
}

/** Edits up to which a name is taken for a slip of another. */
const slips = (name: string): number => Math.max(2, name.length / 2);

/** Refuses a name that no method has. @param source where it stands, in messages */
export function requireMethod(name: unknown, source = '`method`'): NamedMethod {
  const named = typeof name === 'string' ? methodNamed(name) : undefined;
  if (named) return named;
  const asked = typeof name === 'string' ? name.toLowerCase().replaceAll(/[\s_]+/g, '-') : '';
  const names = METHODS.map((known) => known.name);
  const [nearest] = names
    .map((known) => ({ name: known, edits: distance(asked, known) }))
    .filter(({ edits }) => asked !== '' && edits <= slips(asked))
    .sort((a, b) => a.edits - b.edits);
  throw new UsageError(
    `${source}: there is no method ${quoteJson(name)}${nearest ? `; did you mean ${nearest.name}?` : '.'} Methods: ${names.join(', ')}`,
  );
}

/** Loads a method. @param name of one of this package, or an object of the caller's own */
export async function chooseMethod(name: string | PretrainingMethod = GVSL, source?: string): Promise<ChosenMethod> {
  const named = typeof name === 'string' ? requireMethod(name, source) : undefined;
  const method = typeof name === 'string' ? await named!.load() : name;
  const variant = named?.preset && {
    name: named.name,
    fixes: Object.fromEntries(Object.entries(named.preset.model.heads).map(([head, on]) => [`model.heads.${head}`, on])),
  };
  return {
    method,
    named,
    kind: {
      schema: method.schema,
      command: 'pretrain',
      method: method.name === GVSL ? undefined : method.name,
      ...(variant && { variant }),
    },
  };
}

/** Where a call says by which method it pre-trains, and with what configuration. */
export interface MethodCall {
  /** The name, if the call has one: it goes before the file's. */
  readonly method?: string | undefined;
  /** A file of configuration; its key `method` may name the method. */
  readonly config?: string | undefined;
  /** A run that is gone on with: without a name, by its own method; without a file, with its own configuration. */
  readonly resume?: string | undefined;
}

/** The name of the method of a call: what it says, else what its file says, else what its run was begun with, else GVSL. */
async function methodNameIn({ method, config, resume }: MethodCall): Promise<{ name: unknown; source: string }> {
  if (method !== undefined) return { name: method, source: '`method`' };
  if (config !== undefined) {
    const document = await readDocument(config);
    const named = typeof document === 'object' && document !== null && 'method' in document ? document.method : undefined;
    if (named !== undefined) return { name: named, source: `${config}: method` };
  }
  const record = resume === undefined ? undefined : await readRunRecord(resume);
  const own = record && methodNameOf(record.method, record.configuration);
  // a run of a method of the library's caller, or of another kind: its configuration's reader says what to do
  return { name: own !== undefined && methodNamed(own) ? own : GVSL, source: '`method`' };
}

/** The method of a call. @throws UsageError for a name that there is not */
export async function methodOf(call: MethodCall): Promise<ChosenMethod> {
  const { name, source } = await methodNameIn(call);
  return chooseMethod(requireMethod(name, source).name);
}

/** The configuration of a call of `chosen`. @throws UsageError as `readConfigurationOf` and `readRunConfigurationOf` */
export function configurationFor(
  { kind }: ChosenMethod,
  { config, resume }: MethodCall,
  overrides: readonly Override[],
): Promise<PretrainingConfiguration> {
  return resume !== undefined && config === undefined
    ? readRunConfigurationOf(kind, resume, overrides)
    : readConfigurationOf(kind, config, overrides);
}
