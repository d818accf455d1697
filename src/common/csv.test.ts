import { parse } from 'csv-parse/sync';
import { expect, it } from 'vitest';
import { csvLine } from './csv.ts';

it('writes lines that read back as they were, and quotes no more than that needs', () => {
  const fields = ['a', 'a,b', 'say "a"', 'two\nlines', 'two\r\nlines', ' a', 'a ', ''];
  expect(parse(csvLine(fields), { trim: true })).toEqual([fields]);
  expect(csvLine(['case 1', 0.5, null, undefined, -2])).toBe('case 1,0.5,,,-2');
});
