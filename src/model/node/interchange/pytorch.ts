/**
 * Files of torch.save without Python: the zip format of PyTorch 1.6 and newer, and the stream of pickles before it.
 *
 * A zip holds `NAME/data.pkl`, a pickle in which every tensor is _rebuild_tensor_v2(storage, offset, size, strides, ...), and one
 * entry `NAME/data/KEY` a storage: the bytes of one or several tensors. The stream holds five pickles (magic number, protocol, system, the
 * object, the storages' keys), then for each storage its length and its bytes. Storages are read when a tensor is asked for.
 * References: torch/serialization.py, torch/_utils.py.
 */
import { RunError } from '../../../common/errors.ts';
import { openRandomAccess, type RandomAccessFile } from '../../../platform/node/random-access.ts';
import { decodeTensor, type SafetensorsDtype } from '../../safetensors.ts';
import { type Global, Opaque, type Pickled, type PickleRules, readPickle } from './pickle.ts';
import type { StoredTensor, StoredWeights } from './stored.ts';
import { openZip } from './zip.ts';

/** An element type as torch names it: how it can be read, if it can, and bytes an element. */
interface ElementType {
  readonly name: string;
  readonly dtype: SafetensorsDtype | undefined;
  readonly bytes: number;
}
const element = (name: string, bytes: number, dtype?: SafetensorsDtype): ElementType => ({ name, dtype, bytes });

/** By the storage class that says what is in it; what is missing in newer types is said by the tensor (`_rebuild_tensor_v3`). */
const STORAGES: Readonly<Record<string, ElementType>> = {
  DoubleStorage: element('float64', 8, 'F64'),
  FloatStorage: element('float32', 4, 'F32'),
  HalfStorage: element('float16', 2, 'F16'),
  BFloat16Storage: element('bfloat16', 2, 'BF16'),
  LongStorage: element('int64', 8, 'I64'),
  IntStorage: element('int32', 4, 'I32'),
  ShortStorage: element('int16', 2, 'I16'),
  CharStorage: element('int8', 1, 'I8'),
  ByteStorage: element('uint8', 1, 'U8'),
  BoolStorage: element('bool', 1, 'BOOL'),
  ComplexFloatStorage: element('complex64', 8),
  ComplexDoubleStorage: element('complex128', 16),
  QInt8Storage: element('qint8', 1),
  QUInt8Storage: element('quint8', 1),
  QInt32Storage: element('qint32', 4),
  QUInt4x2Storage: element('quint4x2', 1),
  QUInt2x4Storage: element('quint2x4', 1),
  UntypedStorage: element('bytes', 1),
};
/** Types that have no storage class. */
const NEWER_TYPES: readonly ElementType[] = [
  element('uint16', 2, 'U16'),
  element('uint32', 4, 'U32'),
  element('uint64', 8, 'U64'),
  element('complex32', 4),
  ...['float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz', 'float8_e8m0fnu'].map((name) => element(name, 1)),
];
const ELEMENTS: ReadonlyMap<string, ElementType> = new Map(
  [...Object.values(STORAGES), ...NEWER_TYPES].map((type) => [`torch.${type.name}`, type]),
);

/** More axes than any tensor of a network has. */
const MAX_AXES = 16;
/** The pickle of a checkpoint with its optimiser is some hundred kB; one with a data set's list of files some MB. */
const MAX_PICKLE_BYTES = 64_000_000;
/** Pairs that dicts were made of, over a whole file: calling OrderedDict on one long list again and again is a way to ask for all memory. */
const MAX_COPIED_PAIRS = 1_000_000;
/** The first of the pickles in a stream of before 1.6. */
const STREAM_MAGIC = 0x1950a86a20f9469cfc6cn;
/** Longer than it is in any protocol. */
const STREAM_MAGIC_BYTES = 64;
const STREAM_PROTOCOL = 1001;

/** A storage as a pickle names it. A class, so that nothing else can be taken for one. */
class Storage {
  readonly type: ElementType;
  readonly key: string;
  /** Elements. */
  readonly count: number;
  constructor(type: ElementType, key: string, count: number) {
    this.type = type;
    this.key = key;
    this.count = count;
  }
  get sizeBytes(): number {
    return this.count * this.type.bytes;
  }
}

/** Part of a storage, as PyTorch before 0.4 named it. */
class StoragePart {
  readonly storage: Storage;
  readonly offset: number;
  readonly count: number;
  constructor(storage: Storage, offset: number, count: number) {
    this.storage = storage;
    this.offset = offset;
    this.count = count;
  }
}

/** A tensor as a pickle describes it: elements of a storage. */
class Tensor {
  readonly storage: Storage;
  readonly type: ElementType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  constructor(storage: Storage, type: ElementType, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.type = type;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.length <= MAX_AXES && value.every(isCount);
const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1);
const nameOf = (value: unknown): string | undefined =>
  typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string' ? value.name : undefined;

/** What and where a tensor is, checked against its storage. */
function tensorOf(stored: unknown, offset: unknown, shape: unknown, strides: unknown, type?: ElementType): Tensor {
  if (stored instanceof Opaque) throw new Error(stored.reason ?? `a tensor in a ${stored.name}`);
  const part = stored instanceof Storage ? new StoragePart(stored, 0, stored.count) : stored;
  if (!(part instanceof StoragePart)) throw new Error('a tensor without a storage');
  if (!isCount(offset) || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length)
    throw new Error('a tensor with an invalid offset, size or strides');
  const { storage } = part;
  const elements = type ?? storage.type;
  const count = Math.floor((part.count * storage.type.bytes) / elements.bytes);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis], offset);
  if (!Number.isSafeInteger(product(shape)) || (product(shape) > 0 && last >= count))
    throw new Error(
      `a tensor [${shape.join(', ')}] with strides [${strides.join(', ')}] at ${offset} of a storage of ${count} elements`,
    );
  return new Tensor(storage, elements, part.offset + offset, shape, strides);
}

/** torch._utils._rebuild_tensor, and _v2 with two more arguments. */
const rebuildTensor = ([storage, offset, shape, strides]: readonly unknown[]): Tensor =>
  tensorOf(storage, offset, shape, strides);
/** torch._utils._rebuild_tensor_v3: (storage, offset, size, strides, requires_grad, hooks, dtype, metadata), the storage in bytes. */
function rebuildTyped([storage, offset, shape, strides, , , dtype]: readonly unknown[]): Tensor {
  const type = ELEMENTS.get(nameOf(dtype) ?? '');
  if (!type) throw new Error(`a tensor of type ${nameOf(dtype) ?? 'unknown'}`);
  return tensorOf(storage, offset, shape, strides, type);
}
/** What wraps a tensor: a Parameter, with or without attributes. */
function rebuildParameter([tensor]: readonly unknown[]): Tensor {
  if (tensor instanceof Opaque) throw new Error(tensor.reason ?? `a parameter made by ${tensor.name}`);
  if (!(tensor instanceof Tensor)) throw new Error('a parameter without a tensor');
  return tensor;
}
/** torch._tensor._rebuild_from_type_v2(function, type, arguments, state): a subclass of Tensor, or a Tensor with attributes. */
function rebuildFromType([rebuild, type, args]: readonly unknown[]): unknown {
  const known = GLOBALS.get(nameOf(rebuild) ?? '');
  if (!known?.call || known.call === rebuildFromType || !Array.isArray(args))
    throw new Error(`a ${nameOf(type) ?? 'tensor'} made by ${nameOf(rebuild) ?? 'nothing'}`);
  return known.call(args);
}

/** copyreg._reconstructor and __newobj__: an object of the class that is the first argument. */
const reconstructed = ([type, , state]: readonly unknown[]): Opaque => {
  const made = new Opaque(nameOf(type) ?? 'object');
  if (state instanceof Map) made.items = state;
  return made;
};
/** Bytes as protocols before 3 write them. */
const encoded = ([text]: readonly unknown[]): unknown => text;
const collected = ([items]: readonly unknown[]): unknown => {
  if (items !== undefined && !Array.isArray(items)) throw new Error('a collection of a non-list');
  return items ?? [];
};
const size = ([sizes]: readonly unknown[]): readonly number[] => {
  if (!isCounts(sizes)) throw new Error('a torch.Size of invalid sizes');
  return sizes;
};

const KNOWN: readonly Global[] = [
  ...['_rebuild_tensor', '_rebuild_tensor_v2'].map((name) => ({ name: `torch._utils.${name}`, call: rebuildTensor })),
  { name: 'torch._utils._rebuild_tensor_v3', call: rebuildTyped },
  ...['_rebuild_parameter', '_rebuild_parameter_with_state'].map((name) => ({
    name: `torch._utils.${name}`,
    call: rebuildParameter,
  })),
  ...['torch._tensor._rebuild_from_type', 'torch.tensor._rebuild_from_type'].flatMap((name) =>
    [name, `${name}_v2`].map((each) => ({ name: each, call: rebuildFromType })),
  ),
  { name: 'torch.Size', call: size },
  { name: '_codecs.encode', call: encoded },
  ...['copyreg', 'copy_reg'].flatMap((module) => [
    { name: `${module}._reconstructor`, call: reconstructed },
    { name: `${module}.__newobj__`, call: reconstructed },
  ]),
  ...['builtins', '__builtin__'].flatMap((module) =>
    ['list', 'tuple', 'set', 'frozenset'].map((name) => ({ name: `${module}.${name}`, call: collected })),
  ),
  ...Object.keys(STORAGES).flatMap((type) =>
    ['torch', 'torch.cuda', 'torch.storage'].map((module) => ({ name: `${module}.${type}` })),
  ),
  { name: 'torch.storage._UntypedStorage' },
  ...[...ELEMENTS.keys()].map((name) => ({ name })),
];
const GLOBALS: ReadonlyMap<string, Global> = new Map(KNOWN.map((global) => [global.name, global]));

/** Rules of one file; every storage that the pickle names comes into `storages`. */
function rulesFor(storages: Map<string, Storage>): PickleRules {
  let copied = 0;
  const dict = ([first, second]: readonly unknown[]): Map<unknown, unknown> => {
    // a defaultdict's first argument makes the missing ones
    const items = first === null || nameOf(first) !== undefined ? second : first;
    if (items instanceof Map || items === undefined) {
      copied += items?.size ?? 0;
    } else {
      if (!Array.isArray(items) || !items.every((pair) => Array.isArray(pair) && pair.length === 2))
        throw new Error('an OrderedDict of non-pairs');
      copied += items.length;
    }
    if (copied > MAX_COPIED_PAIRS)
      throw new RunError(`its dicts copy more than ${MAX_COPIED_PAIRS} entries, which no checkpoint needs`);
    return new Map(items as Iterable<[unknown, unknown]> | undefined);
  };
  const dicts = ['collections.OrderedDict', 'collections.defaultdict', 'builtins.dict', '__builtin__.dict'];
  return {
    globals: new Map([...GLOBALS, ...dicts.map((name): [string, Global] => [name, { name, call: dict }])]),
    // ('storage', class, key, device, elements), and in the stream whether it is part of another: (key, offset, elements) or None.
    // A stream that holds a module names its class so too: ('module', class, file, source)
    persistent: (id) => {
      const [kind, type, key, , count, part] = Array.isArray(id) ? (id as unknown[]) : [];
      if (kind === 'module') return type;
      const name = nameOf(type) ?? '';
      const className = name.slice(name.lastIndexOf('.') + 1).replace(/^_/, '');
      if (kind !== 'storage' || typeof key !== 'string' || !isCount(count))
        throw new Error('a persistent id that names no storage');
      if (type instanceof Opaque || !Object.hasOwn(STORAGES, className))
        throw new Error(`a storage of type ${name || 'unknown'}`);
      const known = storages.get(key);
      if (known && (known.type !== STORAGES[className] || known.count !== count))
        throw new Error(`the storage ${key} in two types or lengths`);
      const storage = known ?? new Storage(STORAGES[className], key, count);
      storages.set(key, storage);
      if (part === undefined || part === null) return storage;
      const [, offset, length] = Array.isArray(part) ? (part as unknown[]) : [];
      if (!isCount(offset) || !isCount(length) || offset + length > count)
        throw new Error(`a part of the storage ${key} that lies outside it`);
      return new StoragePart(storage, offset, length);
    },
  };
}

/** Where the usual wrappings keep the state dict; looked at in this order, before other names. */
const WRAPPINGS = [
  'state_dict',
  'model_state_dict',
  'network_weights',
  'model',
  'network',
  'net',
  'params',
  'weights',
  'module',
  'state_dict_ema',
  'model_ema',
  'ema',
];
/** {'model': {'state_dict': ...}} is as deep as it gets. */
const MAX_WRAPPINGS = 3;
/** Dicts, modules and their parameters that are looked into; a network of a thousand layers has some thousands. */
const MAX_LOOKS = 100_000;
/** Of modules within modules. */
const MAX_DEPTH = 64;

/** Tensors by name that stand together, and where: ['model', 'state_dict']. */
interface StateDict {
  readonly path: readonly string[];
  readonly tensors: Map<string, Tensor>;
  /** Names under which something else stands than a tensor that can be read, and why. */
  readonly refused: Map<string, string>;
}

const entriesOf = (value: unknown): Map<unknown, unknown> | undefined =>
  value instanceof Map ? value : value instanceof Opaque ? value.items : undefined;
const reasonOf = ({ name, reason }: Opaque): string => reason ?? `it is made by ${name}, which is unknown and was not executed`;

/** Every set of tensors within reach of the top, and of modules that were saved whole. */
function findStateDicts(value: unknown, path: string): StateDict[] {
  const found: StateDict[] = [];
  const seen = new Set<unknown>();
  let looks = 0;
  const add = (dict: StateDict, name: string, each: unknown): void => {
    if (each instanceof Tensor) dict.tensors.set(name, each);
    else if (each instanceof Opaque) dict.refused.set(name, reasonOf(each));
  };
  /** What state_dict() of a module would give; its attributes are those of torch.nn.Module. */
  const walkModule = (dict: StateDict, module: unknown, prefix: string, depth: number): void => {
    const state = module instanceof Opaque ? module.state : undefined;
    if (!(state instanceof Map)) return;
    for (const kind of ['_parameters', '_buffers']) {
      const own = entriesOf(state.get(kind)) ?? [];
      looks += 1 + ('size' in own ? own.size : 0);
      // one module that holds another twice, and that a third twice, and so on: more names than memory
      if (depth > MAX_DEPTH || looks > MAX_LOOKS) throw new RunError(`${path}: modules nested deeper than in any network`);
      for (const [name, each] of own) add(dict, `${prefix}${String(name)}`, each);
    }
    for (const [name, each] of entriesOf(state.get('_modules')) ?? [])
      walkModule(dict, each, `${prefix}${String(name)}.`, depth + 1);
  };
  const visit = (each: unknown, within: readonly string[]): void => {
    const isModule = each instanceof Opaque && each.state instanceof Map && each.state.has('_modules');
    const entries = entriesOf(each);
    if ((!isModule && !entries) || seen.has(each) || ++looks > MAX_LOOKS) return;
    seen.add(each);
    const dict: StateDict = { path: within, tensors: new Map(), refused: new Map() };
    if (isModule) walkModule(dict, each, '', 0);
    for (const [name, inner] of entries ?? []) if (typeof name === 'string') add(dict, name, inner);
    if (dict.tensors.size > 0 || dict.refused.size > 0) found.push(dict);
    if (within.length === MAX_WRAPPINGS || !entries) return;
    const names = [...entries.keys()].filter((name): name is string => typeof name === 'string');
    const order = [...WRAPPINGS.filter((name) => entries.has(name)), ...names.filter((name) => !WRAPPINGS.includes(name))];
    for (const name of order) visit(entries.get(name), [...within, name]);
  };
  visit(value, []);
  return found;
}

/** The state dict that holds what is wanted, else the largest; and where else something wanted stands. */
function findStateDict(
  value: unknown,
  path: string,
  isWanted: (name: string) => boolean,
): { dict: StateDict; others: readonly StateDict[] } {
  const all = findStateDicts(value, path);
  const wanted = all.filter(({ tensors }) => [...tensors.keys()].some(isWanted));
  if (wanted.length > 0) return { dict: wanted[0], others: wanted.slice(1) };
  const unreadable = all.find(({ refused }) => [...refused.keys()].some(isWanted));
  if (unreadable) return { dict: unreadable, others: [] };
  const largest = all.reduce<StateDict | undefined>(
    (best, each) => (each.tensors.size > (best?.tensors.size ?? 0) ? each : best),
    undefined,
  );
  if (largest) return { dict: largest, others: [] };
  const keys = [...(entriesOf(value)?.keys() ?? [])].filter((key) => typeof key === 'string').slice(0, 8);
  const found = entriesOf(value)
    ? `a dict with ${keys.join(', ') || 'no names'}`
    : value instanceof Tensor
      ? 'one tensor'
      : value instanceof Opaque
        ? `one object of ${value.name}${value.reason === undefined ? '' : ` (${value.reason})`}, which is unknown and was not executed`
        : 'something else';
  throw new RunError(
    `${path}: expected a state dict, alone or under a name as ${WRAPPINGS.slice(0, 4).join(', ')}; found ${found}. Save model.state_dict() with torch.save`,
  );
}

/** Values of a tensor, dense, from all of its storage's bytes. */
function valuesOf(
  { type: { name, dtype, bytes: elementBytes }, offset, shape, strides }: Tensor,
  bytes: Uint8Array,
  refuse: (reason: string) => never,
): Float32Array {
  if (!dtype) return refuse(`contains ${name}, which is not supported`);
  const count = product(shape);
  if (count === 0) return new Float32Array();
  // elements from the first to the last that belong to it
  const extent = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis], 1);
  const all = decodeTensor(dtype, bytes.subarray(offset * elementBytes, (offset + extent) * elementBytes));
  if (shape.every((size, axis) => size === 1 || strides[axis] === product(shape.slice(axis + 1)))) return all;
  const out = new Float32Array(count);
  const index = shape.map(() => 0);
  let from = 0;
  for (let i = 0; i < count; i++) {
    out[i] = all[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

/** What the storages are in: entries of a zip, or the rest of a stream. */
interface Contents {
  readonly format: string;
  readonly value: unknown;
  readonly opaque: ReadonlyMap<string, number>;
  readonly readStorage: (storage: Storage) => Promise<Uint8Array>;
}

/** The elements' bytes in the order that they have on this machine. */
function swapped(bytes: Uint8Array, { name, bytes: size }: ElementType): Uint8Array {
  const unit = name.startsWith('complex') ? size / 2 : size;
  const out = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at++) out[at] = bytes[at - (at % unit) + unit - 1 - (at % unit)];
  return out;
}

async function readZip(file: RandomAccessFile): Promise<Contents> {
  const refuse = (reason: string): never => {
    throw new RunError(`${file.path}: ${reason}`);
  };
  const archive = await openZip(file);
  const pickles = [...archive.entries.keys()].filter((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (pickles.length !== 1)
    return refuse(`a zip file, but not saved by torch.save: expected one entry NAME/data.pkl, found ${pickles.length}`);
  const root = pickles[0].slice(0, -'data.pkl'.length);
  if (archive.entries.has(`${root}constants.pkl`))
    refuse('a TorchScript program; expected a state dict. Save torch.jit.load(FILE).state_dict() with torch.save');
  const orderEntry = archive.entries.get(`${root}byteorder`);
  const order = orderEntry && orderEntry.sizeBytes < 16 ? new TextDecoder().decode(await archive.read(orderEntry)) : 'little';
  if (order !== 'little' && order !== 'big') refuse(`its byte order is '${order}'; expected little or big`);
  const entry = archive.entries.get(pickles[0])!;
  if (entry.sizeBytes > MAX_PICKLE_BYTES)
    refuse(`${entry.name} has ${entry.sizeBytes} bytes; a checkpoint's takes less than ${MAX_PICKLE_BYTES}`);
  const storages = new Map<string, Storage>();
  const { value, opaque } = readPickle(await archive.read(entry), `${file.path}: ${entry.name}`, rulesFor(storages));
  const entryOf = (storage: Storage) => {
    const found = archive.entries.get(`${root}data/${storage.key}`);
    if (!found) return refuse(`the storage ${root}data/${storage.key} is missing`);
    if (found.sizeBytes !== storage.sizeBytes)
      refuse(
        `the storage ${found.name} has ${found.sizeBytes} bytes; expected ${storage.sizeBytes} (${storage.count} elements of ${storage.type.name})`,
      );
    return found;
  };
  for (const storage of storages.values()) entryOf(storage);
  return {
    format: 'PyTorch (zip)',
    value,
    opaque,
    readStorage: async (storage) => {
      const bytes = await archive.read(entryOf(storage));
      return order === 'big' ? swapped(bytes, storage.type) : bytes;
    },
  };
}

async function readStream(file: RandomAccessFile): Promise<Contents> {
  const bytes = await file.read(0, Math.min(file.sizeBytes, MAX_PICKLE_BYTES));
  const storages = new Map<string, Storage>();
  const rules = rulesFor(storages);
  let at = 0;
  const next = (): Pickled => {
    const pickled = readPickle(bytes, file.path, rules, at);
    at = pickled.end;
    return pickled;
  };
  const refuse = (reason: string): never => {
    throw new RunError(`${file.path}: ${reason}`);
  };
  next();
  const { value: protocol } = next();
  if (protocol !== STREAM_PROTOCOL)
    refuse(
      `version ${typeof protocol === 'number' ? protocol : 'unknown'} of torch.save's format; supported: ${STREAM_PROTOCOL}`,
    );
  // About the machine that wrote it. Whatever that was, the storages are little-endian (torch/csrc/serialization.cpp).
  next();
  const { value, opaque } = next();
  const { value: keys } = next();
  if (!Array.isArray(keys) || keys.length !== storages.size) return refuse('damaged: inconsistent list of storages');
  const places = new Map<Storage, number>();
  for (const key of keys) {
    const storage = storages.get(key as string);
    if (!storage || places.has(storage)) return refuse('damaged: inconsistent list of storages');
    if (at + 8 + storage.sizeBytes > file.sizeBytes) refuse(`truncated: the storage ${key} ends after the file`);
    const length = await file.read(at, 8);
    if (new DataView(length.buffer).getBigInt64(0, true) !== BigInt(storage.count))
      refuse(`damaged: the storage ${key} differs in length from what its tensors need`);
    places.set(storage, at + 8);
    at += 8 + storage.sizeBytes;
  }
  return {
    format: 'PyTorch (before 1.6)',
    value,
    opaque,
    readStorage: (storage) => file.read(places.get(storage)!, storage.sizeBytes),
  };
}

/** Whether these bytes start with the stream's magic number, in whatever protocol it is pickled. */
function startsStream(start: Uint8Array): boolean {
  try {
    return readPickle(start, '', { globals: new Map(), persistent: () => undefined }).value === STREAM_MAGIC;
  } catch {
    return false;
  }
}

/** Which other file it is, by its first bytes. */
function describeOther(start: Uint8Array): string {
  if (new TextDecoder().decode(start.subarray(257, 262)) === 'ustar')
    return 'a tar file, as PyTorch before 0.1.10 saved them; load it in PyTorch and save its state dict again';
  if (start[0] === 0x80 && start[1] <= 5)
    return 'a pickle, but not saved by torch.save; load it in a program that trusts it and save model.state_dict() with torch.save';
  return 'not saved by torch.save (neither a zip nor the format before PyTorch 1.6); expected .pth or .safetensors';
}

/**
 * Opens a file of torch.save that holds a state dict, alone or in a checkpoint, or a module that was saved whole.
 * @param isWanted of a tensor's name: tells which of several state dicts is meant
 * @throws RunError naming file and reason: no such file, another or a damaged one, or no tensors in it
 */
export async function openPyTorch(path: string, isWanted: (name: string) => boolean = () => true): Promise<StoredWeights> {
  const file = await openRandomAccess(path, 'a file saved by torch.save');
  try {
    const start = await file.read(0, Math.min(file.sizeBytes, 4096));
    const isZip = start[0] === 0x50 && start[1] === 0x4b;
    if (!isZip && !startsStream(start.subarray(0, STREAM_MAGIC_BYTES))) throw new RunError(`${path}: ${describeOther(start)}`);
    const { format, value, opaque, readStorage } = isZip ? await readZip(file) : await readStream(file);
    const { dict, others } = findStateDict(value, path, isWanted);
    const read = new Map<Storage, Promise<Uint8Array>>();
    const tensors = new Map<string, StoredTensor>();
    for (const [name, tensor] of dict.tensors) {
      const { storage, shape, type } = tensor;
      tensors.set(name, {
        shape,
        dtype: type.dtype ?? type.name,
        read: async () => {
          if (!read.has(storage)) read.set(storage, readStorage(storage));
          return valuesOf(tensor, await read.get(storage)!, (reason) => {
            throw new RunError(`${path}: ${name} ${reason}`);
          });
        },
      });
    }
    return {
      format,
      tensors,
      refused: dict.refused,
      opaque,
      warnings: others.map(
        (other) =>
          `the file has these names also under ${other.path.join('.') || 'its top level'}; using those under ${dict.path.join('.') || 'its top level'}`,
      ),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
