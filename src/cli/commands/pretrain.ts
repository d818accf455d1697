/** `gvsl pretrain`: a prepared cohort becomes a pre-trained network. */
import { type Command, Option } from 'commander';
import { counted } from '../../common/counted.ts';
import { GVSL } from '../../methods/descriptions.ts';
import { METHODS } from '../../methods/registry.ts';
import { lossText } from '../loss-text.ts';
import { neededArgument, neededOption } from '../print-config.ts';
import { withRanks } from '../ranks.ts';
import { action, STOPPED } from '../run-command.ts';
import { stopSignal } from '../stop-signal.ts';

interface Options extends Readonly<Record<string, unknown>> {
  readonly out: string;
  readonly method?: string;
  readonly config?: string;
  readonly resume?: boolean;
  readonly printConfig?: boolean;
  readonly mlflow?: string;
}

const HELP = `
Methods (gvsl methods says what each sees, trains and needs; --method NAME --help shows its options):
${METHODS.map(({ name, summary }) => `  ${name.padEnd(18)}${summary}`).join('\n')}

Set everything else with --config (YAML or JSON; see docs/configuration.md, or --print-config for all keys and values).

Examples:
  gvsl pretrain prepared --out runs/first --patch 64 --width 0.25 --steps 2000 --lr 1e-3
  gvsl pretrain prepared --out runs/first --resume --steps 4000
  gvsl pretrain prepared --out runs/mae --method mae --mask-share 0.6 --patch 64 --width 0.25 --steps 4000
  gvsl pretrain other-cohort --out runs/more --init runs/first --width 0.25 --warmup-steps 100 --steps 2000
  gvsl pretrain prepared --out runs/no-affine --method without-affine --config without-affine.yaml`;

/** The value of an option among unparsed arguments: `--name value` or `--name=value`. */
function valueIn(args: readonly string[], option: string): string | undefined {
  const at = args.lastIndexOf(option);
  return at < 0 ? args.find((arg) => arg.startsWith(`${option}=`))?.slice(option.length + 1) : args[at + 1];
}

/** Adds `gvsl pretrain`; those of its options that a method's schema describes only where `args` name it. */
export async function registerPretrain(program: Command, args: readonly string[]): Promise<void> {
  const command = program
    .command('pretrain')
    .description('pre-train a network on a prepared cohort, by GVSL or another method')
    .addArgument(neededArgument(args, 'cohort', 'cohort made by `gvsl prepare`'))
    .addOption(neededOption(args, '--out <run>', 'output folder of the run'))
    .option('--method <name>', `method of pre-training, see below (default: ${GVSL}; with --resume, that of the run)`)
    .option('--config <file>', 'configuration in YAML or JSON; command-line options override it')
    .option(
      '--resume',
      'continue exactly from the last checkpoint in --out; refused if cohort, split, initial model or configuration changed',
    )
    .option('--mlflow <url>', 'also log to an MLflow server (docs/interchange.md); the only use of the network')
    .option('--print-config', 'print the full configuration and exit; needs neither <cohort> nor --out')
    .addHelpText('after', HELP);
  if (args.includes(command.name())) await addOptionsOfMethod(command, args);
  action(command, (cohort: string, options: Options) =>
    withRanks(async (ranks) => {
      const { configurationFor, methodOf } = await import('../../training/node/pretraining-method.ts');
      const { overridesOf } = await import('../configuration-options.ts');
      const call = { method: options.method, config: options.config, ...(options.resume && { resume: options.out }) };
      const chosen = await methodOf(call);
      const { method, named } = chosen;
      // What a run began with need not be said again.
      const configuration = await configurationFor(chosen, call, overridesOf(options, method.schema));
      if (options.printConfig) {
        const { stringify } = await import('yaml');
        const document = { method: named?.name, ...configuration };
        return { json: document, text: stringify(document).trimEnd() };
      }
      const { pretrain } = await import('../../training/node/pretrain.ts');
      const { createProgress } = await import('../progress.ts');
      const { guardInputs, modelInputs } = await import('../../platform/node/guard.ts');
      const { init = 'scratch', data } = configuration;
      const inputs = [
        { path: cohort, what: 'the cohort' },
        ...(options.config === undefined ? [] : [{ path: options.config, what: 'the configuration' }]),
        ...(data.split ? [{ path: data.split, what: 'the split' }] : []),
        ...(init === 'scratch' ? [] : await modelInputs(init, 'the initial model')),
      ];
      const result = await guardInputs(inputs, () =>
        pretrain({
          method,
          cohort,
          out: options.out,
          configuration,
          resume: options.resume ?? false,
          mlflow: options.mlflow,
          progress: createProgress(),
          signal: stopSignal(ranks.rank === 0 ? undefined : ''),
          ranks,
        }),
      );
      const { evaluation, evaluationText } = result;
      const text = [
        result.finished
          ? `${result.out}: ${counted(result.step, 'step')} done${lossText(result, 'total loss')}`
          : `${result.out}: stopped after step ${result.step} of ${configuration.steps}; continue with --resume`,
        ...(evaluation && evaluationText
          ? [`${evaluation.step === result.step ? '' : 'last evaluation: '}${evaluationText}`]
          : []),
        ...(result.skippedSteps > 0 ? [`${counted(result.skippedSteps, 'step')} skipped (non-finite loss or gradient)`] : []),
      ].join('\n');
      return { json: result, text, exitCode: result.finished ? 0 : STOPPED };
    }),
  );
}

/** Options that stand in the schema of the method that the call names. */
async function addOptionsOfMethod(command: Command, args: readonly string[]): Promise<void> {
  const { chooseMethod, methodOf } = await import('../../training/node/pretraining-method.ts');
  const { commandOptions, ownOptions, pretrainOptions } = await import('../configuration-options.ts');
  const call = {
    method: valueIn(args, '--method'),
    config: valueIn(args, '--config'),
    resume: args.includes('--resume') ? valueIn(args, '--out') : undefined,
  };
  // what is wrong with it, the action says; until then any option may be right
  const chosen = await methodOf(call).catch(() => undefined);
  if (!chosen) command.allowUnknownOption().allowExcessArguments();
  const { method, named } = chosen ?? (await chooseMethod(GVSL));
  for (const { flags, description } of pretrainOptions(method.schema)) command.option(flags, description);
  const isGvsl = method.name === GVSL;
  const own = [
    ...(isGvsl
      ? [{ flags: '--without <head>', description: 'disable heads: affine, restoration or matching (comma-separated)' }]
      : []),
    ...commandOptions(ownOptions(method.schema), method.schema),
  ];
  const group = `Options of ${named?.name ?? method.name}:`;
  for (const { flags, description } of own) command.addOption(new Option(flags, description).helpGroup(group));
}
