import { parse } from 'csv-parse/sync';
import { expect, it } from 'vitest';
import { csvLine, parseCsv } from './csv.ts';

it('writes lines that read back as they were, and quotes no more than that needs', () => {
  const fields = ['a', 'a,b', 'say "a"', 'two\nlines', 'two\r\nlines', ' a', 'a ', ''];
  expect(parse(csvLine(fields), { trim: true })).toEqual([fields]);
  expect(csvLine(['case 1', 0.5, null, undefined, -2])).toBe('case 1,0.5,,,-2');
});

it('reads what it wrote', () => {
  const rows = [
    ['a', 'a,b', 'say "a"', 'two\nlines', '', ' a'],
    ['1', '', '2.5', '', '', ''],
  ];
  for (const end of ['\n', '\r\n']) expect(parseCsv(rows.map((row) => csvLine(row) + end).join(''))).toEqual(rows);
  expect(parseCsv(rows.map(csvLine).join('\n'))).toEqual(rows);
  expect(parseCsv('\n\n')).toEqual([]);
});
