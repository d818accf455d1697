/** PyTorch beside it: files of torch.save read right, ours opened by torch.load, and the same network there gives the same numbers. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findPython } from '../../../cli/bench/peer.ts';
import { decodeTensor } from '../../safetensors.ts';
import { readModel } from '../model-folder.ts';
import { exportModel } from './export.ts';
import { importWeights } from './import.ts';
import { runPart } from './testing/run-part.ts';
import { largestDifference, noise, sameTensors, writeTinyModel } from './testing/tiny-model.ts';

const SCRIPT = fileURLToPath(new URL('../../../../scripts/check-weights.py', import.meta.url));
const SIZE = [19, 33, 26] as const;
const HEADS = { segmentation: 3 };
const python = await findPython();

describe.skipIf(python === undefined)('PyTorch (skipped where no python3 imports torch)', () => {
  let folder = '';
  let said: { torch: string; tensors: [string, number[]][] };
  let made: Awaited<ReturnType<typeof writeTinyModel>>;
  let levels: typeof made;
  let classifier: typeof made;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-torch-'));
    made = await writeTinyModel(join(folder, 'made'), HEADS);
    await exportModel({ model: join(folder, 'made'), pth: join(folder, 'model.pth') });
    levels = await writeTinyModel(join(folder, 'levels'), { ...HEADS, multiLevel: true });
    await exportModel({ model: join(folder, 'levels'), pth: join(folder, 'levels.pth') });
    classifier = await writeTinyModel(join(folder, 'classifier'), { classification: 3 });
    await exportModel({ model: join(folder, 'classifier'), pth: join(folder, 'classifier.pth') });
    await writeFile(join(folder, 'size.json'), JSON.stringify(SIZE));
    await writeFile(join(folder, 'image.bin'), new Uint8Array(noise(SIZE).buffer));
    const { stdout } = await promisify(execFile)(python!, [SCRIPT, folder]);
    said = JSON.parse(stdout);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const at = (name: string): string => join(folder, name);
  let imported = 0;
  /** Imports FOLDER/NAME.pth; its report and parameters. */
  async function read(name: string) {
    const out = at(`imported-${imported++}`);
    const report = await importWeights({ file: at(`${name}.pth`), out });
    return { report, parameters: (await readModel(out)).parameters };
  }

  it('opens our .pth: names and shapes in order', () => {
    expect(said.tensors).toEqual([...made.model.parameters.values()].map(({ name, shape }) => [name, shape]));
  });

  it.each(['probabilities', 'levels', 'classifier'])('computes the same probabilities with it: %s', async (name) => {
    const theirs = decodeTensor('F32', await readFile(at(`${name}.bin`)));
    const model = { levels, classifier }[name] ?? made;
    const part = name === 'classifier' ? 'classifier' : 'segmenter';
    const { probabilities } = await runPart(part, model, SIZE, 1, noise(SIZE));
    expect(largestDifference(theirs, probabilities.data)).toBeLessThan(1e-5);
  });

  it('reads a head of all levels by its names', async () => {
    const { report, parameters } = await read('levels');
    expect(report.heads).toMatchObject({ ...HEADS, multiLevel: true });
    expect(report.missingHeads).not.toContain('segmentation');
    expect(sameTensors(parameters.values(), levels.model.parameters.values())).toBe(true);
  });

  const variants = ['checkpoint', 'shared', 'crowded', 'object'].flatMap((kind) =>
    [2, 3, 4, 5].flatMap((protocol) => [`${kind}-${protocol}`, `${kind}-${protocol}-stream`]),
  );
  const plain = ['plain', 'module', 'parallel', 'parameters', 'double', 'objects', 'lightning', 'average'];
  const prefixes: Record<string, string> = { parallel: 'module.', objects: 'module.', average: 'module.', lightning: 'model.' };
  it.each([...plain, ...variants])('reads %s.pth bit for bit', async (name) => {
    const { report, parameters } = await read(name);
    expect(sameTensors(parameters.values(), made.model.parameters.values())).toBe(true);
    expect(report.heads).toEqual({ affine: false, matching: false, restoration: false, ...HEADS });
    expect(report.prefix).toBe(prefixes[name] ?? '');
    expect(report.unknown).toEqual(name === 'average' ? ['n_averaged'] : []);
    expect(report.format).toBe(name.endsWith('stream') ? 'PyTorch (before 1.6)' : 'PyTorch (zip)');
    if (name.startsWith('crowded')) expect(Object.keys(report.skipped)).toContain('argparse.Namespace');
  });

  it.each([
    ['half', 2 ** -11],
    ['bfloat16', 2 ** -8],
  ])('reads %s.pth', async (name, precision) => {
    const { parameters } = await read(name);
    for (const [own, { data }] of parameters) {
      const exact = made.model.parameters.get(own)!.data;
      const greatest = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largestDifference(data, exact), own).toBeLessThanOrEqual(precision * greatest);
    }
  });

  it('reads a tensor whose elements are all one', async () => {
    const { parameters } = await read('expanded');
    expect([...parameters.get('out_conv.bias')!.data]).toEqual([0, 0, 0]);
  });

  it('reads the U-Net alone, whose names lack its own', async () => {
    const { report, parameters } = await read('unet');
    expect(report).toMatchObject({ unetAlone: true, unknown: [], width: 0.125 });
    expect(report.missingHeads).toContain('segmentation');
    const ours = [...made.model.parameters.values()].filter(({ name }) => name.startsWith('unet.'));
    expect(sameTensors(parameters.values(), ours)).toBe(true);
  });

  it.each([
    ['script', 'a TorchScript program'],
    ['sparse', 'out_conv.bias cannot be read: it is made by torch._utils._rebuild_sparse_tensor'],
    ['array', 'out_conv.bias cannot be read: it is made by numpy.core.multiarray._reconstruct'],
    ['integers', 'out_conv.bias holds I64'],
  ])('refuses %s.pth', async (name, reason) => {
    await expect(read(name)).rejects.toThrow(reason);
  });
});
