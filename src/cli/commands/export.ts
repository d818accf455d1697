/** `gvsl export`: a model for other programs. */
import { type Command, Option } from 'commander';
import type { ExportReport } from '../../model/node/interchange/export.ts';
import type { NetworkPart } from '../../model/node/interchange/part.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options {
  readonly onnx?: string;
  readonly pth?: string;
  readonly safetensors?: string;
  readonly huggingface?: string;
  readonly part?: NetworkPart;
  readonly size?: string;
}

/** 'D,H,W' in voxels; the network itself pads to multiples of 16. */
async function parseSize(text: string): Promise<[number, number, number]> {
  const { wholeNumber } = await import('../numbers.ts');
  const { UsageError } = await import('../../common/errors.ts');
  const sizes = text.split(',').map((part) => wholeNumber('--size', part.trim()));
  if (sizes.length !== 3) throw new UsageError(`--size: expected D,H,W, such as 96,128,128; got '${text}'`);
  return sizes as [number, number, number];
}

async function run(model: string, { size, ...options }: Options): Promise<CommandResult> {
  const { exportModel } = await import('../../model/node/interchange/export.ts');
  const { onnx, pth, safetensors, huggingface, part } = options;
  const { guardInputs, modelInputs, refuseReplacing } = await import('../../platform/node/guard.ts');
  const call = { model, onnx, pth, safetensors, huggingface, part, size: size === undefined ? undefined : await parseSize(size) };
  const report = await guardInputs(await modelInputs(model), async () => {
    await refuseReplacing(...[onnx, pth, safetensors, huggingface].filter((path) => path !== undefined));
    return exportModel(call);
  });
  return { json: report, text: asText(report).join('\n') };
}

function asText({ model, part, parameters, files, onnx }: ExportReport): string[] {
  const axes = (value: { name: string; axes: readonly (string | number)[] }): string =>
    `${value.name} (${value.axes.join(', ')})`;
  return [
    `${model}: ${part ?? 'all of it'}, ${parameters.toLocaleString('en-US')} parameters`,
    ...(onnx ? [`ONNX, opset ${onnx.opset}: ${onnx.part}, ${axes(onnx.input)} to ${onnx.outputs.map(axes).join(' and ')}`] : []),
    `written: ${files.join(', ')}`,
  ];
}

/** Adds `gvsl export`. */
export function registerExport(program: Command): void {
  const command = program
    .command('export')
    .description('write a model for other programs: ONNX, PyTorch, safetensors, a folder for Hugging Face')
    .argument('<model>', 'model folder, or a run (its best state)')
    .option('--onnx <file>', 'ONNX, for onnxruntime and others: takes images of any size')
    .option('--pth <file>', 'state dict for torch.load (weights_only=True will do)')
    .option('--safetensors <file>', 'state dict as safetensors')
    .option('--huggingface <folder>', 'model.safetensors, config.json, a model card and the network in PyTorch')
    .addOption(
      new Option(
        '--part <part>',
        "what of the network (default: all; of ONNX, what the network is for: its task, else the backbone's features)",
      ).choices(['segmenter', 'backbone', 'classifier']),
    )
    .option('--size <D,H,W>', 'fix the size of the ONNX input, in voxels, and the batch to 1')
    .addHelpText(
      'after',
      [
        '',
        'Example:',
        '  gvsl export runs/heart --onnx backbone.onnx --pth heart.pth',
        '',
        'How to use the files in Python: docs/weights.md.',
      ].join('\n'),
    );
  action(command, run);
}
