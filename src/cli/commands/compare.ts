/** `gvsl compare`: a declared study of methods of pre-training, run to its table and figures. */
import { type Command, Option } from 'commander';
import { rangeText } from '../../common/range-text.ts';
import { BACKENDS, type BackendName } from '../../engine/backend.ts';
import type { Study } from '../../study/configuration.ts';
import { action, type CommandResult } from '../run-command.ts';
import { stopSignal } from '../stop-signal.ts';
import { formatTable } from '../table.ts';

const HELP = `
A study's file (YAML or JSON):
  cohort: prepared
  methods: [scratch, mae, rotation, without-affine, gvsl, gvsl-pose]   # of gvsl methods, variants (below), and scratch
  modes: [linear, finetune]          # and probe: the encoder's levels, without the decoder
  labels: [4, 8, 16, all]
  seeds: [1, 2, 3]
  pretraining:
    configuration: { steps: 2000, model: { width: 0.25 }, data: { patch: 48 } }   # as for gvsl pretrain
    methods: { mae: { mask: { share: 0.6 } } }     # keys of one method
    variants: { gvsl-pose: { of: gvsl, loss: { affinePose: 0.3 } } }   # each a row of its own, named in methods
    budget: passes                                 # or steps, time: as much for each method as for GVSL in these steps
    search: { learningRate: [1e-4, 3e-4, 1e-3] }   # for every method; validation subjects choose; left out: no search
  transfer:
    configuration:                                 # as for gvsl train; the width is that of pre-training
      { steps: 1000, learningRate: 1e-3, model: { width: 0.25 }, data: { patch: 48, validation: 10, test: 30 } }
    linear: { learningRate: 1e-2 }

Methods marked † pre-train the encoder alone; linear evaluation brings the probe of the encoder with them.

Start the command as often as there are machines for it, with the same study and folder: the processes share the trainings, and one takes over
what another, killed or gone, has left. --part is for job arrays; then --table writes the results.

A row is added to a published table by --reuse: of that study's folder only study.json and scores.csv are needed.

Writes table.md, table.csv, scores.csv (the scores of each test subject), study.json and the figures labels.svg, learning.svg, ranks.svg,
features.svg, correlation.svg. Run the same command again to continue an interrupted study. A folder with the results of another study is
refused, with the differences.

Example:
  gvsl compare study.yaml --out studies/hippocampus
  gvsl compare study.yaml --out studies/hippocampus --part 3/8   # 8 jobs, then: --table
  gvsl compare study.yaml --out studies/longer --reuse studies/hippocampus   # with methods, labels or seeds added
  gvsl compare studies/hippocampus studies/heart --out ranks   # ranks over finished studies
  gvsl compare studies/hippocampus --check   # compute the tables again from scores.csv; exit code 1 if they differ`;

/** The study with all its trainings on a backend. */
function onBackend(study: Study, backend: BackendName | undefined): Study {
  if (backend === undefined) return study;
  const { pretraining, transfer } = study;
  return {
    ...study,
    pretraining: { ...pretraining, configuration: { ...pretraining.configuration, backend } },
    transfer: { ...transfer, configuration: { ...transfer.configuration, backend } },
  };
}

/** Methods ranked over finished studies. */
async function rankFolders(folders: readonly string[], out: string): Promise<CommandResult> {
  const { join } = await import('node:path');
  const { RANK_FILES, rankStudies } = await import('../../study/across.ts');
  const { guardInputs, refuseReplacing } = await import('../../platform/node/guard.ts');
  const rankings = await guardInputs(
    folders.map((path) => ({ path, what: 'a study' })),
    async () => {
      await refuseReplacing(...RANK_FILES.map((name) => join(out, name)));
      return rankStudies(folders, out);
    },
  );
  const text = rankings.flatMap(({ mode, over, methods, ranks, criticalDifference }) => [
    `${mode}, ${over}; critical difference ${criticalDifference.toFixed(2)}`,
    formatTable(
      ['pre-training', 'mean rank'],
      methods.map(({ title }, i) => [title, ranks[i].toFixed(2)]).sort((a, b) => Number(a[1]) - Number(b[1])),
      [1],
    ),
    '',
  ]);
  return { json: { out, rankings, files: RANK_FILES }, text: [...text, `${out}: ${RANK_FILES.join(', ')}`].join('\n') };
}

/** The tables of finished studies against their scores. */
async function checkFolders(folders: readonly string[]): Promise<CommandResult> {
  const { checkStudy } = await import('../../study/check.ts');
  const studies = [];
  for (const folder of folders) studies.push({ folder, ...(await checkStudy(folder)) });
  const text = studies.flatMap(({ folder, trainings, scores, files, differences }) => [
    `${folder}: ${trainings} trainings, ${scores} scores of subjects; ${files.join(', ')} ${differences.length === 0 ? 'follow from them' : `differ from what they give in ${differences.length} places`}`,
    ...differences.map((difference) => `  ${difference}`),
  ]);
  const passed = studies.every(({ differences }) => differences.length === 0);
  return { json: { passed, studies }, text: text.join('\n'), exitCode: passed ? 0 : 1 };
}

/** Adds `gvsl compare`. */
export function registerCompare(program: Command): void {
  const command = program
    .command('compare')
    .description('run a study: compare pre-training methods over transfer modes, numbers of labels and seeds, with paired tests')
    .argument(
      '<study...>',
      'study file in YAML or JSON; or folders of finished studies, whose methods are ranked over all of them, or which --check checks',
    )
    .option('--out <folder>', 'output folder of the study, or of the ranks')
    .addOption(
      new Option('--backend <name>', 'compute backend of every training (default: as in the study file, else cpu)').choices(
        BACKENDS,
      ),
    )
    .option('--part <i/n>', 'only do the trainings of part I of N (from 1), for job arrays; writes no table')
    .option('--table', 'train nothing: write the table and figures of a study whose trainings are done')
    .option(
      '--reuse <folder>',
      'take over the trainings of a published study of the same declaration and cohorts by their scores, and do the others',
    )
    .option(
      '--check',
      'train nothing: compute the tables of finished studies again from the scores of their subjects, and compare',
    )
    .option(
      '--mlflow <url>',
      'also log to an MLflow server: a run for the study, whose children are its trainings (docs/interchange.md); the only use of the network',
    )
    .addHelpText('after', HELP);
  interface Options {
    readonly out?: string;
    readonly check?: boolean;
    readonly backend?: BackendName;
    readonly part?: string;
    readonly table?: boolean;
    readonly reuse?: string;
    readonly mlflow?: string;
  }
  action(command, async (studies: string[], { out, check, backend, part: partOption, table, reuse, mlflow }: Options) => {
    const { stat } = await import('node:fs/promises');
    const kinds = await Promise.all(studies.map((path) => stat(path).catch(() => undefined)));
    const { UsageError } = await import('../../common/errors.ts');
    const ranks = kinds.every((kind) => kind?.isDirectory());
    if (check) {
      if ([out, backend, partOption, table, reuse, mlflow].some((option) => option !== undefined))
        throw new UsageError('`check` writes and trains nothing: expected folders of finished studies and no other option');
      return checkFolders(studies);
    }
    if (out === undefined) throw new UsageError('`out`: expected the output folder of the study, or of the ranks');
    if (ranks && mlflow !== undefined)
      throw new UsageError('`mlflow`: ranks over finished studies are not logged; give a study file');
    if (ranks && reuse !== undefined)
      throw new UsageError('`reuse`: ranks over finished studies train nothing; give a study file');
    if (ranks) return rankFolders(studies, out);
    if (studies.length > 1)
      throw new UsageError(
        `expected one study file, or folders of finished studies; found ${studies.length} arguments, of which ${studies.find((_, i) => !kinds[i]?.isDirectory())} is no folder`,
      );
    const { parsePart, partText } = await import('../../platform/node/parts.ts');
    const part = partOption === undefined ? undefined : parsePart(partOption);
    if (part && table) throw new UsageError('`part` and `table`: expected one of them; write the table once all parts are done');
    const [file] = studies;
    const { readStudy } = await import('../../study/run.ts');
    const { compare, STUDY_FILES } = await import('../../study/compare.ts');
    const { join } = await import('node:path');
    const { createProgress } = await import('../progress.ts');
    const study = onBackend(await readStudy(file), backend);
    const { guardInputs, modelInputs, refuseReplacing } = await import('../../platform/node/guard.ts');
    const models = await Promise.all(Object.values(study.pretraining.models).map((path) => modelInputs(path)));
    const inputs = [
      { path: file, what: "the study's declaration" },
      { path: study.cohort, what: 'the cohort' },
      ...(study.pretraining.cohort === null ? [] : [{ path: study.pretraining.cohort, what: 'the cohort' }]),
      ...(reuse === undefined ? [] : [{ path: reuse, what: 'the published study' }]),
      ...models.flat(),
    ];
    const report = await guardInputs(inputs, async () => {
      await refuseReplacing(...STUDY_FILES.map((name) => join(out, name)));
      return compare({
        study,
        out,
        progress: createProgress(),
        signal: stopSignal(),
        ...(part && { part }),
        ...(table && { table }),
        ...(reuse !== undefined && { reuse }),
        ...(mlflow !== undefined && { mlflow }),
      });
    });
    if (part)
      return {
        json: { ...report, out },
        text: `${out}: part ${partText(part)}: ${report.runs} trainings are done; when all parts are, write the table with --table`,
      };
    const { methodsOf } = await import('../../study/methods.ts');
    const { patientsNote } = await import('../../study/tables.ts');
    const scans = patientsNote(study, report.rows);
    const encoders = new Set(methodsOf(study).flatMap(({ name, encoderOnly }) => (encoderOnly ? [name] : [])));
    const rows = report.rows.map((row) => [
      `${row.title}${study.task === 'segmentation' && encoders.has(row.method) && row.mode !== 'probe' ? ' †' : ''}`,
      row.mode,
      String(row.labels),
      `${row.mean.toFixed(4)}${row.deviation === null ? '' : ` ± ${row.deviation.toFixed(4)}`}`,
      row.difference === null ? '' : `${row.difference.mean.toFixed(4)}${rangeText(row.difference, (end) => end.toFixed(4))}`,
      row.p === null ? '' : row.p.toPrecision(2),
      row.pHolm === null ? '' : row.pHolm.toPrecision(2),
    ]);
    return {
      json: { ...report, out },
      text: [
        formatTable(
          ['pre-training', 'mode', 'labels', 'score', `against ${study.baseline}`, 'p', 'p (Holm)'],
          rows,
          [3, 4, 5, 6],
        ),
        ...(scans ? [scans] : []),
        '',
        ...(report.pretraining.length > 0
          ? [
              formatTable(
                ['pre-training', 'steps', 'images seen', 'passes', 'learning rate'],
                report.pretraining.map(({ title, steps, images, passes, learningRate }) => [
                  title,
                  ...[steps, images, passes, learningRate].map((value) => String(value ?? '-')),
                ]),
                [1, 2, 3, 4],
              ),
              '',
            ]
          : []),
        `${out}: ${report.runs} trainings; ${report.files.join(', ') || 'another process writes the table and figures'}`,
      ].join('\n'),
    };
  });
}
