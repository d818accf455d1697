import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../../common/errors.ts';
import { tempPathFor } from './files.ts';
import { inResults, openResults } from './results.ts';

let folder = '';
const at = (...names: string[]): string => join(folder, ...names);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-results-'));
});
afterEach(() => rm(folder, { recursive: true }));

const open = (names: readonly string[], overwrite = false, out = 'out') =>
  openResults(at(out), { names, overwrite, by: 'gvsl segment' });

describe('openResults', () => {
  it('replaces what an earlier call wrote, finished or stopped, and nothing else', async () => {
    const first = await open(['a', 'b', 'c']);
    await writeFile(at('out', 'a'), '1');
    await first.finish(['a']);
    await writeFile(at('out', 'b'), '1');
    await open(['a', 'b']);
    await writeFile(at('out', 'a'), '2');
    await writeFile(at('out', 'd'), 'by hand');
    await (await open(['b'])).finish(['b']);
    await (await open(['a', 'b', 'd'], true)).finish(['a', 'b', 'd']);
    await writeFile(at('out', 'a'), 'by hand');
    await expect(open(['a', 'b', 'd'])).rejects.toThrow(
      /a is already there and was not written by gvsl segment, or changed since/,
    );
  });

  it('refuses a file for a folder and a folder for a file', async () => {
    await writeFile(at('file'), '');
    await expect(open([], false, 'file')).rejects.toThrow(UsageError);
    await mkdir(at('out', 'a'), { recursive: true });
    await expect(open(['a'], true)).rejects.toThrow('is a folder, but a file would be written there');
    await expect(open(['a'], false, 'file/deep')).rejects.toThrow('part of this path is a file');
  });

  it('lets several write into one folder at the same time, and forgets none of their files', async () => {
    const names = Array.from({ length: 12 }, (_, k) => `r${k}`);
    await Promise.all(
      names.map(async (name) => {
        const results = await open([name]);
        await writeFile(at('out', name), name);
        await results.finish([name]);
      }),
    );
    const { files } = JSON.parse(await readFile(at('out', '.gvsl-results.json'), 'utf8'));
    expect(Object.keys(files).sort()).toEqual([...names].sort());
    await open(names);
  });

  it('leaves a file that another call has taken away to that one', async () => {
    const first = await open(['a', 'b']);
    await writeFile(at('out', 'a'), '');
    await first.finish(['a', 'b']);
    const { files } = JSON.parse(await readFile(at('out', '.gvsl-results.json'), 'utf8'));
    expect(files).toMatchObject({ a: expect.stringMatching(/^[0-9a-f]{64}$/), b: null });
  });

  it('clears away what a killed process left, not what another is writing', async () => {
    const mine = basename(tempPathFor(at('out', 'x')));
    const gone = spawnSync(process.execPath, ['-e', '']).pid.toString(16).padStart(8, '0');
    const theirs = mine.replace(process.pid.toString(16).padStart(8, '0'), gone);
    await mkdir(at('out', 'inner'), { recursive: true });
    await writeFile(at('out', mine), '');
    await writeFile(at('out', theirs), '');
    await writeFile(at('out', 'inner', theirs), '');
    await open(['inner/x']);
    expect((await readdir(at('out'))).sort()).toEqual(['.gvsl-results.json', mine, 'inner'].sort());
    expect(await readdir(at('out', 'inner'))).toEqual([]);
  });
});

describe('inResults', () => {
  const names = { names: ['a.txt'], overwrite: false, by: 'gvsl test' };
  it('leaves no folder behind where nothing was written, and keeps one that was there, or has results', async () => {
    const fail = async (): Promise<never> => {
      throw new Error('no');
    };
    await expect(inResults(at('new'), names, fail)).rejects.toThrow('no');
    expect(existsSync(at('new'))).toBe(false);
    await mkdir(at('there'));
    await expect(inResults(at('there'), names, fail)).rejects.toThrow('no');
    expect(existsSync(at('there'))).toBe(true);
    const half = async (): Promise<never> => {
      await writeFile(at('half', 'a.txt'), 'a');
      return fail();
    };
    await expect(inResults(at('half'), names, half)).rejects.toThrow('no');
    expect(existsSync(at('half', 'a.txt'))).toBe(true);
  });
});

it('parts write into one folder without waiting for each other, each with a record of its own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gvsl-results-parts-'));
  try {
    await writeFile(
      join(folder, '.lock'),
      JSON.stringify({ pid: 1, host: 'a machine that is gone', startedAt: null, nonce: '' }),
    );
    const part = (index: number, name: string) =>
      inResults(folder, { names: [name], overwrite: false, by: 'gvsl test', part: { index, of: 2 } }, async (results) => {
        await writeFile(join(folder, name), name);
        await results.finish([name]);
      });
    await Promise.all([part(1, 'a.txt'), part(2, 'b.txt'), part(2, 'b.txt')]);
    // one that runs again, and one whose images another number of parts gives it, may replace what parts wrote
    await part(1, 'b.txt');
    await writeFile(join(folder, 'a.txt'), 'by hand');
    await expect(part(1, 'a.txt')).rejects.toThrow(/a\.txt is already there and was not written by gvsl test/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
