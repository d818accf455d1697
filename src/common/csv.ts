/** Writing CSV (RFC 4180); cohort/node/table.ts reads it. */

/** A line that reads back as these fields; null and undefined are empty. Without the line's end. */
export const csvLine = (fields: readonly (string | number | null | undefined)[]): string =>
  fields
    .map((field) => String(field ?? ''))
    .map((text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text))
    .join(',');
