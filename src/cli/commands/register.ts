/** `gvsl register`: register a moving image to a fixed one with a pre-trained network. */
import { type Command, Option } from 'commander';
import type { RegistrationReport } from '../../apply/node/registration/register.ts';
import { BACKENDS } from '../../engine/backend.ts';
import { CHANNEL, OVERWRITE } from '../apply-options.ts';
import { warningLines } from '../batch-text.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options {
  readonly model: string;
  readonly moving: string;
  readonly fixed: string;
  readonly out: string;
  readonly overwrite?: boolean;
  readonly movingLabels?: string;
  readonly fixedLabels?: string;
  readonly movingLandmarks?: string;
  readonly fixedLandmarks?: string;
  readonly modality?: 'ct' | 'mr';
  readonly channel?: string;
  readonly start: 'centres' | 'stored';
  readonly tile?: string;
  readonly backend: string;
  readonly threads?: string;
}

const STAGE_NAMES = {
  asStored: 'before: stored positions',
  centred: 'before: centres aligned',
  affine: 'after affine',
  deformable: 'after affine and deformable',
} as const;

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

async function run(options: Options): Promise<CommandResult> {
  const { createBackend } = await import('../../platform/node/backends.ts');
  const { createProgress } = await import('../progress.ts');
  const { formatDuration } = await import('../../common/format-duration.ts');
  const { registerImages } = await import('../../apply/node/registration/register.ts');
  const { wholeNumber } = await import('../numbers.ts');
  const { backend, threads, tile, channel, ...call } = options;
  const startedMs = performance.now();
  const report = await registerImages({
    ...call,
    ...(channel === undefined ? {} : { channel: wholeNumber('--channel', channel, 0) }),
    ...(tile === undefined ? {} : { tile: wholeNumber('--tile', tile, 16) }),
    backend: await createBackend(backend, threads === undefined ? undefined : wholeNumber('--threads', threads)),
    progress: createProgress(),
  });
  const timeMs = Math.round(performance.now() - startedMs);
  const { formatTable } = await import('../table.ts');
  return {
    json: { ...report, out: options.out, timeMs },
    text: [...asText(report, formatTable), '', `${options.out}: ${fileList(report)} (${formatDuration(timeMs)})`].join('\n'),
  };
}

const fileList = ({ files }: RegistrationReport): string => [...Object.values(files), 'register.json'].join(', ');

function asText(report: RegistrationReport, formatTable: typeof import('../table.ts').formatTable): string[] {
  const { moving, fixed, stages, jacobian, deformationMm, network, model } = report;
  const hasDice = stages.some(({ dice }) => dice);
  const hasLandmarks = stages.some(({ landmarkErrorsMm }) => landmarkErrorsMm);
  const rows = stages.map((measures) => [
    STAGE_NAMES[measures.stage],
    measures.ncc.toFixed(4),
    ...(hasDice ? [measures.meanDice?.toFixed(4) ?? '-'] : []),
    ...(hasLandmarks ? [measures.meanLandmarkErrorMm!.toFixed(2)] : []),
    percent(measures.coveredShare),
  ]);
  const headings = [
    'stage',
    'NCC',
    ...(hasDice ? ['Dice'] : []),
    ...(hasLandmarks ? ['landmark error mm'] : []),
    'fixed grid covered',
  ];
  const warnings = [
    ...fixed.warnings.map((warning) => `${fixed.path}: ${warning}`),
    ...moving.warnings.map((warning) => `${moving.path}: ${warning}`),
    ...report.warnings,
    ...(report.unpairedLandmarks?.length ? [`landmarks in one file only, ignored: ${report.unpairedLandmarks.join(', ')}`] : []),
  ];
  const { percentile1, percentile99 } = jacobian.determinant;
  const howOften = network.tiles === 1 ? 'at once' : `in ${network.tiles} tiles`;
  return [
    `${moving.path} to ${fixed.path}`,
    ...(warnings.length > 0 ? ['', ...warningLines(warnings)] : []),
    `by ${model.folder} (step ${model.step}), ${network.inputSize.join(' x ')} voxels of ${report.preprocessing.spacingMm.join(' x ')} mm ${howOften}`,
    '',
    formatTable(
      headings,
      rows,
      headings.map((_, k) => k).filter((k) => k > 0),
    ),
    '',
    `folded       ${percent(jacobian.foldedShare)} of the matched region, ${percent(jacobian.foldedShareOfGrid)} of the fixed grid`,
    `volume       ${percentile1.toFixed(2)} to ${percentile99.toFixed(2)} (1st to 99th percentile of the Jacobian determinant)`,
    `deformation  ${deformationMm.mean.toFixed(2)} mm on average, ${deformationMm.max.toFixed(2)} mm at most, beyond the affine`,
  ];
}

/** Adds `gvsl register`. */
export function registerRegister(program: Command): void {
  const command = program
    .command('register')
    .description('register a moving image to a fixed image with a pre-trained network, in physical space')
    .requiredOption('--model <model>', 'model folder, or a run (its best checkpoint)')
    .requiredOption('--moving <image>', 'moving image, in any supported format')
    .requiredOption('--fixed <image>', 'fixed image; results are on its grid')
    .requiredOption('--out <folder>', 'output folder; results of an earlier call are replaced')
    .option('--overwrite', OVERWRITE)
    .option('--moving-labels <labels>', 'label map of the moving image, warped to the fixed grid')
    .option('--fixed-labels <labels>', 'label map of the fixed image: report overlap (Dice) after every stage')
    .option('--moving-landmarks <points>', 'landmarks of the moving image, 3D Slicer markups (.mrk.json)')
    .option(
      '--fixed-landmarks <points>',
      'landmarks of the fixed image, paired by name: report the landmark error (TRE) in mm after every stage',
    )
    .option('--channel <n>', CHANNEL)
    .addOption(
      new Option('--modality <modality>', 'modality of the images; only needed if the model does not record it').choices([
        'ct',
        'mr',
      ]),
    )
    .addOption(
      new Option('--start <where>', 'initial alignment: image centres, or the stored positions (scans in one frame of reference)')
        .choices(['centres', 'stored'])
        .default('centres'),
    )
    .option(
      '--tile <voxels>',
      'match in overlapping tiles of this side (default: whole images if memory allows, else tiles of the training patch size)',
    )
    .addOption(new Option('--backend <name>', 'compute backend').choices(BACKENDS).default('cpu'))
    .option('--threads <n>', 'number of CPU threads (default: all cores, or the CPU quota of the container)')
    .addHelpText(
      'after',
      [
        '',
        'Example:',
        '  gvsl register --model runs/heart --moving a.nii.gz --fixed b.nrrd --out a-on-b',
        '',
        'Writes warped.nii.gz, displacement.nii.gz (as in ITK and ANTs: mm, LPS, from fixed to moving points), affine.tfm, jacobian.nii.gz,',
        'warped_labels.nii.gz (with --moving-labels) and register.json.',
        'Example: antsApplyTransforms -d 3 -i a.nii.gz -r b.nrrd -t a-on-b/displacement.nii.gz -o again.nii.gz',
      ].join('\n'),
    );
  action(command, run);
}
