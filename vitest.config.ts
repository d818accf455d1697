/** Test set-up: tests lie beside the code as NAME.test.ts; a timing is never a pass or a fail. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    setupFiles: ['test/equal-bytes.ts'],
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // against hanging alone: shaders compiled in software take minutes on a busy machine
    testTimeout: 600_000,
    hookTimeout: 600_000,
    pool: 'forks',
    maxWorkers: 2,
    // .ci/run counts from the file
    reporters: ['default', ['json', { outputFile: '.cache/test-results.json' }]],
  },
});
