import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { availableBytes, availableInContainer, WASM32_BYTES } from './limits.ts';

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
