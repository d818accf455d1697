/** `gvsl bench`: how fast, how much memory, where the time goes, and PyTorch on the same machine beside it. */
import { type Command, Option } from 'commander';
import { action, type CommandResult } from '../run-command.ts';

interface Options {
  readonly size?: string;
  readonly width: string;
  readonly threads?: string;
  readonly steps: string;
  readonly warmup: string;
  readonly build?: 'avx2' | 'relaxed' | 'portable';
  readonly profile?: boolean;
  readonly memory?: boolean;
  readonly full?: boolean;
  readonly peer: boolean;
  readonly python?: string;
  readonly out?: string;
  readonly compare?: string;
  readonly markdown?: boolean;
}

/** Adds `gvsl bench`. */
export function registerBench(program: Command): void {
  const command = program
    .command('bench')
    .description(
      'time training steps, the forward pass, every operation and the data path; in turn with PyTorch where it is installed',
    )
    .argument('[what]', 'step, forward, ops, data, or all (default)')
    .option('--size <n>', 'side of the cubic patch in voxels (default: 64; forward: 96)')
    .option('--width <w>', 'width of the network: 1, 0.5, 0.25 or 0.125', '1')
    .option('--threads <n>', 'threads (default: all cores)')
    .option('--steps <n>', 'counted steps', '4')
    .option('--warmup <n>', 'steps before them that are not counted', '1')
    .addOption(
      new Option('--build <name>', 'build of the kernels (default: the fastest that runs here)').choices([
        'avx2',
        'relaxed',
        'portable',
      ]),
    )
    .option('--profile', 'step and forward: also the time of every kernel')
    .option('--memory', 'print the memory plan instead: which tensor, how long, how much')
    .option('--full', 'all: also full-width steps at 96^3 (much longer)')
    .option('--no-peer', 'all: without PyTorch')
    .option('--python <path>', 'a Python that has PyTorch (default: python3 if it does)')
    .option('--out <file>', 'all: write the results as JSON')
    .option('--compare <file>', 'all: compare with results written before')
    .option('--markdown', 'all: print the tables as Markdown')
    .addHelpText(
      'after',
      '\nExamples:\n  gvsl bench\n  gvsl bench step --size 64 --width 1 --threads 2 --steps 3 --json\n  gvsl bench --memory --size 96\n\nSpeeds of convolutions are those of the direct sum (two operations a product), whatever algorithm computes them.',
    );
  action(command, async (what: string | undefined, options: Options): Promise<CommandResult> => bench(what ?? 'all', options));
}

async function bench(what: string, options: Options): Promise<CommandResult> {
  const { UsageError } = await import('../../errors/errors.ts');
  const { positiveInteger } = await import('../numbers.ts');
  const { availableParallelism } = await import('node:os');
  const { bestBuild, runnableBuilds } = await import('../../node/cpu-host.ts');
  if (!['step', 'forward', 'ops', 'data', 'all'].includes(what))
    throw new UsageError(`what to measure: expected step, forward, ops, data or all, got '${what}'`);
  const width = Number(options.width);
  if (![1, 0.5, 0.25, 0.125].includes(width))
    throw new UsageError(`--width: expected 1, 0.5, 0.25 or 0.125, got '${options.width}'`);
  const size = positiveInteger('--size', options.size ?? (what === 'forward' ? '96' : '64'), 8);
  if (size > 512) throw new UsageError(`--size: expected 8 to 512, got '${options.size}'`);
  const threads = options.threads === undefined ? availableParallelism() : positiveInteger('--threads', options.threads);
  const steps = positiveInteger('--steps', options.steps);
  const warmup = positiveInteger('--warmup', options.warmup, 0);
  const build = options.build ?? bestBuild();
  if (!runnableBuilds().includes(build))
    throw new UsageError(`--build ${build}: this Node (${process.version}) does not run it; see \`gvsl doctor\``);
  const common = { size, width, threads, build, steps, warmup };

  if (options.memory) {
    if (what !== 'step' && what !== 'forward' && what !== 'all')
      throw new UsageError(`--memory: expected step or forward, got '${what}'`);
    const { planReport, memoryText } = await import('../../bench/memory.ts');
    const report = planReport(what === 'forward' ? 'forward' : 'step', size, width, threads);
    return { json: report, text: memoryText(report) };
  }
  const { createProgress } = await import('../../node/progress.ts');
  const progress = createProgress();
  if (what === 'all') return suite(options, common, progress);
  if (what === 'data') {
    const { measureData } = await import('../../bench/data.ts');
    const { dataText } = await import('../../bench/tables.ts');
    const data = await measureData(size, threads, progress);
    return { json: data, text: dataText(data) };
  }
  return measureOne(
    what === 'ops'
      ? { ...common, kind: 'step', profile: true }
      : { ...common, kind: what as 'step' | 'forward', profile: options.profile === true },
    progress,
  );
}

async function measureOne(
  request: import('../../bench/step.ts').StepRequest,
  progress: import('../../node/progress.ts').Progress,
): Promise<CommandResult> {
  const { formatTable } = await import('../table.ts');
  const { formatBytes } = await import('../../training/estimate.ts');
  const { machineText } = await import('../../bench/machine.ts');
  const { measureStep } = await import('../../bench/step.ts');
  const { measurePeaks } = await import('../../bench/peaks.ts');
  const { peaksText, profileTable, seconds } = await import('../../bench/tables.ts');
  const result = await measureStep(request, progress);
  const { kind, size, width, medianS, peakBytes, planBytes, machine, profile } = result;
  const peaks = profile && (await measurePeaks(request.build, request.threads));
  const lines = [
    machineText(machine),
    `${kind} ${size}^3, width ${width}: ${seconds(medianS)} (median of ${result.seconds.map((each) => each.toPrecision(3)).join(', ')}), peak ${formatBytes(peakBytes)} resident, ${formatBytes(planBytes)} planned`,
  ];
  if (profile && peaks) {
    const { headings, rows } = profileTable(profile, peaks, request.threads, profile.length);
    lines.push(peaksText(peaks), formatTable(headings, rows, [1, 2, 3, 4, 5]));
  }
  return { json: { ...result, ...(peaks && { peaks }) }, text: lines.join('\n') };
}

async function suite(
  options: Options,
  { threads, build, steps }: { threads: number; build: import('../../node/cpu-host.ts').CpuBuild; steps: number },
  progress: import('../../node/progress.ts').Progress,
): Promise<CommandResult> {
  const { existsSync } = await import('node:fs');
  const { fileURLToPath } = await import('node:url');
  const { formatTable } = await import('../table.ts');
  const { writeFileAtomic } = await import('../../node/files.ts');
  const { compareResults, readResults, runSuite } = await import('../../bench/suite.ts');
  const { changesText, markdown, suiteText } = await import('../../bench/tables.ts');
  const major = process.versions.node.split('.')[0];
  const committed = fileURLToPath(new URL(`../../../docs/benchmarks/node${major}.json`, import.meta.url));
  const earlier = options.compare ?? (existsSync(committed) ? committed : undefined);
  const before = earlier === undefined ? undefined : await readResults(earlier);
  const python = options.peer ? options.python : null;
  const result = await runSuite({ threads, build, full: options.full === true, steps, python, progress });
  if (options.out !== undefined) await writeFileAtomic(options.out, `${JSON.stringify(result, null, 2)}\n`);
  const changes = before && compareResults(result, before);
  const draw: Parameters<typeof suiteText>[1] = options.markdown
    ? markdown
    : ({ headings, rows }) => formatTable(headings, rows, headings.map((_, i) => i).slice(1));
  const left = options.full ? [] : ['Left out: full-width steps at 96^3 (--full).'];
  return {
    json: { ...result, ...(changes && { changes }) },
    text: [suiteText(result, draw), ...(changes ? [changesText(changes)] : []), ...left].join('\n'),
  };
}
