/** `gvsl suggest`: which subjects of a cohort to label next. */
import { type Command, Option } from 'commander';
import { STRATEGIES, type Strategy } from '../../apply/suggestion/strategies.ts';
import { BACKENDS, type BackendName } from '../../engine/backend.ts';
import { OVERWRITE, readWindow } from '../apply-options.ts';
import { wholeNumber } from '../numbers.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options {
  readonly model: string;
  readonly n: string;
  readonly out: string;
  readonly strategy: Strategy;
  readonly labelled?: string;
  readonly window?: string;
  readonly overwrite?: boolean;
  readonly backend: BackendName;
  readonly threads?: string;
}

/** Ids, one a line. */
async function readIds(file: string): Promise<string[]> {
  if (file === 'none') return [];
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(file, 'utf8');
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

async function run(cohort: string, options: Options): Promise<CommandResult> {
  const { suggestSubjects } = await import('../../apply/node/suggest.ts');
  const { createBackend } = await import('../../platform/node/backends.ts');
  const { createProgress } = await import('../progress.ts');
  const { formatTable } = await import('../table.ts');
  const { model, n, out, strategy, labelled, window, overwrite = false, backend, threads } = options;
  const report = await suggestSubjects({
    cohort,
    model,
    n: wholeNumber('--n', n),
    out,
    strategy,
    ...(labelled === undefined ? {} : { labelled: await readIds(labelled) }),
    ...(window === undefined ? {} : { window: readWindow(window) }),
    overwrite,
    backend: await createBackend(backend, threads === undefined ? undefined : wholeNumber('--threads', threads)),
    progress: createProgress(),
  });
  const { before, after } = report.meanDistance;
  return {
    json: { ...report, out },
    text: [
      formatTable(
        ['rank', 'subject', 'distance', 'stands for', 'source'],
        report.suggested.map(({ rank, id, source, distance, standsFor }) => [
          String(rank),
          id,
          distance?.toFixed(3) ?? '-',
          String(standsFor),
          source,
        ]),
        [0, 2, 3],
      ),
      '',
      `${report.subjects} subjects, ${report.labelled} labelled; mean distance to the nearest labelled or suggested one: ${before === null ? '' : `${before.toFixed(3)} before, `}${after.toFixed(3)} with these`,
      `${out}: ${report.files.join(', ')}`,
    ].join('\n'),
  };
}

/** Adds `gvsl suggest`. */
export function registerSuggest(program: Command): void {
  const command = program
    .command('suggest')
    .description(
      'suggest which subjects of a prepared cohort to label next: typical and diverse ones, by the features of a model',
    )
    .argument('<cohort>', 'cohort made by `gvsl prepare`, labelled in part or not at all')
    .requiredOption('--model <model>', 'model folder, or a run (its best checkpoint); pre-trained or trained')
    .requiredOption('--out <folder>', 'output folder for suggest.csv, suggest.json and suggest.png')
    .option('--n <n>', 'number of subjects to suggest', '8')
    .addOption(
      new Option(
        '--strategy <name>',
        'coverage: bring all subjects nearest to labelled ones (typical and diverse); k-centre: the farthest from labelled ones (extremes first)',
      )
        .choices(STRATEGIES)
        .default('coverage'),
    )
    .option(
      '--labelled <file>',
      'ids of the subjects that are labelled, one a line, or none (default: those with a label map or a class)',
    )
    .option('--window <size>', 'window size in voxels: one side length, or z,y,x (default: the training patch size)')
    .option('--overwrite', OVERWRITE)
    .addOption(new Option('--backend <name>', 'compute backend').choices(BACKENDS).default('cpu'))
    .option('--threads <n>', 'number of CPU threads (default: all cores, or the CPU quota of the container)')
    .addHelpText('after', '\nExample:\n  gvsl suggest prepared --model runs/first --n 8 --out next');
  action(command, run);
}
