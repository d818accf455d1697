import { expect, it } from 'vitest';
import { programName } from './program-name.ts';

it.each([
  ['/usr/local/bin/gvsl', 'gvsl'],
  ['/home/me/study/node_modules/.bin/gvsl', 'npx gvsl'],
  ['/home/me/study/dist/cli/main.js', 'node dist/cli/main.js'],
  ['/opt/gvsl/dist/cli/main.js', 'node /opt/gvsl/dist/cli/main.js'],
])('%s is called as %s', (script, name) => {
  expect(programName(script, '/home/me/study')).toBe(name);
});
