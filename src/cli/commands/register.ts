/** `gvsl register`: register a moving image to a fixed one, with a pre-trained network or without. */
import { type Command, Option } from 'commander';
import type { RegistrationReport } from '../../apply/node/registration/register.ts';
import {
  REFINE_LOSSES,
  type RefineLoss,
  type Start as RegistrationStart,
  SIMILARITIES,
  type Similarity,
  STARTS,
} from '../../apply/registration/options.ts';
import { counted } from '../../common/counted.ts';
import { BACKENDS } from '../../engine/backend.ts';
import { CHANNEL, OVERWRITE, TRANSFORM_FILES } from '../apply-options.ts';
import { warningLines } from '../batch-text.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options {
  readonly model?: string;
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
  readonly start?: RegistrationStart;
  readonly similarity?: Similarity;
  readonly refine?: string;
  readonly refineLoss?: RefineLoss;
  readonly keepAll?: boolean;
  readonly fixedMask?: string;
  readonly movingMask?: string;
  readonly initTransform?: readonly string[];
  readonly inverse?: boolean;
  readonly ants?: boolean;
  readonly spacing?: string;
  readonly tile?: string;
  readonly backend: string;
  readonly threads?: string;
}

const STAGE_NAMES = {
  asStored: 'before: stored positions',
  given: 'before: initial transform',
  centred: 'before: centres aligned',
  aligned: 'affine by likeness',
  affine: "network's affine",
  deformable: "network's affine and deformation",
  refinedAffine: 'affine refined',
  refined: 'deformation refined',
} as const;

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

async function run(options: Options): Promise<CommandResult> {
  const { createBackend } = await import('../../platform/node/backends.ts');
  const { createProgress } = await import('../progress.ts');
  const { formatDuration } = await import('../../common/format-duration.ts');
  const { registerImages } = await import('../../apply/node/registration/register.ts');
  const { numberIn, wholeNumber } = await import('../numbers.ts');
  const { backend, threads, tile, channel, refine, spacing, ...call } = options;
  const startedMs = performance.now();
  const report = await registerImages({
    ...call,
    ...(channel === undefined ? {} : { channel: wholeNumber('--channel', channel, 0) }),
    ...(refine === undefined ? {} : { refine: wholeNumber('--refine', refine, 0) }),
    ...(spacing === undefined ? {} : { spacingMm: numberIn('--spacing', spacing, 0.01, 100) }),
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
  const { moving, fixed, stages, jacobian, deformationMm, aligned, refined, inverseError } = report;
  const hasDice = stages.some(({ dice }) => dice);
  const hasLandmarks = stages.some(({ landmarkErrorsMm }) => landmarkErrorsMm);
  const rows = stages.map((measures) => [
    STAGE_NAMES[measures.stage],
    measures.ncc.toFixed(4),
    ...(hasDice ? [measures.meanDice?.toFixed(4) ?? '-'] : []),
    ...(hasLandmarks ? [measures.meanLandmarkErrorMm!.toFixed(2)] : []),
    percent(measures.coveredShare),
    measures.kept ? '' : 'not kept',
  ]);
  const headings = [
    'stage',
    'NCC',
    ...(hasDice ? ['Dice'] : []),
    ...(hasLandmarks ? ['landmark error mm'] : []),
    'fixed grid covered',
    '',
  ];
  const warnings = [
    ...fixed.warnings.map((warning) => `${fixed.path}: ${warning}`),
    ...moving.warnings.map((warning) => `${moving.path}: ${warning}`),
    ...report.warnings,
    ...(report.unpairedLandmarks?.length ? [`landmarks in one file only, ignored: ${report.unpairedLandmarks.join(', ')}`] : []),
  ];
  const { percentile1, percentile99 } = jacobian.determinant;
  return [
    `${moving.path} to ${fixed.path}`,
    ...(warnings.length > 0 ? ['', ...warningLines(warnings)] : []),
    howText(report),
    '',
    formatTable(
      headings,
      rows,
      headings.map((_, k) => k).filter((k) => k > 0 && k < headings.length - 1),
    ),
    '',
    ...lost(stages.filter(({ kept }) => !kept).map(({ stage }) => STAGE_NAMES[stage])),
    ...(aligned
      ? [
          `affine       ${SIMILARITY_NAMES[aligned.similarity]} ${aligned.before?.toFixed(4) ?? 'unknown (too little overlap)'} before, ${aligned.after.toFixed(4)} after`,
        ]
      : []),
    ...(refined
      ? [
          `refinement   ${counted(refined.steps, 'step')}, loss ${refined.loss.before.toFixed(4)} before, ${refined.loss.after.toFixed(4)} after`,
        ]
      : []),
    `folded       ${percent(jacobian.foldedShare)} of the matched region, ${percent(jacobian.foldedShareOfGrid)} of the fixed grid`,
    `volume       ${percentile1.toFixed(2)} to ${percentile99.toFixed(2)} (1st to 99th percentile of the Jacobian determinant)`,
    `deformation  ${deformationMm.mean.toFixed(2)} mm on average, ${deformationMm.max.toFixed(2)} mm at most, beyond the affine`,
    ...(inverseError
      ? [
          `inverse      ${inverseError.meanMm.toFixed(3)} mm mean error, ${inverseError.percentile99Mm.toFixed(3)} mm 99th percentile, ${inverseError.maxMm.toFixed(3)} mm at most`,
        ]
      : []),
  ];
}

const SIMILARITY_NAMES = { ncc: 'squared correlation', mi: 'mutual information' } as const;

const lost = (stages: readonly string[]): string[] =>
  stages.length === 0
    ? []
    : [`not kept, since the images did not become more alike: ${stages.join(', ')} (--keep-all keeps every stage)`];

function howText({ model, network, preprocessing }: RegistrationReport): string {
  const spacing = `${preprocessing.spacingMm.map((mm) => +mm.toFixed(3)).join(' x ')} mm`;
  if (!model || !network) return `without a model, at voxels of ${spacing}`;
  const howOften = network.tiles === 1 ? 'at once' : `in ${network.tiles} tiles`;
  return `by ${model.folder} (step ${model.step}), ${network.inputSize.join(' x ')} voxels of ${spacing} ${howOften}`;
}

/** Adds `gvsl register`. */
export function registerRegister(program: Command): void {
  const command = program
    .command('register')
    .description(
      'register a moving image to a fixed image in physical space: by the images alone, with a pre-trained network, or both',
    )
    .option('--model <model>', 'model folder, or a run (its best checkpoint); default: none, the images alone')
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
      new Option(
        '--start <where>',
        'initial alignment: image centres, stored positions (scans in one frame of reference), or the affine that makes the images most alike (default: affine; with a model: centres)',
      ).choices(STARTS),
    )
    .option('--init-transform <files...>', `transforms to start from instead of centres or stored positions: ${TRANSFORM_FILES}`)
    .addOption(
      new Option(
        '--similarity <measure>',
        'what the affine makes most alike: mutual information (any contrasts) or correlation (default: mi)',
      ).choices(SIMILARITIES),
    )
    .option(
      '--refine <steps>',
      'improve affine and deformation on this pair by at most so many steps; ends earlier without gain (default: 60; with a model: 0)',
    )
    .addOption(
      new Option(
        '--refine-loss <measure>',
        'what refinement makes alike: local correlation, or squared differences (default: ncc)',
      ).choices(REFINE_LOSSES),
    )
    .option('--fixed-mask <mask>', 'only what is not 0 in this image on the fixed grid counts for the affine and for refinement')
    .option('--moving-mask <mask>', 'the same of the moving image')
    .option('--keep-all', 'keep every stage, also one that does not make the images more alike')
    .option('--inverse', 'also write inverse_displacement.nii.gz (moving to fixed points), and report its error in mm')
    .option('--ants', "also write the map as ANTs' pair: ants_0GenericAffine.mat and ants_1Warp.nii.gz")
    .option('--spacing <mm>', "voxel size to work at without a model (default: the fixed image's, at most 131,072 voxels)")
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
        '  gvsl register --moving a.nii.gz --fixed b.nrrd --out a-on-b',
        '  gvsl register --model runs/heart --start affine --refine 60 --moving a.nii.gz --fixed b.nrrd --out a-on-b',
        '',
        'Writes warped.nii.gz, displacement.nii.gz (as in ITK and ANTs: mm, LPS, from fixed to moving points), affine.tfm, jacobian.nii.gz,',
        'warped_labels.nii.gz (with --moving-labels) and register.json.',
        'Apply it to other files: gvsl warp (gvsl warp --help).',
        'Example: antsApplyTransforms -d 3 -i a.nii.gz -r b.nrrd -t a-on-b/displacement.nii.gz -o again.nii.gz',
      ].join('\n'),
    );
  action(command, run);
}
