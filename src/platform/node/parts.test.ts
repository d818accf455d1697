import { expect, it } from 'vitest';
import { UsageError } from '../../common/errors.ts';
import { isInPart, parsePart, partName, partNamed, partOf } from './parts.ts';

it('every name is in one part, by its hash alone, and parts are about equal', () => {
  // SHA-256 of 'abc' begins with ba7816bf8f01
  expect(partOf('abc', 1000)).toBe((0xba7816bf8f01 % 1000) + 1);
  const names = Array.from({ length: 7000 }, (_, k) => `subject ${k}`);
  const parts = [1, 2, 3, 4, 5, 6, 7].map((index) => names.filter((name) => isInPart(name, { index, of: 7 })));
  expect(parts.flat()).toHaveLength(7000);
  for (const part of parts) expect(Math.abs(part.length - 1000)).toBeLessThan(120);
  expect(isInPart('any', undefined)).toBe(true);
});

it('is read as people write it, and refused in words', () => {
  expect(parsePart('3/7')).toEqual({ index: 3, of: 7 });
  expect(partNamed(partName(parsePart('3/7')))).toEqual({ index: 3, of: 7 });
  expect(partNamed('notes')).toBeUndefined();
  for (const text of ['', '3', '8/7', '1.5/7', '-1/7', 'a/b']) expect(() => parsePart(text)).toThrow(UsageError);
  expect(() => parsePart('0/7')).toThrow(/begins at 0 adds 1/);
});
