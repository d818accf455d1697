/**
 * A file that torch.load opens, in the zip format of PyTorch 1.6 and newer: a state dict (an OrderedDict of float32 tensors on the CPU, each
 * with a storage of its own), alone or among plain values. The pickle names nothing but what `weights_only=True` allows.
 */
import type { NamedTensor } from '../../safetensors.ts';
import { zipStored } from './zip.ts';

/** The folder in the archive; PyTorch takes any. */
const ROOT = 'archive';
/** The version of the archive's layout since PyTorch 1.6. */
const LAYOUT_VERSION = '3\n';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const integer32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};

// The opcodes, protocol 2, as pieces of bytes.
const global = (module: string, name: string): Uint8Array => encode(`c${module}\n${name}\n`);
const unicode = (text: string): Uint8Array[] => [encode('X'), integer32(encode(text).length), encode(text)];
const integer = (value: number): Uint8Array[] => [encode('J'), integer32(value)];
const tuple = (...items: Uint8Array[][]): Uint8Array[] => [encode('('), ...items.flat(), encode('t')];
const emptyOrderedDict: readonly Uint8Array[] = [global('collections', 'OrderedDict'), encode(')R')];

/**
 * What a file of torch.save may hold here: plain values, lists, and dicts in the order of their keys; a list of named tensors is a state
 * dict (an OrderedDict).
 */
export type TorchValue =
  | null
  | boolean
  | number
  | string
  | readonly TorchValue[]
  | { readonly [key: string]: TorchValue }
  | StateDict;

/** Tensors by name, in order. */
export class StateDict {
  readonly tensors: readonly NamedTensor[];
  constructor(tensors: readonly NamedTensor[]) {
    this.tensors = tensors;
  }
}

const isInt32 = (value: number): boolean => Number.isInteger(value) && Math.abs(value) < 2 ** 31;

function double(value: number): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[0] = 0x47; // BINFLOAT, the only number that is big-endian
  new DataView(bytes.buffer).setFloat64(1, value);
  return bytes;
}

/** Pickles values; tensors are gathered in `stored`, each under its place there. */
function pickleOf(value: TorchValue, stored: NamedTensor[]): Uint8Array[] {
  const each = (values: readonly TorchValue[]): Uint8Array[] => values.flatMap((one) => pickleOf(one, stored));
  if (value === null) return [encode('N')];
  if (typeof value === 'boolean') return [Uint8Array.of(value ? 0x88 : 0x89)];
  if (typeof value === 'number') return isInt32(value) ? integer(value) : [double(value)];
  if (typeof value === 'string') return unicode(value);
  if (value instanceof StateDict) {
    const entries = value.tensors.flatMap((tensor) => [
      ...unicode(tensor.name),
      ...rebuiltTensor(tensor, stored.push(tensor) - 1),
    ]);
    return [...emptyOrderedDict, encode('('), ...entries, encode('u')];
  }
  if (isList(value)) return [encode(']('), ...each(value), encode('e')];
  const entries = Object.entries(value).flatMap(([key, one]) => [...unicode(key), ...pickleOf(one, stored)]);
  return [encode('}('), ...entries, encode('u')];
}
const isList = (value: TorchValue): value is readonly TorchValue[] => Array.isArray(value);

function rebuiltTensor({ shape, data }: NamedTensor, key: number): Uint8Array[] {
  const storage = [
    ...tuple(unicode('storage'), [global('torch', 'FloatStorage')], unicode(String(key)), unicode('cpu'), integer(data.length)),
    encode('Q'),
  ];
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  return [
    global('torch._utils', '_rebuild_tensor_v2'),
    // storage, offset, size, strides, requires_grad, backward hooks
    ...tuple(
      storage,
      integer(0),
      tuple(...shape.map(integer)),
      tuple(...strides.map(integer)),
      [Uint8Array.of(0x89)],
      [...emptyOrderedDict],
    ),
    encode('R'),
  ];
}

/** The file, as pieces to be written one after the other; the tensors' data are not copied. Equal values give equal bytes. */
export function encodeTorch(value: TorchValue): Uint8Array[] {
  const stored: NamedTensor[] = [];
  const pickle = Buffer.concat([Uint8Array.of(0x80, 2), ...pickleOf(value, stored), encode('.')]);
  return zipStored([
    { name: `${ROOT}/data.pkl`, data: pickle },
    { name: `${ROOT}/byteorder`, data: encode('little') },
    ...stored.map(({ data }, key) => ({
      name: `${ROOT}/data/${key}`,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })),
    { name: `${ROOT}/version`, data: encode(LAYOUT_VERSION) },
  ]);
}

/** The file of a state dict alone. */
export const encodePyTorch = (tensors: readonly NamedTensor[]): Uint8Array[] => encodeTorch(new StateDict(tensors));
