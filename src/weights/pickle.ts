/**
 * Python's pickle format, as far as a state dict needs it.
 *
 * A pickle is a program for a stack machine that may call any function of any module, so this machine knows no functions: a GLOBAL is
 * looked up in the caller's list, only what is in it can be called, and everything else is refused by name before the next opcode is
 * read. The machine does not recurse, and every opcode makes at most one value besides slices of the input, so that its time and memory
 * grow with the pickle's own length and nothing that is written in it. Lists and tuples become arrays, dicts `Map`s.
 * Opcodes of the protocols 2 to 5 are known; protocols 0 and 1, which torch.save never writes, are not.
 * Reference: Python's Lib/pickletools.py.
 */
import { WorkError } from '../errors/errors.ts';

/** Something that a pickle may name. Without `call` it may only be passed on. */
export interface Global {
  /** 'module.name'. */
  readonly name: string;
  /** What a REDUCE makes of its arguments. @throws Error that says what is wrong with them */
  readonly call?: (...args: readonly unknown[]) => unknown;
  /** Whether BUILD may set attributes on what `call` made; they are dropped. */
  readonly build?: boolean;
}

export interface PickleRules {
  /** All that may be named, by 'module.name'. */
  readonly globals: ReadonlyMap<string, Global>;
  /** What stands for a persistent id. @throws Error that says what is wrong with it */
  readonly persistent: (id: unknown) => unknown;
}

export interface Pickled {
  readonly value: unknown;
  /** Where the pickle ends, counted from the start of `bytes`. */
  readonly end: number;
}

/** Longer integers have no use in a state dict; Python itself would be slow to convert them. */
const MAX_INTEGER_BYTES = 255;

/** A checkpoint of a thousand tensors with its optimiser's state takes a tenth of that. Bounds what a hostile pickle can pile up. */
const MAX_OPCODES = 1_000_000;

/** Names for the opcodes that are refused, so that the message says more than a number. */
const REFUSED: Readonly<Record<number, string>> = {
  49: 'POP_MARK',
  50: 'DUP',
  70: 'FLOAT (protocol 0)',
  73: 'INT (protocol 0)',
  76: 'LONG (protocol 0)',
  80: 'PERSID (protocol 0)',
  83: 'STRING (protocol 0)',
  86: 'UNICODE (protocol 0)',
  103: 'GET (protocol 0)',
  105: 'INST',
  111: 'OBJ',
  112: 'PUT (protocol 0)',
  129: 'NEWOBJ',
  130: 'EXT1',
  131: 'EXT2',
  132: 'EXT4',
  143: 'EMPTY_SET',
  144: 'ADDITEMS',
  145: 'FROZENSET',
  146: 'NEWOBJ_EX',
  150: 'BYTEARRAY8',
  151: 'NEXT_BUFFER',
  152: 'READONLY_BUFFER',
};

const MARK = Symbol('mark');

/**
 * Runs the pickle that starts at `start`.
 * @param source what the errors name: a path
 * @throws WorkError naming source, byte and reason: a GLOBAL or an opcode that is not allowed, a stack that does not fit, an early end
 */
export function readPickle(bytes: Uint8Array, source: string, rules: PickleRules, start = 0): Pickled {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const stack: unknown[] = [];
  const memo = new Map<number, unknown>();
  /** What made a value that BUILD may come to. */
  const buildable = new WeakSet<object>();
  let at = start;
  let opcodeAt = start;

  const refuse: (reason: string) => never = (reason) => {
    throw new WorkError(`${source}: pickle refused at byte ${opcodeAt}: ${reason}`);
  };
  const take = (length: number): number => {
    if (length > bytes.length - at) refuse(`it announces ${length} bytes where ${bytes.length - at} are left; cut short?`);
    at += length;
    return at - length;
  };
  const uint8 = (): number => bytes[take(1)]!;
  const uint32 = (): number => view.getUint32(take(4), true);
  const uint64 = (): number => Number(view.getBigUint64(take(8), true));
  const slice = (length: number): Uint8Array => {
    const from = take(length);
    return bytes.subarray(from, from + length);
  };
  const text = (length: number): string => {
    const part = slice(length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(part);
    } catch {
      return refuse('a string that is not UTF-8');
    }
  };
  const line = (): string => {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) refuse('a line without an end; cut short?');
    const found = text(end - at);
    at = end + 1;
    return found;
  };
  const integer = (length: number): number | bigint => {
    if (length > MAX_INTEGER_BYTES) refuse(`an integer of ${length} bytes`);
    const part = slice(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(part[i]!);
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  };
  const pop = (): unknown => {
    if (stack.length === 0 || stack.at(-1) === MARK) refuse('its stack is empty');
    return stack.pop();
  };
  const popToMark = (): unknown[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) refuse('its stack has no mark');
    const items = stack.splice(mark + 1);
    stack.pop();
    return items;
  };
  const top = (): unknown => {
    if (stack.length === 0 || stack.at(-1) === MARK) refuse('its stack is empty');
    return stack.at(-1);
  };
  const attempt = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (error) {
      return refuse((error as Error).message);
    }
  };
  const global = (name: string): Global =>
    rules.globals.get(name) ??
    refuse(
      `it names ${name}, which no state dict needs, so nothing of the file is used. In a program that trusts it, save model.state_dict() alone`,
    );
  const append = (items: readonly unknown[]): void => {
    const list = top();
    if (!Array.isArray(list)) refuse('APPEND to what is no list');
    for (const item of items) list.push(item);
  };
  const setItems = (items: readonly unknown[]): void => {
    const dict = top();
    if (!(dict instanceof Map) || items.length % 2 !== 0) refuse('SETITEM on what is no dict');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  };
  const remember = (index: number): void => void memo.set(index, top());
  const recall = (index: number): void => {
    if (!memo.has(index)) refuse(`its memo has no ${index}`);
    stack.push(memo.get(index));
  };
  const isGlobal = (value: unknown): value is Global =>
    typeof value === 'object' && value !== null && rules.globals.get((value as Global).name) === value;

  for (let opcodes = 0; ; opcodes++) {
    opcodeAt = at;
    if (opcodes === MAX_OPCODES) refuse(`more than ${MAX_OPCODES} opcodes`);
    const opcode = uint8();
    switch (opcode) {
      case 0x80: {
        const protocol = uint8();
        if (protocol < 2 || protocol > 5) refuse(`protocol ${protocol}; known are 2 to 5`);
        break;
      }
      case 0x95: // FRAME: how much could be read ahead
        take(8);
        break;
      case 0x2e: {
        // STOP
        const value = pop();
        if (stack.length > 0) refuse(`${stack.length} values are left on its stack at the end`);
        return { value, end: at };
      }
      case 0x28:
        stack.push(MARK);
        break;
      case 0x30: // POP
        pop();
        break;
      case 0x4e:
        stack.push(null);
        break;
      case 0x88:
      case 0x89:
        stack.push(opcode === 0x88);
        break;
      case 0x4a: // BININT
        stack.push(view.getInt32(take(4), true));
        break;
      case 0x4b:
        stack.push(uint8());
        break;
      case 0x4d:
        stack.push(view.getUint16(take(2), true));
        break;
      case 0x8a: // LONG1
        stack.push(integer(uint8()));
        break;
      case 0x8b: // LONG4
        stack.push(integer(uint32()));
        break;
      case 0x47: // BINFLOAT, big-endian
        stack.push(view.getFloat64(take(8)));
        break;
      case 0x58: // BINUNICODE
        stack.push(text(uint32()));
        break;
      case 0x8c:
        stack.push(text(uint8()));
        break;
      case 0x8d:
        stack.push(text(uint64()));
        break;
      case 0x54: // BINSTRING, of Python 2
        stack.push(text(uint32()));
        break;
      case 0x55:
        stack.push(text(uint8()));
        break;
      case 0x42: // BINBYTES
        stack.push(slice(uint32()));
        break;
      case 0x43:
        stack.push(slice(uint8()));
        break;
      case 0x8e:
        stack.push(slice(uint64()));
        break;
      case 0x5d: // EMPTY_LIST, EMPTY_TUPLE
      case 0x29:
        stack.push([]);
        break;
      case 0x6c: // LIST, TUPLE
      case 0x74:
        stack.push(popToMark());
        break;
      case 0x85: // TUPLE1, 2, 3
      case 0x86:
      case 0x87: {
        const items = Array.from({ length: opcode - 0x84 }, pop);
        stack.push(items.reverse());
        break;
      }
      case 0x61:
        append([pop()]);
        break;
      case 0x65:
        append(popToMark());
        break;
      case 0x7d:
        stack.push(new Map());
        break;
      case 0x64: {
        const items = popToMark();
        stack.push(new Map());
        setItems(items);
        break;
      }
      case 0x73: {
        const value = pop();
        setItems([pop(), value]);
        break;
      }
      case 0x75:
        setItems(popToMark());
        break;
      case 0x68: // BINGET
        recall(uint8());
        break;
      case 0x6a:
        recall(uint32());
        break;
      case 0x71: // BINPUT
        remember(uint8());
        break;
      case 0x72:
        remember(uint32());
        break;
      case 0x94: // MEMOIZE
        remember(memo.size);
        break;
      case 0x63: {
        const module = line();
        stack.push(global(`${module}.${line()}`));
        break;
      }
      case 0x93: {
        const [name, module] = [pop(), pop()];
        if (typeof name !== 'string' || typeof module !== 'string') return refuse('STACK_GLOBAL of what is no name');
        stack.push(global(`${module}.${name}`));
        break;
      }
      case 0x52: {
        const [args, callee] = [pop(), pop()];
        if (!isGlobal(callee) || !callee.call || !Array.isArray(args))
          return refuse(`it calls ${isGlobal(callee) ? callee.name : 'what is no function'}`);
        const made = attempt(() => callee.call!(...args));
        if (callee.build) buildable.add(made as object);
        stack.push(made);
        break;
      }
      case 0x62: {
        const [state, target] = [pop(), top()];
        if (!(state instanceof Map) || typeof target !== 'object' || target === null || !buildable.has(target))
          refuse('BUILD on what takes no attributes');
        break;
      }
      case 0x51: {
        const id = pop();
        stack.push(attempt(() => rules.persistent(id)));
        break;
      }
      default:
        refuse(`opcode ${REFUSED[opcode] ?? `0x${opcode.toString(16)}`}, which no state dict needs; is it a file of torch.save?`);
    }
  }
}
