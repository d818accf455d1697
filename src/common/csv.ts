/** CSV (RFC 4180), as gvsl writes it; cohort/node/table.ts reads the tables of others. */

/** A line that reads back as these fields; null and undefined are empty. Without the line's end. */
export const csvLine = (fields: readonly (string | number | null | undefined)[]): string =>
  fields
    .map((field) => String(field ?? ''))
    .map((text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text))
    .join(',');

/** The lines that `csvLine` wrote, as fields; empty lines are none. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  // a field with quotes or without, and what ends it
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    row.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === ',') continue;
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
  }
  return rows;
}
