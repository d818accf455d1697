/** Test set-up: tests lie beside the code as NAME.test.ts; a timing is never a pass or a fail. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    maxWorkers: 2,
    // .ci/run counts from the file
    reporters: ['default', ['json', { outputFile: '.cache/test-results.json' }]],
  },
});
