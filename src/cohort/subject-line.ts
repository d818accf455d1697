/**
 * A subject as a line of JSON, and back. Checked by plain code: a cohort of a hundred thousand is opened in a second, and its subjects are objects of
 * one shape, which take half the memory that a general checker's do.
 */
import { RunError } from '../common/errors.ts';
import type { Geometry, Matrix3, Xyz } from '../geometry/volume.ts';
import type { Landmark, OtherChannel, Subject } from './cohort.ts';
import { SCALES } from './prepare-options.ts';

type Json = Readonly<Record<string, unknown>>;

function fail(path: string, expected: string, value: unknown): never {
  throw new RunError(`${path}: expected ${expected}, found ${JSON.stringify(value)?.slice(0, 80) ?? 'nothing'}`);
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const objectAt = (value: unknown, path: string): Json => (isObject(value) ? value : fail(path, 'an object', value));
const textAt = (value: unknown, path: string): string => (typeof value === 'string' ? value : fail(path, 'a text', value));
const textOrNull = (value: unknown, path: string): string | null =>
  value === null || value === undefined ? null : textAt(value, path);
const numberAt = (value: unknown, path: string): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : fail(path, 'a number', value);

function choiceAt<Choice extends string>(value: unknown, path: string, choices: readonly Choice[]): Choice {
  const index = choices.indexOf(value as Choice);
  return index >= 0 ? choices[index] : fail(path, choices.join(' or '), value);
}

function tripleAt(value: unknown, path: string, isValid: (n: unknown) => boolean, expected: string): Xyz {
  if (!Array.isArray(value) || value.length !== 3 || !value.every(isValid)) return fail(path, `three ${expected}`, value);
  const [x, y, z] = value as [number, number, number];
  return [x, y, z];
}

const isMatrix = (value: unknown): value is Matrix3 => Array.isArray(value) && value.length === 9 && value.every(Number.isFinite);

function listAt<Entry>(value: unknown, path: string, entry: (value: unknown, path: string) => Entry): readonly Entry[] {
  if (!Array.isArray(value)) return fail(path, 'a list', value);
  return value.length === 0 ? NOTHING : value.map((each, i) => entry(each, `${path}.${i}`));
}

/** One for all that are empty. */
const NOTHING: readonly never[] = [];
const isAbove0 = (n: unknown): boolean => Number.isFinite(n) && (n as number) > 0;
const isWholeAbove0 = (n: unknown): boolean => Number.isSafeInteger(n) && (n as number) > 0;
/** A subject's name is a file name: no separators, nothing hidden. */
const ID = /^[\p{L}\p{N}_][\p{L}\p{M}\p{N}_.+ -]*$/u;
const SHA256 = /^[0-9a-f]{64}$/;

const sha256At = (value: unknown, path: string): string =>
  typeof value === 'string' && SHA256.test(value) ? value : fail(path, '64 hexadecimal digits', value);

function fileAt(value: unknown, path: string): { sizeBytes: number; sha256: string } {
  const { sizeBytes, sha256 } = objectAt(value, path);
  const size = numberAt(sizeBytes, `${path}.sizeBytes`);
  return { sizeBytes: size, sha256: sha256At(sha256, `${path}.sha256`) };
}

function contentAt(value: unknown): Subject['content'] {
  if (value === null || value === undefined) return null;
  const { image, label, stored } = objectAt(value, 'content');
  return {
    image: fileAt(image, 'content.image'),
    label: label === null ? null : fileAt(label, 'content.label'),
    stored: sha256At(stored, 'content.stored'),
  };
}

function windowAt(value: unknown, path: string): Subject['intensity'] {
  const window = objectAt(value, path);
  return {
    kind: choiceAt(window.kind, `${path}.kind`, SCALES),
    low: numberAt(window.low, `${path}.low`),
    high: numberAt(window.high, `${path}.high`),
  };
}

function otherChannelAt(value: unknown, path: string): OtherChannel {
  const { source, intensity } = objectAt(value, path);
  return { source: textAt(source, `${path}.source`), intensity: windowAt(intensity, `${path}.intensity`) };
}

function landmarkAt(value: unknown, path: string): Landmark {
  const { name, positionMm } = objectAt(value, path);
  return {
    name: textAt(name, `${path}.name`),
    positionMm: tripleAt(positionMm, `${path}.positionMm`, Number.isFinite, 'numbers'),
  };
}

const codeAt = (value: unknown, path: string): number =>
  Number.isSafeInteger(value) ? (value as number) : fail(path, 'a whole number', value);

function equal(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * What reads subjects, one after the other: what two in a row have alike (spacings, directions, texts) they share.
 * @throws RunError naming the key, what was expected, and what was found
 */
export function subjectReader(): (value: unknown) => Subject {
  let spacing: Xyz | undefined;
  let direction: Matrix3 | undefined;
  const texts = new Map<string, string>();
  const shared = (text: string): string => {
    const known = texts.get(text);
    if (known === undefined && texts.size < 1000) texts.set(text, text);
    return known ?? text;
  };
  const geometryAt = (value: unknown, path: string): Geometry => {
    const json = objectAt(value, path);
    const spacingMm = tripleAt(json.spacingMm, `${path}.spacingMm`, isAbove0, 'numbers above 0');
    const matrix = isMatrix(json.direction) ? json.direction : fail(`${path}.direction`, 'nine numbers', json.direction);
    if (!spacing || !equal(spacingMm, spacing)) spacing = spacingMm;
    if (!direction || !equal(matrix, direction)) direction = matrix;
    return {
      size: tripleAt(json.size, `${path}.size`, isWholeAbove0, 'whole numbers above 0'),
      spacingMm: spacing,
      originMm: tripleAt(json.originMm, `${path}.originMm`, Number.isFinite, 'numbers'),
      direction,
    };
  };
  return (value) => {
    const json = objectAt(value, 'subject');
    const id = textAt(json.id, 'id');
    if (!ID.test(id)) fail('id', 'a name that is fit for a file', id);
    return {
      id,
      source: textAt(json.source, 'source'),
      labelSource: textOrNull(json.labelSource, 'labelSource'),
      sourceGeometry: geometryAt(json.sourceGeometry, 'sourceGeometry'),
      sourceOrientation: shared(textAt(json.sourceOrientation, 'sourceOrientation')),
      geometry: geometryAt(json.geometry, 'geometry'),
      intensity: windowAt(json.intensity, 'intensity'),
      ...(json.otherChannels === undefined ? {} : { otherChannels: listAt(json.otherChannels, 'otherChannels', otherChannelAt) }),
      labelCodes: json.labelCodes === null ? null : listAt(json.labelCodes, 'labelCodes', codeAt),
      content: contentAt(json.content),
      patient: textOrNull(json.patient, 'patient'),
      class: json.class === null || json.class === undefined ? null : shared(textAt(json.class, 'class')),
      landmarks: listAt(json.landmarks, 'landmarks', landmarkAt),
      split: choiceAt(json.split, 'split', ['train', 'test']),
      problems: listAt(json.problems, 'problems', (each, path) => shared(textAt(each, path))),
    };
  };
}

/** A subject as a line: keys in one order, so that equal subjects give equal bytes. */
export const subjectLine = (subject: Subject): string => `${JSON.stringify(subjectReader()(subject))}\n`;
