/**
 * The package as a user gets it: packed, installed into an empty folder, and used there from the command line, from modules and from CommonJS.
 * Skips, saying so, where it is not built, or where npm has neither its dependencies nor a network.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { readImage } from '../src/images/node/read.ts';
import type { ModelConfiguration } from '../src/model/configuration.ts';
import { writeTinyModel } from '../src/model/node/interchange/testing/tiny-model.ts';

const MAX_BYTES = 60e6;
const MAX_PACKAGES = 60;
/** What npm says where it has no network. */
const UNREACHABLE = /ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT/;

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gvsl-package-')));
// names that a path made of a URL would spoil
const home = join(folder, 'an empty folder, 100% ü');
const at = (...names: string[]): string => join(home, ...names);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[], cwd = home): Run {
  const { NODE_PATH, npm_config_local_prefix, ...env } = process.env;
  return spawnSync(program, args, { cwd, encoding: 'utf8', env });
}
const node = (...args: string[]): Run => run(process.execPath, args);
/** npm is run by this Node where npm itself started the tests: its name is another on Windows. */
function npm(args: readonly string[], cwd?: string): Run {
  const program = process.env.npm_execpath;
  return program?.endsWith('npm-cli.js') ? run(process.execPath, [program, ...args], cwd) : run('npm', args, cwd);
}

/** What `.package-lock.json` says of a package. */
interface Installed {
  readonly hasInstallScript?: boolean;
}
interface Manifest {
  readonly exports: Readonly<Record<string, unknown>>;
}

/** Installs the package. @returns why that cannot be done here; empty if it was done */
function install(): string {
  if (!existsSync(join(root, 'dist', 'page', 'index.html'))) return 'needs npm run build';
  mkdirSync(home);
  const packed = npm(['pack', '--ignore-scripts', '--json', '--pack-destination', folder], root);
  expect(packed.status, packed.stderr).toBe(0);
  const [{ filename }] = Object.values(JSON.parse(packed.stdout) as Record<string, { filename: string }>) as [
    { filename: string },
  ];
  const quiet = ['--prefer-offline', '--fetch-retries=0', '--fetch-timeout=60000', '--no-audit', '--no-fund', '--prefix', '.'];
  const { status, stderr } = npm(['install', ...quiet, join(folder, filename)]);
  if (status !== 0 && UNREACHABLE.test(stderr)) return 'needs its dependencies in the cache of npm, or a network';
  expect(status, stderr).toBe(0);
  return '';
}
const skipped = install();

const sizeOf = (path: string): number =>
  readdirSync(path, { recursive: true, encoding: 'utf8' }).reduce((sum, name) => {
    const stats = statSync(join(path, name));
    return stats.isFile() ? sum + stats.size : sum;
  }, 0);

describe.skipIf(skipped !== '')(`the installed package${skipped === '' ? '' : `: ${skipped}`}`, () => {
  const manifest = (): Manifest => JSON.parse(readFileSync(at('node_modules', 'gvsl', 'package.json'), 'utf8')) as Manifest;
  const gvsl = (...args: string[]): Run => node(at('node_modules', 'gvsl', 'dist', 'cli', 'main.js'), ...args);
  /** What programs import: `gvsl`, `gvsl/core`, ...; patterns are for files. */
  const modules = (): string[] =>
    Object.keys(manifest().exports)
      .filter((name) => !name.includes('*') && !name.endsWith('.json'))
      .map((name) => `gvsl${name.slice(1)}`);

  it('is small, brings few packages, and none runs anything when it is installed', () => {
    const lock = JSON.parse(readFileSync(at('node_modules', '.package-lock.json'), 'utf8')) as {
      packages: Record<string, Installed>;
    };
    const packages = Object.entries(lock.packages);
    expect(packages.length).toBeGreaterThan(10);
    expect(packages.length).toBeLessThan(MAX_PACKAGES);
    expect(packages.filter(([, { hasInstallScript }]) => hasInstallScript).map(([name]) => name)).toEqual([]);
    expect(existsSync(at('node_modules', 'webgpu'))).toBe(false);
    const bytes = sizeOf(at('node_modules'));
    console.log(`installed: ${packages.length} packages, ${(bytes / 1e6).toFixed(1)} MB`);
    expect(bytes).toBeLessThan(MAX_BYTES);
  });

  it('examines the machine (npx gvsl doctor)', () => {
    const { status, stdout, stderr } = npm(['exec', '--offline', '--', 'gvsl', 'doctor', '--json']);
    expect(status, stderr).toBe(0);
    const { ok, environment } = JSON.parse(stdout);
    expect(ok).toBe(true);
    expect(environment.packages).toEqual({ koffi: null, webgpu: null });
    expect(environment.webgpu.state).toContain('npm install webgpu');
  });

  it('segments an image, and names the package that a GPU needs', async () => {
    const made = gvsl('phantom', 'scans', '--kind', 'heart-ct', '--subjects', '1', '--spacing', '8', '--seed', '1');
    expect(made.status, made.stderr).toBe(0);
    const labels = [0, 205, 420].map((code) => ({ code, name: `structure ${code}` }));
    const preprocessing: ModelConfiguration['preprocessing'] = {
      modality: 'ct',
      spacingMm: [8, 8, 8],
      intensity: 'minmax',
      crop: 'none',
    };
    const task: ModelConfiguration['task'] = { kind: 'segmentation', labels, patch: [16, 16, 16] };
    await writeTinyModel(at('model'), { segmentation: labels.length }, { preprocessing, task });
    const segment = ['segment', join('scans', 'imagesTr'), '--model', 'model', '--out', 'labels', '--json'];
    const { status, stderr } = gvsl(...segment);
    expect(status, stderr).toBe(0);
    const [name] = readdirSync(at('scans', 'imagesTr')) as [string];
    const scan = await readImage(at('scans', 'imagesTr', name));
    const result = await readImage(at('labels', readdirSync(at('labels')).find((file) => file.endsWith('.nii.gz'))!));
    expect(result.volume.geometry.size).toEqual(scan.volume.geometry.size);
    expect([...new Set(result.volume.data)].every((code) => labels.some((label) => label.code === code))).toBe(true);

    const refused = gvsl(...segment, '--backend', 'webgpu');
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain(
      '--backend webgpu needs the package webgpu, which is not installed: npm install webgpu, or use --backend cpu',
    );
  });

  it('is imported by modules and by CommonJS, from every entry point', () => {
    const names = JSON.stringify(modules());
    writeFileSync(
      at('use.mjs'),
      `import { existsSync } from 'node:fs';
      import { version } from 'gvsl';
      if (!existsSync(new URL(import.meta.resolve('gvsl/wasm/kernels-portable.wasm')))) throw new Error('no kernels');
      for (const name of ${names}) if (Object.keys(await import(name)).length === 0) throw new Error(name + ' exports nothing');
      console.log(version);`,
    );
    writeFileSync(
      at('use.cjs'),
      `if (process.features.require_module) for (const name of ${names}) require(name);
      Promise.all(${names}.map((name) => import(name))).then(([{ version }]) => console.log(version));`,
    );
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    for (const script of ['use.mjs', 'use.cjs']) {
      const { stdout, stderr } = node(script);
      expect(stdout.trim(), stderr).toBe(version);
    }
  });

  it.each([
    // WebAssembly and WebGPU are among the types of the DOM, as TypeScript has them
    ['as Node resolves modules, libraries checked', ['--module', 'nodenext', '--moduleResolution', 'nodenext']],
    [
      'as bundlers do, without the DOM',
      ['--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2023,esnext.typedarrays', '--skipLibCheck'],
    ],
  ])('has types for strict projects: %s', (_, options) => {
    writeFileSync(
      at('use.mts'),
      modules()
        .map((name, i) => `import * as m${i} from '${name}';\nvoid m${i};\n`)
        .join(''),
    );
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
    const { status, stdout } = node(tsc, '--noEmit', '--strict', '--target', 'es2023', ...options, ...types, 'use.mts');
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });
});
