/**
 * Files of torch.save without Python: the zip format of PyTorch 1.6 and newer, and the stream of pickles before it.
 *
 * A zip holds `NAME/data.pkl`, a pickle in which every tensor is _rebuild_tensor_v2(storage, offset, size, strides, ...), and one
 * entry `NAME/data/KEY` a storage: the bytes of one or several tensors. The stream holds five pickles (magic number, protocol, system, the
 * object, the storages' keys), then for each storage its length and its bytes. Storages are read when a tensor is asked for.
 * References: torch/serialization.py, torch/_utils.py.
 */
import { WorkError } from '../errors/errors.ts';
import { decodeTensor, type SafetensorsDtype } from '../formats/safetensors.ts';
import { openRandomAccess, type RandomAccessFile } from '../node/random-access.ts';
import { type Global, type Pickled, type PickleRules, readPickle } from './pickle.ts';
import type { StoredTensor, StoredWeights } from './stored.ts';
import { openZip } from './zip.ts';

/** Storage classes, their element types where they can be read, and bytes an element. */
const STORAGES: Readonly<Record<string, { readonly dtype: SafetensorsDtype | undefined; readonly bytes: number }>> = {
  DoubleStorage: { dtype: 'F64', bytes: 8 },
  FloatStorage: { dtype: 'F32', bytes: 4 },
  HalfStorage: { dtype: 'F16', bytes: 2 },
  BFloat16Storage: { dtype: 'BF16', bytes: 2 },
  LongStorage: { dtype: 'I64', bytes: 8 },
  IntStorage: { dtype: 'I32', bytes: 4 },
  ShortStorage: { dtype: undefined, bytes: 2 },
  CharStorage: { dtype: undefined, bytes: 1 },
  ByteStorage: { dtype: 'U8', bytes: 1 },
  BoolStorage: { dtype: undefined, bytes: 1 },
  ComplexFloatStorage: { dtype: undefined, bytes: 8 },
  ComplexDoubleStorage: { dtype: undefined, bytes: 16 },
};

/** More axes than any tensor of a network has. */
const MAX_AXES = 16;
/** The pickle of a checkpoint with its optimiser is some hundred kB. */
const MAX_PICKLE_BYTES = 16_000_000;
/** What the stream of before 1.6 starts with, as a pickled integer. */
const STREAM_MAGIC = 0x1950a86a20f9469cfc6cn;
const STREAM_START = [0x80, 0x02, 0x8a, 0x0a, 0x6c];
const STREAM_PROTOCOL = 1001;

/** A storage as a pickle names it. A class, so that nothing else can be taken for one. */
class Storage {
  readonly type: string;
  readonly key: string;
  /** Elements. */
  readonly count: number;
  constructor(type: string, key: string, count: number) {
    this.type = type;
    this.key = key;
    this.count = count;
  }
  get sizeBytes(): number {
    return this.count * STORAGES[this.type]!.bytes;
  }
}

/** A tensor as a pickle describes it: part of a storage. */
class Tensor {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  constructor(storage: Storage, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.length <= MAX_AXES && value.every(isCount);
const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1);

/** torch._utils._rebuild_tensor_v2 and its predecessor: what lies where, checked against the storage. */
function rebuildTensor(storage: unknown, offset: unknown, shape: unknown, strides: unknown): Tensor {
  if (!(storage instanceof Storage)) throw new Error('a tensor without a storage');
  if (!isCount(offset) || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length)
    throw new Error('a tensor whose offset, size and strides are no such numbers');
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, offset);
  // A tensor of more elements than its storage is one value seen many times: never a parameter, and a way to ask for all memory.
  if (product(shape) > storage.count || (product(shape) > 0 && last >= storage.count))
    throw new Error(
      `a tensor [${shape.join(', ')}] with strides [${strides.join(', ')}] at ${offset} of a storage of ${storage.count} elements`,
    );
  return new Tensor(storage, offset, shape, strides);
}

function rebuildParameter(tensor: unknown): Tensor {
  if (!(tensor instanceof Tensor)) throw new Error('a parameter without a tensor');
  return tensor;
}

const ALLOWED: readonly Global[] = [
  {
    name: 'collections.OrderedDict',
    build: true,
    call: (...pairs) => {
      const items = pairs[0] ?? [];
      if (pairs.length > 1 || !Array.isArray(items) || !items.every((pair) => Array.isArray(pair) && pair.length === 2))
        throw new Error('an OrderedDict of what are no pairs');
      return new Map(items);
    },
  },
  { name: 'torch._utils._rebuild_tensor', call: rebuildTensor },
  { name: 'torch._utils._rebuild_tensor_v2', call: rebuildTensor },
  { name: 'torch._utils._rebuild_parameter', call: rebuildParameter },
  {
    name: 'torch.Size',
    call: (sizes) => {
      if (!isCounts(sizes)) throw new Error('a torch.Size of what are no sizes');
      return sizes;
    },
  },
  ...Object.keys(STORAGES).map((type) => ({ name: `torch.${type}` })),
];
const GLOBALS: ReadonlyMap<string, Global> = new Map(ALLOWED.map((global) => [global.name, global]));

/** Rules of one file; every storage that the pickle names comes into `storages`. */
function rulesFor(storages: Map<string, Storage>): PickleRules {
  return {
    globals: GLOBALS,
    // ('storage', class, key, device, elements), and in the stream whether it is part of another: None
    persistent: (id) => {
      const [kind, type, key, , count, part] = Array.isArray(id) ? (id as unknown[]) : [];
      const name = (type as Global | null | undefined)?.name;
      const className = typeof name === 'string' ? name.slice('torch.'.length) : '';
      if (kind !== 'storage' || !Object.hasOwn(STORAGES, className) || typeof key !== 'string' || !isCount(count))
        throw new Error('a persistent id that names no storage');
      if (part !== undefined && part !== null)
        throw new Error('a storage that is part of another, as PyTorch before 0.4 saved them');
      const known = storages.get(key);
      if (known && (known.type !== className || known.count !== count))
        throw new Error(`the storage ${key} in two types or lengths`);
      const storage = known ?? new Storage(className, key, count);
      storages.set(key, storage);
      return storage;
    },
  };
}

/** Where the usual wrappings keep the state dict; checked in this order. */
const WRAPPINGS = ['state_dict', 'model_state_dict', 'model', 'network', 'net', 'params', 'weights'];
/** {'model': {'state_dict': ...}} is as deep as it gets. */
const MAX_WRAPPINGS = 3;

/** The tensors by name of a state dict, or of one wrapped in a checkpoint. */
function findStateDict(value: unknown, path: string): Map<string, Tensor> {
  let dict = value;
  for (let depth = 0; depth <= MAX_WRAPPINGS && dict instanceof Map; depth++) {
    const tensors = [...dict].filter(
      (pair): pair is [string, Tensor] => typeof pair[0] === 'string' && pair[1] instanceof Tensor,
    );
    if (tensors.length > 0) return new Map(tensors);
    const wrapped: Map<unknown, unknown> = dict;
    dict = WRAPPINGS.map((key) => wrapped.get(key)).find((inner) => inner instanceof Map);
  }
  const keys = value instanceof Map ? [...value.keys()].filter((key) => typeof key === 'string').slice(0, 8) : [];
  const found =
    value instanceof Map
      ? `a dict with ${keys.join(', ') || 'no names'}`
      : value instanceof Tensor
        ? 'one tensor'
        : 'something else';
  throw new WorkError(
    `${path}: expected a state dict, alone or under one of ${WRAPPINGS.join(', ')}; found ${found}. Save model.state_dict() with torch.save`,
  );
}

/** Values of a tensor, dense, from all of its storage's bytes. */
function valuesOf(
  { storage, offset, shape, strides }: Tensor,
  bytes: Uint8Array,
  refuse: (reason: string) => never,
): Float32Array {
  const { dtype, bytes: elementBytes } = STORAGES[storage.type]!;
  if (!dtype) return refuse(`holds ${storage.type}, which has no 32-bit float values`);
  const count = product(shape);
  const dense = shape.every((size, axis) => size === 1 || strides[axis] === product(shape.slice(axis + 1)));
  if (dense) return decodeTensor(dtype, bytes.subarray(offset * elementBytes, (offset + count) * elementBytes));
  const all = decodeTensor(dtype, bytes);
  const out = new Float32Array(count);
  const index = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < count; i++) {
    out[i] = all[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** What the storages are in: entries of a zip, or the rest of a stream. */
interface Contents {
  readonly format: string;
  readonly value: unknown;
  readonly readStorage: (storage: Storage) => Promise<Uint8Array>;
}

async function readZip(file: RandomAccessFile): Promise<Contents> {
  const refuse = (reason: string): never => {
    throw new WorkError(`${file.path}: ${reason}`);
  };
  const archive = await openZip(file);
  const pickles = [...archive.entries.keys()].filter((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (pickles.length !== 1)
    return refuse(`a zip file, but not one of torch.save: expected one entry NAME/data.pkl, found ${pickles.length}`);
  const root = pickles[0]!.slice(0, -'data.pkl'.length);
  if (archive.entries.has(`${root}constants.pkl`))
    refuse('a TorchScript program; expected a state dict. Save torch.jit.load(FILE).state_dict() with torch.save');
  const order = archive.entries.get(`${root}byteorder`);
  if (order && order.sizeBytes < 16 && new TextDecoder().decode(await archive.read(order)) === 'big')
    refuse('saved on a big-endian machine; save it again on another');
  const entry = archive.entries.get(pickles[0]!)!;
  if (entry.sizeBytes > MAX_PICKLE_BYTES)
    refuse(`${entry.name} has ${entry.sizeBytes} bytes; a state dict takes less than ${MAX_PICKLE_BYTES}`);
  const storages = new Map<string, Storage>();
  const { value } = readPickle(await archive.read(entry), `${file.path}: ${entry.name}`, rulesFor(storages));
  const entryOf = (storage: Storage) => {
    const found = archive.entries.get(`${root}data/${storage.key}`);
    if (!found) return refuse(`the storage ${root}data/${storage.key} is missing`);
    if (found.sizeBytes !== storage.sizeBytes)
      refuse(
        `the storage ${found.name} has ${found.sizeBytes} bytes; expected ${storage.sizeBytes} (${storage.count} elements of ${storage.type})`,
      );
    return found;
  };
  for (const storage of storages.values()) entryOf(storage);
  return { format: 'PyTorch (zip)', value, readStorage: (storage) => archive.read(entryOf(storage)) };
}

async function readStream(file: RandomAccessFile): Promise<Contents> {
  const bytes = await file.read(0, Math.min(file.sizeBytes, MAX_PICKLE_BYTES));
  const storages = new Map<string, Storage>();
  const rules = rulesFor(storages);
  let at = 0;
  const next = (): unknown => {
    const { value, end }: Pickled = readPickle(bytes, file.path, rules, at);
    at = end;
    return value;
  };
  const refuse = (reason: string): never => {
    throw new WorkError(`${file.path}: ${reason}`);
  };
  if (next() !== STREAM_MAGIC || next() !== STREAM_PROTOCOL) refuse('not a file of torch.save');
  const system = next();
  if (system instanceof Map && system.get('little_endian') === false)
    refuse('saved on a big-endian machine; save it again on another');
  const value = next();
  const keys = next();
  if (!Array.isArray(keys) || keys.length !== storages.size) return refuse('damaged: its list of storages does not fit');
  const places = new Map<Storage, number>();
  for (const key of keys) {
    const storage = storages.get(key as string);
    if (!storage || places.has(storage)) return refuse('damaged: its list of storages does not fit');
    if (at + 8 + storage.sizeBytes > file.sizeBytes) refuse(`cut short: the storage ${key} ends after the file`);
    const length = await file.read(at, 8);
    if (new DataView(length.buffer).getBigInt64(0, true) !== BigInt(storage.count))
      refuse(`damaged: the storage ${key} has another length than its tensors say`);
    places.set(storage, at + 8);
    at += 8 + storage.sizeBytes;
  }
  return { format: 'PyTorch (before 1.6)', value, readStorage: (storage) => file.read(places.get(storage)!, storage.sizeBytes) };
}

/**
 * Opens a file of torch.save that holds a state dict, alone or in a checkpoint.
 * @throws WorkError naming file and reason: no such file, another or a damaged one, and whatever in its pickle a state dict does not need
 */
export async function openPyTorch(path: string): Promise<StoredWeights> {
  const file = await openRandomAccess(path, 'a file of torch.save');
  try {
    const start = await file.read(0, Math.min(file.sizeBytes, 4096));
    const isZip = start[0] === 0x50 && start[1] === 0x4b;
    const isStream = STREAM_START.every((byte, i) => start[i] === byte);
    if (!isZip && !isStream) {
      const isTar = new TextDecoder().decode(start.subarray(257, 262)) === 'ustar';
      throw new WorkError(
        isTar
          ? `${path}: a tar file, as PyTorch before 0.1.10 saved them; load it in PyTorch and save its state dict again`
          : `${path}: not a file of torch.save (neither a zip nor the format of before 1.6); expected .pth or .safetensors`,
      );
    }
    const { format, value, readStorage } = isZip ? await readZip(file) : await readStream(file);
    const read = new Map<Storage, Promise<Uint8Array>>();
    const tensors = new Map<string, StoredTensor>();
    for (const [name, tensor] of findStateDict(value, path)) {
      const { storage, shape } = tensor;
      tensors.set(name, {
        shape,
        dtype: STORAGES[storage.type]!.dtype ?? storage.type,
        read: async () => {
          if (!read.has(storage)) read.set(storage, readStorage(storage));
          return valuesOf(tensor, await read.get(storage)!, (reason) => {
            throw new WorkError(`${path}: ${name} ${reason}`);
          });
        },
      });
    }
    return { format, tensors, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}
