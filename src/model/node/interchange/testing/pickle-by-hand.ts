/** Pickles and files of torch.save made by hand, in any protocol from 2 on: what Python would write, or would not. */
import { type Entry, zipByHand } from './zip-by-hand.ts';

/** A Python value. Arrays are tuples. */
export type Py =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Py[]
  | { readonly list: readonly Py[] }
  | { readonly dict: readonly (readonly [Py, Py])[] }
  /** A class or function: 'module.name'. */
  | { readonly global: string }
  /** What calling one makes, its state and its items. */
  | { readonly call: Py; readonly args: readonly Py[]; readonly state?: Py; readonly items?: readonly (readonly [Py, Py])[] }
  | { readonly persistent: Py };

const bytes = (...values: readonly number[]): Buffer => Buffer.from(values);
const int32 = (value: number): Buffer => Buffer.from(Int32Array.of(value).buffer);

function encode(value: Py, protocol: number): Buffer[] {
  const each = (values: readonly Py[]): Buffer[] => values.flatMap((one) => encode(one, protocol));
  if (value === null) return [bytes(0x4e)];
  if (typeof value === 'boolean') return [bytes(value ? 0x88 : 0x89)];
  if (typeof value === 'bigint') {
    let hex = value.toString(16);
    hex = hex.padStart(hex.length + (hex.length % 2) + 2, '0');
    const digits = Buffer.from(hex, 'hex').reverse();
    return [bytes(0x8a, digits.length), digits];
  }
  if (typeof value === 'number') {
    if (Number.isInteger(value)) return value >= 0 && value < 256 ? [bytes(0x4b, value)] : [bytes(0x4a), int32(value)];
    const double = Buffer.alloc(8);
    double.writeDoubleBE(value);
    return [bytes(0x47), double];
  }
  if (typeof value === 'string') {
    const text = Buffer.from(value);
    if (protocol >= 4) return [bytes(0x8c, text.length), text, bytes(0x94)];
    return [bytes(0x58), int32(text.length), text];
  }
  if (value instanceof Uint8Array) return [bytes(0x42), int32(value.length), Buffer.from(value)];
  if (Array.isArray(value)) return [bytes(0x28), ...each(value), bytes(0x74)];
  if ('list' in value) return [bytes(0x5d, 0x28), ...each(value.list), bytes(0x65)];
  if ('dict' in value) return [bytes(0x7d, 0x28), ...each(value.dict.flat()), bytes(0x75)];
  if ('global' in value) {
    const at = value.global.lastIndexOf('.');
    const [module, name] = [value.global.slice(0, at), value.global.slice(at + 1)];
    if (protocol >= 4) return [...each([module, name]), bytes(0x93, 0x94)];
    return [Buffer.from(`c${module}\n${name}\n`)];
  }
  if ('persistent' in value) return [...encode(value.persistent, protocol), bytes(0x51)];
  if ('call' in value)
    return [
      ...encode(value.call, protocol),
      ...encode(value.args, protocol),
      bytes(0x52),
      ...(value.items ? [bytes(0x28), ...each(value.items.flat()), bytes(0x75)] : []),
      ...(value.state === undefined ? [] : [...encode(value.state, protocol), bytes(0x62)]),
    ];
  throw new Error('no such value');
}

/** The pickle of a value. */
export function pickleByHand(value: Py, protocol = 2): Buffer {
  const body = Buffer.concat([...encode(value, protocol), bytes(0x2e)]);
  if (protocol < 4) return Buffer.concat([bytes(0x80, protocol), body]);
  const frame = Buffer.alloc(9, 0x95);
  frame.writeBigUInt64LE(BigInt(body.length), 1);
  return Buffer.concat([bytes(0x80, protocol), frame, body]);
}

export const global = (name: string): Py => ({ global: name });
export const dict = (...pairs: readonly (readonly [Py, Py])[]): Py => ({ dict: pairs });
export const call = (
  name: string,
  args: readonly Py[],
  more: { state?: Py; items?: readonly (readonly [Py, Py])[] } = {},
): Py => ({
  call: global(name),
  args,
  ...more,
});

/** A storage: its elements' bytes as they are to stand in the file. */
export interface MadeStorage {
  readonly key: string;
  readonly type: string;
  readonly count: number;
  readonly data: Uint8Array;
}

export const floats = (key: string, values: ArrayLike<number>, type = 'FloatStorage'): MadeStorage => {
  const data = Float32Array.from(values);
  return { key, type, count: data.length, data: new Uint8Array(data.buffer) };
};

export const storageOf = ({ key, type, count }: MadeStorage, ...part: readonly Py[]): Py => ({
  persistent: ['storage', global(`torch.${type}`), key, 'cpu', count, ...part],
});

/** torch._utils._rebuild_tensor_v2 of part of a storage; dense from its start unless it is said otherwise. */
export function tensorOf(
  storage: MadeStorage,
  shape: readonly number[] = [storage.count],
  { offset = 0, strides, part = [] }: { offset?: number; strides?: readonly number[]; part?: readonly Py[] } = {},
): Py {
  const dense = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  return call('torch._utils._rebuild_tensor_v2', [
    storageOf(storage, ...part),
    offset,
    [...shape],
    [...(strides ?? dense)],
    false,
    call('collections.OrderedDict', []),
  ]);
}

/** As torch.save writes it since 1.6. */
export function torchZip(
  value: Py,
  storages: readonly MadeStorage[],
  { protocol = 2, entries = [] }: { protocol?: number; entries?: readonly Entry[] } = {},
): Buffer {
  return zipByHand([
    { name: 'archive/data.pkl', data: pickleByHand(value, protocol) },
    ...entries,
    ...storages.map(({ key, data }) => ({ name: `archive/data/${key}`, data })),
    { name: 'archive/version', data: Buffer.from('3\n') },
  ]);
}

/** As torch.save wrote it before 1.6, and does with _use_new_zipfile_serialization=False. */
export function torchStream(value: Py, storages: readonly MadeStorage[], protocol = 2): Buffer {
  const sizes = dict(['short', 2], ['int', 4], ['long', 4]);
  return Buffer.concat([
    pickleByHand(0x1950a86a20f9469cfc6cn, protocol),
    pickleByHand(1001, protocol),
    pickleByHand(dict(['protocol_version', 1001], ['little_endian', true], ['type_sizes', sizes]), protocol),
    pickleByHand(value, protocol),
    pickleByHand({ list: storages.map(({ key }) => key) }, protocol),
    ...storages.flatMap(({ count, data }) => [Buffer.from(BigInt64Array.of(BigInt(count)).buffer), Buffer.from(data)]),
  ]);
}
