/** `gvsl verify`: does this machine compute what PyTorch computes? */
import { type Command, Option } from 'commander';
import { counted } from '../../common/counted.ts';
import { BACKENDS } from '../../engine/backend.ts';
import type { GoldenReport } from '../../methods/node/golden.ts';
import type { Failure } from '../../platform/node/batch.ts';
import { action } from '../run-command.ts';

interface Options {
  readonly backend: string;
  readonly threads?: string;
  readonly all?: boolean;
}

/** Adds `gvsl verify`. */
export function registerVerify(program: Command): void {
  const command = program
    .command('verify')
    .description('replay PyTorch golden files and compare every output, loss, gradient and updated parameter')
    .argument('<file...>', 'golden files (.safetensors)')
    .addOption(new Option('--backend <name>', 'compute backend').choices(BACKENDS).default('cpu'))
    .option('--threads <n>', 'number of CPU threads (default: all cores, or the CPU quota of the container)')
    .option('--all', 'print every tensor, not only failures and the worst of each kind')
    .addHelpText(
      'after',
      '\nExample:\n  gvsl verify test/goldens/*-tiny.safetensors --backend cpu   # in a clone of the repository\n\nExit code 1 if an output or loss differs by more than 1e-4, or a gradient or updated parameter by more than 1e-3 (relative, in norm), or if a file cannot be replayed.',
    );
  action(command, async (files: string[], options: Options) => {
    const { replayGolden } = await import('../../methods/node/golden.ts');
    const { createBackend } = await import('../../platform/node/backends.ts');
    const { failureOf } = await import('../../platform/node/batch.ts');
    const { failedTable } = await import('../batch-text.ts');
    const { wholeNumber } = await import('../numbers.ts');
    const backend = await createBackend(
      options.backend,
      options.threads === undefined ? undefined : wholeNumber('--threads', options.threads),
    );
    const reports: GoldenReport[] = [];
    const failed: Failure[] = [];
    for (const file of files) {
      try {
        reports.push(await replayGolden(file, backend));
      } catch (error) {
        if (files.length === 1) throw error;
        // one file that cannot be read leaves the others to be replayed
        failed.push(failureOf(error, file));
      }
    }
    const passed = failed.length === 0 && reports.every((report) => report.passed);
    const text = reports.flatMap(({ file, backend: description, comparisons, ties, deviation, passed: fine }) => {
      const kindOf = (name: string): string => name.split('.')[0];
      const worstOfKind = new Map<string, number>();
      for (const { name, relativeError } of comparisons) {
        worstOfKind.set(kindOf(name), Math.max(worstOfKind.get(kindOf(name)) ?? 0, relativeError));
      }
      const shown = comparisons.filter(
        ({ name, relativeError, passed: within }) =>
          options.all || !within || /^(out|loss)/.test(name) || relativeError === worstOfKind.get(kindOf(name)),
      );
      const failures = comparisons.filter(({ passed: within }) => !within).length;
      return [
        `${file} (${description})`,
        ...(deviation === null ? [] : [`  deviation: ${deviation}`]),
        ...(ties
          ? [
              `  near-ties: ${counted(ties.gaps.length, 'place')} in max-pools and LeakyReLUs, so near the edge that single precision cannot tell (${ties.gaps.map((gap) => gap.toExponential(1)).join(', ')}), where the gradient went the other way; compared with the reference doing so`,
            ]
          : []),
        ...shown.map(
          ({ name, relativeError, tolerance, passed: within, worst }) =>
            `  ${within ? 'ok  ' : 'FAIL'} ${name.padEnd(52)} ${relativeError.toExponential(2)} (<= ${tolerance})  worst at [${worst.index.join(', ')}]: got ${worst.got.toPrecision(7)}, want ${worst.want.toPrecision(7)}`,
        ),
        `  ${fine ? 'passed' : 'FAILED'}: ${comparisons.length - failures} of ${comparisons.length} tensors within tolerance`,
      ];
    });
    const last =
      failed.length > 0
        ? ['', ...failedTable(failed), `${failed.length} of ${counted(files.length, 'file')} could not be replayed`]
        : [];
    return { json: { passed, reports, failed }, text: [...text, ...last].join('\n').trimStart(), exitCode: passed ? 0 : 1 };
  });
}
