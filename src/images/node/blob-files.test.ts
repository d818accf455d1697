/** The same files on disk and as a browser has them: the same images, and the same words about those that cannot be read. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import type { Volume } from '../../geometry/volume.ts';
import { blobFiles } from '../blob-files.ts';
import { type Found, ImageSearch } from '../find-images.ts';
import { openFound } from '../open-image.ts';
import { slice } from '../testing/dicom-files.ts';
import { findImages } from './find.ts';
import { readImage } from './read.ts';
import { writeImage } from './write.ts';

const SIZE = [5, 4, 3] as const;
const values = Int16Array.from({ length: 60 }, (_, i) => ((i * 7919) % 2003) - 1000);
const raw = new Uint8Array(values.buffer);
/** Oblique, with three spacings. */
const [c, s] = [Math.cos(0.3), Math.sin(0.3)];
const oblique: Volume = {
  geometry: { size: SIZE, spacingMm: [0.7, 1.1, 2.5], originMm: [-11, 20.5, 7], direction: [c, -s, 0, s, c, 0, 0, 0, 1] },
  data: values,
};

/** An MGH file: coronal slices of 1 x 1 x 2 mm, as FreeSurfer writes them. */
function mgh(): Uint8Array {
  const bytes = new Uint8Array(284 + raw.length);
  const view = new DataView(bytes.buffer);
  for (const [k, value] of [1, ...SIZE, 1, 4].entries()) view.setInt32(4 * k, value);
  view.setInt16(28, 1);
  for (const [k, value] of [1, 1, 2, -1, 0, 0, 0, 0, -1, 0, 1, 0, 3, 4, 5].entries()) view.setFloat32(30 + 4 * k, value);
  bytes.set(Buffer.from(raw).swap16(), 284);
  return bytes;
}

const NRRD = (encoding: string, more = ''): string =>
  `NRRD0005\ntype: short\ndimension: 3\nspace: right-anterior-superior\nsizes: ${SIZE.join(' ')}\nspace directions: (0.8,0.1,0) (-0.1,0.8,0) (0,0,3)\nspace origin: (1,2,3)\nendian: little\nencoding: ${encoding}\n${more}`;
const META = (more: string): string =>
  `ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nTransformMatrix = 0 1 0 -1 0 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 0.5 0.6 4\nDimSize = ${SIZE.join(' ')}\nElementType = MET_SHORT\n${more}`;

let folder: string;
let found: Found;
let onDisk: Found;
let store: ReturnType<typeof blobFiles>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gvsl-blobs-'));
  const put = (name: string, ...content: readonly (string | Uint8Array)[]): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), Buffer.concat(content.map((part) => Buffer.from(part as string))));
  };
  await writeImage(join(folder, 'oblique.nii'), oblique);
  await writeImage(join(folder, 'oblique_0001.nii.gz'), oblique);
  put('gzip.nrrd', NRRD('gzip'), '\n', gzipSync(raw));
  put('apart.nhdr', NRRD('raw', 'data file: voxels/apart.raw\n'));
  put('voxels/apart.raw', raw);
  put('lost.nhdr', NRRD('raw', 'data file: nowhere.raw\n'));
  put('packed.mha', META('CompressedData = True\nElementDataFile = LOCAL\n'), deflateSync(raw));
  put('apart.mhd', META('ElementDataFile = ./voxels/../voxels/apart.raw\n'));
  put('brain.mgh', mgh());
  put('brain.mgz', gzipSync(mgh()));
  put('cut.nii.gz', readFileSync(join(folder, 'oblique_0001.nii.gz')).subarray(0, 150));
  put('notes.txt', 'no image');
  for (const series of ['1', '2'])
    for (let k = 0; k < 4; k++)
      put(
        `study/${series === '1' ? 'a' : 'b'}/IM${k}`,
        slice({
          columns: 5,
          rows: 4,
          stored: values.subarray(k * 10, k * 10 + 20),
          positionMm: [-3, 5, 2.5 * k * Number(series)],
          instance: 10 * Number(series) + k,
          series,
          intercept: -24,
        }),
      );
  put('study/a/damaged.dcm', new Uint8Array(40));

  onDisk = await findImages(folder);
  const names = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => statSync(join(folder, name)).isFile());
  store = blobFiles(new Map(names.map((name) => [name, new Blob([readFileSync(join(folder, name))])])));
  const search = new ImageSearch(store);
  for (const name of names.sort()) {
    const siblings = names.filter((other) => dirname(other) === dirname(name)).map((other) => other.split('/').at(-1)!);
    await search.look(name.split('/').at(-1)!, name, siblings);
  }
  found = await search.finish();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const inFolder = (path: string): string => path.replaceAll(`${folder}/`, '');

describe('files of a browser', () => {
  it('are found to be the same images', () => {
    expect(found.images.map(({ kind, path }) => [kind, path])).toEqual(
      onDisk.images.map(({ kind, path }) => [kind, inFolder(path)]),
    );
    expect(found.images.filter(({ kind }) => kind === 'dicom').map(({ path }) => path)).toEqual(['study/a', 'study/b']);
    expect(found.refused).toEqual(onDisk.refused.map(({ path, reason }) => ({ path: inFolder(path), reason })));
  });

  it('give the same volumes, grids and warnings', async () => {
    let read = 0;
    for (const [k, source] of found.images.entries()) {
      if (/lost|cut/.test(source.path)) continue;
      const ours = await (await openFound(store, source)).load();
      const theirs = await readImage(onDisk.images[k]);
      expect(ours, source.path).toEqual({ ...theirs, path: source.path, warnings: theirs.warnings.map(inFolder) });
      read++;
    }
    expect(read).toBe(10);
  });

  it('are refused by name, with what to do', async () => {
    const refusal = async (path: string): Promise<string> => {
      const image = openFound(store, { kind: 'file', path }).then((open) => open.load());
      await expect(image).rejects.toBeInstanceOf(RunError);
      return image.then(
        () => '',
        ({ message }: Error) => message,
      );
    };
    expect(await refusal('lost.nhdr')).toBe(
      'lost.nhdr: its data file "nowhere.raw" is missing: looked for nowhere.raw; choose it together with this file',
    );
    expect(await refusal('cut.nii.gz')).toMatch(/^cut\.nii\.gz: its compressed stream is damaged, truncated/);
    expect(await refusal('notes.txt')).toMatch(/^notes\.txt: not a supported format: expected \.nii, /);
    expect(await refusal('gone.nii')).toBe('gone.nii: no such file among those that were chosen');
  });
});
