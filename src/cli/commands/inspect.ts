/** `gvsl inspect`: what image files hold and what is odd about them. */
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { assignClasses, countClasses, describeClasses, findClassTable } from '../../cohort/classes.ts';
import { findSubjects } from '../../cohort/find-subjects.ts';
import { UsageError, WorkError } from '../../errors/errors.ts';
import { orientationCode } from '../../geometry/orientation.ts';
import { labelCodes, statisticsOf } from '../../geometry/statistics.ts';
import { findImages, type ImageSource } from '../../images/node/find.ts';
import { readImage } from '../../images/node/read.ts';
import { odditiesOf } from '../../preparation/oddities.ts';
import { action, type CommandResult } from '../run-command.ts';
import { formatTable } from '../table.ts';

/** One image as `--json` shows it. */
type Row = { readonly path: string; readonly series?: string } & (
  | { readonly refused: string }
  | {
      readonly format: string;
      readonly storedType: string;
      readonly modality?: string;
      readonly volumes: number;
      readonly size: readonly number[];
      readonly spacingMm: readonly number[];
      readonly originMm: readonly number[];
      readonly direction: readonly number[];
      readonly orientation: string;
      readonly min: number;
      readonly max: number;
      readonly percentile1: number;
      readonly percentile99: number;
      readonly labels: readonly number[] | null;
      readonly odd: readonly string[];
    }
);

async function inspectOne(source: ImageSource): Promise<Row> {
  const name = { path: source.path, ...(source.kind === 'dicom' && source.name ? { series: source.name } : {}) };
  try {
    const image = await readImage(source, { firstVolume: true });
    const { geometry, data } = image.volume;
    const statistics = statisticsOf(data);
    const labels = labelCodes(data, geometry.size);
    return {
      ...name,
      format: image.format,
      storedType: image.storedType,
      ...(image.modality ? { modality: image.modality } : {}),
      volumes: image.volumesInFile,
      size: geometry.size,
      spacingMm: geometry.spacingMm,
      originMm: geometry.originMm,
      direction: geometry.direction,
      orientation: orientationCode(geometry.direction),
      min: statistics.min,
      max: statistics.max,
      percentile1: statistics.percentile(0.01),
      percentile99: statistics.percentile(0.99),
      labels,
      odd: odditiesOf(image, statistics),
    };
  } catch (error) {
    if (!(error instanceof WorkError)) throw error;
    return { ...name, refused: error.message.replace(`${source.path}: `, '') };
  }
}

/** The images of a path: a folder is searched, a file taken as it is. A refusal is a row too. */
async function inspectPath(path: string): Promise<Row[]> {
  const facts = await stat(path).catch(() => undefined);
  if (!facts?.isDirectory()) return [await inspectOne({ kind: 'file', path })];
  const { images, refused } = await findImages(path);
  if (images.length + refused.length === 0) return [{ path, refused: 'no images in this folder' }];
  const rows: Row[] = refused.map(({ path: file, reason }) => ({ path: file, refused: reason }));
  for (const image of images) rows.push(await inspectOne(image));
  return rows;
}

const short = (value: number): string => String(+value.toPrecision(5));
const times = (values: readonly number[]): string => values.map((v) => +v.toPrecision(4)).join('x');

function asText(rows: readonly Row[]): string {
  const cells = rows.map((row) => {
    const name = row.series ? `${row.path} (${row.series})` : row.path;
    if ('refused' in row) return [name, 'REFUSED', '', '', '', '', ''];
    const labels =
      row.labels && row.labels.length > 1
        ? `labels ${row.labels.slice(0, 9).join(' ')}${row.labels.length > 9 ? ` ... (${row.labels.length})` : ''}`
        : '';
    const range =
      labels || `${short(row.min)} .. ${short(row.max)} (1-99 %: ${short(row.percentile1)} .. ${short(row.percentile99)})`;
    return [name, row.format, times(row.size), times(row.spacingMm), row.orientation, row.storedType, range];
  });
  const table = formatTable(['image', 'format', 'size', 'spacing mm', 'axes', 'stored as', 'values'], cells);
  const remarks = rows.flatMap((row) => {
    const lines = 'refused' in row ? [`refused: ${row.refused}`] : row.odd;
    return lines.length ? [row.path, ...lines.map((line) => `  ${line}`)] : [];
  });
  const refused = rows.filter((row) => 'refused' in row).length;
  const summary = `${rows.length - refused} read${refused ? `, ${refused} refused` : ''}`;
  return [table, '', ...(remarks.length ? ['Odd or refused:', ...remarks, ''] : []), summary].join('\n');
}

/** What the table of classes in an inspected folder says about its images. */
type FolderClasses =
  | { readonly table: string; readonly classes: Readonly<Record<string, number>>; readonly withoutClass: number }
  | { readonly refused: string };

/** null for a file, and for a folder without a table. Counts subjects as `prepare` finds them. */
async function inspectClasses(folder: string): Promise<FolderClasses | null> {
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) return null;
  try {
    const table = await findClassTable(folder);
    if (!table) return null;
    const subjects = (await findSubjects(folder)).tasks.map(({ id, image }) => ({ id, source: image.path }));
    const known = assignClasses(table, subjects, folder).classes;
    const { classes, without } = countClasses(subjects.map(({ id }) => known.get(id) ?? null));
    return { table: table.path, classes, withoutClass: without };
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof WorkError)) throw error;
    return { refused: error.message };
  }
}

async function run(paths: readonly string[]): Promise<CommandResult> {
  if (paths.length === 0) throw new UsageError('name at least one image file or folder');
  const rows: Row[] = [];
  const tables: FolderClasses[] = [];
  for (const path of paths) {
    rows.push(...(await inspectPath(path)));
    const table = await inspectClasses(path);
    if (table) tables.push(table);
  }
  return {
    json: { images: rows, classes: tables },
    text: [
      asText(rows),
      ...tables.map((facts) =>
        'refused' in facts
          ? facts.refused
          : `${facts.table}: ${describeClasses({ classes: facts.classes, without: facts.withoutClass }) || 'no subject has a class'}`,
      ),
    ].join('\n'),
    exitCode: rows.some((row) => 'refused' in row) ? 1 : 0,
  };
}

export function registerInspect(program: Command): void {
  const command = program
    .command('inspect')
    .description('show what image files hold: size, spacing, orientation, values, and what is odd about them')
    .argument('<paths...>', 'image files, DICOM folders, or folders that are searched for both')
    .addHelpText(
      'after',
      '\nExit code 1 if any image is refused; the others are still shown.\n\nExample:\n  gvsl inspect scans/ patient.nii.gz',
    );
  action(command, run);
}
