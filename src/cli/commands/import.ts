/** `gvsl import`: weights of PyTorch or safetensors become a model folder. */
import { type Command, Option } from 'commander';
import type { ImportReport } from '../../model/node/interchange/import.ts';
import { warningLines } from '../batch-text.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options {
  readonly out: string;
  readonly modality?: 'ct' | 'mr';
}

async function run(file: string, { out, modality }: Options): Promise<CommandResult> {
  const { importWeights } = await import('../../model/node/interchange/import.ts');
  const { guardInputs, modelInputs, refuseReplacing } = await import('../../platform/node/guard.ts');
  const report = await guardInputs(await modelInputs(file, 'the weights'), async () => {
    await refuseReplacing(out);
    return importWeights({ file, out, modality });
  });
  return {
    json: { ...report, out },
    text: [...asText(report), '', ...warningLines(report.warnings), `${out}: a model folder`].join('\n'),
  };
}

function asText(report: ImportReport): string[] {
  const { file, format, width, heads, matched, parameters, dtypes, prefix, unetAlone, missingHeads, unknown, skipped } = report;
  const classes = Object.entries(skipped).sort(([, a], [, b]) => b - a);
  const objects = classes.reduce((sum, [, count]) => sum + count, 0);
  const standing = Object.entries(heads).flatMap(([head, value]) =>
    value === false || value === undefined ? [] : [value === true ? head : `${head} (${value} outputs)`],
  );
  const names = [
    ...(prefix === '' ? [] : [`every name starts with ${prefix}`]),
    ...(unetAlone ? ["names of the U-Net lack 'unet.'"] : []),
  ];
  return [
    `${file}: ${format}, ${dtypes.join(' and ')}`,
    `matched  ${matched} tensors, ${parameters.toLocaleString('en-US')} parameters: the network of width ${width}`,
    `heads    ${standing.join(', ') || 'none'}`,
    `missing  ${missingHeads.join(', ') || 'none'}`,
    `unknown  ${unknown.length === 0 ? 'none' : `${unknown.length} tensors, left out: ${unknown.slice(0, 10).join(', ')}${unknown.length > 10 ? ', ... (--json lists all)' : ''}`}`,
    ...(classes.length > 0
      ? [
          `skipped  ${objects} objects beside the tensors, never run: ${classes
            .slice(0, 5)
            .map(([name, count]) => (count > 1 ? `${name} (${count})` : name))
            .join(', ')}${classes.length > 5 ? ', ... (--json lists all)' : ''}`,
        ]
      : []),
    ...(names.length > 0 ? [`names    ${names.join('; ')}`] : []),
  ];
}

/** Adds `gvsl import`. */
export function registerImport(program: Command): void {
  const command = program
    .command('import')
    .description('make a model folder of weights from PyTorch (.pth, read without Python) or safetensors')
    .argument(
      '<file>',
      'file of torch.save or safetensors: a state dict, alone or in a checkpoint; the index.json of several; or a folder with one',
    )
    .requiredOption('--out <model>', 'model folder to make')
    .addOption(
      new Option('--modality <modality>', 'what it was trained on, if known: 1 mm, intensities as in the paper').choices([
        'ct',
        'mr',
      ]),
    )
    .addHelpText(
      'after',
      [
        '',
        'Example:',
        '  gvsl import published-unet.pth --out models/published --modality ct',
        '',
        'Which network it is follows from names and shapes. Nothing in a file is ever run: see docs/weights.md.',
      ].join('\n'),
    );
  action(command, run);
}
