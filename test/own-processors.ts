/**
 * For all tests: each of vitest's workers keeps to its own part of the processors, on Linux. Threads that compute spin before they sleep, so two
 * workers whose threads share processors keep one another waiting; on two processors tests take about seven eighths of the time. A browser has
 * processes enough for all: it may.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

/** Set by vitest.config.ts where there is more than one file to test; VITEST_POOL_ID counts workers from 1. */
const { GVSL_TEST_WORKERS, VITEST_POOL_ID } = process.env;

/** The processors that this process may use; the kernel writes them as ranges: 0-3,8. */
function processors(): number[] {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

const workers = Number(GVSL_TEST_WORKERS ?? 1);
const opensPage = /\bpage[^/]*\.test\.ts$/.test(expect.getState().testPath ?? '');
if (process.platform === 'linux' && workers > 1 && !opensPage) {
  try {
    const all = processors();
    const worker = (Number(VITEST_POOL_ID) - 1) % workers;
    const own = all.slice(Math.floor((all.length * worker) / workers), Math.floor((all.length * (worker + 1)) / workers));
    if (all.length >= workers) execFileSync('taskset', ['-a', '-c', '-p', own.join(','), String(process.pid)]);
  } catch {
    // without taskset, or where a container forbids it, they share
  }
}
