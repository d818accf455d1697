/** A folder for nnU-Net: what is in it, and that a loader as strict as nnU-Net's takes it (scripts/check-nnunet.py). */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findPython } from '../../../cli/bench/peer.ts';
import { decodeTensor } from '../../safetensors.ts';
import { exportModel } from './export.ts';
import { plugInTensors } from './nnunet.ts';
import { openPyTorch } from './pytorch.ts';
import { runPart } from './testing/run-part.ts';
import { largestDifference, noise, writeTinyModel } from './testing/tiny-model.ts';

const SCRIPT = fileURLToPath(new URL('../../../../scripts/check-nnunet.py', import.meta.url));
const SIZE = [19, 33, 26] as const;
// spacings in whole millimetres: with weights_only PyTorch 1.13 reads no fractions, which nnU-Net's 2.1 and newer do
const python = await findPython();

let folder = '';
let made: Awaited<ReturnType<typeof writeTinyModel>>;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-nnunet-'));
  made = await writeTinyModel(
    at('made'),
    { affine: true, matching: true, restoration: true },
    { preprocessing: { modality: 'mr', spacingMm: [1, 3, 2], intensity: 'percentile', crop: 'none' }, patch: [40, 48, 64] },
  );
  await exportModel({ model: at('made'), nnunet: at('for-nnunet') });
});
afterAll(() => rm(folder, { recursive: true }));

/** A JSON file of a folder. */
const read = async (path: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(at(path), 'utf8'));

describe('a folder for nnU-Net', () => {
  it('has the files, and the plan says patch and spacing in the order z, y, x', async () => {
    expect((await readdir(at('for-nnunet'))).sort()).toEqual([
      'README.md',
      'adaptation_plan.json',
      'checkpoint_final.pth',
      'config.json',
      'gvsl_nnunet.py',
      'gvsl_torch.py',
    ]);
    expect(await read('for-nnunet/adaptation_plan.json')).toMatchObject({
      architecture_plans: { arch_class_name: 'gvsl_nnunet.GvslPlainConvUNet', arch_kwargs: { pretrained_decoder: true } },
      pretrain_plan: { configurations: { gvsl: { spacing: [2, 3, 1], patch_size: [48, 48, 64] } } },
      recommended_downstream_patchsize: [48, 48, 64],
      pretrain_num_input_channels: 1,
      key_to_encoder: 'body',
      key_to_stem: 'stem',
    });
    const readme = await readFile(at('for-nnunet/README.md'), 'utf8');
    for (const command of ['nnUNetv2_preprocess_like_nnssl -d ID -n for-nnunet', 'nnUNetv2_train_pretrained ID 3d_fullres FOLD'])
      expect(readme).toContain(command);
    expect(readme).toContain('nnUNetv2_predict');
  });

  it('holds the backbone bit for bit; no name has that of its part twice', async () => {
    const { tensors, close } = await openPyTorch(at('for-nnunet/checkpoint_final.pth'));
    try {
      const expected = plugInTensors(made.model);
      expect([...tensors.keys()]).toEqual(expected.map(({ name }) => name));
      for (const { name, data } of expected) expect(largestDifference(await tensors.get(name)!.read(), data)).toBe(0);
      // nnU-Net takes every occurrence out
      for (const name of tensors.keys()) expect(name.split(/body|stem/)).toHaveLength(2);
    } finally {
      await close();
    }
  });

  it('takes another patch, and refuses names that are no part of a plan', async () => {
    await exportModel({ model: at('made'), nnunet: at('larger'), size: [96, 96, 128] });
    expect(await read('larger/adaptation_plan.json')).toMatchObject({ recommended_downstream_patchsize: [96, 96, 128] });
    await expect(exportModel({ model: at('made'), nnunet: at('odd'), size: [90, 96, 128] })).rejects.toThrow(
      'a multiple of 16 voxels in every axis; take 96,96,128',
    );
    await expect(exportModel({ model: at('made'), nnunet: at('two words') })).rejects.toThrow('becomes part of');
    await expect(exportModel({ model: at('made'), nnunet: at('larger') })).rejects.toThrow('not empty');
    expect(await readdir(folder)).not.toContain('two words');
  });
});

describe.skipIf(python === undefined)('the strict loader (skipped where no python3 imports torch)', () => {
  const check = async (name: string, channels: number) => {
    await writeFile(at('size.json'), JSON.stringify(SIZE));
    await writeFile(at('image.bin'), new Uint8Array(noise(SIZE).buffer));
    const { stdout } = await promisify(execFile)(python!, [SCRIPT, at(name), folder, String(channels)]);
    return JSON.parse(stdout) as { tensors: [string, number[]][]; losses: number[] };
  };

  it.each([1, 3])('%i channels: everything is loaded, and the feature is that of gvsl', async (channels) => {
    const { tensors, losses } = await check('for-nnunet', channels);
    expect(tensors).toEqual(plugInTensors(made.model).map(({ name, shape }) => [name, shape]));
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(losses[2]).toBeLessThan(losses[0]);
    const { local } = await runPart('backbone', made, SIZE, 1, noise(SIZE));
    expect(largestDifference(decodeTensor('F32', await readFile(at('local.bin'))), local.data)).toBeLessThan(1e-4);
  });

  it('an encoder alone: the decoder is new', async () => {
    await writeTinyModel(at('classifier'), { classification: 2 });
    await exportModel({ model: at('classifier'), nnunet: at('encoder') });
    expect((await check('encoder', 2)).tensors.some(([name]) => name.includes('decoder'))).toBe(false);
  });
});
