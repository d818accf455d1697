/** Tables of cases in CSV: a header, quoted fields, a byte-order mark, any line ending; separated by commas, semicolons or tabs. */
import { readFile } from 'node:fs/promises';
import { UsageError } from '../../common/errors.ts';
import { imageStem } from '../../images/node/find.ts';
import { namingFile } from '../../platform/node/machine.ts';

/** A row by column name, with the line it stands on. */
export interface TableRow {
  readonly line: number;
  readonly values: Readonly<Record<string, string>>;
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly TableRow[];
}

/** Reads a CSV file. @throws UsageError naming the file and what is wrong with it; RunError if it cannot be read */
export async function readTable(path: string): Promise<Table> {
  const text = await namingFile(path, () => readFile(path, 'utf8'));
  if (text.includes('\0'))
    throw new UsageError(`${path}: not a table in CSV: expected text in UTF-8, found zero bytes; save it as CSV in UTF-8`);
  // spreadsheets separate by semicolons where commas are decimal
  const [heading] = text.split(/[\r\n]/, 1);
  const delimiter = [',', ';', '\t'].find((one) => heading.includes(one)) ?? ',';
  // most of who asks for a case's name reads no table
  const { parse } = await import('csv-parse/sync');
  let records: { record: string[]; info: { lines: number } }[];
  try {
    records = parse(text, {
      bom: true,
      info: true,
      trim: true,
      skip_empty_lines: true,
      relax_column_count: false,
      delimiter,
    }) as never;
  } catch (error) {
    throw new UsageError(`${path}: not a table in CSV: ${(error as Error).message}`);
  }
  const columns = records[0]?.record ?? [];
  if (columns.length < 2)
    throw new UsageError(
      `${path}: expected a header with at least two columns, as in 'case,label'; found '${columns.join(',')}'`,
    );
  const twice = columns.find((name, i) => columns.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`${path}: two columns are named '${twice}'`);
  return {
    columns,
    rows: records.slice(1).map(({ record, info }) => ({
      line: info.lines,
      values: Object.fromEntries(columns.map((name, i) => [name, record[i]])),
    })),
  };
}

/** Columns that may name the case. */
const CASE_COLUMNS = ['case', 'id', 'subject', 'filename', 'image'];

/** The column that names the case. @throws UsageError if there is none */
export function caseColumn({ columns }: Table, path: string): string {
  const found = columns.find((name) => CASE_COLUMNS.includes(name.toLowerCase()));
  if (!found)
    throw new UsageError(`${path}: no column names the case: expected ${CASE_COLUMNS.join(', ')}; found ${columns.join(', ')}`);
  return found;
}

/** The case that a row names. @throws UsageError for a row that names none */
export function caseOf({ line, values }: TableRow, column: string, path: string): string {
  if (values[column] === '') throw new UsageError(`${path}, line ${line}: no case is named in column '${column}'`);
  return values[column];
}

/** A case's name: without folder, image ending and nnU-Net's channel. */
export const caseName = (text: string): string => imageStem(text).replace(/_0000$/, '');

/** A case's name with the folders it is given with: './a/b_0000.nii.gz' gives 'a/b'. */
export function casePath(text: string): string {
  const parts = text.split(/[\\/]/).filter((part) => part !== '' && part !== '.');
  return [...parts.slice(0, -1), caseName(parts.at(-1) ?? '')].join('/');
}

/**
 * The class of each case: a table with a case column and a column of labels ('label' or 'class', or the one that is named).
 * @param nameOf what to call the case that the table names
 * @throws UsageError naming file and line
 */
export async function readClasses(
  path: string,
  column?: string,
  nameOf: (text: string) => string = caseName,
): Promise<ReadonlyMap<string, string>> {
  const table = await readTable(path);
  const cases = caseColumn(table, path);
  const label = column ?? table.columns.find((name) => ['label', 'class'].includes(name.toLowerCase()));
  if (label === undefined || !table.columns.includes(label))
    throw new UsageError(
      `${path}: ${column === undefined ? "no column 'label' or 'class'" : `no column '${column}'`}; available: ${table.columns.join(', ')}${column === undefined ? '; choose one with `classColumn`' : ''}`,
    );
  const classes = new Map<string, string>();
  for (const row of table.rows) {
    const { line, values } = row;
    const value = values[label];
    if (value === '') continue;
    const name = nameOf(caseOf(row, cases, path));
    const before = classes.get(name);
    if (before !== undefined && before !== value)
      throw new UsageError(`${path}, line ${line}: case '${name}' is '${value}', but was '${before}' earlier`);
    classes.set(name, value);
  }
  if (classes.size === 0) throw new UsageError(`${path}: no case has a label`);
  return classes;
}
