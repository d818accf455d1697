/**
 * Checks the package as npm would publish it: what is in it and how large, its package.json (publint), and whether types and modules are
 * found from every entry point (what `attw` checks). Needs a build and no network: node scripts/check-package.mjs
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Unpacked; up to 25 MB of it are the models that come with it, 1.1 MB the page's example model. */
const MAX_BYTES = 33e6;
const NEEDED = [
  'README.md',
  'LICENSE',
  'dist/cli/main.js',
  'dist/page/index.html',
  'dist/page/example-model/model.safetensors',
  ...['avx2', 'relaxed', 'portable'].map((build) => `wasm/kernels-${build}.wasm`),
];
const UNWANTED = [
  [/\.map$/, 'a source map without its source'],
  [/\.test\.|(^|\/)testing\//, 'part of the tests'],
  [/^docs\/.*\.(json|csv|png)$|^docs\/.+\//, 'a result'],
  [/^dist\/page\/.*(blosc|lz4|zstd)/, 'a codec that the page does not need'],
];

/** Packs into a folder. npm is run by this Node where npm itself started the script: its name is another on Windows. */
function pack(folder) {
  const { npm_execpath: npm } = process.env;
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const [program, ...rest] = npm?.endsWith('.js') ? [process.execPath, npm, ...args] : ['npm', ...args];
  const { status, stdout, stderr, error } = spawnSync(program, rest, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm pack failed: ${error?.message ?? stderr}`);
  const [packed] = Object.values(JSON.parse(stdout));
  return { ...packed, tarball: readFileSync(join(folder, packed.filename)) };
}

function* checkFiles({ files, unpackedSize }) {
  const paths = files.map(({ path }) => path);
  for (const path of NEEDED) if (!paths.includes(path)) yield `${path} is missing`;
  for (const path of paths) for (const [pattern, what] of UNWANTED) if (pattern.test(path)) yield `${path} is ${what}`;
  if (unpackedSize > MAX_BYTES) yield `${unpackedSize} bytes unpacked, expected at most ${MAX_BYTES}`;
}

async function* checkPublication({ tarball }) {
  const { messages, pkg } = await publint({ strict: true, pack: { tarball: new Uint8Array(tarball).buffer } });
  for (const message of messages) yield `publint: ${formatMessage(message, pkg)}`;
}

/** ES modules alone: CommonJS calls them by `import()`, and resolutions older than `exports` do not count. */
async function* checkTypes({ tarball }) {
  const { types, problems } = await checkPackage(createPackageFromTarballData(tarball));
  if (!types) yield 'types: none are found';
  for (const { kind, entrypoint, resolutionKind, ...rest } of problems ?? []) {
    if (kind === 'CJSResolvesToESM' || resolutionKind === 'node10') continue;
    yield `types: ${kind} ${entrypoint ?? ''} ${resolutionKind ?? ''} ${JSON.stringify(rest)}`;
  }
}

if (!existsSync(join(root, 'dist', 'page', 'index.html'))) {
  console.error('dist: not built; run npm run build first');
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), 'gvsl-pack-'));
try {
  const packed = pack(folder);
  const faults = [...checkFiles(packed)];
  for (const check of [checkPublication, checkTypes]) for await (const fault of check(packed)) faults.push(fault);
  const inMb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`package: ${inMb(packed.size)} packed, ${inMb(packed.unpackedSize)} unpacked, ${packed.entryCount} files`);
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length > 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
