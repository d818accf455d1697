/**
 * Files of weights that were damaged at random: each is read or refused in words that name it, in bounded time and memory. Pickles are damaged before
 * they are packed, so that no checksum stands in the way.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { npyHeader, openNpy } from '../../../cohort/node/npy.ts';
import { RunError } from '../../../common/errors.ts';
import { type RandomStream, randomStream } from '../../../common/random.ts';
import { openRandomAccess } from '../../../platform/node/random-access.ts';
import { encodeHeader } from '../../safetensors.ts';
import { readModel } from '../model-folder.ts';
import { importWeights } from './import.ts';
import {
  call,
  dict,
  floats,
  global,
  type MadeStorage,
  type Py,
  pickleByHand,
  tensorOf,
  torchStream,
} from './testing/pickle-by-hand.ts';
import { tinyModel, writeTinyModel } from './testing/tiny-model.ts';
import { zipByHand } from './testing/zip-by-hand.ts';
import { encodePyTorch } from './write-pytorch.ts';
import { openZip } from './zip.ts';

const SEED = 2026;
const MAX_SECONDS = 10;
const MAX_BYTES = 500e6;

const { model } = tinyModel();
const tensors = [...model.parameters.values()];
const storages: MadeStorage[] = tensors.map(({ data }, i) => floats(String(i), data));
const checkpoint: Py = dict(
  ['epoch', 3],
  ['args', call('argparse.Namespace', [], { state: dict(['lr', 0.1]) })],
  ['best', call('numpy.core.multiarray.scalar', [global('numpy.float64'), Buffer.alloc(8)])],
  [
    'state_dict',
    call('collections.OrderedDict', [], { items: tensors.map(({ name, shape }, i) => [name, tensorOf(storages[i], shape)]) }),
  ],
);
const packed = (pickle: Uint8Array): Buffer =>
  zipByHand([{ name: 'm/data.pkl', data: pickle }, ...storages.map(({ key, data }) => ({ name: `m/data/${key}`, data }))]);

interface Specimen {
  readonly name: string;
  /** What is damaged. */
  readonly whole: Buffer;
  /** Damage falls within so many first and last bytes, where what is described stands. */
  readonly within: number;
  /** The file's bytes of those; its name in the folder. */
  readonly pack?: (damaged: Buffer) => Buffer;
  readonly file: string;
  readonly read: (path: string, folder: string) => Promise<unknown>;
}

const imported = (file: string, folder: string) => importWeights({ file, out: join(folder, 'out') });
const safetensors = Buffer.concat([
  encodeHeader(tensors),
  ...tensors.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
]);
const specimens: Specimen[] = [
  { name: 'safetensors', whole: safetensors, within: 9000, file: 'a.safetensors', read: imported },
  { name: 'zip of torch.save', whole: Buffer.concat(encodePyTorch(tensors)), within: 6000, file: 'a.pth', read: imported },
  ...[2, 4].map((protocol) => ({
    name: `pickle of protocol ${protocol}`,
    whole: pickleByHand(checkpoint, protocol),
    within: 1e9,
    pack: packed,
    file: 'a.pth',
    read: imported,
  })),
  { name: 'stream of torch.save', whole: torchStream(checkpoint, storages), within: 9000, file: 'a.pth', read: imported },
  {
    name: 'zip',
    whole: zipByHand([
      { name: 'a/one', data: Buffer.alloc(40, 1) },
      { name: 'a/two', data: Buffer.alloc(9, 2) },
    ]),
    within: 1e9,
    file: 'a.zip',
    read: async (path) => {
      const file = await openRandomAccess(path, 'a zip file');
      try {
        const archive = await openZip(file);
        for (const entry of archive.entries.values()) await archive.read(entry);
      } finally {
        await file.close();
      }
    },
  },
  {
    name: 'npy',
    whole: Buffer.concat([npyHeader('<f2', [3, 4, 5]), Buffer.alloc(120, 1)]),
    within: 1e9,
    file: 'a.npy',
    read: async (path) => {
      const { handle } = await openNpy(path);
      await handle.close();
    },
  },
  {
    name: 'index',
    whole: Buffer.from(
      JSON.stringify({
        metadata: { total_size: 1 },
        weight_map: Object.fromEntries(tensors.map(({ name }) => [name, 'b.safetensors'])),
      }),
    ),
    within: 1e9,
    file: 'model.safetensors.index.json',
    read: imported,
  },
];

const NUMBERS = [
  '0',
  '-1',
  '1e308',
  '1e999',
  '4294967296',
  '9007199254740993',
  '0.5',
  'NaN',
  'null',
  '""',
  '[]',
  '{}',
  `${'['.repeat(5000)}`,
  '"__proto__"',
];

/** One to three damages. */
function damaged(whole: Buffer, within: number, random: RandomStream): Buffer {
  let bytes: Buffer = Buffer.from(whole);
  const place = (): number => {
    const reach = Math.min(within, bytes.length);
    const at = random.integer(0, reach);
    return random.chance(0.5) ? at : bytes.length - 1 - at;
  };
  for (let times = random.integer(1, 4); times > 0 && bytes.length > 0; times--) {
    const at = place();
    const length = random.integer(1, 40);
    const cut = (from: number, to: number, ...between: Uint8Array[]): Buffer =>
      Buffer.concat([bytes.subarray(0, from), ...between, bytes.subarray(Math.min(to, bytes.length))]);
    switch (random.integer(0, 8)) {
      case 0:
        bytes[at] ^= 1 << random.integer(0, 8);
        break;
      case 1:
        bytes[at] = [0, 0xff, 0x7f, 0x80, 0x28, 0x52, 0x2e, 0x71][random.integer(0, 8)];
        break;
      case 2: {
        const field = Buffer.alloc(8);
        field.writeBigUInt64LE([0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n][random.integer(0, 7)]);
        field.copy(bytes, at, 0, [2, 4, 8][random.integer(0, 3)]);
        break;
      }
      case 3:
        bytes = cut(at, bytes.length);
        break;
      case 4:
        bytes = cut(at, at + length);
        break;
      case 5:
        bytes = cut(at, at, bytes.subarray(at, at + length), bytes.subarray(at, at + length));
        break;
      case 6:
        bytes = cut(at, at, Buffer.from(Array.from({ length }, () => random.integer(0, 256))));
        break;
      default: {
        // a number of a text
        const digits = /\d+/.exec(bytes.toString('latin1', at, at + 200));
        if (digits)
          bytes = cut(
            at + digits.index,
            at + digits.index + digits[0].length,
            Buffer.from(NUMBERS[random.integer(0, NUMBERS.length)]),
          );
      }
    }
  }
  return bytes;
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-mutation-'));
  await writeFile(join(folder, 'b.safetensors'), safetensors);
  await writeTinyModel(join(folder, 'whole'), { segmentation: 2 });
});
afterAll(() => rm(folder, { recursive: true }));

/** Reads or is refused by name, in time and memory; whether it was read. */
async function attempt(title: string, path: string, sizeBytes: number, read: () => Promise<unknown>): Promise<boolean> {
  const [start, before] = [performance.now(), process.memoryUsage.rss()];
  const error = await read().then(
    () => undefined,
    (reason: unknown) => reason as Error,
  );
  const seconds = (performance.now() - start) / 1000;
  if (error) {
    expect(error, `${title}: ${error.stack}`).toBeInstanceOf(RunError);
    expect(error.message, title).toContain(dirname(path));
    expect(error.message.length, `${title}: ${error.message}`).toBeLessThan(2000);
  }
  expect(seconds, title).toBeLessThan(MAX_SECONDS);
  expect(process.memoryUsage.rss() - before, title).toBeLessThan(4 * sizeBytes + MAX_BYTES);
  return error === undefined;
}

describe('damaged files', () => {
  it.each(specimens)(`$name: 40 of them (seed ${SEED})`, async ({ name, whole, within, pack = (bytes) => bytes, file, read }) => {
    const path = join(folder, file);
    await writeFile(path, pack(whole));
    expect(await attempt('whole', path, whole.length, () => read(path, folder))).toBe(true);
    let refused = 0;
    for (let i = 0; i < 40; i++) {
      await rm(join(folder, 'out'), { recursive: true, force: true });
      const bytes = pack(damaged(whole, within, randomStream(SEED, name, i)));
      await writeFile(path, bytes);
      if (!(await attempt(`${name} #${i}`, path, bytes.length, () => read(path, folder)))) refused++;
    }
    await rm(join(folder, 'out'), { recursive: true, force: true });
    expect(refused).toBeGreaterThan(10);
  });

  it(`config.json: 40 of them (seed ${SEED})`, async () => {
    const own = join(folder, 'model');
    await mkdir(own);
    await writeFile(join(own, 'model.safetensors'), await readFile(join(folder, 'whole/model.safetensors')));
    const whole = await readFile(join(folder, 'whole/config.json'));
    let refused = 0;
    for (let i = 0; i < 40; i++) {
      const bytes = damaged(whole, 1e9, randomStream(SEED, 'config', i));
      await writeFile(join(own, 'config.json'), bytes);
      if (!(await attempt(`config #${i}`, join(own, 'config.json'), bytes.length, () => readModel(own)))) refused++;
    }
    expect(refused).toBeGreaterThan(10);
  });
});
