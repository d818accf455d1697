/** `gvsl register`: lay one image onto another with a pre-trained network. */
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
  asStored: 'before: as the files stand',
  centred: 'before: centre on centre',
  affine: 'after the affine alone',
  deformable: 'after affine and deformation',
} as const;

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

async function run(options: Options): Promise<CommandResult> {
  const { createBackend } = await import('../../platform/node/backends.ts');
  const { createProgress } = await import('../../platform/node/progress.ts');
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
    ...(report.unpairedLandmarks?.length
      ? [`landmarks that only one file names, left out: ${report.unpairedLandmarks.join(', ')}`]
      : []),
  ];
  const { percentile1, percentile99 } = jacobian.determinant;
  const howOften = network.tiles === 1 ? 'at once' : `in ${network.tiles} tiles`;
  return [
    `${moving.path} onto ${fixed.path}`,
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
    `volume       ${percentile1.toFixed(2)} to ${percentile99.toFixed(2)} times (1st to 99th percentile of the Jacobian determinant)`,
    `deformation  ${deformationMm.mean.toFixed(2)} mm on average, ${deformationMm.max.toFixed(2)} mm at most, beyond the affine`,
  ];
}

/** Adds `gvsl register`. */
export function registerRegister(program: Command): void {
  const command = program
    .command('register')
    .description("lay a moving image onto a fixed one with a pre-trained network, in the images' own spaces")
    .requiredOption('--model <model>', 'model folder, or a run (its best state)')
    .requiredOption('--moving <image>', 'image A, which is moved: any format that gvsl inspect reads')
    .requiredOption('--fixed <image>', 'image B, on whose grid the results lie')
    .requiredOption('--out <folder>', 'folder for the results; what an earlier call wrote there under the same names is replaced')
    .option('--overwrite', OVERWRITE)
    .option('--moving-labels <labels>', "A's label map: also written on B's grid")
    .option('--fixed-labels <labels>', "B's label map: overlap (Dice) is measured at every stage")
    .option('--moving-landmarks <points>', "A's landmarks, 3D Slicer markups (.mrk.json)")
    .option('--fixed-landmarks <points>', "B's landmarks: the error in mm is measured at every stage, points paired by name")
    .option('--channel <n>', CHANNEL)
    .addOption(
      new Option('--modality <modality>', 'what the images are; only needed for a model that does not say').choices(['ct', 'mr']),
    )
    .addOption(
      new Option(
        '--start <where>',
        'matching starts with the centres on one another, or where the files say that the images lie (scans of one frame)',
      )
        .choices(['centres', 'stored'])
        .default('centres'),
    )
    .option(
      '--tile <voxels>',
      'match in overlapping tiles of this side (default: both images whole if memory allows, else tiles as in training)',
    )
    .addOption(new Option('--backend <name>', 'where to compute').choices(BACKENDS).default('cpu'))
    .option('--threads <n>', 'threads of the CPU backend (default: all cores, or the CPU quota of the container)')
    .addHelpText(
      'after',
      [
        '',
        'Example:',
        '  gvsl register --model runs/heart --moving a.nii.gz --fixed b.nrrd --out a-on-b',
        '',
        'Writes warped.nii.gz, displacement.nii.gz (ITK and ANTs: mm, LPS, from fixed to moving points), affine.tfm, jacobian.nii.gz,',
        'warped_labels.nii.gz (with --moving-labels) and register.json.',
        'For instance: antsApplyTransforms -d 3 -i a.nii.gz -r b.nrrd -t a-on-b/displacement.nii.gz -o again.nii.gz',
      ].join('\n'),
    );
  action(command, run);
}
