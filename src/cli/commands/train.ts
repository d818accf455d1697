/** `gvsl train`: a prepared cohort with label maps or classes becomes a model for a task. */
import { Argument, type Command, Option } from 'commander';
import { counted } from '../../common/counted.ts';
import { UsageError } from '../../common/errors.ts';
import { PRESET_NAMES, PRESETS, type PresetName } from '../../training/task/presets.ts';
import { lossText } from '../loss-text.ts';
import { neededOption } from '../print-config.ts';
import { withRanks } from '../ranks.ts';
import { action, STOPPED } from '../run-command.ts';
import { stopSignal } from '../stop-signal.ts';

interface Options extends Readonly<Record<string, unknown>> {
  readonly data: string;
  readonly out: string;
  readonly config?: string;
  readonly preset?: PresetName;
  readonly resume?: boolean;
  readonly printConfig?: boolean;
  readonly mlflow?: string;
}

const HELP = `
Set everything else with --config (YAML or JSON; see docs/configuration-train.md, or --print-config for all keys and values).
The defaults follow the paper; --preset few-labels converges sooner on few labels. RUN/best is the best checkpoint by validation; its scores are in RUN/validation.json and RUN/test.json.
--folds N trains the models of all folds one after the other and tells how well each subject is predicted by the model that did not see it;
gvsl segment --model RUN then applies all of them together. With --fold K only one fold is trained.

Examples:
  gvsl train segmentation --data prepared --init runs/first --labels 8 --patch 48 --steps 2000 --lr 1e-3 --out runs/segment
  gvsl train segmentation --data prepared --init runs/first --labels 8 --patch 48 --preset few-labels --out runs/segment
  gvsl train segmentation --data prepared --init runs/first --mode linear --patch 48 --steps 500 --lr 1e-2 --out runs/linear
  gvsl train classification --data lungs --init scratch --width 0.25 --patch 64 --steps 1000 --out runs/opacities
  gvsl train segmentation --data prepared --init runs/first --folds 5 --patch 48 --steps 2000 --out runs/folds
  gvsl train segmentation --data prepared --out runs/segment --resume --steps 4000`;

/** Adds `gvsl train`; those of its options that the configuration's schema describes only where `args` name it. */
export async function registerTrain(program: Command, args: readonly string[]): Promise<void> {
  const command = program
    .command('train')
    .description('train a network on a task with few labels: fine-tuning, linear evaluation, or from scratch')
    .addArgument(new Argument('<task>', 'task').choices(['segmentation', 'classification']))
    .addOption(neededOption(args, '--data <cohort>', 'cohort made by `gvsl prepare`, with label maps or classes'))
    .addOption(neededOption(args, '--out <run>', 'output folder of the run'))
    .option('--config <file>', 'configuration in YAML or JSON; command-line options override it')
    .addOption(
      new Option(
        '--preset <name>',
        `recipe in the place of the defaults: ${PRESET_NAMES.map((name) => `${name} ${PRESETS[name].description}`).join('; ')}`,
      ).choices(PRESET_NAMES),
    )
    .option(
      '--resume',
      'continue exactly from the last checkpoint in --out; refused if cohort, split, initial model or configuration changed',
    )
    .option('--mlflow <url>', 'also log to an MLflow server (docs/interchange.md); the only use of the network')
    .option('--print-config', 'print the full configuration and exit; needs neither --data nor --out')
    .addHelpText('after', HELP);
  if (args.includes(command.name())) {
    const { commandOptions } = await import('../configuration-options.ts');
    const { transferConfigurationSchema } = await import('../../training/task/configuration.ts');
    const { TRAIN_OPTIONS } = await import('../train-options.ts');
    for (const { flags, description } of commandOptions(TRAIN_OPTIONS, transferConfigurationSchema))
      command.option(flags, description);
  }
  action(command, (task: string, options: Options) =>
    withRanks(async (ranks) => {
      const { readConfigurationOf, readPresetConfiguration, readRunConfigurationOf } = await import(
        '../../training/node/read-configuration.ts'
      );
      const { overridesBy } = await import('../configuration-options.ts');
      const { TRANSFER } = await import('../../training/task/configuration.ts');
      const { TRAIN_OPTIONS } = await import('../train-options.ts');
      const overrides = [{ path: 'task', option: 'TASK', value: task }, ...overridesBy(TRAIN_OPTIONS, options)];
      const { crossValidate, isCrossValidation, readCrossValidationConfiguration } = await import(
        '../../training/node/task/cross-validate.ts'
      );
      const { preset } = options;
      const isResumed = options.resume && options.config === undefined;
      if (preset !== undefined && isResumed)
        throw new UsageError(`--preset ${preset}: a run that is resumed has its configuration; leave the preset out`);
      const configuration = isResumed
        ? (await isCrossValidation(options.out))
          ? await readCrossValidationConfiguration(options.out, overrides)
          : await readRunConfigurationOf(TRANSFER, options.out, overrides)
        : preset !== undefined
          ? await readPresetConfiguration(preset, options.config, overrides)
          : await readConfigurationOf(TRANSFER, options.config, overrides);
      if (options.printConfig) {
        const { stringify } = await import('yaml');
        return { json: configuration, text: stringify(configuration).trimEnd() };
      }
      const { describeScores } = await import('../../training/task/evaluate.ts');
      const { describeResult } = await import('../../training/node/task/judge-best.ts');
      const { train } = await import('../../training/node/task/train.ts');
      const { createProgress } = await import('../progress.ts');
      const { guardInputs, modelInputs } = await import('../../platform/node/guard.ts');
      const { init, data } = configuration;
      const inputs = [
        { path: options.data, what: 'the cohort' },
        ...(options.config === undefined ? [] : [{ path: options.config, what: 'the configuration' }]),
        ...(data.split === null ? [] : [{ path: data.split, what: 'the split' }]),
        ...(init === 'scratch' ? [] : await modelInputs(init, 'the initial model')),
      ];
      const call = {
        cohort: options.data,
        out: options.out,
        configuration,
        resume: options.resume ?? false,
        mlflow: options.mlflow,
        progress: createProgress(),
        signal: stopSignal(ranks.rank === 0 ? undefined : ''),
        ranks,
      };
      if (configuration.data.folds > 1 && configuration.data.fold === 'all') {
        const { crossValidationText } = await import('../cross-validation-text.ts');
        const validated = await guardInputs(inputs, () => crossValidate(call));
        return { json: validated, text: crossValidationText(validated), exitCode: validated.finished ? 0 : STOPPED };
      }
      const result = await guardInputs(inputs, () => train(call));
      const ended = result.stoppedEarly
        ? ` (early stop: no improvement in ${configuration.earlyStopEvaluations} evaluations)`
        : '';
      const text = [
        result.finished
          ? `${result.out}: ${counted(result.step, 'step')} done${ended}${lossText(result)}`
          : `${result.out}: stopped after step ${result.step} of ${configuration.steps}; continue with --resume`,
        ...(result.evaluation ? [`validation  ${describeScores(result.evaluation)} (after step ${result.evaluation.step})`] : []),
        ...(result.best
          ? [`best        step ${result.best.step}${result.validation ? `: ${describeResult(result.validation)}` : ''}`]
          : []),
        ...(result.test ? [`test        ${describeResult(result.test)} (checkpoint of step ${result.test.step})`] : []),
        ...(result.skippedSteps > 0 ? [`${counted(result.skippedSteps, 'step')} skipped (non-finite loss or gradient)`] : []),
      ].join('\n');
      return { json: result, text, exitCode: result.finished ? 0 : STOPPED };
    }),
  );
}
