/** Files of torch.save as people have them, and as nobody should: made by hand. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RunError } from '../../../common/errors.ts';
import { openPyTorch } from './pytorch.ts';
import {
  call,
  dict,
  floats,
  global,
  type MadeStorage,
  type Py,
  pickleByHand,
  storageOf,
  tensorOf,
  torchStream,
  torchZip,
} from './testing/pickle-by-hand.ts';
import { zipByHand } from './testing/zip-by-hand.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-pytorch-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** All tensors of a file of these bytes, what else stands among them, and what it holds besides. */
async function open(bytes: Uint8Array, isWanted?: (name: string) => boolean) {
  const path = join(folder, 'made.pth');
  await writeFile(path, bytes);
  const file = await openPyTorch(path, isWanted);
  try {
    const tensors: Record<string, { dtype: string; shape: readonly number[]; values: number[] }> = {};
    for (const [name, { dtype, shape, read }] of file.tensors) tensors[name] = { dtype, shape, values: [...(await read())] };
    return { ...file, tensors, refused: Object.fromEntries(file.refused), opaque: Object.fromEntries(file.opaque) };
  } finally {
    await file.close();
  }
}
const failure = async (bytes: Uint8Array): Promise<string> => {
  const error = await open(bytes).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RunError);
  expect((error as Error).message).toContain('made.pth');
  return (error as Error).message;
};

const W = floats('0', [1, 2, 3, 4, 5, 6]);
const plain = dict(['w', tensorOf(W, [2, 3])]);
const WANTED = { dtype: 'F32', shape: [2, 3], values: [1, 2, 3, 4, 5, 6] };

describe('files of torch.save', () => {
  it.each([2, 3, 4, 5])('protocol %i: as zip and as stream', async (protocol) => {
    const value = call('collections.OrderedDict', [], {
      items: [['w', tensorOf(W, [2, 3])]],
      state: dict(['_metadata', call('collections.OrderedDict', [], { items: [['', dict(['version', 1])]] })]),
    });
    const zip = await open(torchZip(value, [W], { protocol }));
    expect(zip).toMatchObject({ format: 'PyTorch (zip)', tensors: { w: WANTED }, refused: {}, opaque: {} });
    const stream = await open(torchStream(value, [W], protocol));
    expect(stream).toMatchObject({ format: 'PyTorch (before 1.6)', tensors: { w: WANTED }, opaque: {} });
  });

  it('protocol 0, as far as text goes', async () => {
    const id = '(S\'storage\'\nctorch\nFloatStorage\nV0\nS"cpu"\nI6\ntQ';
    const text = `(dp0\nS'w'\np1\nctorch._utils\n_rebuild_tensor_v2\n(${id}L0L\n(I2\nL3L\nt(I3\nI1\ntI00\nNtRp2\nsS'lr'\nF0.1\nsg1\ng2\ns.`;
    const bytes = zipByHand([
      { name: 'm/data.pkl', data: Buffer.from(text) },
      { name: 'm/data/0', data: W.data },
    ]);
    expect((await open(bytes)).tensors).toEqual({ w: WANTED });
  });

  it('every element type', async () => {
    const made = (key: string, type: string, values: ArrayBufferView, count: number): MadeStorage => ({
      key,
      type,
      count,
      data: new Uint8Array(values.buffer),
    });
    const storages = [
      made('d', 'DoubleStorage', Float64Array.of(0.5, -2), 2),
      made('h', 'HalfStorage', Uint16Array.of(0x3c00, 0xc000), 2),
      made('b', 'BFloat16Storage', Uint16Array.of(0x3fc0, 0xbf80), 2),
      made('l', 'LongStorage', BigInt64Array.of(-5n, 7n), 2),
      made('i', 'IntStorage', Int32Array.of(-5, 7), 2),
      made('s', 'ShortStorage', Int16Array.of(-5, 7), 2),
      made('c', 'CharStorage', Int8Array.of(-5, 7), 2),
      made('u', 'ByteStorage', Uint8Array.of(250, 7), 2),
      made('o', 'BoolStorage', Uint8Array.of(1, 0), 2),
    ];
    const value = dict(...storages.map((each): [Py, Py] => [each.key, tensorOf(each)]));
    const { tensors } = await open(torchZip(value, storages));
    expect(Object.fromEntries(Object.entries(tensors).map(([name, { dtype, values }]) => [name, [dtype, ...values]]))).toEqual({
      d: ['F64', 0.5, -2],
      h: ['F16', 1, -2],
      b: ['BF16', 1.5, -1],
      l: ['I64', -5, 7],
      i: ['I32', -5, 7],
      s: ['I16', -5, 7],
      c: ['I8', -5, 7],
      u: ['U8', 250, 7],
      o: ['BOOL', 1, 0],
    });
  });

  it('shared, strided, offset, expanded, empty and scalar tensors, and parameters', async () => {
    const value = dict(
      ['turned', tensorOf(W, [3, 2], { strides: [1, 3] })],
      ['column', tensorOf(W, [2], { strides: [3], offset: 1 })],
      ['expanded', tensorOf(W, [2, 2], { strides: [0, 1], offset: 4 })],
      ['scalar', tensorOf(W, [], { offset: 5 })],
      ['empty', tensorOf(W, [0, 3], { strides: [3, 1] })],
      ['parameter', call('torch._utils._rebuild_parameter', [tensorOf(W, [6]), true, call('collections.OrderedDict', [])])],
      [
        'subclass',
        call('torch._tensor._rebuild_from_type_v2', [
          global('torch._utils._rebuild_tensor_v2'),
          global('mine.Tensor'),
          [storageOf(W), 2, [2], [1], false, null],
          dict(['meta', 1]),
        ]),
      ],
    );
    for (const bytes of [torchZip(value, [W]), torchStream(value, [W])]) {
      const { tensors, refused } = await open(bytes);
      const values = Object.fromEntries(Object.entries(tensors).map(([name, each]) => [name, each.values]));
      expect(refused).toEqual({});
      expect(values).toEqual({
        turned: [1, 4, 2, 5, 3, 6],
        column: [2, 5],
        expanded: [5, 6, 5, 6],
        scalar: [6],
        empty: [],
        parameter: [1, 2, 3, 4, 5, 6],
        subclass: [3, 4],
      });
    }
  });

  it('tensors in storages of bytes, of a type that no storage class has', async () => {
    const bytes: MadeStorage = { key: '0', type: 'UntypedStorage', count: 4, data: Uint8Array.of(1, 0, 255, 255) };
    const typed = (dtype: string): Py =>
      call('torch._utils._rebuild_tensor_v3', [
        { persistent: ['storage', global('torch.storage.UntypedStorage'), '0', 'cpu', 4] },
        0,
        [2],
        [1],
        false,
        null,
        global(`torch.${dtype}`),
      ]);
    const { tensors } = await open(torchZip(dict(['wide', typed('uint16')]), [bytes]));
    expect(tensors.wide).toMatchObject({ dtype: 'U16', values: [1, 65535] });
    expect(await failure(torchZip(dict(['narrow', typed('float8_e4m3fn')]), [bytes]))).toContain('narrow contains float8_e4m3fn');
    const { refused } = await open(torchZip(dict(['w', tensorOf(W)], ['odd', typed('uint16')], ['new', typed('float3')]), [W]));
    expect(refused).toEqual({ odd: 'the storage 0 in two types or lengths', new: 'a tensor of type torch.float3' });
  });

  it('parts of storages, as PyTorch before 0.4 named them', async () => {
    const value = dict(
      ['w', tensorOf(W, [2], { offset: 1, part: [['view', 3, 3]] })],
      ['all', tensorOf(W, [6], { part: [null] })],
    );
    const { tensors } = await open(torchStream(value, [W]));
    expect([tensors.w.values, tensors.all.values]).toEqual([
      [5, 6],
      [1, 2, 3, 4, 5, 6],
    ]);
    const outside = dict(['w', tensorOf(W, [1], { part: [['view', 5, 3]] })], ['v', tensorOf(W)]);
    expect((await open(torchStream(outside, [W]))).refused).toEqual({ w: expect.stringContaining('lies outside it') });
  });

  it('byte orders, and the records of newer versions', async () => {
    const big: MadeStorage = { ...W, data: Buffer.from(W.data).swap32() };
    const order = (text: string) => ({ name: 'archive/byteorder', data: Buffer.from(text) });
    const newer = [
      { name: 'archive/.format_version', data: Buffer.from('1') },
      { name: 'archive/.storage_alignment', data: Buffer.from('64') },
      { name: 'archive/.data/serialization_id', data: Buffer.from('0636457737946401051300000025273995036293') },
    ];
    expect((await open(torchZip(plain, [big], { entries: [order('big'), ...newer] }))).tensors.w).toEqual(WANTED);
    expect((await open(torchZip(plain, [W], { entries: [order('little'), ...newer] }))).tensors.w).toEqual(WANTED);
    expect(await failure(torchZip(plain, [W], { entries: [order('middle')] }))).toContain("byte order is 'middle'");
  });
});

describe('what a checkpoint holds beside the tensors', () => {
  const dtype = call('numpy.dtype', ['f8', false, true], { state: [3, '<', null, null, null, -1, -1, 0] });
  const beside: [string, Py][] = [
    [
      'numpy.core.multiarray.scalar',
      call('numpy.core.multiarray.scalar', [dtype, call('_codecs.encode', ['12345678', 'latin1'])]),
    ],
    [
      'numpy._core.multiarray._reconstruct',
      call('numpy._core.multiarray._reconstruct', [global('numpy.ndarray'), [0], Buffer.from('b')], {
        state: [1, [1], dtype, false, Buffer.alloc(8)],
      }),
    ],
    ['argparse.Namespace', call('argparse.Namespace', [], { state: dict(['lr', 0.1]) })],
    ['pathlib.PosixPath', call('pathlib.PosixPath', ['/', 'home'])],
    ['datetime.datetime', call('datetime.datetime', [Buffer.alloc(10)])],
    ['project.Mode', call('project.Mode', [2])],
    [
      'project.Config',
      call('copyreg._reconstructor', [global('project.Config'), global('builtins.object'), null], { state: dict(['seed', 0]) }),
    ],
    [
      'functools.partial',
      call('functools.partial', [global('project.schedule')], { state: [global('project.schedule'), [], dict(), null] }),
    ],
    ['project.lambda_of', global('project.lambda_of')],
    ['torch.optim.adam.Adam', call('torch.optim.adam.Adam', [], { state: dict(['state', dict([0, dict(['step', 3])])]) })],
    ['os.system', call('os.system', ['echo harm'])],
    ['builtins.eval', call('builtins.eval', ['1'])],
  ];
  it.each(beside)('%s is read over, and never run', async (name, object) => {
    const value = dict(['epoch', 3], ['what', object], ['state_dict', plain], ['again', { list: [object, object] }]);
    for (const protocol of [2, 4])
      for (const bytes of [torchZip(value, [W], { protocol }), torchStream(value, [W], protocol)]) {
        const { tensors, refused, opaque } = await open(bytes);
        expect(tensors).toEqual({ w: WANTED });
        expect(refused).toEqual({});
        expect(Object.keys(opaque)).toContain(name);
      }
  });

  it('NEWOBJ, sets, byte arrays, extensions and long integers', async () => {
    const objects = [
      'c__main__\nThing\n)\x81}b', // NEWOBJ, BUILD
      'c__main__\nThing\n)}\x92', // NEWOBJ_EX
      '(c__main__\nThing\nK\x01o', // OBJ
      '(i__main__\nThing\n', // INST
      '\x8f(K\x01\x90', // EMPTY_SET, ADDITEMS
      '(K\x01\x91', // FROZENSET
      `\x96\x02${'\0'.repeat(7)}ab`, // BYTEARRAY8
      '\x82\x07', // EXT1
      `\x8b\x00\x02\x00\x00${'\x01'.repeat(512)}`, // LONG4 of 512 bytes
    ];
    const before = pickleByHand(plain).subarray(0, -1).toString('latin1');
    const pickle = `${before}X\x04\0\0\0rest](${objects.join('')}es.`;
    const bytes = zipByHand([
      { name: 'm/data.pkl', data: Buffer.from(pickle, 'latin1') },
      { name: 'm/data/0', data: W.data },
    ]);
    const { tensors, opaque } = await open(bytes);
    expect(tensors).toEqual({ w: WANTED });
    expect(opaque).toEqual({ '__main__.Thing': 4, 'extension.7': 0, int: 1 });
  });

  it('refuses only the tensors that need what is not known, by name', async () => {
    const value = dict(
      ['w', tensorOf(W, [2, 3])],
      ['sparse', call('torch._utils._rebuild_sparse_tensor', [global('torch.sparse_coo'), []])],
      ['outside', tensorOf(W, [7])],
      ['quantised', tensorOf({ ...floats('1', [1]), type: 'MysteryStorage' })],
    );
    const { tensors, refused } = await open(torchZip(value, [W]));
    expect(Object.keys(tensors)).toEqual(['w']);
    expect(refused).toEqual({
      sparse: 'it is made by torch._utils._rebuild_sparse_tensor, which is unknown and was not executed',
      outside: 'a tensor [7] with strides [1] at 0 of a storage of 6 elements',
      quantised: 'a storage of type torch.MysteryStorage',
    });
  });
});

describe('where the state dict is', () => {
  const isWanted = (name: string): boolean => name.endsWith('w');
  const inner = dict(['net.w', tensorOf(W, [2, 3])]);
  const mean = floats('1', [9]);
  it.each<[string, Py]>([
    ['alone', inner],
    ['state_dict', dict(['state_dict', inner])],
    ['model.state_dict', dict(['model', dict(['state_dict', inner])])],
    ['network_weights', dict(['init_args', dict(['a', 1])], ['network_weights', inner])],
    ['a name of its own', dict(['epoch', 1], ['my_unet', inner])],
    ['beside a tensor', dict(['best', tensorOf(mean, [])], ['state_dict', inner])],
    [
      'after an optimiser with tensors',
      dict(['optimizer', dict(['state', dict(['mean', tensorOf(mean)])])], ['state_dict', inner]),
    ],
    [
      'in a dict of another class',
      call('easydict.EasyDict', [], {
        items: [['state_dict', call('project.Dict', [], { items: [['net.w', tensorOf(W, [2, 3])]] })]],
      }),
    ],
    ['a defaultdict', call('collections.defaultdict', [global('builtins.list')], { items: [['net.w', tensorOf(W, [2, 3])]] })],
  ])('%s', async (_, value) => {
    const { tensors } = await open(torchZip(value, [W, mean]), isWanted);
    expect(tensors).toEqual({ 'net.w': WANTED });
  });

  it('of two, the one of the usual name; the other is said', async () => {
    const { tensors, warnings } = await open(
      torchZip(dict(['ema', dict(['net.w', tensorOf(mean)])], ['state_dict', inner]), [W, mean]),
      isWanted,
    );
    expect(tensors).toEqual({ 'net.w': WANTED });
    expect(warnings).toEqual(['the file has these names also under ema; using those under state_dict']);
  });

  it('in a module that was saved whole', async () => {
    const ordered = (...items: [Py, Py][]): Py => call('collections.OrderedDict', [], { items });
    const module = (parameters: Py, modules: Py): Py =>
      call('project.Net', [], {
        state: dict(
          ['training', true],
          ['_parameters', parameters],
          ['_buffers', ordered(['mean', tensorOf(mean)])],
          ['_modules', modules],
        ),
      });
    const value = module(
      ordered(['bias', null]),
      ordered(['0', module(ordered(['w', tensorOf(W, [2, 3])]), ordered())], ['none', null]),
    );
    for (const saved of [value, dict(['model', value])]) {
      const { tensors } = await open(torchZip(saved, [W, mean]), isWanted);
      expect(tensors['0.w']).toEqual(WANTED);
      expect(Object.keys(tensors)).toEqual(['mean', '0.w', '0.mean']);
    }
  });
});

describe('files made to do harm', () => {
  const raw = (text: string): Buffer => zipByHand([{ name: 'm/data.pkl', data: Buffer.from(`\x80\x02${text}`, 'latin1') }]);
  const list = (count: number): string => `](${'(K\x01K\x02t'.repeat(count)}eq\x01`;

  it.each<[string, string, Buffer]>([
    [
      'dicts of one long list, again and again',
      'copy more than',
      raw(`${list(20_000)}0](${'ccollections\nOrderedDict\nh\x01\x85R'.repeat(100)}e.`),
    ],
    [
      'dicts of dicts',
      'copy more than',
      raw(
        `}(${Array.from({ length: 20_000 }, (_, i) => `J${Buffer.from(Int32Array.of(i).buffer).toString('latin1')}N`).join('')}uq\x010](${'cbuiltins\ndict\nh\x01\x85R'.repeat(100)}e.`,
      ),
    ],
    ['containers without end', 'more than 1000000 dicts', raw(`](${'}'.repeat(1_000_001)}e.`)],
    ['opcodes without end', 'more than 4000000 opcodes', raw(`${'N0'.repeat(2_000_001)}N.`)],
    ['an argument list of a million', 'a state dict', raw(`cproject\nThing\n(${'N'.repeat(1_000_000)}tR.`)],
    ['a huge string', 'states 4294967295 bytes', raw('X\xff\xff\xff\xff.')],
    [
      'modules that hold each other twice',
      'modules nested deeper',
      (() => {
        let text = 'cproject\nM\n)R}(X\x08\0\0\0_modules}ubq\x01';
        for (let level = 1; level < 60; level++) {
          const [mine, below] = [String.fromCharCode(level + 1), String.fromCharCode(level)];
          text += `0cproject\nM\n)R}(X\x08\0\0\0_modules}(X\x01\0\0\0ah${below}X\x01\0\0\0bh${below}uubq${mine}`;
        }
        return raw(`${text}.`);
      })(),
    ],
    ['a dict that holds itself', 'a state dict', raw('}q\x01X\x01\0\0\0ah\x01s.')],
    [
      'a module that holds itself',
      'modules nested deeper',
      raw('cproject\nM\n)Rq\x01}(X\x08\0\0\0_modules}X\x01\0\0\0ah\x01sub.'),
    ],
  ])('%s', async (_, reason, bytes) => {
    const before = process.memoryUsage().rss;
    expect(await failure(bytes)).toContain(reason);
    expect(process.memoryUsage().rss - before).toBeLessThan(4 * bytes.length + 500e6);
  });

  it('a pickle, but not saved by torch.save', async () => {
    expect(await failure(pickleByHand(plain, 4))).toContain('a pickle, but not saved by torch.save');
  });
});
