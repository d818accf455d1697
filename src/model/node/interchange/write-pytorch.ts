/**
 * A file that torch.load opens: an OrderedDict of float32 tensors on the CPU, each with a storage of its own, in the zip format of
 * PyTorch 1.6 and newer. The pickle names nothing but what `weights_only=True` allows.
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

function stateDictPickle(tensors: readonly NamedTensor[]): Uint8Array {
  const rebuilt = ({ shape, data }: NamedTensor, key: number): Uint8Array[] => {
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
  };
  return Buffer.concat([
    Uint8Array.of(0x80, 2),
    ...emptyOrderedDict,
    encode('('),
    ...tensors.flatMap((tensor, key) => [...unicode(tensor.name), ...rebuilt(tensor, key)]),
    encode('u.'),
  ]);
}

/** The file, as pieces to be written one after the other; the tensors' data are not copied. Equal tensors give equal bytes. */
export function encodePyTorch(tensors: readonly NamedTensor[]): Uint8Array[] {
  return zipStored([
    { name: `${ROOT}/data.pkl`, data: stateDictPickle(tensors) },
    { name: `${ROOT}/byteorder`, data: encode('little') },
    ...tensors.map(({ data }, key) => ({
      name: `${ROOT}/data/${key}`,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })),
    { name: `${ROOT}/version`, data: encode(LAYOUT_VERSION) },
  ]);
}
