/** Keys of a configuration that have an option of their own on the command line, and how an option's text is read. */
import { UsageError } from '../common/errors.ts';
import { type ConfigurationSchema, configurationKeys, type KeyDescription } from '../training/configuration-reference.ts';
import type { Override } from '../training/node/read-configuration.ts';

/** An option that sets a key. */
export interface KeyOption {
  /** As commander has it: 'foregroundShare' is --foreground-share. */
  readonly name: string;
  /** '<n>' */
  readonly value: string;
  /** 'data.patch' */
  readonly path: string;
  readonly read: (text: string) => unknown;
}

/** A number where the text is one, else the text, which the schema then refuses by name. */
export const numberOr = (text: string): unknown => (text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text);
/** '96', or three as '32,48,32' or '32x48x32' in the order z, y, x. */
export const readPatch = (text: string): unknown => (/[,x]/.test(text) ? text.split(/[,x]/).map(numberOr) : numberOr(text));
/** The text itself. */
export const asText = (text: string): unknown => text;
/** 'a,b,c' */
export const readList = (text: string): unknown => text.split(',').map((item) => numberOr(item.trim()));

/** What both kinds of training begin their options with. */
export const INIT_OPTION: KeyOption = { name: 'init', value: '<model>', path: 'init', read: asText };

/** Options of every training. */
export const COMMON_OPTIONS: readonly KeyOption[] = [
  { name: 'steps', value: '<n>', path: 'steps', read: numberOr },
  { name: 'patch', value: '<size>', path: 'data.patch', read: readPatch },
  { name: 'batch', value: '<n>', path: 'batch', read: numberOr },
  { name: 'width', value: '<factor>', path: 'model.width', read: numberOr },
  { name: 'lr', value: '<rate>', path: 'learningRate', read: numberOr },
  { name: 'warmupSteps', value: '<n>', path: 'warmupSteps', read: numberOr },
  { name: 'accumulate', value: '<n>', path: 'accumulate', read: numberOr },
  { name: 'gradientClip', value: '<norm>', path: 'gradientClip', read: numberOr },
  { name: 'weightDecay', value: '<factor>', path: 'weightDecay', read: numberOr },
  { name: 'emaDecay', value: '<factor>', path: 'emaDecay', read: numberOr },
  { name: 'seed', value: '<n>', path: 'seed', read: numberOr },
  { name: 'threads', value: '<n>', path: 'threads', read: numberOr },
  { name: 'backend', value: '<name>', path: 'backend', read: asText },
];

const flagOf = (name: string): string => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** A key's description in the style of option texts: lower case, no full stop. */
const asOptionText = (text: string): string =>
  (/^[A-Z][A-Z]/.test(text) ? text : text.charAt(0).toLowerCase() + text.slice(1)).replace(/\.$/, '');

/** For commander's `option`, with the keys' own descriptions and defaults. */
export function commandOptions(
  options: readonly KeyOption[],
  schema?: ConfigurationSchema,
): readonly { readonly flags: string; readonly path: string; readonly description: string }[] {
  return options.map(({ name, value, path }) => {
    const key = configurationKeys(schema).find((known) => known.path === path)!;
    return {
      flags: `${flagOf(name)} ${value}`,
      path,
      description: `${asOptionText(key.description)} (default: ${String(key.default)})`,
    };
  });
}

/** What the options of a call set; `given` as commander hands them over, other keys in it are not read. */
export function overridesBy(options: readonly KeyOption[], given: Readonly<Record<string, unknown>>): Override[] {
  return options.flatMap(({ name, path, read }): Override[] => {
    const text = given[name];
    return text === undefined ? [] : [{ path, option: flagOf(name), value: read(String(text)) }];
  });
}

const PRETRAIN_OPTIONS: readonly KeyOption[] = [
  ...COMMON_OPTIONS,
  INIT_OPTION,
  { name: 'channels', value: '<one|all>', path: 'data.channels', read: asText },
  { name: 'split', value: '<file>', path: 'data.split', read: asText },
];

/** Sections that mean the same for every method: what is set in them is set with --config. */
const SHARED_SECTIONS = ['model', 'data', 'log', 'judgement'];

/** '<n>', '<a,b>' or '<value>', by what the key may be. */
function placeholderOf({ expected }: KeyDescription): string {
  if (expected.startsWith('a list of 2')) return '<least,most>';
  if (expected.startsWith('a list')) return '<a,b,...>';
  return /^a (whole )?number/.test(expected) ? '<n>' : '<value>';
}

/** True and false, a number, several of these with commas, or the text itself. */
function readValue(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return text.includes(',') ? readList(text) : numberOr(text);
}

/** What a method of pre-training can be told alone, from its schema: the key `mask.share` is `--mask-share`. */
export function ownOptions(schema: ConfigurationSchema): readonly KeyOption[] {
  return configurationKeys(schema).flatMap((key): KeyOption[] => {
    const [section, ...rest] = key.path.split('.');
    if (key.section || rest.length !== 1 || SHARED_SECTIONS.includes(section)) return [];
    const name = `${section}${rest[0].charAt(0).toUpperCase()}${rest[0].slice(1)}`;
    return [{ name, value: placeholderOf(key), path: key.path, read: readValue }];
  });
}

/** Pre-training's, of a method's schema; `--without` is apart because it sets one of several keys. */
export const pretrainOptions = (schema?: ConfigurationSchema) => commandOptions(PRETRAIN_OPTIONS, schema);

const HEADS = ['affine', 'restoration', 'matching'];

/**
 * What the options of a call of pre-training set.
 * @param given as commander hands them over; `without`: one head, or several with commas
 * @param schema of its method
 * @throws UsageError for a head that is not one
 */
export function overridesOf(given: Readonly<Record<string, unknown>>, schema?: ConfigurationSchema): Override[] {
  const overrides = overridesBy([...PRETRAIN_OPTIONS, ...(schema ? ownOptions(schema) : [])], given);
  const without = given.without === undefined ? [] : [given.without].flat().flatMap((text) => String(text).split(','));
  for (const head of without) {
    if (!HEADS.includes(head))
      throw new UsageError(`--without: expected ${HEADS.join(', ')} (comma-separated); found ${JSON.stringify(head)}`);
    overrides.push({ path: `model.heads.${head}`, option: '--without', value: false });
  }
  return overrides;
}
