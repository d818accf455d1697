/** What image files hold, and what `gvsl prepare` would say about them: the work of `gvsl inspect`. */
import { stat } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import { looksLikeLabelMap, misfits, unusualValues, withoutAir } from '../cohort/fitness.ts';
import { imageWarnings } from '../cohort/image-warnings.ts';
import { assignClasses, countClasses, describeClasses, findClassTable } from '../cohort/node/classes.ts';
import { findSubjects } from '../cohort/node/find-subjects.ts';
import { type Patterns, patternsOf, type Selection } from '../cohort/node/selection.ts';
import { isRefused } from '../cohort/reasons.ts';
import { RunError, UsageError } from '../common/errors.ts';
import { orientationCode } from '../geometry/orientation.ts';
import { RunningStatistics, type Statistics } from '../geometry/statistics.ts';
import type { ImageSource } from '../images/find-images.ts';
import { type LoadedImage, planeOf } from '../images/loaded-image.ts';
import { findImages } from '../images/node/find.ts';
import { readImage } from '../images/node/read.ts';
import { failureOf } from '../platform/node/batch.ts';
import { count } from './batch-text.ts';
import type { CommandResult } from './run-command.ts';
import { formatTable } from './table.ts';

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
      /** What is unusual, and why `prepare` would leave it out. */
      readonly warnings: readonly string[];
    }
);

/** A file that was recognised as something else. */
interface PassedOver {
  readonly path: string;
  readonly reason: string;
}

/** What the images are to be, and which are looked at. */
interface Question {
  readonly modality: 'ct' | 'mr' | null;
  readonly selection: Selection;
  readonly patterns: Patterns;
}

/** What is unusual about an image. Of which modality it is to be, the call says, or else its own header. */
function warningsOf(image: LoadedImage, statistics: Statistics, labels: readonly number[] | null, asked: Question): string[] {
  const found = imageWarnings(image, statistics);
  const stated = image.modality?.toLowerCase();
  const modality = asked.modality ?? (stated === 'ct' || stated === 'mr' ? stated : null);
  if (modality === null || statistics.min === statistics.max) {
    const unusual = labels ? null : unusualValues(image, statistics);
    return unusual ? [...found, unusual] : found;
  }
  const { allow } = asked.selection;
  const doubts = misfits(image, statistics, modality).filter(
    // a label map is shown as one; that it is no image is only of interest if images are asked for
    ({ reason }) => asked.modality !== null || labels === null || reason === 'other-modalities',
  );
  const said = doubts.map(({ reason, message }) =>
    asked.modality === null || allow.includes(reason)
      ? message
      : `gvsl prepare would ${isRefused(reason) ? 'refuse it' : 'skip it'}: ${message}; include it with --allow ${reason}`,
  );
  const bare = modality === 'ct' && doubts.length === 0 && labels === null ? withoutAir(statistics) : null;
  return [...found, ...said, ...(bare ? [bare] : [])];
}

async function inspectOne(source: ImageSource, asked: Question): Promise<Row> {
  const name = { path: source.path, ...(source.kind === 'dicom' && source.name ? { series: source.name } : {}) };
  try {
    const { channel } = asked.selection;
    const running = new RunningStatistics();
    const image = await readImage(source, {
      ...(channel === null ? { firstVolume: true } : { channel: Number(channel) }),
      onPlane: (volume, z) => running.add(planeOf(volume, z)),
    });
    const { geometry, data } = image.volume;
    const statistics = running.of(data);
    const labels = looksLikeLabelMap(image, statistics);
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
      warnings: warningsOf(image, statistics, labels, asked),
    };
  } catch (error) {
    return { ...name, refused: failureOf(error, source.path).reason };
  }
}

/** The images of a path: a folder is searched, a file taken as it is. A refusal is a row too. */
async function inspectPath(path: string, asked: Question): Promise<{ rows: Row[]; passedOver: readonly PassedOver[] }> {
  const facts = await stat(path).catch(() => undefined);
  if (!facts?.isDirectory()) return { rows: [await inspectOne({ kind: 'file', path }, asked)], passedOver: [] };
  const found = await findImages(path);
  const isWanted = (file: string, all = false): boolean => {
    const name = relative(path, file).split(sep).join('/');
    return !asked.patterns.isExcluded(name) && (all || asked.patterns.isMatched(name));
  };
  const images = found.images.filter((image) => isWanted(image.path));
  const refused = found.refused.filter((file) => isWanted(file.path, true));
  const passedOver = found.passedOver.filter((file) => isWanted(file.path, true));
  if (images.length + refused.length === 0) return { rows: [{ path, refused: 'no images in this folder' }], passedOver };
  const rows: Row[] = refused.map(({ path: file, reason }) => ({ path: file, refused: reason }));
  for (const image of images) rows.push(await inspectOne(image, asked));
  return { rows, passedOver };
}

const short = (value: number): string => String(+value.toPrecision(5));
const times = (values: readonly number[]): string => values.map((v) => +v.toPrecision(4)).join('x');

function asText(rows: readonly Row[], passedOver: readonly PassedOver[]): string {
  const nameOf = (row: Row): string => (row.series ? `${row.path} (${row.series})` : row.path);
  const cells = rows.map((row) => {
    const name = nameOf(row);
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
    const lines = 'refused' in row ? [`refused: ${row.refused}`] : row.warnings;
    return lines.length ? [nameOf(row), ...lines.map((line) => `  ${line}`)] : [];
  });
  const others = passedOver.map(({ path, reason }) => `  ${path}: ${reason}`);
  const refused = rows.filter((row) => 'refused' in row).length;
  const warnings = rows.reduce((sum, row) => sum + ('refused' in row ? 0 : row.warnings.length), 0);
  const kinds = new Map<string, number>();
  for (const { reason } of passedOver) {
    const kind = reason.replace(/ \(.*/, '');
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const summary = [
    `${count(rows.length - refused, 'image')} read`,
    ...(passedOver.length > 0
      ? [`${passedOver.length} skipped (${[...kinds].map(([kind, n]) => `${n} ${kind}`).join(', ')})`]
      : []),
    ...(refused > 0 ? [`${refused} refused`] : []),
    count(warnings, 'warning'),
  ].join(', ');
  return [
    table,
    '',
    ...(remarks.length ? ['Warnings and refusals:', ...remarks, ''] : []),
    ...(others.length ? ['Skipped, not images:', ...others, ''] : []),
    summary,
  ].join('\n');
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
    if (!(error instanceof UsageError || error instanceof RunError)) throw error;
    return { refused: error.message };
  }
}

/** Looks at every path: files as they are, folders searched. */
export async function inspectImages(paths: readonly string[], question: Omit<Question, 'patterns'>): Promise<CommandResult> {
  const asked: Question = { ...question, patterns: patternsOf(question.selection) };
  const passedOver: PassedOver[] = [];
  const rows: Row[] = [];
  const tables: FolderClasses[] = [];
  for (const path of paths) {
    const found = await inspectPath(path, asked);
    rows.push(...found.rows);
    passedOver.push(...found.passedOver);
    const table = await inspectClasses(path);
    if (table) tables.push(table);
  }
  return {
    json: { images: rows, passedOver, classes: tables },
    text: [
      asText(rows, passedOver),
      ...tables.map((facts) =>
        'refused' in facts
          ? facts.refused
          : `${facts.table}: ${describeClasses({ classes: facts.classes, without: facts.withoutClass }) || 'no subject has a class'}`,
      ),
    ].join('\n'),
    exitCode: rows.some((row) => 'refused' in row) ? 1 : 0,
  };
}
