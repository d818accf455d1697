/**
 * Compiles the engine's kernels to WebAssembly, once for each kind of machine: 'avx2' for engines that join two 128-bit operations into one of
 * 256 (WIDE: tiles of 16 channels), 'relaxed' (fused multiply-add), and 'portable'. What their arguments are called goes to
 * src/engine/backends/cpu/kernel-interface.ts. The few sums of resampling are kept as text in a module, src/geometry/axis-kernels.ts, so that they
 * are at hand wherever volumes are resampled. Commit both when their sources change.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import { axisKernels } from './axis-kernels.mjs';
import { kernelInterface } from './kernel-interface.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entry = 'src/engine/backends/cpu/kernels.as.ts';
const shared = [
  '-O3',
  '--noAssert',
  '--runtime',
  'stub',
  '--importMemory',
  '--sharedMemory',
  '--initialMemory',
  '1',
  '--maximumMemory',
  '65536',
  '--importTable',
  '--enable',
  'simd,threads',
];
const builds = {
  portable: ['--use', 'WIDE=0'],
  relaxed: ['--use', 'WIDE=0', '--enable', 'relaxed-simd'],
  avx2: ['--use', 'WIDE=1', '--enable', 'relaxed-simd'],
};

function fail(stderr, error) {
  process.stderr.write(`${stderr.toString()}\n${error.message}\n`);
  process.exit(1);
}

const { number, text: interfaceText } = kernelInterface(root);
writeFileSync(join(root, 'src/engine/backends/cpu/kernel-interface.ts'), interfaceText);
mkdirSync(join(root, 'wasm'), { recursive: true });
for (const [name, extra] of Object.entries(builds)) {
  const output = `wasm/kernels-${name}.wasm`;
  const { error, stderr } = await asc.main(
    [entry, '--baseDir', root, '--outFile', output, '--use', `INTERFACE=${number}`, ...shared, ...extra],
    {},
  );
  if (error) fail(stderr, error);
  process.stdout.write(`${output}\n`);
}

const { bytes, text } = await axisKernels(root);
writeFileSync(join(root, 'src/geometry/axis-kernels.ts'), text);
process.stdout.write(`src/geometry/axis-kernels.ts (${bytes} bytes)\n`);
