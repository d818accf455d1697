import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { availableBytes, availableInContainer, availableThreads, WASM32_BYTES } from './limits.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'gvsl-limits-'));
});
afterEach(() => rm(root, { recursive: true }));
function put(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

describe('memory there is', () => {
  it('is what the narrowest control group leaves, version 2', () => {
    put({
      'proc/self/cgroup': '0::/jobs/mine\n',
      'sys/fs/cgroup/jobs/mine/memory.max': 'max\n',
      'sys/fs/cgroup/jobs/mine/memory.current': '100\n',
      'sys/fs/cgroup/jobs/memory.max': '1000\n',
      'sys/fs/cgroup/jobs/memory.current': '600\n',
      'sys/fs/cgroup/jobs/memory.stat': 'anon 5\ninactive_file 250\nactive_file 7\n',
    });
    expect(availableInContainer(root)).toBe(650);
  });

  it('the same for version 1, where a container sees its group at the mount', () => {
    put({
      'proc/self/cgroup': '5:cpu,cpuacct:/x\n4:memory:/docker/abc\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': '2000\n',
      'sys/fs/cgroup/memory/memory.usage_in_bytes': '500\n',
      'sys/fs/cgroup/memory/memory.stat': 'total_inactive_file 100\n',
    });
    expect(availableInContainer(root)).toBe(1600);
  });

  it('has no limit where there is none', () => {
    expect(availableInContainer(root)).toBeUndefined();
    put({ 'proc/self/cgroup': '4:memory:/\n', 'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n' });
    expect(availableInContainer(root)).toBeUndefined();
  });

  it('is some on this machine, and never more than WebAssembly can address', () => {
    expect(availableBytes().bytes).toBeGreaterThan(0);
    expect(availableBytes({ wasm32: true }).bytes).toBeLessThanOrEqual(WASM32_BYTES);
  });
});

describe('threads that are of use', () => {
  const QUOTA = 'CPU quota of this container';
  it('are those of the narrowest quota, version 2, rounded down', () => {
    put({
      'proc/self/cgroup': '0::/jobs/mine\n',
      'sys/fs/cgroup/jobs/mine/cpu.max': 'max 100000\n',
      'sys/fs/cgroup/jobs/cpu.max': '390000 100000\n',
      'sys/fs/cgroup/cpu.max': '600000 100000\n',
    });
    expect(availableThreads(root, 16)).toEqual({ threads: 3, limit: QUOTA });
    expect(availableThreads(root, 2)).toEqual({ threads: 2, limit: 'processors that this process may use' });
  });

  it('the same for version 1, where a container sees its group at the mount', () => {
    put({
      'proc/self/cgroup': '5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    });
    expect(availableThreads(root, 8)).toEqual({ threads: 2, limit: QUOTA });
  });

  it.each<[string, Record<string, string>]>([
    ['there is none', {}],
    [
      'it is none, version 1',
      {
        'proc/self/cgroup': '5:cpu:/\n',
        'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
    ],
    ['it is none, version 2', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'max 100000\n' }],
    ['it makes no sense', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'many 0\n' }],
    ['it is of no period', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '100000 0\n' }],
  ])('are the processors where %s', (_, files) => {
    put(files);
    expect(availableThreads(root, 8).threads).toBe(8);
  });

  it('are one at least', () => {
    put({ 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '10000 100000\n' });
    expect(availableThreads(root, 8).threads).toBe(1);
    expect(availableThreads().threads).toBeGreaterThanOrEqual(1);
  });
});
