/** Models out and in again, what is refused on the way, and files made by hand that PyTorch would not make. */
import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RunError, UsageError } from '../../../common/errors.ts';
import type { ModelConfiguration } from '../../configuration.ts';
import type { NamedTensor } from '../../safetensors.ts';
import { readModel } from '../model-folder.ts';
import { writeSafetensors } from '../safetensors.ts';
import { exportModel } from './export.ts';
import { importWeights } from './import.ts';
import { sameTensors, writeTinyModel } from './testing/tiny-model.ts';
import { zipByHand } from './testing/zip-by-hand.ts';
import { encodePyTorch } from './write-pytorch.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-weights-'));
});
afterEach(() => rm(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

const GVSL = { affine: true, matching: true, restoration: true };
const LABELLED: Partial<ModelConfiguration> = {
  preprocessing: { modality: 'ct', spacingMm: [1, 1, 1.5], intensity: 'minmax', crop: 'none' },
  task: {
    kind: 'segmentation',
    labels: [
      { code: 0, name: 'background' },
      { code: 205, name: 'wall | inner' },
    ],
    patch: [32, 32, 32],
  },
};
/** The error of a promise that must fail as the work's, not the program's. */
const failure = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RunError);
  return (error as Error).message;
};

describe('export and import', () => {
  it.each(['pth', 'safetensors'] as const)(
    'all of GVSL through .%s bit for bit, and equal bytes for equal models',
    async (kind) => {
      const { model } = await writeTinyModel(at('made'), GVSL);
      const files = [at(`a.${kind}`), at(`b.${kind}`)] as const;
      for (const file of files) await exportModel({ model: at('made'), [kind]: file });
      expect((await readFile(files[0])).equals(await readFile(files[1]))).toBe(true);
      const report = await importWeights({ file: files[0], out: at('back') });
      expect(report).toMatchObject({
        width: 0.125,
        heads: GVSL,
        matched: model.parameters.size,
        prefix: '',
        unetAlone: false,
        missingHeads: ['segmentation', 'classification'],
        unknown: [],
        dtypes: ['F32'],
        preprocessing: null,
      });
      const back = await readModel(at('back'));
      expect(sameTensors(back.parameters.values(), model.parameters.values())).toBe(true);
      expect(back.configuration.preprocessing).toBeNull();
    },
  );

  it('a Hugging Face folder keeps the configuration, and its card tells it', async () => {
    const { model } = await writeTinyModel(at('made'), { segmentation: 2 }, LABELLED);
    await exportModel({ model: at('made'), huggingface: at('heart walls') });
    expect((await readdir(at('heart walls'))).sort()).toEqual(['README.md', 'config.json', 'gvsl_torch.py', 'model.safetensors']);
    const card = await readFile(at('heart walls/README.md'), 'utf8');
    expect(card).toMatch(
      /^---\nlibrary_name: gvsl\npipeline_tag: image-segmentation\ntags:\n(?: {2}- [\w-]+\n)+---\n\n# heart walls\n/,
    );
    expect(card).toContain('1 x 1 x 1.5 mm');
    expect(card).toContain('| 1 | wall \\| inner | 205 |');
    expect(card).toContain('is not recorded');
    for (const file of ['heart walls', 'heart walls/model.safetensors']) {
      await importWeights({ file: at(file), out: at('back') });
      const back = await readModel(at('back'));
      expect(back.configuration).toEqual(model.configuration);
      expect(sameTensors(back.parameters.values(), model.parameters.values())).toBe(true);
      await rm(at('back'), { recursive: true });
    }
    await expect(importWeights({ file: at('heart walls'), out: at('back'), modality: 'mr' })).rejects.toThrow(UsageError);
    await expect(exportModel({ model: at('made'), huggingface: at('heart walls') })).rejects.toThrow('not empty');
  });

  it('a part alone: the backbone of a segmenter; a classifier has no decoder', async () => {
    const { model } = await writeTinyModel(at('made'), { segmentation: 2 }, LABELLED);
    const exported = await exportModel({
      model: at('made'),
      pth: at('backbone.pth'),
      onnx: at('backbone.onnx'),
      part: 'backbone',
    });
    expect(exported.onnx).toMatchObject({ part: 'backbone', outputs: [{ name: 'local' }, { name: 'global' }] });
    await importWeights({ file: at('backbone.pth'), out: at('back'), modality: 'mr' });
    const back = await readModel(at('back'));
    expect(back.configuration).toMatchObject({
      task: null,
      preprocessing: { modality: 'mr', spacingMm: [1, 1, 1], intensity: 'minmax' },
    });
    const unet = [...model.parameters.values()].filter(({ name }) => name.startsWith('unet.'));
    expect(sameTensors(back.parameters.values(), unet)).toBe(true);
    expect(await failure(exportModel({ model: at('made'), onnx: at('x'), part: 'classifier' }))).toContain(
      'no classification head',
    );

    await writeTinyModel(at('classifier'), { classification: 1 });
    await exportModel({ model: at('classifier'), safetensors: at('classifier.safetensors') });
    const report = await importWeights({ file: at('classifier.safetensors'), out: at('classifier back') });
    expect(report.heads).toMatchObject({ classification: 1, matching: false });
    expect(await failure(exportModel({ model: at('classifier'), onnx: at('x'), part: 'backbone' }))).toContain('no decoder');
  });

  it.each([
    { kind: 'simclr', outputs: 24 },
    { kind: 'simsiam', outputs: 64 },
    { kind: 'simsiam', outputs: 64, predictor: false },
    { kind: 'byol', outputs: 32 },
    { kind: 'byol', outputs: 32, predictor: false },
  ] as const)('an encoder with the projection by which $kind trained it', async (projection) => {
    const { model } = await writeTinyModel(at('made'), { affine: false, matching: false, restoration: false, projection });
    await exportModel({ model: at('made'), pth: at('a.pth'), huggingface: at('hf') });
    for (const [file, out] of [
      [at('a.pth'), at('back')],
      [at('hf'), at('again')],
    ]) {
      expect((await importWeights({ file, out })).heads.projection).toEqual(projection);
      expect(sameTensors((await readModel(out)).parameters.values(), model.parameters.values())).toBe(true);
    }
    // without the head that says that there is no decoder
    const tensors = [...model.parameters.values()].filter(({ name }) => name.startsWith('unet.'));
    await writeSafetensors(at('bare.safetensors'), tensors);
    expect(await failure(importWeights({ file: at('bare.safetensors'), out: at('bare') }))).toContain('an encoder alone');
  });

  it('says what is missing or does not go together', async () => {
    await writeTinyModel(at('made'));
    await expect(exportModel({ model: at('made') })).rejects.toThrow('no output chosen');
    await expect(exportModel({ model: at('made'), pth: at('x'), size: [8, 8, 8] })).rejects.toThrow('`size`');
    await expect(exportModel({ model: at('made'), pth: folder })).rejects.toThrow('is a folder; expected a file');
    await expect(importWeights({ file: at('made'), out: at('made') })).rejects.toThrow('exists already');
    expect(await failure(importWeights({ file: at('none.pth'), out: at('out') }))).toContain('no such file');
    expect(await readdir(folder)).toEqual(['made']);
  });
});

describe('weights in several files', () => {
  /** The tiny backbone in two files and an index, changed. */
  async function shards(
    kind: 'safetensors' | 'pth',
    change: (index: { weight_map: Record<string, unknown> }) => unknown = () => {},
  ): Promise<string> {
    const { model } = await writeTinyModel(at('made'));
    await mkdir(at('shards'));
    const tensors = [...model.parameters.values()];
    const names =
      kind === 'pth' ? ['pytorch_model-1.bin', 'pytorch_model-2.bin'] : ['model-1.safetensors', 'model-2.safetensors'];
    const halves = [tensors.slice(0, 20), tensors.slice(20)];
    for (const [i, half] of halves.entries())
      if (kind === 'safetensors') await writeSafetensors(at(`shards/${names[i]}`), half);
      else await writeFile(at(`shards/${names[i]}`), Buffer.concat(encodePyTorch(half)));
    const map = Object.fromEntries(halves.flatMap((half, i) => half.map(({ name }) => [name, names[i]])));
    const index = { metadata: { total_size: 1 }, weight_map: map as Record<string, unknown> };
    await change(index);
    const file = at(`shards/${kind === 'pth' ? 'pytorch_model.bin' : 'model.safetensors'}.index.json`);
    await writeFile(file, JSON.stringify(index));
    return file;
  }
  const LAST = 'unet.up4.conv.double_conv.4.bias';

  it.each(['safetensors', 'pth'] as const)('%s: by the index or the folder', async (kind) => {
    const index = await shards(kind);
    for (const file of [index, at('shards')]) {
      const report = await importWeights({ file, out: at('back') });
      expect(report.format).toMatch(/, 2 shards$/);
      expect(report.file).toBe(index);
      const made = await readModel(at('made'));
      expect(sameTensors((await readModel(at('back'))).parameters.values(), made.parameters.values())).toBe(true);
      await rm(at('back'), { recursive: true });
    }
  });

  it.each<[string, (index: { weight_map: Record<string, unknown> }) => unknown]>([
    ['1 of its 2 shards are missing: model-2.safetensors', () => rm(at('shards/model-2.safetensors'))],
    [
      `${LAST} should be in model-1.safetensors, but is in model-2.safetensors`,
      ({ weight_map: map }) => {
        map[LAST] = 'model-1.safetensors';
      },
    ],
    [
      'other should be in model-1.safetensors, which does not hold it',
      ({ weight_map: map }) => {
        map.other = 'model-1.safetensors';
      },
    ],
    [
      'occurs in two of its shards: model-1.safetensors and model-3.safetensors',
      async ({ weight_map: map }) => {
        await cp(at('shards/model-1.safetensors'), at('shards/model-3.safetensors'));
        map.other = 'model-3.safetensors';
      },
    ],
    [
      'expected a file name in the same folder',
      ({ weight_map: map }) => {
        map[LAST] = '../made/model.safetensors';
      },
    ],
    [
      'expected a file name in the same folder',
      ({ weight_map: map }) => {
        map[LAST] = '..\\x';
      },
    ],
    [
      'is in 7; expected a file name',
      ({ weight_map: map }) => {
        map[LAST] = 7;
      },
    ],
    [
      'has no weight_map',
      (index) => {
        index.weight_map = [] as never;
      },
    ],
    [
      'damaged safetensors file',
      () => writeFile(at('shards/model-2.safetensors'), Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0x7b, 1])),
    ],
    [
      'another index',
      async ({ weight_map: map }) => {
        map[LAST] = 'model.safetensors.index.json';
        await writeFile(at('shards/model.safetensors.index.json'), '{}');
      },
    ],
  ])('refuses: %s', async (reason, change) => {
    const file = await shards('safetensors', change);
    expect(await failure(importWeights({ file, out: at('out') }))).toContain(reason);
    expect(await readdir(folder)).not.toContain('out');
  });

  it('an index that is no JSON, and a tensor that it does not list', async () => {
    const file = await shards('safetensors', ({ weight_map: map }) => void delete map[LAST]);
    expect((await importWeights({ file, out: at('out') })).warnings[0]).toBe(
      `model.safetensors.index.json does not list 1 tensors of its shards: ${LAST}`,
    );
    await writeFile(file, '{"weight_map": ');
    expect(await failure(importWeights({ file, out: at('other') }))).toContain(
      'model.safetensors.index.json: cannot be read as JSON',
    );
  });
});

describe('import refuses', () => {
  /** The tiny backbone, its tensors changed, as a safetensors file. */
  async function changed(change: (tensors: Map<string, NamedTensor>) => void, name = 'changed.safetensors'): Promise<string> {
    const { model } = await writeTinyModel(at('made'));
    const tensors = new Map([...model.parameters].map(([key, tensor]) => [key, { ...tensor, data: tensor.data.slice() }]));
    change(tensors);
    await writeSafetensors(at(name), tensors.values());
    return at(name);
  }
  const reading = (file: string) => failure(importWeights({ file, out: at('out') }));
  const FIRST = 'unet.inc.double_conv.0.weight';

  it.each<[string, (tensors: Map<string, NamedTensor>) => void]>([
    [
      `${FIRST} holds NaN at index 7`,
      (tensors) => {
        tensors.get(FIRST)!.data[7] = Number.NaN;
      },
    ],
    [
      'expected unet.up4.conv.double_conv.4.bias [8], found none',
      (tensors) => tensors.delete('unet.up4.conv.double_conv.4.bias'),
    ],
    [
      'expected unet.inc.double_conv.0.bias [8], found [7]',
      (tensors) =>
        tensors.set('b', { name: tensors.get('unet.inc.double_conv.0.bias')!.name, shape: [7], data: new Float32Array(7) }) &&
        tensors.delete('unet.inc.double_conv.0.bias'),
    ],
    ['no tensor named inc.double_conv.0.weight', (tensors) => tensors.clear()],
    ...(
      [
        ['encoder.stages.0.blocks.0.conv1.conv.weight', 'a network of nnU-Net or nnssl'],
        ['stem.weight', 'import the model that it was exported from'],
        ['vit.patch_embedding.weight', 'a transformer'],
      ] as const
    ).map(([name, reason]): [string, (tensors: Map<string, NamedTensor>) => void] => [
      reason,
      (tensors) => {
        tensors.clear();
        tensors.set(name, { name, shape: [1], data: new Float32Array(1) });
      },
    ]),
    [
      'unet.down3.maxpool_conv.1.double_conv.0.weight is missing',
      (tensors) => tensors.delete('unet.down3.maxpool_conv.1.double_conv.0.weight'),
    ],
    [
      'channels 24, 8, 16, 32, 64; gvsl has 32-64-128-256-512',
      (tensors) => tensors.set(FIRST, { name: FIRST, shape: [24, 1, 1, 1, 1], data: new Float32Array(24) }),
    ],
    ['contains 2 networks', (tensors) => tensors.set('t', { ...tensors.get(FIRST)!, name: `other.${FIRST}` })],
    ['fc.weight has 0 outputs', (tensors) => tensors.set('fc', { name: 'fc.weight', shape: [0, 64], data: new Float32Array() })],
  ])('%s', async (reason, change) => {
    expect(await reading(await changed(change))).toContain(reason);
  });

  it('no network beside its teacher, which is said', async () => {
    const file = await changed((tensors) => {
      for (const each of [...tensors.values()]) tensors.set(`t ${each.name}`, { ...each, name: `ema_model.${each.name}` });
    });
    const { warnings, prefix } = await importWeights({ file, out: at('out') });
    expect(prefix).toBe('');
    expect(warnings[0]).toMatch(/contains 2 networks .*; using that of unet\.inc/);
  });

  it('nothing that is merely unknown: it is listed', async () => {
    const file = await changed((tensors) => {
      tensors.set('x', { name: 'projector.weight', shape: [2], data: new Float32Array(2) });
    });
    expect((await importWeights({ file, out: at('out') })).unknown).toEqual(['projector.weight']);
  });

  it('a configuration of another network beside it', async () => {
    await writeTinyModel(at('made'), { segmentation: 2 });
    await writeTinyModel(at('other'));
    await cp(at('made/config.json'), at('other/config.json'));
    expect(await reading(at('other'))).toContain('copied together?');
  });

  it('what is no file of weights', async () => {
    await writeFile(at('lfs.pth'), 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n');
    expect(await reading(at('lfs.pth'))).toContain('Git LFS pointer');
    await writeFile(at('page.pth'), '<!doctype html>');
    expect(await reading(at('page.pth'))).toContain('not saved by torch.save');
    await mkdir(at('empty'));
    expect(await reading(at('empty'))).toContain('neither a model folder');
  });

  it('every shorter part of a .pth, and one with a changed byte anywhere', async () => {
    await writeTinyModel(at('made'));
    await exportModel({ model: at('made'), pth: at('whole.pth') });
    const bytes = readFileSync(at('whole.pth'));
    for (const share of [0, 0.0001, 0.01, 0.5, 0.9, 0.999, 1 - 1 / bytes.length]) {
      await writeFile(at('short.pth'), bytes.subarray(0, Math.floor(share * bytes.length)));
      expect(await reading(at('short.pth')), `${share}`).toContain('short.pth');
    }
    for (const place of [0.3, 0.6, 0.9]) {
      const spoilt = Buffer.from(bytes);
      spoilt[Math.floor(place * bytes.length)] ^= 1;
      await writeFile(at('spoilt.pth'), spoilt);
      expect(await reading(at('spoilt.pth'))).toContain('CRC-32');
    }
  });

  /** A zip as torch.save makes it, its pickle by hand. */
  async function withPickle(
    pickle: string,
    storages: Record<string, Uint8Array> = {},
    files: Record<string, string> = {},
  ): Promise<string> {
    const entries = [
      { name: 'm/data.pkl', data: Buffer.from(`\x80\x02${pickle}`, 'latin1') },
      ...Object.entries(storages).map(([key, data]) => ({ name: `m/data/${key}`, data })),
      ...Object.entries(files).map(([name, text]) => ({ name: `m/${name}`, data: Buffer.from(text) })),
    ];
    await writeFile(at('hand.pth'), zipByHand(entries));
    return at('hand.pth');
  }
  const text = (value: string): string => `X${String.fromCharCode(value.length, 0, 0, 0)}${value}`;
  const int = (value: number): string => `J${Buffer.from(Int32Array.of(value).buffer).toString('latin1')}`;
  const tuple = (...items: string[]): string => `(${items.join('')}t`;
  const storage = (count: number, type = 'FloatStorage', key = '0'): string =>
    `${tuple(text('storage'), `ctorch\n${type}\n`, text(key), text('cpu'), int(count))}Q`;
  const tensor = (stored: string, offset: number, shape: number[], strides: number[]): string =>
    `ctorch._utils\n_rebuild_tensor_v2\n${tuple(stored, int(offset), tuple(...shape.map(int)), tuple(...strides.map(int)), '\x89', 'N')}R`;
  const dict = (value: string, name = 'unet.inc.double_conv.0.weight'): string => `}${text(name)}${value}s.`;

  it.each<[string, () => Promise<string>]>([
    ['one object of os.system', () => withPickle(`cos\nsystem\n${tuple(text('echo hacked'))}R.`)],
    ['a storage of type torch.OtherStorage', () => withPickle(dict(tensor(storage(4, 'OtherStorage'), 0, [4], [1])))],
    ['one object of torch.load', () => withPickle('ctorch\nload\n.')],
    ['one object of torch.FloatStorage', () => withPickle(`ctorch\nFloatStorage\n${tuple(int(2 ** 31 - 1))}R.`)],
    ['the storage m/data/0 is missing', () => withPickle(dict(tensor(storage(4), 0, [4], [1])))],
    [
      'has 16 bytes; expected 8589934588',
      () => withPickle(dict(tensor(storage(2 ** 31 - 1), 0, [4], [1])), { 0: new Uint8Array(16) }),
    ],
    ['at 1 of a storage of 4', () => withPickle(dict(tensor(storage(4), 1, [4], [1])), { 0: new Uint8Array(16) })],
    ['with strides [2] at 0', () => withPickle(dict(tensor(storage(4), 0, [3], [2])), { 0: new Uint8Array(16) })],
    [
      'a tensor [2000000000, 2000000000]',
      () => withPickle(dict(tensor(storage(4), 0, [2e9, 2e9], [0, 0])), { 0: new Uint8Array(16) }),
    ],
    ['invalid offset, size or strides', () => withPickle(dict(tensor(storage(4), -1, [4], [1])), { 0: new Uint8Array(16) })],
    ['invalid offset, size or strides', () => withPickle(dict(tensor(storage(4), 0, [4], [1, 1])), { 0: new Uint8Array(16) })],
    ['a tensor without a storage', () => withPickle(dict(tensor('N', 0, [4], [1])))],
    ['a persistent id that names no storage', () => withPickle(dict(tensor(storage(-4), 0, [4], [1])))],
    [
      'in two types or lengths',
      () =>
        withPickle(
          `](${tensor(storage(4), 0, [4], [1])}${dict(tensor(storage(4, 'HalfStorage'), 0, [4], [1])).slice(0, -1)}e0${dict(tensor(storage(4, 'HalfStorage'), 0, [4], [1]))}`,
          { 0: new Uint8Array(16) },
        ),
    ],
    ['an OrderedDict of non-pairs', () => withPickle(`ccollections\nOrderedDict\n${tuple(`(${int(1)}l`)}R.`)],
    ['expected a state dict', () => withPickle('}.')],
    ['found a dict with optimizer', () => withPickle(`}${text('optimizer')}}s.`)],
  ])('a pickle that %s', async (reason, make) => {
    const said = await reading(await make());
    expect(said).toContain(reason);
    expect(said).toContain('hand.pth');
    expect(await readdir(folder)).toEqual(['hand.pth']);
  });
});
