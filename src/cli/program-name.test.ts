import { posix, win32 } from 'node:path';
import { expect, it } from 'vitest';
import { programName } from './program-name.ts';

it.each([
  ['/usr/local/bin/gvsl', 'gvsl'],
  ['/home/me/study/node_modules/.bin/gvsl', 'npx gvsl'],
  ['/home/me/study/node_modules/gvsl/dist/cli/main.js', 'npx gvsl'],
  ['/home/me/study/dist/cli/main.js', 'node dist/cli/main.js'],
  ['/opt/gvsl/dist/cli/main.js', 'node /opt/gvsl/dist/cli/main.js'],
])('%s is called as %s', (script, name) => {
  expect(programName(script, '/home/me/study', posix)).toBe(name);
});

it.each([
  ['C:\\Users\\me\\AppData\\Roaming\\npm\\node_modules\\gvsl\\dist\\cli\\main.js', 'gvsl'],
  ['C:\\study\\node_modules\\gvsl\\dist\\cli\\main.js', 'npx gvsl'],
  ['C:\\study\\site\\gvsl\\dist\\cli\\main.js', 'node gvsl\\dist\\cli\\main.js'],
  ['D:\\gvsl\\dist\\cli\\main.js', 'node D:\\gvsl\\dist\\cli\\main.js'],
])('on Windows %s is called as %s', (script, name) => {
  expect(programName(script, 'C:\\study\\site', win32)).toBe(name);
});
