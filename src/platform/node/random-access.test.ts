import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MachineError, RunError } from '../../common/errors.ts';
import { openRandomAccess } from './random-access.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-random-access-'));
});
afterEach(() => rm(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

describe('a file that is read in pieces', () => {
  it('gives the bytes that are asked for', async () => {
    writeFileSync(at('a'), 'abcdef');
    const file = await openRandomAccess(at('a'), 'a file');
    expect(Buffer.from(await file.read(2, 3)).toString()).toBe('cde');
    expect(await file.read(6, 0)).toHaveLength(0);
    await file.close();
  });

  it.each<[string, () => void]>([
    ['changed while being read', () => appendFileSync(at('a'), 'x')],
    ['changed while being read', () => truncateSync(at('a'), 3)],
    ['ended at byte 1 while being read', () => truncateSync(at('a'), 1)],
  ])('%s', async (reason, change) => {
    writeFileSync(at('a'), 'abcdef');
    const file = await openRandomAccess(at('a'), 'a file');
    await file.read(0, 2);
    change();
    await expect(file.read(0, 2)).rejects.toThrow(`${at('a')}: ${reason}`);
    await file.close();
  });

  it('says what it cannot open', async () => {
    const failure = (name: string) =>
      openRandomAccess(at(name), 'a file of weights').catch((error: unknown) => error as RunError) as Promise<RunError>;
    expect((await failure('none')).message).toBe(`${at('none')}: no such file; expected a file of weights`);
    mkdirSync(at('folder'));
    expect((await failure('folder')).message).toBe(`${at('folder')}: not a file; expected a file of weights`);
    writeFileSync(at('a'), '');
    expect((await failure('a/b')).message).toContain('no such file');
    expect(await failure('x'.repeat(300))).toBeInstanceOf(RunError);
  });

  it.skipIf(process.platform === 'win32')('does not wait for a pipe', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    await expect(openRandomAccess(at('pipe'), 'a file')).rejects.toThrow('not a file');
  });

  it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
    'tells no permission apart (skipped for root)',
    async () => {
      writeFileSync(at('a'), '');
      chmodSync(at('a'), 0);
      await expect(openRandomAccess(at('a'), 'a file')).rejects.toThrow(MachineError);
    },
  );

  it('refuses a piece that no memory holds', async () => {
    writeFileSync(at('sparse'), 'a');
    truncateSync(at('sparse'), 2 ** 40);
    const file = await openRandomAccess(at('sparse'), 'a file');
    await expect(file.read(0, 2 ** 40)).rejects.toThrow(/reading 1.* at once needs more memory than available/);
    await file.close();
  });
});
