import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { showOptionsOf, withOptionNames } from './option-names.ts';

it('shows the arguments that a message names as the options of the command', () => {
  showOptionsOf(new Command('x').option('--fixed-labels <file>').option('--patch <n>').option('--lr <rate>'));
  expect(withOptionNames('`fixedLabels` needs `data.patch`; lower `learningRate`')).toBe(
    '--fixed-labels needs --patch; lower --lr',
  );
  showOptionsOf(new Command('x').option('--count <n>').option('--clusters-count <n>'));
  expect(withOptionNames('`clusters.count` 100; not `count`')).toBe('--clusters-count 100; not --count');
  expect(withOptionNames('`movingLabels`: no option here; nor `gvsl inspect`')).toBe(
    '`movingLabels`: no option here; nor `gvsl inspect`',
  );
});

it('is alone in knowing options: other rooms name arguments, or whole commands', () => {
  const src = fileURLToPath(new URL('../', import.meta.url));
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts') && !/^(cli|page|report)\/|\.test\.ts$|\.as\.ts$|\/testing\//.test(path));
  // in strings and templates: what follows `gvsl NAME` is a command; 'gdcmconv --raw', nnU-Net's, MONAI's and V8's flags are others'
  const found = files.flatMap((path) =>
    readFileSync(join(src, path), 'utf8')
      .split('\n')
      .filter(
        (line) =>
          /['"`(\s]--[a-z]/.test(line) &&
          !/gvsl[ `]|gdcmconv|python -m|nnUNet|setFlagsFromString|^\s*(\/\/|\*|\/\*\*)|var\(|--left/.test(line),
      )
      .map((line) => `${path}: ${line.trim()}`),
  );
  expect(found).toEqual([]);
});
