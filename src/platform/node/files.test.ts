import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type * as promises from 'node:fs/promises';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  findFolder,
  isStaleTemp,
  removeLeftOvers,
  repairFolder,
  tempPathFor,
  writeFileAtomic,
  writeFolderAtomic,
  writeNewFolder,
} from './files.ts';

/** Calls that change the disk, counted; from `killAt` on they never come back and do nothing, as after kill -9. */
const disk = vi.hoisted(() => ({ calls: 0, killAt: Number.POSITIVE_INFINITY, onKill: () => {} }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof promises>();
  const mortal =
    <Arguments extends unknown[], Result>(call: (...args: Arguments) => Promise<Result>) =>
    (...args: Arguments): Promise<Result> => {
      if (disk.calls++ < disk.killAt) return call(...args);
      disk.onKill();
      return new Promise(() => {});
    };
  return {
    ...real,
    rename: mortal(real.rename),
    rm: mortal(real.rm as typeof promises.rm),
    mkdir: mortal(real.mkdir as typeof promises.mkdir),
  };
});

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-files-'));
});
afterEach(async () => {
  disk.killAt = Number.POSITIVE_INFINITY;
  await rm(folder, { recursive: true });
});

const put = (content: string) => async (aside: string) => {
  await writeFile(join(aside, 'a'), content);
  await writeFile(join(aside, 'b'), content);
};
const content = (path: string): string => readFileSync(join(path, 'a'), 'utf8') + readFileSync(join(path, 'b'), 'utf8');
/** Runs `work` and kills it at its call number `at`; true if it ended before. */
async function killed(at: number, work: () => Promise<void>): Promise<boolean> {
  disk.calls = 0;
  disk.killAt = at;
  const dead = new Promise<false>((resolve) => {
    disk.onKill = () => resolve(false);
  });
  const ended = await Promise.race([work().then(() => true), dead]);
  disk.killAt = Number.POSITIVE_INFINITY;
  return ended;
}

describe('writeFolderAtomic', () => {
  it('replaces a folder and leaves nothing else', async () => {
    const path = join(folder, 'deep', 'last');
    await writeFolderAtomic(path, put('1'));
    await writeFolderAtomic(path, put('2'));
    expect(content(path)).toBe('22');
    expect(readdirSync(join(folder, 'deep'))).toEqual(['last']);
  });

  it('keeps the old folder when the writing fails', async () => {
    const path = join(folder, 'last');
    await writeFolderAtomic(path, put('1'));
    await expect(writeFolderAtomic(path, () => Promise.reject(new Error('full')))).rejects.toThrow('full');
    expect(content(path)).toBe('11');
    expect(readdirSync(folder)).toEqual(['last']);
  });

  it('killed anywhere, leaves the whole old or the whole new content to be found and repaired; so does the repair', async () => {
    const path = join(folder, 'last');
    const seen = new Set<string>();
    let points = 0;
    for (let ended = false; !ended; points++) {
      await rm(folder, { recursive: true });
      await writeFolderAtomic(path, put('1'));
      ended = await killed(points, () => writeFolderAtomic(path, put('2')));
      const before = content((await findFolder(path))!);
      expect(['11', '22']).toContain(before);
      seen.add(`${before} ${existsSync(path) ? 'in place' : 'aside'}`);

      // A cut-off repair may finish a replacement, never undo one.
      let found = before;
      for (let point = 0; !(await killed(point, () => repairFolder(path))); point++) {
        const now = content((await findFolder(path))!);
        expect(now === found || now === '22').toBe(true);
        found = now;
      }
      expect(content(path)).toMatch(before === '22' ? /^22$/ : /^(11|22)$/);
      expect(readdirSync(folder)).toEqual(['last']);
    }
    expect(points).toBeGreaterThan(5);
    expect(seen).toEqual(new Set(['11 in place', '22 aside', '22 in place']));
  });

  it('finds nothing where nothing is', async () => {
    expect(await findFolder(join(folder, 'none'))).toBeUndefined();
    await repairFolder(join(folder, 'none'));
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('writeNewFolder', () => {
  it('lets one of several at once have its way, and leaves no part of the others', async () => {
    const path = join(folder, 'new');
    const ended = await Promise.allSettled(['1', '2', '3'].map((text) => writeNewFolder(path, put(text))));
    expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const one of ended)
      if (one.status === 'rejected') expect(one.reason.message).toBe(`${path}: a folder that is not empty`);
    expect(['11', '22', '33']).toContain(content(path));
    expect(readdirSync(folder)).toEqual(['new']);
    await expect(writeNewFolder(join(folder, 'bad'), () => Promise.reject(new Error('full')))).rejects.toThrow('full');
    expect(readdirSync(folder)).toEqual(['new']);
  });
});

describe('writeFileAtomic', () => {
  it('clears away what a killed process left in the folder, not what another is writing', async () => {
    const mine = basename(tempPathFor(join(folder, 'a')));
    const gone = spawnSync(process.execPath, ['-e', '']).pid.toString(16).padStart(8, '0');
    const theirs = basename(tempPathFor(join(folder, 'b'))).replace(process.pid.toString(16).padStart(8, '0'), gone);
    await writeFile(join(folder, mine), '');
    await writeFile(join(folder, theirs), '');
    await writeFileAtomic(join(folder, 'c'), 'text');
    expect(readdirSync(folder).sort()).toEqual([mine, 'c']);
  });

  it.skipIf(!existsSync('/proc/self/stat'))(
    'clears away what a process left that was killed and that nobody has reaped (skipped without /proc)',
    async () => {
      // the shell becomes a program that never asks how its children ended
      const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
      try {
        const pid = Number(String((await once(parent.stdout, 'data'))[0]));
        const number = (of: number): string => of.toString(16).padStart(8, '0');
        const theirs = basename(tempPathFor(join(folder, 'b'))).replace(number(process.pid), number(pid));
        await writeFile(join(folder, theirs), '');
        await removeLeftOvers(folder);
        expect(readdirSync(folder)).toEqual([theirs]);
        process.kill(pid, 'SIGKILL');
        await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2]).toBe('Z');
        await removeLeftOvers(folder);
        expect(readdirSync(folder)).toEqual([]);
      } finally {
        parent.kill();
      }
    },
  );

  it('writes all pieces, and nothing on an error', async () => {
    await writeFileAtomic(join(folder, 'new', 'x'), 'a', new Uint8Array([98]));
    expect(readFileSync(join(folder, 'new', 'x'), 'utf8')).toBe('ab');
    await expect(writeFileAtomic(join(folder, 'new'), 'a')).rejects.toThrow();
    expect(readdirSync(folder)).toEqual(['new']);
    expect(isStaleTemp('.last.0123abcd.part')).toBe(true);
    // beside the longest name there can be
    const long = basename(tempPathFor(`${'é'.repeat(120)}.nii.gz`));
    expect(Buffer.byteLength(long)).toBeLessThanOrEqual(255);
    expect(isStaleTemp(long)).toBe(true);
  });
});
