import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filesOf } from './files-of.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-files-of-'));
});
afterEach(() => rm(folder, { recursive: true }));
const at = (...names: string[]): string => join(folder, ...names);
const make = (...names: string[]): void => {
  for (const name of names) writeFileSync(at(name), name);
};
const files = async (name: string): Promise<readonly string[]> =>
  (await filesOf({ kind: 'file', path: at(name) })).map((path) => path.slice(folder.length + 1));
const meta = (name: string, dataFile: string): void =>
  writeFileSync(
    at(name),
    ['ObjectType = Image', 'NDims = 3', 'DimSize = 2 2 2', 'ElementSpacing = 1 1 1', 'ElementType = MET_UCHAR']
      .concat(`ElementDataFile = ${dataFile}`, '')
      .join('\n'),
  );
const nrrd = (name: string, ...more: string[]): void =>
  writeFileSync(
    at(name),
    ['NRRD0004', 'type: uint8', 'dimension: 3', 'sizes: 2 2 2', 'encoding: raw', ...more, '', ''].join('\n'),
  );

describe('the files of an image', () => {
  it('are one, or the two of a pair, whichever is named', async () => {
    make('a.nii.gz', 'b.hdr', 'b.img.gz', 'C.HDR', 'C.IMG', 'alone.img');
    expect(await files('a.nii.gz')).toEqual(['a.nii.gz']);
    expect(await files('b.hdr')).toEqual(['b.hdr', 'b.img.gz']);
    expect(await files('b.img.gz')).toEqual(['b.img.gz', 'b.hdr']);
    expect(await files('C.HDR')).toEqual(['C.HDR', 'C.IMG']);
    expect(await files('alone.img')).toEqual(['alone.img']);
  });

  it('are a header and what it names: a file, a list, numbered slices; nothing where the voxels follow it', async () => {
    make('x.raw', 's1.raw', 's2.raw');
    meta('one.mhd', 'x.raw');
    meta('list.mhd', 'LIST\ns2.raw\ns1.raw');
    meta('slices.mhd', 's%d.raw 1 2 1');
    meta('local.mha', 'LOCAL');
    nrrd('one.nhdr', 'data file: x.raw');
    nrrd('slices.nhdr', 'data file: s%d.raw 1 2 1');
    nrrd('local.nrrd');
    expect(await files('one.mhd')).toEqual(['one.mhd', 'x.raw']);
    expect(await files('list.mhd')).toEqual(['list.mhd', 's2.raw', 's1.raw']);
    expect(await files('slices.mhd')).toEqual(['slices.mhd', 's1.raw', 's2.raw']);
    expect(await files('local.mha')).toEqual(['local.mha']);
    expect(await files('one.nhdr')).toEqual(['one.nhdr', 'x.raw']);
    expect(await files('slices.nhdr')).toEqual(['slices.nhdr', 's1.raw', 's2.raw']);
    expect(await files('local.nrrd')).toEqual(['local.nrrd']);
  });

  it.skipIf(process.platform === 'win32')('lie beside what a link leads to', async () => {
    mkdirSync(at('store'));
    make('store/x.raw', 'store/p.hdr', 'store/p.img');
    meta('store/x.mhd', 'x.raw');
    symlinkSync(at('store', 'x.mhd'), at('x.mhd'));
    symlinkSync(at('store', 'p.hdr'), at('p.hdr'));
    expect(await files('x.mhd')).toEqual(['x.mhd', 'store/x.raw']);
    expect(await files('p.hdr')).toEqual(['p.hdr', 'store/p.img']);
  });

  it('are the one that is named where the others are missing, or its header is damaged', async () => {
    meta('gone.mhd', 'gone.raw');
    make('damaged.mhd');
    writeFileSync(at('damaged.nhdr'), 'NRRD0004\ntype: what\n\n');
    for (const name of ['gone.mhd', 'damaged.mhd', 'damaged.nhdr', 'none.nhdr', 'none.nii'])
      expect(await files(name)).toEqual([name]);
  });
});
