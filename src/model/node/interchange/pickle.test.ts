import { describe, expect, it } from 'vitest';
import { RunError } from '../../../common/errors.ts';
import { Opaque, type PickleRules, readPickle } from './pickle.ts';

/** A pickle from pieces: text, single bytes, or bytes. */
const pickle = (...pieces: (string | number | Uint8Array)[]): Uint8Array =>
  Buffer.concat(pieces.map((piece) => (typeof piece === 'number' ? Buffer.of(piece) : Buffer.from(piece as string))));
const uint32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
};
const uint64 = (value: bigint): Buffer => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(value);
  return out;
};
const PROTO = Buffer.of(0x80, 2);

const made = { name: 'allowed.make', call: (args: readonly unknown[]) => ({ args }) };
const mere = { name: 'allowed.Mere' };
const rules: PickleRules = {
  globals: new Map([made, mere].map((global) => [global.name, global])),
  persistent: (id) => {
    if (id !== 'known') throw new Error('an unknown id');
    return { persistent: id };
  },
};
const read = (bytes: Uint8Array): unknown => readPickle(bytes, 'made.pkl', rules).value;

describe('pickle', () => {
  it('reads containers and scalars', () => {
    // {'a': [1, (2.5, None)], True: -1}, by hand
    const bytes = pickle(
      PROTO,
      '}(X',
      uint32(1),
      'a](K',
      1,
      'G',
      Buffer.from([0x40, 0x04, 0, 0, 0, 0, 0, 0]),
      'N',
      0x86,
      'e',
      0x88,
      'J',
      uint32(0xffffffff),
      'u.',
    );
    expect(read(bytes)).toEqual(
      new Map<unknown, unknown>([
        ['a', [1, [2.5, null]]],
        [true, -1],
      ]),
    );
  });

  it('reads long integers, memo, frames and bytes of later protocols', () => {
    expect(read(pickle(PROTO, 0x8a, 1, 0xff, '.'))).toBe(-1);
    expect(read(pickle(PROTO, 0x8a, 0, '.'))).toBe(0);
    expect(read(pickle(PROTO, 0x8a, 9, uint64(0n), 1, '.'))).toBe(2n ** 64n);
    expect(read(pickle(0x80, 4, 0x95, uint64(9n), 0x8c, 2, 'ab', 0x94, 'h', 0, 0x86, '.'))).toEqual(['ab', 'ab']);
    expect(read(pickle(PROTO, 'C', 2, 'xy', '.'))).toEqual(Buffer.from('xy'));
  });

  it('calls what is known', () => {
    expect(read(pickle(PROTO, 'callowed\nmake\nK', 1, 0x85, 'R}b.'))).toEqual({ args: [1] });
    expect(read(pickle(PROTO, 'callowed\nmake\nK', 1, 0x85, 0x81, '.'))).toEqual({ args: [1] });
    expect(read(pickle(PROTO, 'X', uint32(5), 'knownQ.'))).toEqual({ persistent: 'known' });
    expect(read(pickle(PROTO, 'callowed\nMere\n.'))).toBe(mere);
  });

  it.each<[string, string, number, Uint8Array]>([
    ['os.system', '', 1, pickle(PROTO, 'cos\nsystem\nX', uint32(2), 'id', 0x85, 'R.')],
    ['posix.system', '', 1, pickle(0x80, 4, 0x8c, 5, 'posix', 0x8c, 6, 'system', 0x93, 'X', uint32(2), 'id', 0x85, 'R.')],
    ['os.system', '', 1, pickle(PROTO, '(ios\nsystem\n.')],
    ['builtins.eval', '', 0, pickle(PROTO, 'cbuiltins\neval\n', '.')],
    ['.toString', '', 0, pickle(0x80, 4, 0x8c, 0, 0x8c, 8, 'toString', 0x93, '.')],
    ['allowed.make.x', '', 0, pickle(PROTO, 'callowed\nmake.x\n.')],
    ['allowed.Mere', '', 1, pickle(PROTO, 'callowed\nMere\n)R.')],
    ['a persistent id', 'an unknown id', 1, pickle(PROTO, 'NQ.')],
  ])('what is not known is a name, and nothing of it runs: %s', (name, reason, count, bytes) => {
    const { value, opaque } = readPickle(bytes, 'made.pkl', rules);
    expect(value).toBeInstanceOf(Opaque);
    expect(value).toMatchObject({ name, reason: reason || undefined });
    if (name !== 'allowed.Mere') expect(opaque.get(name)).toBe(count);
  });

  it('keeps what was put into an unknown object, apart from its class', () => {
    const value = read(pickle(PROTO, 'ca\nB\nK', 1, 'b)R(K', 1, 'K', 2, 'uK', 7, 'b.'));
    expect(value).toMatchObject({ name: 'a.B', items: new Map([[1, 2]]), state: 7 });
  });

  const nested = (depth: number): Uint8Array => pickle(PROTO, ']'.repeat(depth), 'a'.repeat(depth - 1), '.');
  it('does not recurse', () => {
    expect(read(nested(200_000))).toBeInstanceOf(Array);
  });

  it.each<[string, Uint8Array]>([
    ['STACK_GLOBAL of a non-name', pickle(0x80, 4, 'K', 1, 'K', 2, 0x93, '.')],
    ['a call of a non-function', pickle(PROTO, ')', ')', 'R.')],
    ['a call of a non-function', pickle(PROTO, '}X', uint32(4), 'nameX', uint32(12), 'allowed.makes)R.')],
    ['BUILD on an object without attributes', pickle(PROTO, ']}b.')],
    ['arguments are not a tuple', pickle(PROTO, 'callowed\nmake\nNR.')],
    ['states 4294967295 bytes', pickle(PROTO, 0x8b, uint32(0xffffffff), 1, '.')],
    ['opcode 0x97', pickle(PROTO, 0x97, '.')],
    ['an integer without digits', pickle('I1x\n.')],
    ['a string without quotes', pickle("S'a\n.")],
    ['a memo index that is not a number', pickle('Npx\n.')],
    ['opcode 0xff', pickle(PROTO, 0xff)],
    ['protocol 77', pickle(0x80, 77, 'N.')],
    ['states 4294967295 bytes', pickle(PROTO, 'X', uint32(0xffffffff), 'a.')],
    ['it states', pickle(0x80, 4, 0x8d, uint64(2n ** 63n), 'a.')],
    ['states 4294967295 bytes', pickle(PROTO, 'B', uint32(0xffffffff), 'a.')],
    ['states 10 bytes', pickle(PROTO, 0x8b, uint32(10), 1, '.')],
    ['a line without an end', pickle(PROTO, 'cos')],
    ['its stack is empty', pickle(PROTO, '.')],
    ['its stack is empty', pickle(PROTO, '(.')],
    ['its stack is empty', pickle(PROTO, 0x87, '.')],
    ['has no mark', pickle(PROTO, 't.')],
    ['memo has no 3', pickle(PROTO, 'h', 3, '.')],
    ['APPEND to a non-list', pickle(PROTO, 'NNa.')],
    ['SETITEM on a non-dict', pickle(PROTO, 'NNNs.')],
    ['SETITEM on a non-dict', pickle(PROTO, '}(Nu.')],
    ['left on its stack', pickle(PROTO, 'NN.')],
    ['more than 1000000 dicts', pickle(PROTO, ']'.repeat(1_000_001), '.')],
    ['more than 4000000 opcodes', pickle(PROTO, 'N0'.repeat(2_000_001), '.')],
  ])('refuses: %s', (reason, bytes) => {
    expect(() => read(bytes)).toThrow(RunError);
    expect(() => read(bytes)).toThrow(reason);
    expect(() => read(bytes)).toThrow(/^made\.pkl: pickle refused at byte \d+/);
  });

  it('refuses every shorter part of a pickle', () => {
    const whole = pickle(PROTO, 'callowed\nmake\n(X', uint32(3), 'abcK', 7, ']tRq', 1, '}b.');
    expect(read(whole)).toEqual({ args: ['abc', 7, []] });
    for (let length = 0; length < whole.length; length++)
      expect(() => read(whole.subarray(0, length)), `${length} bytes`).toThrow(RunError);
  });
});
