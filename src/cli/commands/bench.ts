/** `gvsl bench`: how fast, how much memory, where the time goes, and PyTorch on the same machine beside it. */
import { type Command, Option } from 'commander';
import type { Progress } from '../../common/progress.ts';
import type { CpuBuild } from '../../platform/node/cpu-host.ts';
import type { GpuPeaks } from '../bench/bound.ts';
import type { Peer } from '../bench/in-turn.ts';
import type { BenchBackend, StepRequest, StepResult } from '../bench/step.ts';
import type { Table } from '../bench/tables.ts';
import type { Load } from '../bench/training.ts';
import { action, type CommandResult } from '../run-command.ts';
import { stopSignal } from '../stop-signal.ts';

const SUBJECTS = ['step', 'forward', 'train', 'ratios', 'ops', 'data', 'peaks', 'bound', 'all'] as const;
type Subject = (typeof SUBJECTS)[number];

interface Options {
  readonly size?: string;
  readonly width?: string;
  readonly batch?: string;
  readonly cohort?: string;
  readonly load?: Load;
  readonly threads?: string;
  readonly steps?: string;
  readonly warmup?: string;
  readonly backend: BenchBackend;
  readonly amp?: boolean;
  readonly build?: CpuBuild;
  readonly profile?: boolean;
  readonly memory?: boolean;
  readonly full?: boolean;
  readonly peer: boolean;
  readonly python?: string;
  readonly out?: string;
  readonly compare?: string;
  readonly markdown?: boolean;
  readonly peakGflops?: string;
  readonly bandwidth?: string;
}

/** Options that mean nothing for a subject are refused, not ignored. */
const MEANT_FOR: Partial<Record<keyof Options, readonly Subject[]>> = {
  size: ['step', 'forward', 'train', 'ops', 'data', 'bound'],
  width: ['step', 'forward', 'train', 'ops', 'bound'],
  batch: ['train'],
  cohort: ['train'],
  load: ['train'],
  steps: ['step', 'forward', 'train', 'all'],
  warmup: ['step', 'forward', 'ops', 'all'],
  amp: ['step', 'forward'],
  profile: ['step', 'forward'],
  memory: ['step', 'forward'],
  python: ['step', 'forward', 'ratios', 'all'],
  full: ['all'],
  compare: ['ratios', 'all'],
  markdown: ['train', 'ratios', 'all', 'bound'],
  peakGflops: ['bound'],
  bandwidth: ['bound'],
};

/** Adds `gvsl bench`. */
export function registerBench(program: Command): void {
  const command = program
    .command('bench')
    .description(
      'benchmark training steps, the training loop, the forward pass, every operation and data loading, side by side with PyTorch if it is installed',
    )
    .argument(
      '[what]',
      'step; forward (the backbone on one image); train (the training loop against the bare step); ratios (of interleaved timings, comparable between days); ops (every operation of a step alone); data (prepare, training examples); peaks (of this machine); bound (lower bound of a step on a GPU, from its specification); all (default)',
    )
    .option('--size <n>', 'side of the cubic patch in voxels (default: 64; forward: 96); train also takes z,y,x')
    .option('--width <w>', 'width multiplier of the network: 1, 0.5, 0.25 or 0.125 (default: 1)')
    .option('--batch <n>', 'train: image pairs per step (default: 1)')
    .addOption(
      new Option('--load <what>', 'train: measure on an idle machine, or with a busy process alongside (default: both)').choices([
        'idle',
        'busy',
      ]),
    )
    .option('--cohort <folder>', 'train: cohort to read examples from (default: synthetic patients)')
    .option('--threads <n>', 'number of threads (default: all cores, or the CPU quota of the container; train: 1 and all)')
    .option('--steps <n>', 'measured steps (default: 4; all: 6; train: as many as take a second, per part)')
    .option('--warmup <n>', 'warm-up steps; PyTorch does one more (default: 1)')
    .addOption(
      new Option('--build <name>', 'kernel build (default: the fastest available)').choices(['avx2', 'relaxed', 'portable']),
    )
    .addOption(new Option('--backend <name>', 'compute backend').choices(['cpu', 'webgpu', 'webgpu-f16']).default('cpu'))
    .option('--amp', 'step, forward on webgpu: run PyTorch in bfloat16 (default: TF32)')
    .option('--profile', 'step, forward: also print the time of every kernel')
    .option('--peak-gflops <n>', 'bound: peak float32 GFLOPS of the GPU (default: measured)')
    .option('--bandwidth <n>', 'bound: memory bandwidth of the GPU in GB/s (default: measured)')
    .option('--memory', 'step (default), forward: print the memory plan instead: every tensor with its lifetime and size')
    .option('--full', 'all: also measure full-width steps at 96^3 (takes much longer)')
    .option('--no-peer', 'do not run PyTorch')
    .option('--python <path>', 'Python with PyTorch (default: python3, if it has PyTorch)')
    .option('--out <file>', 'also write the JSON document to a file')
    .option(
      '--compare <file>',
      'all, ratios: compare with earlier results written by --out (default: in a checkout, those in docs/benchmarks); exit code 1 on a regression beyond the noise',
    )
    .option('--markdown', 'all, train, ratios, bound: print tables in Markdown')
    .addHelpText(
      'after',
      '\nExamples:\n  gvsl bench\n  gvsl bench step --size 64 --width 1 --threads 2 --steps 3 --json\n  gvsl bench train --size 32 --width 0.25 --load idle\n  gvsl bench --memory --size 96\n  gvsl bench step --backend webgpu --size 128 --profile\n  gvsl bench bound --backend webgpu --size 128 --peak-gflops 67000 --bandwidth 4800\n\nGFLOPS of convolutions count the direct algorithm (two operations per multiply-add), whatever algorithm computes them.',
    );
  action(command, async (what: string | undefined, options: Options): Promise<CommandResult> => bench(what, options));
}

async function bench(asked: string | undefined, options: Options): Promise<CommandResult> {
  const { UsageError } = await import('../../common/errors.ts');
  const { wholeNumber } = await import('../numbers.ts');
  const { availableThreads } = await import('../../platform/node/limits.ts');
  const { bestBuild, runnableBuilds } = await import('../../platform/node/cpu-host.ts');
  // the plan of a whole suite would be one of a step
  const gpu = options.backend !== 'cpu';
  const what = (asked ?? (options.memory || gpu ? 'step' : 'all')) as Subject;
  if (!SUBJECTS.includes(what)) throw new UsageError(`what to measure: expected ${SUBJECTS.join(', ')}, got '${asked}'`);
  for (const [name, subjects] of Object.entries(MEANT_FOR))
    if (options[name as keyof Options] !== undefined && !subjects.includes(what))
      throw new UsageError(
        `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}: only valid with ${subjects.join(', ')}; got ${what}`,
      );
  if (gpu && !['step', 'forward', 'ops', 'peaks', 'bound'].includes(what))
    throw new UsageError(`--backend webgpu: only valid with step, forward, ops, peaks, bound; got ${what}`);
  if (what === 'bound' && !gpu) throw new UsageError('bound: only valid for a GPU; add --backend webgpu or webgpu-f16');
  if (options.amp && !gpu) throw new UsageError('--amp: only valid with --backend webgpu');
  const width = Number(options.width ?? 1);
  if (![1, 0.5, 0.25, 0.125].includes(width))
    throw new UsageError(`--width: expected 1, 0.5, 0.25 or 0.125, got '${options.width}'`);
  const patch = (options.size ?? (what === 'forward' ? '96' : '64')).split(',').map((side) => wholeNumber('--size', side, 8));
  if (patch.length !== 1 && !(what === 'train' && patch.length === 3))
    throw new UsageError(`--size: expected one side length${what === 'train' ? ' or z,y,x' : ''}, got '${options.size}'`);
  if (patch.some((side) => side > 512)) throw new UsageError(`--size: expected 8 to 512, got '${options.size}'`);
  const size = patch[0];
  const threads = wholeNumber('--threads', options.threads ?? String(availableThreads().threads));
  if (threads > 256) throw new UsageError(`--threads: expected 1 to 256, got '${options.threads}'`);
  const steps = wholeNumber('--steps', options.steps ?? (what === 'all' ? '6' : '4'));
  const warmup = wholeNumber('--warmup', options.warmup ?? '1', 0);
  const build = options.build ?? bestBuild();
  if (!runnableBuilds().includes(build))
    throw new UsageError(`--build ${build}: not supported by this Node (${process.version}); see \`gvsl doctor\``);

  if (options.out !== undefined) {
    // before the work, not after it
    const [{ dirname }, { access, constants }, { makeFolder }] = await Promise.all([
      import('node:path'),
      import('node:fs/promises'),
      import('../../platform/node/files.ts'),
    ]);
    await makeFolder(dirname(options.out));
    await access(dirname(options.out), constants.W_OK);
  }
  const { guardInputs, refuseReplacing } = await import('../../platform/node/guard.ts');
  const inputs = [
    ...(options.compare === undefined ? [] : [{ path: options.compare, what: 'the results to compare with' }]),
    ...(options.cohort === undefined ? [] : [{ path: options.cohort, what: 'the cohort' }]),
  ];
  return guardInputs(inputs, async () => {
    if (options.out !== undefined) await refuseReplacing(options.out);
    const shared = {
      kind: 'step',
      backend: options.backend,
      size,
      width,
      threads,
      build,
      steps,
      warmup,
      profile: false,
    } as const;
    const result = what === 'train' ? await training(options, shared, patch) : await measure(what, options, shared);
    if (options.out === undefined) return result;
    const { writeFileAtomic } = await import('../../platform/node/files.ts');
    await writeFileAtomic(options.out, `${JSON.stringify(result.json, null, 2)}\n`);
    return result;
  });
}

/** As it was typed, for whoever reads the results later. */
const typed = (): string => `gvsl ${process.argv.slice(2).join(' ')}`;

async function measure(what: Subject, options: Options, request: StepRequest): Promise<CommandResult> {
  const { size, width, threads, build } = request;
  const gpu = request.backend !== 'cpu';
  const kind = what === 'forward' ? 'forward' : 'step';
  if (options.memory) {
    const { planReport, memoryText } = await import('../bench/memory.ts');
    const report = planReport(kind, size, width, threads, request.backend);
    return { json: report, text: memoryText(report) };
  }
  if (what === 'bound') {
    const { boundOf, boundText } = await import('../bench/bound.ts');
    const bound = boundOf(size, width, request.backend, await peaksFor(options));
    return {
      json: { command: typed(), ...bound },
      text: [`command: ${typed()}`, boundText(bound, await drawing(options))].join('\n'),
    };
  }
  const { createProgress } = await import('../progress.ts');
  const progress = createProgress();
  if (what === 'all' || what === 'ratios') return suite(what, options, request, progress);
  if (what === 'ops') return one({ ...request, steps: 1, profile: true }, undefined, progress);
  if (what === 'data' || what === 'peaks') {
    const { describeMachine, machineText } = await import('../bench/machine.ts');
    const { dataText, peaksText } = await import('../bench/tables.ts');
    const { createBackend } = await import('../../platform/node/backends.ts');
    const machine = describeMachine(build, threads, gpu ? (await createBackend(request.backend)).description : undefined);
    const head = { machine, command: typed() };
    const lines = [machineText(machine), `command: ${typed()}`];
    if (what === 'peaks') {
      const { measureGpuPeaks, measurePeaks } = await import('../bench/peaks.ts');
      const peaks = gpu ? await measureGpuPeaks() : await measurePeaks(build, threads);
      return { json: { ...head, peaks }, text: [...lines, peaksText(peaks, gpu)].join('\n') };
    }
    const { measureData } = await import('../bench/data.ts');
    const data = await measureData(size, threads, progress, stopSignal('stopping'));
    return { json: { ...head, ...data }, text: [...lines, dataText(data)].join('\n') };
  }
  return one({ ...request, kind, profile: options.profile === true }, await pythonFor(options, progress), progress, options.amp);
}

/** The training loop: the networks of the table, or one that is named. */
async function training(options: Options, { threads, build }: StepRequest, patch: readonly number[]): Promise<CommandResult> {
  const { LOADS, measureTraining, TRAINING_SHAPES } = await import('../bench/training.ts');
  const { trainingText } = await import('../bench/tables.ts');
  const { createProgress } = await import('../progress.ts');
  const { wholeNumber } = await import('../numbers.ts');
  const { size, width, batch = '1', load, steps, cohort } = options;
  const [z, y = z, x = z] = patch as [number, number?, number?];
  const named = { size: [z, y, x] as const, width: Number(width ?? 1), batch: wholeNumber('--batch', batch) };
  const result = await measureTraining({
    shapes: [size, width, options.batch].every((each) => each === undefined) ? TRAINING_SHAPES : [named],
    threads: options.threads === undefined && threads > 1 ? [1, threads] : [threads],
    loads: load === undefined ? LOADS : [load],
    build,
    steps: steps === undefined ? undefined : wholeNumber('--steps', steps),
    cohort,
    command: typed(),
    progress: createProgress(),
    signal: stopSignal('stopping'),
  });
  return { json: result, text: trainingText(result, await drawing(options)) };
}

/** A GPU's peaks: as told, otherwise measured on the one here. */
async function peaksFor({ peakGflops, bandwidth }: Options): Promise<GpuPeaks> {
  const { UsageError } = await import('../../common/errors.ts');
  const read = (option: string, text: string | undefined): number | undefined => {
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() === '' || !(value > 0 && value < 1e9))
      throw new UsageError(`${option}: expected a number above 0, got '${text}'`);
    return value;
  };
  const [gflops, gbPerS] = [read('--peak-gflops', peakGflops), read('--bandwidth', bandwidth)];
  if (gflops !== undefined && gbPerS !== undefined) return { gflops, gbPerS };
  const { measureGpuPeaks } = await import('../bench/peaks.ts');
  const measured = await measureGpuPeaks();
  return { gflops: gflops ?? measured.gflopsPerThread, gbPerS: gbPerS ?? measured.copyGbPerS };
}

/** How tables are drawn: plain, or as Markdown. */
async function drawing({ markdown: asMarkdown }: Options): Promise<(table: Table) => string> {
  const { formatTable } = await import('../table.ts');
  const { markdown } = await import('../bench/tables.ts');
  return asMarkdown ? markdown : ({ headings, rows }) => formatTable(headings, rows, numbers(headings));
}

/** The Python to measure beside, which is said if there is none. */
async function pythonFor({ backend, peer, python }: Options, progress: Progress): Promise<string | undefined> {
  if (!peer) return undefined;
  const { findPython } = await import('../bench/peer.ts');
  const found = await findPython(python, backend !== 'cpu');
  if (found === undefined)
    progress.say(`no python3 with torch${backend !== 'cpu' ? ' and a CUDA device' : ''} found: benchmarking gvsl only`);
  return found;
}

/** A step or a forward pass: in this process, or in turn with PyTorch, each in processes of its own. */
async function one(request: StepRequest, python: string | undefined, progress: Progress, amp = false): Promise<CommandResult> {
  const { kind, size, width, steps, threads, build } = request;
  const gpu = request.backend !== 'cpu';
  const { formatTable } = await import('../table.ts');
  const { nodeCpuBackend } = await import('../../platform/node/cpu-host.ts');
  const { measureStep, requireBenchMemory } = await import('../bench/step.ts');
  const { inOwnProcess, inTwoRounds, joined, measureInTurn } = await import('../bench/in-turn.ts');
  const { operationsText, peerText, resultText } = await import('../bench/tables.ts');
  let result: StepResult & { peer?: Peer | null };
  if (python === undefined) result = await measureStep(request, progress);
  else {
    if (!gpu) requireBenchMemory(nodeCpuBackend(threads, build), kind, size, width);
    const turns = { ...request, amp, python, progress, signal: stopSignal('stopping') };
    const { gvsl, peer } = await measureInTurn({ kind, size, width, rounds: inTwoRounds(steps) }, turns);
    const profiled = request.profile ? await inOwnProcess({ kind, size, width }, turns, 1, true) : undefined;
    result = { ...gvsl[0], ...profiled, ...joined(gvsl), peer };
  }
  const { peer = null, profile, kernels, waitShare } = result;
  const ratios = peer && { time: result.medianS / peer.medianS, memory: result.peakBytes / peer.peakBytes };
  const document = { ...result, command: typed(), peer, ratios };
  const lines = [`command: ${typed()}`, resultText(result), ...(peer ? [peerText(peer, result)] : [])];
  if (!profile || !kernels) return { json: document, text: lines.join('\n') };
  const { measureGpuPeaks, measurePeaks } = await import('../bench/peaks.ts');
  const peaks = gpu ? await measureGpuPeaks() : await measurePeaks(build, threads);
  lines.push(
    operationsText(
      { profile, kernels, ...(waitShare !== undefined && { waitShare }), peaks, threads: gpu ? 1 : threads, gpu },
      ({ headings, rows }) => formatTable(headings, rows, numbers(headings)),
    ),
  );
  return { json: { ...document, peaks }, text: lines.join('\n') };
}

/** Every column but the first holds numbers. */
const numbers = (headings: readonly string[]): number[] => headings.map((_, i) => i).slice(1);

/** All, or the ratios alone, beside earlier results. */
async function suite(what: 'all' | 'ratios', options: Options, request: StepRequest, progress: Progress): Promise<CommandResult> {
  const { existsSync } = await import('node:fs');
  const { fileURLToPath } = await import('node:url');
  const { compareResults, readResults } = await import('../bench/compare.ts');
  const { describeMachine, machineText } = await import('../bench/machine.ts');
  const { measureRatios } = await import('../bench/ratios.ts');
  const { runSuite } = await import('../bench/suite.ts');
  const { comparisonText, ratiosTable, suiteText } = await import('../bench/tables.ts');
  const major = process.versions.node.split('.')[0];
  const committed = fileURLToPath(new URL(`../../../docs/benchmarks/node${major}.json`, import.meta.url));
  const earlier = options.compare ?? (existsSync(committed) ? committed : undefined);
  const before = earlier === undefined ? undefined : await readResults(earlier);
  const python = await pythonFor(options, progress);
  const shared = { ...request, python, command: typed(), progress, signal: stopSignal('stopping') };
  const draw = await drawing(options);
  const measureAll = async () => {
    const result = await runSuite({ ...shared, full: options.full === true });
    return { result, text: suiteText(result, draw) };
  };
  const measureTheRatios = async () => {
    const machine = describeMachine(request.build, request.threads);
    const ratios = await measureRatios(shared);
    const result = { format: 'gvsl-bench', machine, command: typed(), rows: [], ratios } as const;
    return { result, text: [machineText(machine), `command: ${typed()}`, '', draw(ratiosTable(ratios))].join('\n') };
  };
  const { result, text } = await (what === 'all' ? measureAll() : measureTheRatios());
  // as it was named, or by its place in the checkout: where that lies is nobody else's
  const comparedWith = options.compare ?? `docs/benchmarks/node${major}.json`;
  const comparison = before && { with: comparedWith, ...compareResults(result, before) };
  const compared = comparison
    ? comparisonText(comparison, comparison.with)
    : `no earlier results of Node ${major} to compare with: give --compare FILE`;
  return {
    json: { ...result, ...(comparison && { comparison }) },
    text: [text, compared].join('\n\n'),
    // a comparison that nobody asked for fails nothing
    exitCode: options.compare !== undefined && comparison?.worse ? 1 : 0,
  };
}
