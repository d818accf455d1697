/** `gvsl warp`: apply transforms to images, label maps and points. */
import type { Command } from 'commander';
import type { WarpCall } from '../../apply/node/registration/warp.ts';
import { CHANNEL, OVERWRITE, TRANSFORM_FILES } from '../apply-options.ts';
import { warningLines } from '../batch-text.ts';
import { action, type CommandResult } from '../run-command.ts';

type Options = Omit<WarpCall, 'progress' | 'channel'> & { readonly channel?: string };

async function run({ channel, ...options }: Options): Promise<CommandResult> {
  const { INVERSE_TOLERANCE_MM, warpFiles } = await import('../../apply/node/registration/warp.ts');
  const { wholeNumber } = await import('../numbers.ts');
  const { createProgress } = await import('../progress.ts');
  const report = await warpFiles({
    ...options,
    ...(channel === undefined ? {} : { channel: wholeNumber('--channel', channel, 0) }),
    progress: createProgress(),
  });
  const error = report.inverseErrorMm;
  const warnings = [
    ...report.warnings,
    ...(error !== null && error > INVERSE_TOLERANCE_MM
      ? [`the inverse is off by up to ${error.toFixed(2)} mm: the transform folds, or its points lie outside its field`]
      : []),
  ];
  return {
    json: { ...report, out: options.out, warnings },
    text: [
      ...warningLines(warnings),
      ...report.files.map(
        ({ input, output, kind, count }) =>
          `${input} -> ${options.out}/${output} (${kind === 'points' ? `${count} points` : kind})`,
      ),
      ...(report.field ? [`the whole transform -> ${options.out}/${report.field}`] : []),
    ].join('\n'),
  };
}

/** Adds `gvsl warp`. */
export function registerWarp(program: Command): void {
  const command = program
    .command('warp')
    .description('apply transforms to images, label maps and points of the moving image: bring them to the fixed one')
    .requiredOption('--transform <files...>', TRANSFORM_FILES)
    .option('--invert', 'the other way: bring what belongs to the fixed image to the moving one')
    .option('--grid <image>', 'image on whose grid the results lie: the fixed one (with --invert: the moving one)')
    .option('--image <images...>', 'images, trilinear, smoothed first for a coarser grid')
    .option('--channel <n>', CHANNEL)
    .option('--labels <labels...>', 'label maps, nearest voxel')
    .option(
      '--points <points...>',
      "points: 3D Slicer's .mrk.json or .fcsv (RAS or LPS as they say), or .csv with columns x, y, z in mm, LPS, as ANTs has them",
    )
    .option('--field', 'also write the whole transform as one displacement field on the grid')
    .requiredOption(
      '--out <folder>',
      'output folder: NAME_warped.nii.gz, NAME_warped.csv and so on; a label map named like an image becomes NAME_labels_warped.nii.gz',
    )
    .option('--overwrite', OVERWRITE)
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  gvsl warp --transform a-on-b/displacement.nii.gz --grid b.nrrd --labels a-labels.nii.gz --points a-points.mrk.json --out a-on-b/more',
        '  gvsl warp --transform 1Warp.nii.gz 0GenericAffine.mat --grid b.nrrd --image a.nii.gz --out ants-a-on-b',
        '',
        'Transforms map points of the fixed image to the moving one, as in ITK. Images are read where their voxels go; points of the moving image take the',
        'inverse, which is found for each point. Everything goes the same way here; antsApplyTransformsToPoints needs the inverse transforms for that.',
      ].join('\n'),
    );
  action(command, run);
}
