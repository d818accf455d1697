/** `gvsl demo`: what the program does, on synthetic patients, in minutes. */
import { pathToFileURL } from 'node:url';
import { type Command, Option } from 'commander';
import { counted } from '../../common/counted.ts';
import { BACKENDS, type BackendName } from '../../engine/backend.ts';
import { action } from '../run-command.ts';

interface Options {
  readonly out: string;
  readonly seed: string;
  readonly steps?: string;
  readonly short?: boolean;
  readonly threads?: string;
  readonly backend: BackendName;
}

/** Adds `gvsl demo`. */
export function registerDemo(program: Command): void {
  const command = program
    .command('demo')
    .description(
      'generate synthetic heart CTs, pre-train a small network on them and report how well it aligns held-out ones (about five minutes on two cores)',
    )
    .option('--out <folder>', 'output folder; an interrupted demo continues there', 'demo')
    .option('--seed <n>', 'random seed of patients and training', '1')
    .option('--steps <n>', 'total training steps; a higher number continues an earlier demo')
    .option(
      '--short',
      'train 600 steps instead of 1500, with a weaker result; chosen (on a terminal: offered) where the full demo would take over ten minutes',
    )
    .addOption(new Option('--backend <name>', 'compute backend').choices(BACKENDS).default('cpu'))
    .option('--threads <n>', 'number of CPU threads (default: all cores, or the CPU quota of the container)')
    .addHelpText('after', '\nExample:\n  gvsl demo --out demo');
  action(command, async (options: Options) => {
    const { askYes } = await import('../ask.ts');
    const { runDemo } = await import('../demo.ts');
    const { UsageError } = await import('../../common/errors.ts');
    const { wholeNumber } = await import('../numbers.ts');
    const { programName } = await import('../program-name.ts');
    const { stopSignal } = await import('../stop-signal.ts');
    const { createProgress } = await import('../progress.ts');
    const { formatDuration } = await import('../../common/format-duration.ts');
    const { word } = await import('../../report/node/commands.ts');
    const startedMs = performance.now();
    const { out } = options;
    if (options.short && options.steps !== undefined)
      throw new UsageError('--short sets the number of steps: do not combine it with --steps');
    const steps = options.steps === undefined ? undefined : wholeNumber('--steps', options.steps);
    const result = await runDemo({
      out,
      seed: wholeNumber('--seed', options.seed, 0),
      ...(steps !== undefined && { steps }),
      short: options.short === true,
      ...(process.stdin.isTTY &&
        process.stderr.isTTY && {
          ask: async (choice: string, signal: AbortSignal) => !(await askYes(`${choice}.\nRun the full demo?`, signal)),
        }),
      ...(options.threads === undefined ? {} : { threads: wholeNumber('--threads', options.threads) }),
      backend: options.backend,
      progress: createProgress(),
      signal: stopSignal(),
      program: programName(),
    });
    const timeMs = Math.round(performance.now() - startedMs);
    const again = `${programName()} demo --out ${word(out)}${options.seed === '1' ? '' : ` --seed ${options.seed}`}`;
    const { finished, step, evaluation } = result;
    const figure = (
      title: string,
      unit: string,
      digits: number,
      stages: { before: number | null; affine: number | null; after: number | null } | null | undefined,
    ): string[] => {
      if (!stages || stages.before === null || stages.after === null) return [];
      const { before, affine, after } = stages;
      const [from, by, to] = [before, affine, after].map((value) => value?.toFixed(digits));
      const change = Math.round(100 * (after / before - 1));
      return [
        `  ${title.padEnd(18)}${from}${by === undefined ? '' : ` -> ${by} (affine)`} -> ${to}${unit}, ${change > 0 ? '+' : ''}${change} %`,
      ];
    };
    const text = [
      `${finished ? 'done' : 'stopped'} after ${counted(step, 'step')}${result.short ? ' (the short demo)' : ''}, ${formatDuration(timeMs)}`,
      ...(evaluation ? [`${evaluation.pairs} held-out pairs at step ${evaluation.step}, before -> after matching:`] : []),
      ...figure('landmark error', ' mm', 2, evaluation?.landmarkErrorMm),
      ...figure('label overlap', '', 3, evaluation?.labelDice),
      ...figure('image similarity', '', 3, evaluation?.ncc),
      ...(typeof evaluation?.foldedShare?.after === 'number'
        ? [`  ${'folded voxels'.padEnd(18)}${(100 * evaluation.foldedShare.after).toFixed(2)} %`]
        : []),
      `report:        ${pathToFileURL(result.report).href}`,
      finished
        ? `train longer:  ${again} --steps ${2 * step}`
        : `continue:      ${again}${steps === undefined ? '' : ` --steps ${steps}`}`,
    ].join('\n');
    return { json: { ...result, timeMs }, text, exitCode: finished ? 0 : 1 };
  });
}
