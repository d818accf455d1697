import { link, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../../common/errors.ts';
import { writeFileAtomic, writeFolderAtomic } from './files.ts';
import { guardInputs, modelInputs, refuseReplacing } from './guard.ts';

let folder = '';
const at = (...names: string[]): string => join(folder, ...names);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-guard-'));
  await mkdir(at('data', 'deep'), { recursive: true });
  await writeFile(at('data', 'scan'), 'scan');
  await writeFile(at('data', 'deep', 'other'), 'other');
  await symlink(at('data'), at('to-data'));
  await symlink(at('data', 'scan'), at('to-scan'));
  await link(at('data', 'scan'), at('same-scan'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('guardInputs', () => {
  it.each([
    ['data/scan', 'data/scan'],
    ['data/scan', 'data/deep/../scan'],
    ['data/scan', 'to-data/scan'],
    ['data/scan', 'to-scan'],
    ['data/scan', 'same-scan'],
    ['to-scan', 'data/scan'],
    ['to-data/scan', 'same-scan'],
    ['data', 'data/scan'],
    ['data', 'to-data/deep/other'],
    ['data', 'to-scan'],
    ['to-data/', 'data/deep/other'],
    ['data/deep/other', 'data'],
    ['data/deep', 'to-data'],
  ])('of what is read at %s, nothing is replaced by a write to %s', async (read, write) => {
    const inputs = [{ path: at(read), what: 'the scan' }];
    const attempt = guardInputs(inputs, () =>
      /^(to-)?data$/.test(write)
        ? writeFolderAtomic(at(write), (aside) => writeFile(join(aside, 'x'), ''))
        : writeFileAtomic(at(write), 'new'),
    );
    await expect(attempt).rejects.toThrow(UsageError);
    await expect(attempt).rejects.toThrow(/would replace .*the scan, which is an input/);
    expect(await readFile(at('data', 'scan'), 'utf8')).toBe('scan');
    expect(await readFile(at('data', 'deep', 'other'), 'utf8')).toBe('other');
  });

  it('lets new files, other files and later writes pass', async () => {
    await writeFile(at('old'), '');
    await guardInputs(
      [
        { path: at('data'), what: 'x' },
        { path: at('nowhere'), what: 'y' },
      ],
      async () => {
        await writeFileAtomic(at('data', 'new'), 'new');
        await writeFileAtomic(at('old'), 'new');
        await writeFileAtomic(at('nowhere'), 'new');
      },
    );
    await writeFileAtomic(at('data', 'scan'), 'new');
    expect(await readFile(at('data', 'scan'), 'utf8')).toBe('new');
  });

  it('looks again in the moment of writing, and keeps what an outer guard keeps', async () => {
    await guardInputs([{ path: at('data', 'scan'), what: 'x' }], () =>
      guardInputs([], async () => {
        await refuseReplacing(at('out'));
        await rename(at('to-scan'), at('out'));
        await expect(writeFileAtomic(at('out'), '')).rejects.toThrow('would replace');
      }),
    );
  });
});

describe('modelInputs', () => {
  it('names what is read of a run, not what was made of it', async () => {
    await mkdir(at('run', 'last'), { recursive: true });
    for (const name of ['run.json', 'metrics.jsonl', 'report.html', 'x.onnx', 'x.pth', 'last/model.safetensors'])
      await writeFile(at('run', name), '');
    await guardInputs(await modelInputs(at('run')), async () => {
      for (const name of ['report.html', 'x.onnx', 'x.pth']) await writeFileAtomic(at('run', name), 'new');
      for (const name of ['run.json', 'metrics.jsonl', 'last/model.safetensors'])
        await expect(writeFileAtomic(at('run', name), 'new'), name).rejects.toThrow('the model');
    });
    await writeFile(at('run', 'last', 'config.json'), '');
    await guardInputs(await modelInputs(at('run', 'last', 'model.safetensors')), async () => {
      for (const name of ['config.json', 'model.safetensors'])
        await expect(writeFileAtomic(at('run', 'last', name), 'new'), name).rejects.toThrow('the model');
    });
  });
});
