/** What the machine lets this process have, a container's or a batch job's limits included. */
import { readFileSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { join } from 'node:path';

const GIB = 2 ** 30;
/** One WebAssembly memory has 32-bit addresses. */
export const WASM32_BYTES = 4 * GIB;

/** Bytes that can be had, and what sets the limit, for messages. */
export interface AvailableMemory {
  readonly bytes: number;
  readonly limit: string;
}

/** The folder of a control group, and whether its files are those of version 2. */
interface ControlGroup {
  readonly folder: string;
  readonly version: 1 | 2;
}

/**
 * The control groups that limit this process (a container's, a batch job's), the innermost first; none outside Linux. Every group above
 * limits too. Inside a container a group's path may be the host's, which is not there: then the mount itself is the group.
 * @param controller 'memory' or 'cpu', by which version 1 has a tree of its own
 * @param root of the file system; for tests
 */
function controlGroups(controller: 'memory' | 'cpu', root = '/'): ControlGroup[] {
  let lines: string[];
  try {
    lines = readFileSync(join(root, 'proc/self/cgroup'), 'utf8').trim().split('\n');
  } catch {
    return [];
  }
  const mount = join(root, 'sys/fs/cgroup');
  return lines.flatMap((line) => {
    // 'number:controllers:path'; version 2 has no controllers
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const version = controllers === '' ? 2 : 1;
    if (version === 1 && !controllers.split(',').includes(controller)) return [];
    const base = version === 1 ? join(mount, controller) : mount;
    const parts = path.split('/').filter((part) => part !== '' && part !== '..');
    return Array.from(
      { length: parts.length + 1 },
      (_, k): ControlGroup => ({ folder: join(base, ...parts.slice(0, parts.length - k)), version }),
    );
  });
}

const MEMORY_FILES = {
  1: { limit: 'memory.limit_in_bytes', usage: 'memory.usage_in_bytes', inactive: 'total_inactive_file' },
  2: { limit: 'memory.max', usage: 'memory.current', inactive: 'inactive_file' },
} as const;

/**
 * What a control group still lets its processes have; undefined without a limit. The cache of files read counts against the limit
 * but is given up on demand, so its inactive part counts as free.
 */
function memoryLeftIn({ folder, version }: ControlGroup): number | undefined {
  const names = MEMORY_FILES[version];
  try {
    const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
    // 'max' (version 2) is NaN; version 1 writes a number near 2^63 for no limit
    const limit = Number(read(names.limit));
    if (!(limit < 2 ** 60)) return undefined;
    const inactive = Number(new RegExp(`^${names.inactive} (\\d+)$`, 'm').exec(read('memory.stat'))?.[1] ?? 0);
    return Math.max(0, limit - (Number(read(names.usage)) - inactive));
  } catch {
    return undefined;
  }
}

/** The least memory that is left in the control groups that this process is in; undefined outside Linux and without a limit. */
export function availableInContainer(root = '/'): number | undefined {
  const left = controlGroups('memory', root).flatMap((group) => memoryLeftIn(group) ?? []);
  return left.length > 0 ? Math.min(...left) : undefined;
}

/**
 * Memory that this process can still have.
 * @param wasm32 whether it must lie in one WebAssembly memory, which ends at 4 GiB
 */
export function availableBytes({ wasm32 = false }: { readonly wasm32?: boolean } = {}): AvailableMemory {
  // On Linux freemem counts what caches give up on demand (MemAvailable).
  const limits: AvailableMemory[] = [{ bytes: freemem(), limit: 'free memory of this machine' }];
  const container = availableInContainer();
  if (container !== undefined) limits.push({ bytes: container, limit: 'memory limit of this container' });
  if (wasm32) limits.push({ bytes: WASM32_BYTES, limit: 'address space of WebAssembly' });
  return limits.reduce((least, next) => (next.bytes < least.bytes ? next : least));
}

const CPU_FILES = { 1: ['cpu.cfs_quota_us', 'cpu.cfs_period_us'], 2: ['cpu.max'] } as const;

/** Processors' worth of time that a control group gives; undefined without a quota. */
function quotaOf({ folder, version }: ControlGroup): number | undefined {
  try {
    // version 2: 'quota period' or 'max period'; version 1: -1 for no quota
    const words = CPU_FILES[version].flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split(/\s+/));
    const [quota, period] = words.map(Number) as [number, number];
    return quota > 0 && period > 0 ? quota / period : undefined;
  } catch {
    return undefined;
  }
}

/** How many threads are of use, and what sets their number, for messages. */
export interface AvailableThreads {
  readonly threads: number;
  readonly limit: string;
}

/**
 * Threads of computation that this process may run at once: the processors that it may use (its affinity), or the CPU quota of its
 * container or batch job, rounded down. More threads than that would only wait for each other.
 * @param root of the file system; for tests
 * @param processors that the process may use; for tests
 */
export function availableThreads(root = '/', processors = availableParallelism()): AvailableThreads {
  const quotas = controlGroups('cpu', root).flatMap((group) => quotaOf(group) ?? []);
  const quota = Math.max(1, Math.floor(Math.min(...quotas)));
  return quota < processors
    ? { threads: quota, limit: 'CPU quota of this container' }
    : { threads: processors, limit: 'processors that this process may use' };
}
