/** The models that the package brings along: each is what its card says, and stands wherever a path to a model does. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportModel } from './interchange/export.ts';
import { readModel, resolveModel } from './model-folder.ts';
import { shippedModel, shippedModels } from './shipped.ts';

const FOLDER = fileURLToPath(new URL('../../../models', import.meta.url));
/** Of all of them together. */
const MOST_BYTES = 25e6;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('shipped models', async () => {
  const models = await shippedModels();

  it('are every folder of models/, small enough to install', async () => {
    expect(models.map(({ card }) => card.name)).toEqual((await readdir(FOLDER)).sort());
    const bytes = models.flatMap(({ card }) => Object.values(card.files)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect(bytes).toBeLessThan(MOST_BYTES);
  });

  it.each(models.map(({ card }) => [card.name, card] as const))('%s is what its card says', async (name, card) => {
    expect(await resolveModel(name)).toBe(join(FOLDER, name));
    const { configuration } = await readModel(await resolveModel(name));
    expect(configuration.task?.kind ?? 'pre-training').toBe(card.kind);
    expect(configuration.preprocessing).not.toBeNull();
    // nothing of the machine that it was made on
    expect(await readFile(join(FOLDER, name, 'config.json'), 'utf8')).not.toMatch(/"\/|[A-Z]:\\/);
  });

  it('take their licence and data with them when they are exported; of other models nothing is claimed', async () => {
    const name = 'left-atrium-mr-segmentation';
    const { card } = models.find((model) => model.card.name === name)!;
    const [huggingface, nnunet, monai] = ['hf', 'nnunet', 'monai'].map((target) => join(folder, target));
    await exportModel({ model: name, huggingface, nnunet, monai });
    const readme = await readFile(join(huggingface, 'README.md'), 'utf8');
    expect(readme).toMatch(/^---\nlibrary_name: gvsl\nlicense: cc-by-nc-4\.0\n/);
    const stated = [
      readme,
      ...(await Promise.all(
        [join(nnunet, 'README.md'), join(monai, 'docs', 'data_license.txt')].map((path) => readFile(path, 'utf8')),
      )),
    ];
    for (const text of stated) {
      expect(text).toContain(`licence: ${card.licence}`);
      expect(text).toContain(card.data[0].source);
      expect(text).not.toContain('before publishing');
    }
    await cp(join(FOLDER, name), join(folder, 'copied'), { recursive: true });
    await exportModel({ model: join(folder, 'copied'), huggingface: join(folder, 'hf-copied') });
    expect(await readFile(join(folder, 'hf-copied', 'README.md'), 'utf8')).toContain('State the licence of these weights');
  });

  it('are refused when a file is another, and are not found by what is no name', async () => {
    const [{ card }] = models;
    await cp(join(FOLDER, card.name), join(folder, card.name), { recursive: true });
    expect((await shippedModel(card.name, folder))!.folder).toBe(join(folder, card.name));
    const weights = join(folder, card.name, 'model.safetensors');
    const bytes = await readFile(weights);
    bytes[bytes.length - 1] ^= 1;
    await writeFile(weights, bytes);
    await expect(shippedModel(card.name, folder)).rejects.toThrow(/not the file that the card .* names \(SHA-256 /);
    expect(await shippedModel('../models')).toBeUndefined();
    await expect(resolveModel('no-such-model')).rejects.toThrow('`gvsl models`');
  });

  it('are not hidden by a folder of scans of their name, but by a model or run, whole or not', async () => {
    const [{ card }] = models;
    const here = join(folder, 'scans');
    await mkdir(join(here, card.name, 'imagesTr'), { recursive: true });
    const before = process.cwd();
    process.chdir(here);
    try {
      expect(await resolveModel(card.name)).toBe(join(FOLDER, card.name));
      await writeFile(join(card.name, 'config.json'), '{}');
      await expect(resolveModel(card.name)).rejects.toThrow('neither a model folder');
      await cp(join(FOLDER, card.name), card.name, { recursive: true });
      expect(await resolveModel(card.name)).toBe(card.name);
    } finally {
      process.chdir(before);
    }
  });
});
