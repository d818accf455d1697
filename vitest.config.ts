/** Test set-up: tests lie beside the code as NAME.test.ts; a timing is never a pass or a fail. */
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Short files that take long. Vitest begins with large ones where it has no times of an earlier run; one that begins last leaves the other worker idle. */
const LONG = /(golden|trouble|mpi|page[^/]*|conv3d|transfer|pretrain|study)\.test\.ts$/;

const WORKERS = 2;

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // for test/own-processors.ts: a file alone may have them all
    process.env.GVSL_TEST_WORKERS = String(Math.min(files.length, WORKERS));
    const isShort = ({ moduleId }: TestSpecification): number => Number(!LONG.test(moduleId));
    return (await super.sort(files)).toSorted((a, b) => isShort(a) - isShort(b));
  }
}

export default defineConfig({
  test: {
    setupFiles: ['test/equal-bytes.ts', 'test/own-processors.ts'],
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // against hanging alone: shaders compiled in software take minutes on a busy machine
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // what is polled for comes late on a busy machine
    expect: { poll: { timeout: 60_000 } },
    pool: 'forks',
    maxWorkers: WORKERS,
    sequence: { sequencer: LongFirst },
    // .ci/run counts from the file
    reporters: ['default', ['json', { outputFile: '.cache/test-results.json' }]],
  },
});
