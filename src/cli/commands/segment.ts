/** `gvsl segment`: a trained network's structures in new scans, on the scans' own grids. */
import { type Command, Option } from 'commander';
import { UNCERTAINTIES, type Uncertainty } from '../../apply/prediction-options.ts';
import { UsageError } from '../../common/errors.ts';
import { addTaskOptions, MIRROR, readMirror, readTaskOptions, type TaskOptions } from '../apply-options.ts';
import { numberIn, numberOf } from '../numbers.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options extends TaskOptions {
  readonly mirror?: string;
  readonly postProcessing: boolean;
  readonly keepLargest?: string | true;
  readonly minVolume?: string;
  readonly probabilities?: boolean;
  readonly uncertainty?: Uncertainty;
  readonly csv?: string;
  readonly preview?: boolean;
  readonly dicom?: boolean;
  readonly rtstruct?: boolean;
}

/** All structures, or the codes of some. */
function readCodes(option: string, text: string | true): true | readonly number[] {
  if (text === true) return true;
  const codes = text.split(',').map(numberOf);
  if (!codes.every(Number.isInteger)) throw new UsageError(`${option} ${text}: expected label codes, as in 205,420`);
  return codes;
}

async function run(inputs: string[], options: Options): Promise<CommandResult> {
  const { formatDuration } = await import('../../common/format-duration.ts');
  const { segmentImages } = await import('../../apply/node/segment.ts');
  const { partFile } = await import('../../apply/node/inputs.ts');
  const { formatTable } = await import('../table.ts');
  const { batchExitCode, batchText, count } = await import('../batch-text.ts');
  const startedMs = performance.now();
  const { mirror, keepLargest, minVolume, uncertainty, csv } = options;
  const task = await readTaskOptions(inputs, options);
  const report = await segmentImages({
    ...task,
    ...(mirror === undefined ? {} : { mirror: readMirror(mirror) }),
    postProcessing: options.postProcessing,
    ...(keepLargest === undefined ? {} : { keepLargest: readCodes('--keep-largest', keepLargest) }),
    ...(minVolume === undefined ? {} : { minVolume: numberIn('--min-volume', minVolume, 0, 1e6) }),
    probabilities: options.probabilities ?? false,
    ...(uncertainty === undefined ? {} : { uncertainty }),
    ...(csv === undefined ? {} : { csv }),
    preview: options.preview ?? false,
    dicom: options.dicom ?? false,
    rtstruct: options.rtstruct ?? false,
  });
  const timeMs = Math.round(performance.now() - startedMs);
  const rows = report.images.flatMap(({ name, structures }) =>
    structures.map(({ code, name: structure, voxels, volumeMl }) => [
      name,
      String(code),
      structure,
      String(voxels),
      volumeMl.toFixed(2),
    ]),
  );
  const files = report.images.flatMap((image) => image.files).length;
  return {
    json: { ...report, out: options.out, timeMs },
    text: batchText(
      report,
      formatTable(['image', 'code', 'structure', 'voxels', 'mL'], rows, [3, 4]),
      `${options.out}: ${count(files, 'file')}, ${partFile('segment.json', task.part)}${csv === undefined ? '' : `; ${partFile(csv, task.part)}`} (${formatDuration(timeMs)})`,
    ),
    exitCode: batchExitCode(report, task.part),
  };
}

/** Adds `gvsl segment`. */
export function registerSegment(program: Command): void {
  const command = addTaskOptions(
    program
      .command('segment')
      .description(
        'segment scans with a trained network; label maps are on the grid of each scan, with the label codes of training',
      )
      .argument('[input...]', 'images in any supported format, folders of images, DICOM folders'),
    'output folder; results of an earlier call are replaced',
  )
    .option('--mirror <axes>', MIRROR)
    .option('--no-post-processing', 'leave out the post-processing that training stored in the model')
    .option(
      '--keep-largest [codes]',
      'keep the largest connected part only, of all structures or of those with these label codes, whatever the model stores',
    )
    .option('--min-volume <ml>', 'remove connected parts of structures below this volume, whatever the model stores')
    .option('--probabilities', 'also write class probabilities')
    .addOption(
      new Option(
        '--uncertainty <kind>',
        'also write a map of uncertainty, 0 to 1: entropy of the probabilities, or disagreement of models and mirrored copies (mutual information)',
      ).choices(UNCERTAINTIES),
    )
    .option('--csv <file>', 'also write a table: volume, intensities, position and extent of each structure in each image')
    .option('--preview', 'also write a PNG of each image: three planes with outlines of the structures')
    .option('--dicom', 'also write a DICOM Segmentation object for DICOM folders')
    .option('--rtstruct', 'also write a DICOM RT Structure Set (contours) for DICOM folders')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  gvsl segment scans/case_7.nii.gz --model runs/segment --out labels',
        '  gvsl segment scans --model runs/folds --mirror y,z --uncertainty disagreement --csv volumes.csv --preview --out labels',
        '  gvsl segment scans --model runs/a runs/b runs/c --out labels',
        '  gvsl segment dicom/patient-3 --model runs/segment --out labels --dicom --rtstruct',
        '',
        'Writes NAME.nii.gz for each image (nnU-Net: case_7.nii.gz for case_7_0000.nii.gz; shared names are prefixed with their folders)',
        'and segment.json; probabilities/, uncertainty/ and previews/ where asked for. Positions in the table are mm, LPS. Exit code 1 if an image failed or there is none; failures are listed at the end. Score results with gvsl evaluate.',
      ].join('\n'),
    );
  action(command, run);
}
