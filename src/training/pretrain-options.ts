/** The keys of the configuration that have an option of their own on the command line, and how an option's text is read. */
import { UsageError } from '../errors/errors.ts';
import { configurationKeys } from './configuration-reference.ts';
import type { Override } from './read-configuration.ts';

export interface PretrainOption {
  /** As commander takes it: '--patch <size>'. */
  readonly flags: string;
  /** The key it sets. */
  readonly path: string;
  readonly description: string;
}

/** A number where the text is one, else the text, which the schema then refuses by name. */
const numberOr = (text: string): unknown => (text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text);
/** '96', or three as '32,48,32' or '32x48x32' in the order z, y, x. */
const patch = (text: string): unknown => (/[,x]/.test(text) ? text.split(/[,x]/).map(numberOr) : numberOr(text));

const OPTIONS = [
  { name: 'steps', value: '<n>', path: 'steps', read: numberOr },
  { name: 'patch', value: '<size>', path: 'data.patch', read: patch },
  { name: 'batch', value: '<n>', path: 'batch', read: numberOr },
  { name: 'width', value: '<factor>', path: 'model.width', read: numberOr },
  { name: 'lr', value: '<rate>', path: 'learningRate', read: numberOr },
  { name: 'seed', value: '<n>', path: 'seed', read: numberOr },
  { name: 'threads', value: '<n>', path: 'threads', read: numberOr },
  { name: 'backend', value: '<name>', path: 'backend', read: (text: string): unknown => text },
] as const;

/** For commander's `option`; `--without` is apart because it sets one of several keys. */
export function pretrainOptions(): readonly PretrainOption[] {
  return OPTIONS.map(({ name, value, path }) => {
    const key = configurationKeys().find((known) => known.path === path)!;
    return { flags: `--${name} ${value}`, path, description: `${key.description} Default ${String(key.default)}.` };
  });
}

const HEADS = ['affine', 'restoration', 'matching'];

/**
 * What the options of a call set.
 * @param options as commander hands them over; of those only the ones above and `without` (one head, or several with commas) are read
 * @throws UsageError for a head that is not one
 */
export function overridesOf(options: Readonly<Record<string, unknown>>): Override[] {
  const overrides: Override[] = [];
  for (const { name, path, read } of OPTIONS) {
    const text = options[name];
    if (text !== undefined) overrides.push({ path, option: `--${name}`, value: read(String(text)) });
  }
  const without = options.without === undefined ? [] : [options.without].flat().flatMap((text) => String(text).split(','));
  for (const head of without) {
    if (!HEADS.includes(head))
      throw new UsageError(`--without: expected ${HEADS.join(', ')} (several with commas); found ${JSON.stringify(head)}`);
    overrides.push({ path: `model.heads.${head}`, option: '--without', value: false });
  }
  return overrides;
}
