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
  readonly nnunet?: string;
  readonly monai?: string;
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
  const { guardInputs, modelInputs, refuseReplacing } = await import('../../platform/node/guard.ts');
  const { part, ...paths } = options;
  const call = { model, ...paths, part, size: size === undefined ? undefined : await parseSize(size) };
  const report = await guardInputs(await modelInputs(model), async () => {
    await refuseReplacing(...Object.values(paths).filter((path) => path !== undefined));
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
    .description('export a model to ONNX, PyTorch, safetensors, Hugging Face, nnU-Net or MONAI')
    .argument('<model>', 'model folder, or a run (its best checkpoint)')
    .option('--onnx <file>', 'ONNX file; takes images of any size')
    .option('--pth <file>', 'PyTorch state dict, for torch.load(..., weights_only=True)')
    .option('--safetensors <file>', 'safetensors file')
    .option('--huggingface <folder>', 'folder with model.safetensors, config.json, a model card and the network in PyTorch')
    .option(
      '--nnunet <folder>',
      'folder for fine-tuning in nnU-Net 2.8: checkpoint, adaptation plan, the network as a plug-in, README',
    )
    .option('--monai <folder>', 'MONAI bundle: metadata, inference configuration, weights, preparation of images')
    .addOption(
      new Option(
        '--part <part>',
        'part of the network to export (default: all; for ONNX the task network, else the backbone)',
      ).choices(['segmenter', 'backbone', 'classifier', 'encoder']),
    )
    .option('--size <D,H,W>', 'fixed size of the ONNX input in voxels, with batch size 1; for nnU-Net, its patch size')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  gvsl export runs/heart --onnx backbone.onnx --pth heart.pth',
        '  gvsl export runs/pretrained --nnunet pretrained-nnunet',
        '  gvsl export runs/segment --monai heart-bundle',
        '',
        'How to use what it writes: docs/interchange.md.',
      ].join('\n'),
    );
  action(command, run);
}
