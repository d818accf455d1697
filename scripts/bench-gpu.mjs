/**
 * All that is to be measured of a GPU, in one go: what it is, whether it computes rightly, training steps at full width in single and half
 * precision with PyTorch in turn (TF32 as it comes, and bfloat16) where python3 has it, every kernel's share of the measured peaks, and the
 * bound of the design at those peaks. Run after a build:
 *
 *   node scripts/bench-gpu.mjs [--out gpu-results] [--sizes 64,96,128] [--width 1] [--steps 10] [golden.safetensors ...]
 *
 * Writes one JSON document for each command and summary.md. What fails is told and left out; the rest goes on.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options, positionals: goldens } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: 'gpu-results' },
    sizes: { type: 'string', default: '64,96,128' },
    width: { type: 'string', default: '1' },
    steps: { type: 'string', default: '10' },
  },
});
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
mkdirSync(options.out, { recursive: true });

/** Runs a command of gvsl, keeps its document, and returns it; undefined if it failed. */
function gvsl(file, ...args) {
  console.error(`gvsl ${args.join(' ')}`);
  const { stdout, status } = spawnSync(process.execPath, [here('../dist/cli/main.js'), ...args, '--json'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (stdout) writeFileSync(join(options.out, `${file}.json`), stdout);
  if (status !== 0) console.error(`  failed (exit ${status})`);
  return status === 0 ? JSON.parse(stdout) : undefined;
}

const doctor = gvsl('doctor', 'doctor');
const verified = [here('../test/goldens/gvsl-tiny.safetensors'), ...goldens]
  .filter((file) => existsSync(file))
  .map((file, i) => gvsl(`verify-${i}`, 'verify', file, '--backend', 'webgpu'));
const measured = options.sizes.split(',').map((size) => {
  const step = (backend, ...more) =>
    gvsl(
      `${backend}-${size}`,
      'bench',
      'step',
      '--backend',
      backend,
      '--size',
      size,
      '--width',
      options.width,
      '--steps',
      options.steps,
      '--profile',
      ...more,
    );
  return { size, single: step('webgpu'), half: step('webgpu-f16', '--amp') };
});
const peaks = measured.flatMap(({ single }) => single?.peaks ?? [])[0];
const bounds = peaks
  ? measured.map(({ size }) =>
      gvsl(
        `bound-${size}`,
        'bench',
        'bound',
        '--backend',
        'webgpu',
        '--size',
        size,
        '--width',
        options.width,
        '--peak-gflops',
        String(peaks.gflopsPerThread),
        '--bandwidth',
        String(peaks.copyGbPerS),
      ),
    )
  : [];

const ms = (seconds) => (seconds === undefined ? '-' : (1000 * seconds).toFixed(0));
const gib = (bytes) => (bytes === undefined ? '-' : (bytes / 2 ** 30).toFixed(2));
const ratio = (a, b) => (a === undefined || b === undefined ? '-' : (a / b).toFixed(2));
const row = (cells) => `| ${cells.join(' | ')} |`;
const rows = measured.map(({ size, single, half }, i) =>
  row([
    `${size}^3`,
    ms(single?.medianS),
    ms(bounds[i]?.seconds),
    ms(single?.peer?.medianS),
    ratio(single?.medianS, single?.peer?.medianS),
    gib(single?.planBytes),
    gib(single?.peer?.peakBytes),
    ms(half?.medianS),
    ms(half?.peer?.medianS),
    ratio(half?.medianS, half?.peer?.medianS),
    gib(half?.planBytes),
    gib(half?.peer?.peakBytes),
  ]),
);
const headings = [
  `step, width ${options.width}`,
  'gvsl ms',
  'bound ms',
  'PyTorch TF32 ms',
  'ratio',
  'gvsl GiB',
  'PyTorch GiB',
  'gvsl f16 ms',
  'PyTorch bfloat16 ms',
  'ratio',
  'gvsl f16 GiB',
  'PyTorch GiB',
];
const summary = [
  `# ${doctor?.checks.find(({ name }) => name === 'GPU')?.found ?? 'GPU'}`,
  '',
  `\`node scripts/bench-gpu.mjs ${process.argv.slice(2).join(' ')}\`, ${new Date().toISOString().slice(0, 10)}, Node ${process.version}`,
  '',
  `Goldens: ${verified.filter((report) => report?.passed).length} of ${verified.length} pass.`,
  ...(peaks ? ['', `Measured peaks: ${peaks.gflopsPerThread.toFixed(0)} GFLOPS, ${peaks.copyGbPerS.toFixed(0)} GB/s.`] : []),
  '',
  row(headings),
  row(headings.map((_, i) => (i === 0 ? '---' : '---:'))),
  ...rows,
  '',
].join('\n');
writeFileSync(join(options.out, 'summary.md'), summary);
console.log(summary);
