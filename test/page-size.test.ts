import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PAGE, SKIPPED } from './built-page.ts';

/** What docs/page.md promises, in bytes: of all files but the example's model, and of those that are loaded at first. */
const MOST_BYTES = 3_000_000;
const MOST_FIRST_BYTES = 1_900_000;

it.skipIf(SKIPPED.includes('build:page'))('the page is small: all of it, and what is loaded at first', () => {
  const sizes = readdirSync(PAGE, { recursive: true, encoding: 'utf8' })
    .filter((path) => !path.startsWith('example-model'))
    .map((path) => ({ path, stats: statSync(join(PAGE, path)) }))
    .filter(({ stats }) => stats.isFile());
  const sum = (wanted: RegExp): number =>
    sizes.reduce((bytes, { path, stats }) => bytes + (wanted.test(path) ? stats.size : 0), 0);
  expect(sum(/./)).toBeLessThan(MOST_BYTES);
  expect(sum(/index|worker-|kernel-thread|kernels-relaxed|font-/)).toBeLessThan(MOST_FIRST_BYTES);
});
