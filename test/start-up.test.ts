/**
 * Every command loads what it uses: listed by a hook of Node's loader in the built program, so that an import at the wrong place fails here
 * instead of making every call slower. No timing: which modules are loaded does not depend on the machine.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeWorkspace } from '../src/cli/testing/workspace.ts';

const dist = new URL('../dist/', import.meta.url);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-start-'));
  await writeWorkspace(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const script = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
const hook = script(`
  import { writeSync } from 'node:fs';
  export const load = (url, context, next) => (writeSync(2, 'loaded ' + url + '\\n'), next(url, context));
`);
const preload = script(`import { register } from 'node:module'; register(${JSON.stringify(hook)});`);

/** What a call loads: rooms, or files of cli/, as 'images' and 'cli/table.js'; packages as 'package zod'. */
function loadedBy(...args: readonly string[]): Set<string> {
  const main = fileURLToPath(new URL('cli/main.js', dist));
  const { status, stderr } = spawnSync(process.execPath, ['--import', preload, main, ...args], { cwd: folder, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const urls = [...stderr.matchAll(/^loaded (.*)$/gm)].map(([, url]) => url).filter((url) => url.startsWith('file:'));
  return new Set(
    urls.map((url) => {
      const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? [];
      return name === undefined ? url.slice(dist.href.length) : `package ${name}`;
    }),
  );
}

const starting = (modules: ReadonlySet<string>, ...beginnings: readonly string[]): string[] =>
  [...modules].filter((module) => beginnings.some((beginning) => module.startsWith(beginning)));

/** Tables of names that commands offer, errors, and what prints: modules that import nothing that works. */
const LIGHT = [
  'cli/',
  'common/errors.js',
  'engine/backend.js',
  'apply/prediction-options.js',
  'apply/registration/options.js',
  'apply/suggestion/strategies.js',
  'common/counted.js',
  'common/csv.js',
  'common/format-names.js',
  'common/range-text.js',
  'platform/node/machine.js',
  'phantom/kinds.js',
  'training/task/presets.js',
  'methods/descriptions.js',
  'methods/registry.js',
  'cohort/prepare-options.js',
  'cohort/reasons.js',
  'common/version.js',
  'package commander',
];

describe('a call loads what it uses', () => {
  it.each([[['--help']], [['--version']], [['inspect', '--help']], [['prepare', '--help']], [['help', 'segment']]])(
    '%j: the commands, and none of their work',
    (args) => {
      const modules = loadedBy(...args);
      expect(modules.size).toBeGreaterThan(20);
      const commands = ['cli/main.js', 'cli/program.js', 'cli/commands/', 'cli/run-command.js', 'cli/stop-signal.js'];
      const parts = [
        'apply-options',
        'selection-options',
        'table',
        'batch-text',
        'loss-text',
        'numbers',
        'print-config',
        'program-name',
        'option-names',
        'ranks',
      ].map((n) => `cli/${n}.js`);
      const light = [...LIGHT.slice(1), ...commands, ...parts];
      expect([...modules].filter((module) => !starting(new Set([module]), ...light).length)).toEqual([]);
    },
  );

  it('methods of pre-training are listed without being loaded', () => {
    const modules = [...loadedBy('methods')].filter((module) => !module.startsWith('cli/'));
    expect(modules.filter((module) => !starting(new Set([module]), ...LIGHT).length)).toEqual([]);
    const mae = starting(loadedBy('pretrain', '--method', 'mae', '--help'), 'methods/');
    expect(mae).toContain('methods/mae/method.js');
    expect(mae.filter((module) => /rotation\/method|volume-fusion\/method|gvsl\/method/.test(module))).toEqual([]);
  });

  it('the options of trainings come from the schema of their configuration, where they are named', () => {
    expect(starting(loadedBy('pretrain', '--help'), 'package zod')).not.toEqual([]);
    expect(starting(loadedBy('help', 'train'), 'package zod')).not.toEqual([]);
  });

  it('images are read and scored without engine, schemas, tables, pictures', () => {
    for (const args of [
      ['inspect', 'scans'],
      ['evaluate', 'labels', 'labels'],
    ]) {
      const modules = loadedBy(...args);
      expect(modules).toContain('images/node/read.js');
      const rooms = ['engine/', 'methods/', 'model/', 'training/', 'apply/', 'images/pictures/', 'report/', 'study/'];
      const packages = ['zod', 'yaml', 'csv-parse', 'fast-png', '@cornerstonejs'].map((name) => `package ${name}`);
      expect(starting(modules, ...rooms, ...packages).filter((module) => !LIGHT.includes(module))).toEqual([]);
    }
  });

  it('a model is applied without trainings, reports, pictures in PNG', () => {
    const modules = loadedBy('segment', 'scans/p.nii.gz', '--model', 'models/segmenter', '--out', 'out', '--threads', '1');
    expect(modules).toContain('apply/node/segment.js');
    expect(modules).toContain('engine/backends/cpu/backend.js');
    const packages = ['yaml', 'csv-parse', 'fast-png', '@cornerstonejs', 'webgpu', 'sirv'].map((name) => `package ${name}`);
    const others = ['report/', 'study/', 'model/node/interchange/', 'phantom/', 'training/'];
    expect(starting(modules, ...others, ...packages).filter((module) => !LIGHT.includes(module))).toEqual([]);
  });
});
