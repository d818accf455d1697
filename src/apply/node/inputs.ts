/** What a command that applies a model is given: files, folders of images, DICOM folders; each becomes one image with a name for its results. */
import { stat } from 'node:fs/promises';
import { basename, dirname, resolve, sep } from 'node:path';
import type { Misfit } from '../../cohort/fitness.ts';
import { namesOf } from '../../cohort/network-image.ts';
import { caseName } from '../../cohort/node/table.ts';
import type { ChannelOptions, PrepareOptions } from '../../cohort/prepare-options.ts';
import { isRefused } from '../../cohort/reasons.ts';
import { RunError, UsageError } from '../../common/errors.ts';
import type { ImageSource } from '../../images/find-images.ts';
import { findImages, imageStem } from '../../images/node/find.ts';
import { type Failure, failureOf } from '../../platform/node/batch.ts';
import { type Input, isInside } from '../../platform/node/guard.ts';
import { isInPart, type Part, partName } from '../../platform/node/parts.ts';
import { joinChannels } from './case-channels.ts';
import type { InputImage } from './input-image.ts';

export interface FoundInputs {
  readonly images: readonly InputImage[];
  readonly failed: readonly Failure[];
  /** What was left out of a folder, and why. */
  readonly warnings: readonly string[];
}

/** nnU-Net's number of a channel. */
const CHANNEL = /_(\d{4})$/;

function ofDicomFolder(
  path: string,
  stacks: readonly Extract<ImageSource, { kind: 'dicom' }>[],
  series: string | undefined,
): InputImage {
  const folder = basename(resolve(path));
  const wanted =
    series === undefined ? stacks : stacks.filter((stack, k) => stack.files[0].seriesUid === series || String(k + 1) === series);
  if (wanted.length === 1) return { name: folder, source: wanted[0], isNamed: true };
  const list = stacks.map(
    ({ stack, description, files }, k) =>
      `  ${k + 1}: ${stack.frames.length} slices ${description ? `"${description}" ` : ''}${stack.distinction ? `(${stack.distinction}) ` : ''}${files[0].seriesUid}`,
  );
  throw new UsageError(
    series === undefined
      ? `${path}: holds ${stacks.length} DICOM series; choose one with \`series\` NUMBER or \`series\` UID:\n${list.join('\n')}`
      : `\`series\` ${series}: ${wanted.length === 0 ? 'no such series' : 'several stacks of that series'} in ${path}; available:\n${list.join('\n')}`,
  );
}

/**
 * The images of a folder that are not results of an earlier call in `out`.
 * @throws UsageError where results would lie among the images, to be taken for images by the next call
 */
async function outside(out: string | undefined, folder: string, images: readonly ImageSource[]): Promise<readonly ImageSource[]> {
  if (out === undefined || !(await isInside(out, folder))) return images;
  if (await isInside(folder, out))
    throw new UsageError(`\`out\` ${out}: results would be written into the image folder ${folder}; choose another folder`);
  const areResults = await Promise.all(images.map(({ path }) => isInside(path, out)));
  return images.filter((_, k) => !areResults[k]);
}

async function ofPath(path: string, { series, out }: InputOptions): Promise<FoundInputs> {
  const facts = await stat(path);
  if (!facts.isDirectory())
    return { images: [{ name: caseName(path), source: { kind: 'file', path }, isNamed: true }], failed: [], warnings: [] };
  const { images: all, refused, passedOver } = await findImages(path);
  // hidden files are nobody's scans; DICOM objects beside the images are worth a word
  const warnings = passedOver
    .filter((file) => !basename(file.path).startsWith('.'))
    .map((file) => `${file.path}: skipped: ${file.reason}`);
  const images = await outside(out, path, all);
  const direct = images.filter((image) => image.kind === 'dicom').filter((image) => resolve(image.path) === resolve(path));
  // a folder that holds nothing but one patient's DICOM files
  if (direct.length > 0 && direct.length === images.length)
    return { images: [ofDicomFolder(path, direct, series)], failed: refused, warnings };
  if (images.length + refused.length === 0) throw new RunError(`${path}: no images in this folder`);
  return {
    images: images.map((source) => {
      const stem = basename(resolve(source.path));
      const name = source.kind === 'file' ? caseName(source.path) : source.name ? `${stem}-${source.name}` : stem;
      return { name, source, isNamed: false };
    }),
    failed: refused,
    warnings,
  };
}

/** As file systems compare names that take no notice of letter case or of how an accent is stored. */
const folded = (name: string): string => name.normalize('NFC').toLowerCase();

/** Further channels of an image that is there with its first: networks here see one channel. */
function withoutFurtherChannels(images: readonly InputImage[], warnings: string[]): InputImage[] {
  const stemOf = ({ source }: InputImage): string => resolve(dirname(source.path), imageStem(source.path));
  const stems = new Set(images.map(stemOf));
  return images.filter((image) => {
    if (image.source.kind !== 'file') return true;
    const [suffix, number] = CHANNEL.exec(stemOf(image)) ?? [];
    if (suffix === undefined || number === '0000' || !stems.has(`${stemOf(image).slice(0, -suffix.length)}_0000`)) return true;
    warnings.push(`${image.source.path}: skipped: another channel of its subject; one channel is used (_0000)`);
    return false;
  });
}

/** Names that two images have are told apart by the folders they lie in, as many as that needs. */
function withOwnNames(images: readonly InputImage[]): InputImage[] {
  const foldersOf = ({ source }: InputImage): string[] =>
    dirname(resolve(source.path))
      .split(sep)
      // without the root: '', on Windows a drive
      .slice(1)
      .filter((part) => part !== '');
  let named = [...images];
  for (let depth = 1; ; depth++) {
    const times = new Map<string, number>();
    for (const { name } of named) times.set(folded(name), (times.get(folded(name)) ?? 0) + 1);
    const isShared = ({ name }: InputImage): boolean => times.get(folded(name))! > 1;
    if (!named.some(isShared)) return named;
    if (named.every((image) => !isShared(image) || depth > foldersOf(image).length)) {
      const [a, b] = named.filter((image) => folded(image.name) === folded(named.find(isShared)!.name));
      throw new UsageError(
        `${a.source.path} and ${b.source.path}: their results would have the same name; run them separately, each with its own \`out\``,
      );
    }
    named = named.map((image) => {
      const folder = foldersOf(image).at(-depth);
      return isShared(image) && folder !== undefined ? { ...image, name: `${folder}_${image.name}` } : image;
    });
  }
}

export interface InputOptions {
  /** Only the images of a part, by their names. */
  readonly part?: Part | undefined;
  /** Of a DICOM folder that holds several: its number as listed, or its UID. */
  readonly series?: string | undefined;
  /** Where label maps are written: no image is looked for there. */
  readonly out?: string;
  /** The channels that the model takes, if they are several. */
  readonly channels?: readonly ChannelOptions[] | undefined;
}

/** What a call and the model say of its inputs. @throws UsageError for a chosen channel where the model takes several */
export function inputOptions(
  {
    series,
    channel,
    part,
  }: { readonly series?: string | undefined; readonly channel?: number | undefined; readonly part?: Part | undefined },
  { channels }: PrepareOptions,
): InputOptions {
  if (channels && channel !== undefined)
    throw new UsageError(
      `\`channel\` ${channel}: the model takes ${channels.length} channels together: ${namesOf({ channels })}`,
    );
  return { series, channels, part };
}

/**
 * The images that the arguments of a command mean. What cannot be used is listed, and does not keep the others from their results.
 * @throws UsageError for a folder of several series without a choice; MachineError
 */
export async function inputImages(paths: readonly string[], options: InputOptions = {}): Promise<FoundInputs> {
  const found = new Map<string, InputImage>();
  const failed: Failure[] = [];
  const warnings: string[] = [];
  for (const path of paths) {
    try {
      const here = await ofPath(path, options);
      failed.push(...here.failed);
      warnings.push(...here.warnings);
      for (const image of here.images) {
        const key = `${resolve(image.source.path)}\0${image.source.kind === 'dicom' ? image.source.name : ''}`;
        if (!found.has(key)) found.set(key, image);
      }
    } catch (error) {
      failed.push(failureOf(error, path));
    }
  }
  const all = [...found.values()];
  const joined = options.channels
    ? await joinChannels(all, options.channels, failed, warnings)
    : withoutFurtherChannels(all, warnings);
  const images = withOwnNames(joined);
  return { images: images.filter(({ name }) => isInPart(name, options.part)), failed, warnings };
}

/** 'segment.json', of a part 'segment-3-of-7.json'; 'volumes', of a part 'volumes-3-of-7'. */
export const partFile = (name: string, part: Part | undefined): string =>
  part ? name.replace(/(\.[^./\\]+)?$/, `-${partName(part)}$1`) : name;

/** The files of the images, for the guard against replacing them. */
export const filesOf = (images: readonly InputImage[]): Input[] =>
  images.flatMap(({ source, others = [] }) =>
    [source, ...others.map(({ image }) => image)]
      .flatMap((each) => (each.kind === 'file' ? [each.path] : each.files.map(({ path }) => path)))
      .map((path) => ({ path, what: 'an input image' })),
  );

/**
 * Why an image that was found in a folder is left out: it is known to be none of the kind that the model is for. One that is named is done.
 * @returns undefined for an image that is done
 */
export function leftOut({ isNamed, source }: InputImage, doubts: readonly Misfit[]): string | undefined {
  const misfit = isNamed ? undefined : doubts.find(({ reason }) => !isRefused(reason));
  return misfit && `${source.path}: skipped: ${misfit.message} (to process it anyway, name the file itself)`;
}
