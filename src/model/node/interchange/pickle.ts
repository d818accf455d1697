/**
 * Python's pickle format, as far as checkpoints need it.
 *
 * A pickle is a program for a stack machine that may call any function of any module. This machine runs none of them: what the caller's
 * list knows is called, and everything else that a pickle names or makes is `Opaque`, a name with what was put into it. So a
 * configuration, a NumPy scalar or a learning-rate schedule beside the weights is read over, and cannot do anything. The machine does not
 * recurse, and every opcode makes at most one value besides slices of the input, so that its time and memory grow with the pickle's own
 * length and nothing that is written in it. Lists, tuples and sets become arrays, dicts `Map`s.
 * All opcodes of the protocols 0 to 5 are known but NEXT_BUFFER, whose data lie outside the file.
 * Reference: Python's Lib/pickletools.py.
 */
import { RunError } from '../../../common/errors.ts';

/** Something that a pickle may name and is known. Without `call` it may only be passed on. */
export interface Global {
  /** 'module.name'. */
  readonly name: string;
  /** What calling it makes. @throws Error that says what is wrong with the arguments; RunError to refuse the whole pickle */
  readonly call?: (args: readonly unknown[]) => unknown;
}

/** What a pickle named or made that is not known here. Nothing of it was run. */
export class Opaque {
  /** 'argparse.Namespace'. */
  readonly name: string;
  /** Why something known could not be made of the arguments. */
  readonly reason: string | undefined;
  /** Its attributes, or whatever its class keeps as state. */
  state: unknown;
  /** What was put into it, if it is a kind of dict. */
  items: Map<unknown, unknown> | undefined;
  constructor(name: string, reason?: string) {
    this.name = name;
    this.reason = reason;
  }
}

export interface PickleRules {
  /** All that is known, by 'module.name'. */
  readonly globals: ReadonlyMap<string, Global>;
  /** What stands for a persistent id. @throws Error that says what is wrong with it */
  readonly persistent: (id: unknown) => unknown;
}

export interface Pickled {
  readonly value: unknown;
  /** Where the pickle ends, counted from the start of `bytes`. */
  readonly end: number;
  /** What is not known, by name: how many objects were made of it (0: it was only named). */
  readonly opaque: ReadonlyMap<string, number>;
}

/** Longer integers have no use in a checkpoint and would be slow to convert: they are opaque. */
const MAX_INTEGER_BYTES = 255;

/** A checkpoint of a thousand tensors with its optimiser's state takes a fortieth of that. Bounds what a hostile pickle can pile up. */
const MAX_OPCODES = 4_000_000;
/** Dicts, lists, tuples and objects, which take more memory each than anything else. */
const MAX_CONTAINERS = 1_000_000;

const MARK = Symbol('mark');

const textOfAscii = (line: string): string =>
  line.replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/g, (_, wide: string, narrow: string, other: string) =>
    other === undefined ? String.fromCharCode(Number.parseInt(wide ?? narrow, 16)) : other,
  );

/**
 * Runs the pickle that starts at `start`.
 * @param source what the errors name: a path
 * @throws RunError naming source, byte and reason: a stack that does not fit, an early end, more than a checkpoint can need
 */
export function readPickle(bytes: Uint8Array, source: string, rules: PickleRules, start = 0): Pickled {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const stack: unknown[] = [];
  const memo = new Map<number, unknown>();
  /** Classes and functions that are not known, by name; and how many objects were made of each. */
  const named = new Map<string, Opaque>();
  const opaque = new Map<string, number>();
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const latin1 = new TextDecoder('latin1');
  let at = start;
  let opcodeAt = start;
  let containers = 0;

  const refuse: (reason: string) => never = (reason) => {
    throw new RunError(`${source}: pickle refused at byte ${opcodeAt}: ${reason}`);
  };
  const contain = <Container>(container: Container): Container => {
    if (++containers > MAX_CONTAINERS) refuse(`more than ${MAX_CONTAINERS} dicts, lists and objects, which no checkpoint needs`);
    return container;
  };
  const take = (length: number): number => {
    if (length > bytes.length - at) refuse(`it states ${length} bytes where ${bytes.length - at} are left; truncated?`);
    at += length;
    return at - length;
  };
  const uint8 = (): number => bytes[take(1)];
  const uint32 = (): number => view.getUint32(take(4), true);
  const uint64 = (): number => Number(view.getBigUint64(take(8), true));
  const slice = (length: number): Uint8Array => {
    const from = take(length);
    return bytes.subarray(from, from + length);
  };
  const text = (length: number): string => {
    const part = slice(length);
    try {
      return utf8.decode(part);
    } catch {
      // lone surrogates, or bytes of Python 2: no tensor is called so, and everything else is read over
      return latin1.decode(part);
    }
  };
  const line = (): string => {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) refuse('a line without an end; truncated?');
    const found = text(end - at);
    at = end + 1;
    return found;
  };
  const safe = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
  const integer = (length: number): unknown => {
    const part = slice(length);
    if (length > MAX_INTEGER_BYTES) return make('int');
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(part[i]);
    return safe(BigInt.asIntN(8 * length, value));
  };
  /** INT and LONG of protocol 0: decimal digits, 'L' behind them or not; '00' and '01' are truth values. */
  const integerLine = (): unknown => {
    const digits = line().trim();
    if (digits === '00' || digits === '01') return digits === '01';
    if (!/^[+-]?\d+L?$/.test(digits)) refuse('an integer without digits');
    return digits.length > 2 * MAX_INTEGER_BYTES ? make('int') : safe(BigInt(digits.replace(/L$/, '')));
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
  function make(name: string, reason?: string): Opaque {
    opaque.set(name, (opaque.get(name) ?? 0) + 1);
    return contain(new Opaque(name, reason));
  }
  /** A result, or what is left of it if something is wrong: then whoever needs it says why, and the rest is of use. */
  const attempt = (name: string, work: () => unknown): unknown => {
    try {
      return work();
    } catch (error) {
      if (error instanceof RunError) return refuse(error.message);
      return make(name, (error as Error).message);
    }
  };
  const global = (module: string, name: string): Global | Opaque => {
    const full = `${module}.${name}`;
    const known = rules.globals.get(full) ?? named.get(full);
    if (known) return known;
    const found = contain(new Opaque(full));
    named.set(full, found);
    if (!opaque.has(full)) opaque.set(full, 0);
    return found;
  };
  const isGlobal = (value: unknown): value is Global =>
    typeof value === 'object' && value !== null && rules.globals.get((value as Global).name) === value;
  const call = (callee: unknown, args: unknown): unknown => {
    if (!Array.isArray(args)) return refuse('a call whose arguments are not a tuple');
    if (callee instanceof Opaque) return make(callee.name);
    if (!isGlobal(callee)) return refuse('a call of a non-function');
    if (!callee.call) return make(callee.name);
    return contain(attempt(callee.name, () => callee.call!(args)));
  };
  const append = (items: readonly unknown[]): void => {
    const list = top();
    if (list instanceof Opaque) return;
    if (Array.isArray(list)) for (const item of items) list.push(item);
    else refuse('APPEND to a non-list');
  };
  const setItems = (items: readonly unknown[]): void => {
    const target = top();
    if (target instanceof Opaque) target.items ??= new Map();
    const dict = target instanceof Opaque ? target.items : target;
    if (!(dict instanceof Map) || items.length % 2 !== 0) refuse('SETITEM on a non-dict');
    else for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  };
  const remember = (index: number): void => void memo.set(index, top());
  const recall = (index: number): void => {
    if (!memo.has(index)) refuse(`its memo has no ${index}`);
    stack.push(memo.get(index));
  };
  const place = (): number => {
    const digits = line();
    return /^\d{1,15}$/.test(digits) ? Number(digits) : refuse('a memo index that is not a number');
  };

  for (let opcodes = 0; ; opcodes++) {
    opcodeAt = at;
    if (opcodes === MAX_OPCODES) refuse(`more than ${MAX_OPCODES} opcodes, which no checkpoint needs`);
    const opcode = uint8();
    switch (opcode) {
      case 0x80: {
        const protocol = uint8();
        if (protocol > 5) refuse(`protocol ${protocol}; supported: 0 to 5`);
        break;
      }
      case 0x95: // FRAME: how much could be read ahead
        take(8);
        break;
      case 0x2e: {
        // STOP
        const value = pop();
        if (stack.length > 0) refuse(`${stack.length} values are left on its stack at the end`);
        return { value, end: at, opaque };
      }
      case 0x28:
        stack.push(MARK);
        break;
      case 0x30: // POP, of a mark too
        if (stack.length === 0) refuse('its stack is empty');
        stack.pop();
        break;
      case 0x31: // POP_MARK
        popToMark();
        break;
      case 0x32: // DUP
        stack.push(top());
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
      case 0x49: // INT, LONG
      case 0x4c:
        stack.push(integerLine());
        break;
      case 0x8a: // LONG1
        stack.push(integer(uint8()));
        break;
      case 0x8b: // LONG4
        stack.push(integer(uint32()));
        break;
      case 0x46: // FLOAT
        stack.push(Number(line()));
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
      case 0x53: {
        // STRING: with its quotes
        const quoted = line().trim();
        if (!/^(['"]).*\1$/s.test(quoted) || quoted.length < 2) refuse('a string without quotes');
        stack.push(textOfAscii(quoted.slice(1, -1)));
        break;
      }
      case 0x56: // UNICODE
        stack.push(textOfAscii(line()));
        break;
      case 0x42: // BINBYTES
        stack.push(slice(uint32()));
        break;
      case 0x43:
        stack.push(slice(uint8()));
        break;
      case 0x8e: // BINBYTES8, BYTEARRAY8
      case 0x96:
        stack.push(slice(uint64()));
        break;
      case 0x5d: // EMPTY_LIST, EMPTY_TUPLE, EMPTY_SET
      case 0x29:
      case 0x8f:
        stack.push(contain([]));
        break;
      case 0x6c: // LIST, TUPLE, FROZENSET
      case 0x74:
      case 0x91:
        stack.push(contain(popToMark()));
        break;
      case 0x85: // TUPLE1, 2, 3
      case 0x86:
      case 0x87: {
        const items = Array.from({ length: opcode - 0x84 }, pop);
        stack.push(contain(items.reverse()));
        break;
      }
      case 0x61:
        append([pop()]);
        break;
      case 0x65: // APPENDS, ADDITEMS
      case 0x90:
        append(popToMark());
        break;
      case 0x7d:
        stack.push(contain(new Map()));
        break;
      case 0x64: {
        const items = popToMark();
        stack.push(contain(new Map()));
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
      case 0x67: // GET
        recall(place());
        break;
      case 0x68:
        recall(uint8());
        break;
      case 0x6a:
        recall(uint32());
        break;
      case 0x70: // PUT
        remember(place());
        break;
      case 0x71:
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
        stack.push(global(module, line()));
        break;
      }
      case 0x93: {
        const [name, module] = [pop(), pop()];
        if (typeof name !== 'string' || typeof module !== 'string') return refuse('STACK_GLOBAL of a non-name');
        stack.push(global(module, name));
        break;
      }
      case 0x82: // EXT1, 2, 4: a number that only the program that wrote it knows
        stack.push(global('extension', String(uint8())));
        break;
      case 0x83:
        stack.push(global('extension', String(view.getUint16(take(2), true))));
        break;
      case 0x84:
        stack.push(global('extension', String(uint32())));
        break;
      case 0x52: // REDUCE, NEWOBJ
      case 0x81: {
        const [args, callee] = [pop(), pop()];
        stack.push(call(callee, args));
        break;
      }
      case 0x92: {
        // NEWOBJ_EX: with named arguments
        const [, args, callee] = [pop(), pop(), pop()];
        stack.push(call(callee, args));
        break;
      }
      case 0x6f: {
        // OBJ
        const [callee, ...args] = popToMark();
        stack.push(call(callee, args));
        break;
      }
      case 0x69: {
        // INST
        const module = line();
        const callee = global(module, line());
        stack.push(call(callee, popToMark()));
        break;
      }
      case 0x62: {
        // BUILD: attributes of what is known are of no use
        const [state, target] = [pop(), top()];
        if (typeof target !== 'object' || target === null || Array.isArray(target))
          refuse('BUILD on an object without attributes');
        if (target instanceof Opaque && named.get(target.name) !== target) target.state = state;
        break;
      }
      case 0x51: // BINPERSID, PERSID
      case 0x50: {
        const id = opcode === 0x51 ? pop() : line();
        stack.push(contain(attempt('a persistent id', () => rules.persistent(id))));
        break;
      }
      default:
        refuse(`opcode 0x${opcode.toString(16)}, which no checkpoint has; was it saved by torch.save?`);
    }
  }
}
