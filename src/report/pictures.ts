/** The pictures of an evaluation for the page: which pairs are shown, and their PNG files as data URIs. */
import { readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join, normalize } from 'node:path';
import { MEASURES, ofPair } from './figures.ts';
import type { EvaluationDetails, PairRecord, TaskDetails } from './run-data.ts';

/** A PNG inside the page. */
export interface EmbeddedPicture {
  readonly uri: string;
  readonly width: number;
  readonly height: number;
}

export interface ShownPair {
  readonly pair: PairRecord;
  /** Why this one: "best of 10 by landmark error"; undefined where all are shown. */
  readonly why: string | undefined;
  readonly picture: EmbeddedPicture;
}

/** A picture of a subject that a training on a task validates with. */
export interface ShownSubject {
  readonly id: string;
  readonly picture: EmbeddedPicture;
}

/** Up to so many, all are shown. */
const MAX_SHOWN = 4;
const PNG_START = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);

/** Reads a picture of the run; undefined where it is not there, is no PNG, or lies outside the run's folder. */
export async function embedPicture(run: string, path: string): Promise<EmbeddedPicture | undefined> {
  if (isAbsolute(path) || normalize(path).startsWith('..')) return undefined;
  const bytes = await readFile(join(run, path)).catch(() => undefined);
  // The first chunk of a PNG, which always says width and height.
  if (!bytes || bytes.length < 24 || !bytes.subarray(0, 8).equals(PNG_START)) return undefined;
  return {
    uri: `data:image/png;base64,${bytes.toString('base64')}`,
    width: bytes.readUInt32BE(16),
    height: bytes.readUInt32BE(20),
  };
}

/** Pairs to show, by rule and not by eye: all if they are few, else the best, the middle and the worst after matching. */
export async function shownPairs(run: string, { pairs }: EvaluationDetails): Promise<ShownPair[]> {
  const pictured: { pair: PairRecord; picture: EmbeddedPicture }[] = [];
  for (const pair of pairs) {
    const picture = pair.picture === null ? undefined : await embedPicture(run, pair.picture);
    if (picture) pictured.push({ pair, picture });
  }
  const measure = MEASURES.find(({ name }) => pictured.some(({ pair }) => typeof ofPair(pair, name)?.after === 'number'));
  if (pictured.length <= MAX_SHOWN || !measure)
    return pictured.slice(0, MAX_SHOWN).map((shown) => ({ ...shown, why: undefined }));
  const sign = measure.better === 'lower' ? 1 : -1;
  const rank = ({ pair }: { pair: PairRecord }): number =>
    sign * (ofPair(pair, measure.name)?.after ?? sign * Number.POSITIVE_INFINITY);
  const ranked = pictured.toSorted((a, b) => rank(a) - rank(b));
  const by = `of ${pictured.length} by ${measure.title.toLowerCase()} after matching`;
  return [
    { ...ranked[0], why: `the best ${by}` },
    { ...ranked[ranked.length >> 1], why: `the median ${by}` },
    { ...ranked.at(-1)!, why: `the worst ${by}` },
  ];
}

/** A picture of the last evaluation that has some. */
export interface ShownPicture {
  /** The part of its name after the step: 'heldOut-0'. */
  readonly tag: string;
  readonly picture: EmbeddedPicture;
}

/** The pictures of the last step that has some, examples first. */
export async function lastPictures(run: string): Promise<ShownPicture[]> {
  const found = (await readdir(join(run, 'pictures')).catch(() => [])).flatMap((name) => {
    const [, step, tag] = /^step-(\d+)-(.+)\.png$/.exec(name) ?? [];
    return step === undefined ? [] : [{ name, step, tag }];
  });
  const last = found
    .map(({ step }) => step)
    .toSorted()
    .at(-1);
  const shown: ShownPicture[] = [];
  for (const { name, tag } of found.filter(({ step }) => step === last).toSorted((a, b) => a.tag.localeCompare(b.tag, 'en'))) {
    const picture = await embedPicture(run, join('pictures', name));
    if (picture) shown.push({ tag, picture });
  }
  return shown;
}

/** The last pictures of validation subjects that a training on a task kept. */
export async function shownSubjects(run: string, { subjects }: TaskDetails): Promise<ShownSubject[]> {
  const names = (await readdir(join(run, 'pictures')).catch(() => [])).filter((name) => /^step-\d+-subject-\d+\.png$/.test(name));
  const last = names
    .map((name) => name.split('-')[1])
    .toSorted()
    .at(-1);
  const shown: ShownSubject[] = [];
  for (const [index, { id }] of subjects.entries()) {
    const name = `step-${last}-subject-${index}.png`;
    const picture = names.includes(name) ? await embedPicture(run, join('pictures', name)) : undefined;
    if (picture) shown.push({ id, picture });
  }
  return shown;
}
