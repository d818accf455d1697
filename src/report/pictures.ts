/** The pictures of an evaluation: which are shown, and what of. Where they come from is the caller's part. */
import { MEASURES, ofPair } from './figures.ts';
import type { EvaluationDetails, PairRecord, TaskDetails } from './run-data.ts';

/** A picture that a page can show. */
export interface PagePicture {
  /** Its address: all its bytes as a data URI in a report, which loads nothing. */
  readonly uri: string;
  readonly width: number;
  readonly height: number;
}

export interface ShownPair {
  readonly pair: PairRecord;
  /** Why this one: "best of 10 by landmark error"; undefined where all are shown. */
  readonly why: string | undefined;
  readonly picture: PagePicture;
}

/** A picture of a subject that a training on a task validates with. */
export interface ShownSubject {
  readonly id: string;
  /** The steps after which it was drawn. */
  readonly step: number;
  readonly picture: PagePicture;
}

/** Up to so many, all are shown. */
const MAX_SHOWN = 4;
const PNG_START = [137, 80, 78, 71, 13, 10, 26, 10];

/** A run's pictures. */
export interface RunPictures {
  /** Names of the files in its folder `pictures`. */
  readonly names: readonly string[];
  /** By its path in the run's folder; undefined where it is not there or no PNG. */
  picture(path: string): Promise<PagePicture | undefined>;
}

/** Width and height of a PNG, from its first 24 bytes; undefined where they are not those of one. */
export function pngSize(bytes: Uint8Array): { readonly width: number; readonly height: number } | undefined {
  if (bytes.length < 24 || PNG_START.some((byte, i) => bytes[i] !== byte)) return undefined;
  // the first chunk always says width and height
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** Pairs to show, by rule and not by eye: all if they are few, else the best, the middle and the worst after matching. */
export async function shownPairs(pictures: RunPictures, { pairs }: EvaluationDetails): Promise<ShownPair[]> {
  const pictured: { pair: PairRecord; picture: PagePicture }[] = [];
  for (const pair of pairs) {
    const picture = pair.picture === null ? undefined : await pictures.picture(pair.picture);
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
  /** The steps after which it was drawn. */
  readonly step: number;
  readonly picture: PagePicture;
}

/** What the names of pictures say: of which step, and of what. */
export const namedPictures = (
  names: readonly string[],
): { readonly name: string; readonly step: number; readonly tag: string }[] =>
  names.flatMap((name) => {
    const [, step, tag] = /^step-(\d+)-(.+)\.png$/.exec(name) ?? [];
    return step === undefined ? [] : [{ name, step: Number(step), tag }];
  });

/** The pictures of the last step that has some, or of another. */
export async function shownPictures(pictures: RunPictures, step?: number): Promise<ShownPicture[]> {
  const found = namedPictures(pictures.names);
  const of = step ?? Math.max(...found.map((each) => each.step));
  const shown: ShownPicture[] = [];
  const inOrder = found
    .filter((each) => each.step === of)
    .toSorted((a, b) => a.tag.localeCompare(b.tag, 'en', { numeric: true }));
  for (const { name, tag } of inOrder) {
    const picture = await pictures.picture(`pictures/${name}`);
    if (picture) shown.push({ tag, step: of, picture });
  }
  return shown;
}

/** The last pictures of validation subjects that a training on a task kept. */
export async function shownSubjects(pictures: RunPictures, { subjects }: TaskDetails): Promise<ShownSubject[]> {
  const found = namedPictures(pictures.names).filter(({ tag }) => /^subject-\d+$/.test(tag));
  const last = Math.max(...found.map(({ step }) => step));
  const shown: ShownSubject[] = [];
  for (const [index, { id }] of subjects.entries()) {
    const of = found.find(({ step, tag }) => step === last && tag === `subject-${index}`);
    const picture = of && (await pictures.picture(`pictures/${of.name}`));
    if (picture) shown.push({ id, step: last, picture });
  }
  return shown;
}
