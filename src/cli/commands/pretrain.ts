/** `gvsl pretrain`: a prepared cohort becomes a pre-trained network. */
import type { Command } from 'commander';
import { action } from '../run-command.ts';
import { stopSignal } from '../stop-signal.ts';

interface Options extends Readonly<Record<string, unknown>> {
  readonly out: string;
  readonly config?: string;
  readonly resume?: boolean;
  readonly printConfig?: boolean;
}

const HELP = `
Set everything else with --config (YAML or JSON; see docs/configuration.md, or --print-config for all keys and values).

Examples:
  gvsl pretrain prepared --out runs/first --patch 64 --width 0.25 --steps 2000 --lr 1e-3
  gvsl pretrain prepared --out runs/first --resume --steps 4000
  gvsl pretrain other-cohort --out runs/more --init runs/first --width 0.25 --warmup-steps 100 --steps 2000
  gvsl pretrain prepared --out runs/no-affine --config study.yaml --without affine`;

/** Adds `gvsl pretrain`; those of its options that the configuration's schema describes only where `args` name it. */
export async function registerPretrain(program: Command, args: readonly string[]): Promise<void> {
  const command = program
    .command('pretrain')
    .description('pre-train a network on a prepared cohort')
    .argument('<cohort>', 'cohort made by `gvsl prepare`')
    .requiredOption('--out <run>', 'output folder of the run')
    .option('--config <file>', 'configuration in YAML or JSON; command-line options override it')
    .option(
      '--resume',
      'continue exactly from the last checkpoint in --out; refused if cohort, split, initial model or configuration changed',
    )
    .option('--without <head>', 'disable heads: affine, restoration or matching (comma-separated)')
    .option('--print-config', 'print the full configuration and exit')
    .addHelpText('after', HELP);
  if (args.includes(command.name())) {
    const { pretrainOptions } = await import('../configuration-options.ts');
    for (const { flags, description } of pretrainOptions()) command.option(flags, description);
  }
  action(command, async (cohort: string, options: Options) => {
    const { readConfiguration, readRunConfiguration } = await import('../../training/node/read-configuration.ts');
    const { overridesOf } = await import('../configuration-options.ts');
    // What a run began with need not be said again.
    const configuration =
      options.resume && options.config === undefined
        ? await readRunConfiguration(options.out, overridesOf(options))
        : await readConfiguration(options.config, overridesOf(options));
    if (options.printConfig) {
      const { stringify } = await import('yaml');
      return { json: configuration, text: stringify(configuration).trimEnd() };
    }
    const { describeEvaluation } = await import('../../methods/gvsl/evaluate.ts');
    const { pretrain } = await import('../../training/node/pretrain.ts');
    const { createProgress } = await import('../progress.ts');
    const { guardInputs, modelInputs } = await import('../../platform/node/guard.ts');
    const inputs = [
      { path: cohort, what: 'the cohort' },
      ...(options.config === undefined ? [] : [{ path: options.config, what: 'the configuration' }]),
      ...(configuration.init === 'scratch' ? [] : await modelInputs(configuration.init, 'the initial model')),
    ];
    const result = await guardInputs(inputs, () =>
      pretrain({
        cohort,
        out: options.out,
        configuration,
        resume: options.resume ?? false,
        progress: createProgress(),
        signal: stopSignal(),
      }),
    );
    const text = [
      result.finished
        ? `${result.out}: ${result.step} steps done, total loss ${result.loss?.toFixed(4) ?? 'not measured'}`
        : `${result.out}: stopped after step ${result.step} of ${configuration.steps}; continue with --resume`,
      ...(result.evaluation
        ? [
            result.evaluation.step === result.step
              ? describeEvaluation(result.step, result.evaluation)
              : `last evaluation: ${describeEvaluation(result.evaluation.step, result.evaluation)}`,
          ]
        : []),
      ...(result.skippedSteps > 0 ? [`${result.skippedSteps} steps skipped (non-finite loss or gradient)`] : []),
    ].join('\n');
    return { json: result, text, exitCode: result.finished ? 0 : 1 };
  });
}
