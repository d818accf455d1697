import { describe, expect, it } from 'vitest';
import { parseJson, quoteJson } from './json.ts';

describe('parseJson', () => {
  it('reads what JSON.parse reads', () => {
    const text = '{"a": [1, -2.5e3, "x\\"{[,:", null, true], "b" : {"a": {}}, "c": []}';
    expect(parseJson(text)).toEqual(JSON.parse(text));
    for (const scalar of ['1', '"a"', 'null', '[]', ' {} ']) expect(parseJson(scalar)).toEqual(JSON.parse(scalar));
  });

  it.each<[string, string]>([
    ['nested more than 64 deep', '['.repeat(1_000_000)],
    ['nested more than 64 deep', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`],
    ['more than 1000000 values', `[${'0,'.repeat(1_000_000)}0]`],
    ['more than 1000000 values', `[${'{},'.repeat(500_000)}0]`],
    ['the name "a" occurs more than once', '{"a":1,"b":{"a":1},"\\u0061":2}'],
    ['the name "a" occurs more than once', '{"b":[{"a":1 ,"a" : 1}]}'],
    ['"__proto__"', '{"a":{"__proto__":{"b":1}}}'],
    ['JSON', '{"a":'],
    ['JSON', ''],
    ['JSON', '{"a":"b'],
    ['JSON', '{"a":NaN}'],
    ['JSON', '\ufeff{}'],
  ])('refuses: %s', (reason, text) => {
    expect(() => parseJson(text)).toThrow(reason);
  });

  it('quotes values in short', () => {
    expect(quoteJson(undefined)).toBe('undefined');
    expect(quoteJson({ a: 1 })).toBe('{"a":1}');
    expect(quoteJson('x'.repeat(1000))).toHaveLength(83);
  });
});
