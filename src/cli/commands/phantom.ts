/** `gvsl phantom`: a cohort of synthetic patients in nnU-Net layout, with labels, landmarks and what was drawn for each. */
import { type Command, Option } from 'commander';
import { UsageError } from '../../common/errors.ts';
import { PHANTOM_KINDS, type PhantomKind } from '../../phantom/kinds.ts';
import { numberIn, wholeNumber } from '../numbers.ts';
import { action } from '../run-command.ts';

/** Finer than this a subject would need many gigabytes, coarser than this its vessels are gone. */
const SPACING_MM = [0.5, 8] as const;
const MAX_SUBJECTS = 10_000;

/** Adds `gvsl phantom`. */
export function registerPhantom(program: Command): void {
  const command = program
    .command('phantom')
    .description('generate synthetic patients (nnU-Net layout) with labels and landmarks; an interrupted call continues')
    .argument('<out>', 'output folder')
    .addOption(new Option('--kind <kind>', 'kind of scans').choices(PHANTOM_KINDS).makeOptionMandatory())
    .requiredOption('--subjects <n>', 'number of patients')
    .option('--seed <n>', 'random seed; the same seed gives the same files', '1')
    .option('--spacing <mm>', 'isotropic spacing (default: varies by subject, as in real scans)')
    .option('--pose <factor>', 'variation of patient position: 1 as across hospitals, 0 for none', '1')
    .option(
      '--opacities <share>',
      'heart-ct: fraction of patients with lung opacities; labels.csv has their class (a classification task)',
    )
    .addHelpText('after', '\nExample:\n  gvsl phantom patients --kind heart-ct --subjects 20 --seed 1 --spacing 3');
  action(
    command,
    async (
      out: string,
      given: { kind: PhantomKind; subjects: string; seed: string; spacing?: string; pose: string; opacities?: string },
    ) => {
      const kind = given.kind;
      const subjects = wholeNumber('--subjects', given.subjects, 1, MAX_SUBJECTS);
      const seed = wholeNumber('--seed', given.seed, 0, Number.MAX_SAFE_INTEGER);
      const pose = numberIn('--pose', given.pose, 0, 2);
      const spacing = given.spacing === undefined ? {} : { spacingMm: numberIn('--spacing', given.spacing, ...SPACING_MM) };
      const disease = given.opacities === undefined ? {} : { opacities: numberIn('--opacities', given.opacities, 0, 1) };
      if (given.opacities !== undefined && kind !== 'heart-ct')
        throw new UsageError(`--opacities: only valid with --kind heart-ct; found --kind ${kind}`);
      const { createProgress } = await import('../progress.ts');
      const { writePhantomCohort } = await import('../phantom-cohort.ts');
      const { stopSignal } = await import('../stop-signal.ts');
      const wanted = { kind, subjects, seed, pose, ...spacing, ...disease };
      const stop = stopSignal('stopping after this subject (press again to stop at once)');
      const report = await writePhantomCohort(out, wanted, createProgress(), stop);
      const kept = report.kept > 0 ? `, ${report.kept} existed already` : '';
      return {
        json: { out, kind, seed, spacingMm: spacing.spacingMm ?? null, pose, ...disease, subjects, ...report },
        text: [
          `${out}: ${report.numTraining} ${kind} phantoms (${report.written} written${kept})`,
          `next: gvsl prepare ${out} COHORT --modality ${kind.endsWith('ct') ? 'ct' : 'mr'}`,
        ].join('\n'),
      };
    },
  );
}
