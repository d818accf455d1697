/** What a command that applies a model is given: files, folders of images, DICOM folders; each becomes one image with a name for its results. */
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { UsageError, WorkError } from '../errors/errors.ts';
import { findDicomSeries, findImages, type ImageSource, imageStem } from '../images/node/find.ts';

export interface InputImage {
  /** Names the results: the file's name without ending and without nnU-Net's channel (`_0000`). */
  readonly name: string;
  readonly source: ImageSource;
}

const nameOf = (path: string): string => imageStem(path).replace(/_0000$/, '');

async function ofDicomFolder(
  path: string,
  stacks: readonly Extract<ImageSource, { kind: 'dicom' }>[],
  series: string | undefined,
): Promise<InputImage> {
  const folder = basename(resolve(path));
  const wanted =
    series === undefined ? stacks : stacks.filter((stack, k) => stack.files[0]!.seriesUid === series || String(k + 1) === series);
  if (wanted.length === 1) return { name: folder, source: wanted[0]! };
  const list = stacks.map(
    ({ files }, k) =>
      `  ${k + 1}: ${files.length} slices ${files[0]!.description ? `"${files[0]!.description}" ` : ''}${files[0]!.seriesUid}`,
  );
  throw new UsageError(
    series === undefined
      ? `${path}: holds ${stacks.length} DICOM series; choose one with --series NUMBER or --series UID:\n${list.join('\n')}`
      : `--series ${series}: ${wanted.length === 0 ? 'no such series' : 'several stacks of that series'} in ${path}; there are:\n${list.join('\n')}`,
  );
}

async function ofPath(path: string, series: string | undefined): Promise<InputImage[]> {
  const facts = await stat(path).catch(() => undefined);
  if (!facts) throw new UsageError(`${path}: no such file or folder`);
  if (!facts.isDirectory()) return [{ name: nameOf(path), source: { kind: 'file', path } }];
  const { images: direct } = await findDicomSeries(path);
  const stacks = direct.filter((image) => image.kind === 'dicom');
  if (stacks.length > 0) return [await ofDicomFolder(path, stacks, series)];
  const { images, refused } = await findImages(path);
  if (refused.length > 0) throw new WorkError(`${refused[0]!.path}: ${refused[0]!.reason}`);
  if (images.length === 0) throw new UsageError(`${path}: no image in this folder`);
  return images.map((source) => ({
    name:
      source.kind === 'file'
        ? nameOf(source.path)
        : source.name
          ? `${basename(source.path)}-${source.name}`
          : basename(source.path),
    source,
  }));
}

/**
 * The images that the arguments of a command mean.
 * @param series of a DICOM folder that holds several: its number as listed, or its UID
 * @throws UsageError for what is not there, a folder of several series without a choice, or two images of one name
 */
export async function inputImages(paths: readonly string[], series?: string): Promise<InputImage[]> {
  const all: InputImage[] = [];
  for (const path of paths) all.push(...(await ofPath(path, series)));
  const names = new Map<string, string>();
  for (const { name, source } of all) {
    const other = names.get(name);
    if (other !== undefined)
      throw new UsageError(
        `${other} and ${source.path}: their results would have the same name (${name}); give them one at a time, each its --out`,
      );
    names.set(name, source.path);
  }
  return all;
}
