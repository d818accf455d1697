import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MachineError, RunError } from '../../common/errors.ts';
import { lockFolder } from './lock.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-lock-'));
});
afterEach(() => rm(folder, { recursive: true }));
const lockFile = (): string => join(folder, '.lock');
const holder = (pid: number, host = hostname(), startedAt: string | null = null): void =>
  writeFileSync(lockFile(), JSON.stringify({ pid, host, startedAt }));
/** The number of a process that has ended. */
const gone = (): number => spawnSync(process.execPath, ['-e', '']).pid;

describe('lockFolder', () => {
  it('locks once, and again after it was unlocked', () => {
    const unlock = lockFolder(join(folder, 'new'));
    expect(() => lockFolder(join(folder, 'new'))).toThrow(RunError);
    expect(() => lockFolder(join(folder, 'new'))).toThrow(`process ${process.pid} on`);
    unlock();
    lockFolder(join(folder, 'new'))();
    expect(readdirSync(join(folder, 'new'))).toEqual([]);
  });

  it('takes over what a killed process left', () => {
    holder(gone());
    const unlock = lockFolder(folder);
    expect(JSON.parse(readFileSync(lockFile(), 'utf8')).pid).toBe(process.pid);
    unlock();
    expect(readdirSync(folder)).toEqual([]);
  });

  it.skipIf(!existsSync('/proc/self/stat'))('knows a new process by an old number (skipped without /proc)', () => {
    holder(process.pid, hostname(), '1');
    lockFolder(folder)();
  });

  it.skipIf(!existsSync('/proc/self/stat'))(
    'takes over from a process that was killed and that nobody has reaped (skipped without /proc)',
    async () => {
      // the shell becomes a program that never asks how its children ended
      const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
      try {
        const pid = Number(String((await once(parent.stdout, 'data'))[0]));
        const stat = (): string => readFileSync(`/proc/${pid}/stat`, 'utf8');
        const startedAt = stat().split(' ')[21];
        holder(pid, hostname(), startedAt);
        expect(() => lockFolder(folder)).toThrow(`process ${pid} on`);
        process.kill(pid, 'SIGKILL');
        // on a busy machine it has yet to come to its end
        await expect.poll(() => stat().split(' ')[2]).toBe('Z');
        lockFolder(folder)();
        expect(stat().split(' ')[2]).toBe('Z');
      } finally {
        parent.kill();
      }
    },
  );

  it('respects the lock of another machine, and one that is just being made', () => {
    holder(gone(), 'elsewhere');
    expect(() => lockFolder(folder)).toThrow('elsewhere');
    writeFileSync(lockFile(), '');
    expect(() => lockFolder(folder)).toThrow('just starting');
    utimesSync(lockFile(), 1, 1);
    lockFolder(folder)();
  });

  it('clears what was left by processes that were killed while they locked or took over', () => {
    const left = JSON.stringify({ pid: gone(), host: hostname(), startedAt: null });
    const living = JSON.stringify({ pid: process.pid, host: hostname(), startedAt: null });
    writeFileSync(lockFile(), left);
    for (const name of ['.0123456789abcdef', '.01234567.part', '.0123456789abcdef.01234567.part'])
      writeFileSync(lockFile() + name, left);
    writeFileSync(`${lockFile()}.89abcdef.part`, living);
    // the takeover of this very lock was under way when its process was killed
    const takeover = createHash('sha256').update(left).digest('hex').slice(0, 16);
    writeFileSync(`${lockFile()}.${takeover}`, left);
    lockFolder(folder)();
    expect(readdirSync(folder)).toEqual(['.lock.89abcdef.part']);
  });

  it('leaves a takeover to the process that is at it', () => {
    holder(gone());
    const takeover = createHash('sha256').update(readFileSync(lockFile())).digest('hex').slice(0, 16);
    writeFileSync(`${lockFile()}.${takeover}`, JSON.stringify({ pid: process.pid, host: hostname(), startedAt: null }));
    const before = readFileSync(lockFile(), 'utf8');
    expect(() => lockFolder(folder)).toThrow(`another process is writing there (process ${process.pid} on ${hostname()})`);
    expect(readFileSync(lockFile(), 'utf8')).toBe(before);
  });

  it('names the folder where no lock can be made', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => lockFolder('/proc/gvsl')).toThrow(/gvsl/);
    chmodSync(folder, 0o500);
    if (process.getuid?.() !== 0) expect(() => lockFolder(folder)).toThrow(MachineError);
    chmodSync(folder, 0o700);
  });

  it('does not remove a lock that is no longer its own', () => {
    const unlock = lockFolder(folder);
    holder(1);
    unlock();
    expect(readdirSync(folder)).toEqual(['.lock']);
  });
});
