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
    value === false || value === undefined
      ? []
      : [value === true ? head : `${head} (${typeof value === 'object' ? `${value.kind}, ${value.outputs}` : value} outputs)`],
  );
  const names = [
    ...(prefix === '' ? [] : [`every name starts with ${prefix}`]),
    ...(unetAlone ? ["names of the U-Net lack 'unet.'"] : []),
  ];
  return [
    `${file}: ${format}, ${dtypes.join(' and ')}`,
    `matched  ${matched} tensors, ${parameters.toLocaleString('en-US')} parameters: network of width ${width}`,
    `heads    ${standing.join(', ') || 'none'}`,
    `missing  ${missingHeads.join(', ') || 'none'}`,
    `unknown  ${unknown.length === 0 ? 'none' : `${unknown.length} tensors, ignored: ${unknown.slice(0, 10).join(', ')}${unknown.length > 10 ? ', ... (--json lists all)' : ''}`}`,
    ...(classes.length > 0
      ? [
          `skipped  ${objects} non-tensor objects, never executed: ${classes
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
    .description('import weights from PyTorch (.pth, read without Python) or safetensors into a model folder')
    .argument(
      '<file>',
      'state dict or checkpoint saved by torch.save, a safetensors file, the index.json of a sharded model, or a folder with one of these',
    )
    .requiredOption('--out <model>', 'output model folder')
    .addOption(
      new Option(
        '--modality <modality>',
        'training modality, if known; assumes 1 mm spacing and intensities as in the paper',
      ).choices(['ct', 'mr']),
    )
    .addHelpText(
      'after',
      [
        '',
        'Example:',
        '  gvsl import published-unet.pth --out models/published --modality ct',
        '',
        'The architecture is inferred from tensor names and shapes. No code in a file is ever executed: see docs/weights.md.',
      ].join('\n'),
    );
  action(command, run);
}
