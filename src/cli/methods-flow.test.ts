/** One command after another from a pre-training by each method: train, segment, embed, export; and what its models are refused for. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METHODS } from '../methods/registry.ts';
import { gvsl } from './testing/run-in-process.ts';
import { writeWorkspace } from './testing/workspace.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-methods-flow-'));
  await writeWorkspace(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const done = async (...args: string[]): Promise<Record<string, unknown> & { readonly said: string }> => {
  const { code, stdout, stderr } = await gvsl(...args, '--json');
  expect(code, stderr).toBe(0);
  return { ...JSON.parse(stdout), said: stderr };
};
const refused = async (...args: string[]): Promise<string> => {
  const { code, stderr } = await gvsl(...args);
  expect(code).toBeGreaterThan(0);
  return stderr;
};
const THREADS = ['--threads', '1'];

describe.each(METHODS.filter(({ preset }) => preset === undefined).map((method) => [method.name, method] as const))(
  'a model of %s',
  (name, { trains }) => {
    const scan = (): string => at('scans', 'p.nii.gz');
    const out = (what: string): string => at(`${name}-${what}`);

    it('is trained on a task, segments, embeds, and is exported', async () => {
      const small = ['--patch', '16', '--width', '0.125', '--lr', '1e-3', '--steps', '1', '--batch', '2', ...THREADS];
      await done('pretrain', at('cohort'), '--method', name, '--out', out('run'), ...small);
      const config = JSON.parse(await readFile(join(out('run'), 'last', 'config.json'), 'utf8'));
      expect(config.method).toBe(name === 'gvsl' ? undefined : name);
      const task = ['segmentation', '--data', at('cohort'), '--init', out('run'), '--patch', '16', '--steps', '1', ...THREADS];
      const { said } = await done('train', ...task, '--out', out('task'));
      expect(said.includes('it has no decoder, which starts at random')).toBe(trains === 'encoder');
      await done('segment', scan(), '--model', out('task'), '--out', out('labels'), ...THREADS);

      const { images, global } = await done('embed', scan(), '--model', out('run'), '--out', out('features'), ...THREADS);
      expect([(images as { local: unknown }[])[0].local === null, global]).toEqual([trains === 'encoder', 64]);
      const files = ['--onnx', out('x.onnx'), '--pth', out('x.pth'), '--safetensors', out('x.safetensors')];
      const outputs = trains === 'encoder' ? [{ name: 'global' }] : [{ name: 'local' }, { name: 'global' }];
      const part = trains === 'encoder' ? 'encoder' : 'backbone';
      expect(await done('export', out('run'), ...files)).toMatchObject({ onnx: { part, outputs } });
      await done('export', out('run'), '--huggingface', out('published'));
      const card = await readFile(join(out('published'), 'README.md'), 'utf8');
      expect(card).toContain('pipeline_tag: image-feature-extraction');
      expect(card).toContain(name === 'gvsl' ? 'by Geometric Visual Similarity Learning' : `by the method ${name} of gvsl`);
    });

    it('is refused in words for what it was not trained for', async () => {
      const model = ['--model', out('run'), '--out', out('none'), ...THREADS];
      expect(await refused('segment', scan(), ...model)).toContain(
        'a network without a head for a task; expected one for segmentation',
      );
      expect(await refused('classify', scan(), ...model)).toContain('expected one for classification');
      const pair = ['--moving', scan(), '--fixed', at('scans', 'q_0000.nii.gz')];
      if (name !== 'gvsl') expect(await refused('register', ...pair, ...model)).toContain('has no matching head');
      const parts = await refused(
        'export',
        out('run'),
        '--onnx',
        out('y.onnx'),
        '--part',
        trains === 'encoder' ? 'backbone' : 'encoder',
      );
      expect(parts).toContain(trains === 'encoder' ? 'has no decoder' : 'it has a decoder');
    });
  },
);
