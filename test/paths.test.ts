/** Paths are written for every system: a URL's pathname is none (spaces are %20 in it, and Windows has drives). */
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The project's own code, as [name from the root, text]. */
const sources = ['src', 'scripts', 'test', 'examples', '.']
  .flatMap((folder) => {
    try {
      return readdirSync(join(root, folder), { recursive: folder !== '.', encoding: 'utf8' }).map((name) => join(folder, name));
    } catch {
      return [];
    }
  })
  .filter((name) => /\.(ts|mts|mjs|cjs|js)$/.test(name) && !name.split(sep).includes('node_modules'))
  .map((name) => [name, readFileSync(join(root, name), 'utf8')] as const);

const linesWith = (pattern: RegExp): string[] =>
  sources.flatMap(([name, text]) =>
    text.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${name}:${i + 1}: ${line.trim()}`] : [])),
  );

it('no path is the pathname of a URL: fileURLToPath makes it', () => {
  expect(sources.length).toBeGreaterThan(500);
  expect(linesWith(/\.pathname\b(?!\\)/)).toEqual([]);
});

it('no path is imported as if it were a URL: pathToFileURL makes one', () => {
  expect(linesWith(/\bimport\((join|resolve|dirname)\(/)).toEqual([]);
});

it('no URL of a file is put together by hand', () => {
  expect(linesWith(/[`'"]file:\/\/(\/?\$\{|\/?['"] ?\+)/)).toEqual([]);
});
