/** How a method of pre-training is named: by option, by file, by the run that is gone on with. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { METHODS } from '../../methods/registry.ts';
import { writeTinyCohort } from '../../training/testing/tiny-cohort.ts';
import { gvsl } from '../testing/run-in-process.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-pretrain-command-'));
  await writeTinyCohort(at('cohort'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const SMALL = ['--patch', '16', '--width', '0.125', '--threads', '1', '--lr', '1e-3'];
const pretrain = (out: string, ...args: string[]) => gvsl('pretrain', at('cohort'), '--out', at(out), '--json', ...args);
const printed = async (...args: string[]): Promise<Record<string, unknown>> => {
  const { code, stdout, stderr } = await gvsl('pretrain', '--print-config', ...args);
  expect(code, stderr).toBe(0);
  return parse(stdout) as Record<string, unknown>;
};

describe('gvsl pretrain --method', () => {
  it.each(METHODS.map(({ name }) => [name]))('%s: its help, its options, and a configuration that reads back', async (name) => {
    const { stdout } = await gvsl('pretrain', '--method', name, '--help');
    for (const { name: known } of METHODS) expect(stdout).toContain(`\n  ${known} `);
    const whole = await printed('--method', name);
    expect(whole.method).toBe(name);
    await writeFile(at('whole.yaml'), JSON.stringify(whole));
    expect(await printed('--config', at('whole.yaml'))).toEqual(whole);
  });

  it("sets a method's own keys by options, and says which there are", async () => {
    expect((await gvsl('pretrain', '--method=mae', '--help')).stdout).toMatch(/Options of mae:\n {2}--mask-share <n>/);
    expect(await printed('--method', 'mae', '--mask-share', '0.6')).toMatchObject({ mask: { share: 0.6, sideVoxels: 'auto' } });
    const fused = await printed('--method', 'volume-fusion', '--fusion-boxes', '2,9', '--fusion-levels', '2');
    expect(fused).toMatchObject({ fusion: { boxes: [2, 9], levels: 2 } });
    const { code, stderr } = await gvsl('pretrain', 'x', '--out', 'y', '--method', 'mae', '--mask-share', '1.5');
    expect([code, stderr]).toEqual([2, expect.stringContaining('--mask-share: expected a number above 0, at most 1; found 1.5')]);
    const foreign = await gvsl('pretrain', 'x', '--out', 'y', '--method', 'rotation', '--mask-share', '0.5');
    expect([foreign.code, foreign.stderr]).toEqual([2, expect.stringContaining("unknown option '--mask-share'")]);
  });

  it('takes ablations by name, and refuses what contradicts them', async () => {
    expect(await printed('--method', 'restoration-only')).toMatchObject({
      model: { heads: { affine: false, matching: false, restoration: true } },
    });
    await writeFile(at('heads.yaml'), 'method: restoration-only\nmodel: { heads: { matching: true } }\n');
    const { code, stderr } = await pretrain('none', '--config', at('heads.yaml'));
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining('heads.yaml: model.heads.matching: restoration-only fixes it to false; found true'),
    ]);
    // what the option fixes as well is no contradiction
    expect(await printed('--method', 'without-affine', '--without', 'affine')).toMatchObject({ method: 'without-affine' });
  });

  it.each([
    [['--method', 'mea'], '--method: there is no method "mea"; did you mean mae? Methods: denoising, in-painting,'],
    [['--method', 'Models_Genesis', '--mask-share', '3'], 'did you mean models-genesis?'],
    [['--method', 'jigsaw'], 'there is no method "jigsaw". Methods: denoising'],
    [['--method', ''], 'there is no method "". Methods'],
  ])('%j: says which there are', async (args, message) => {
    const { code, stderr } = await pretrain('none', ...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it.each([
    ['method: simcrl\n', 'c.yaml: method: there is no method "simcrl"'],
    ['method: 3\n', 'c.yaml: method: there is no method 3. Methods'],
    ['method: mae\nloss: { ncc: 2 }\n', 'c.yaml: loss: unknown key'],
    ['method: mae\nmask: { shrae: 0.5 }\n', 'mask.shrae: unknown key; did you mean mask.share?'],
  ])('a file with %j is refused in words', async (text, message) => {
    await writeFile(at('c.yaml'), text);
    const { code, stderr } = await pretrain('none', '--config', at('c.yaml'));
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it('--print-config needs nothing that a training needs; without it, or for a run, that is asked for', async () => {
    const { code, stdout, stderr } = await gvsl('train', 'segmentation', '--preset', 'few-labels', '--print-config');
    expect([code, parse(stdout)], stderr).toMatchObject([0, { task: 'segmentation', steps: 4000 }]);
    for (const [needed, ...args] of [
      ["'cohort'", 'pretrain', '--out', 'y'],
      ["'--out <run>'", 'pretrain', 'x'],
      ["'--out <run>'", 'pretrain', 'x', '--print-config', '--resume'],
      ["'--data <cohort>'", 'train', 'segmentation', '--out', 'y'],
    ] as const) {
      const { code: refused, stderr: text } = await gvsl(...args);
      expect([refused, text]).toEqual([2, expect.stringContaining(needed)]);
    }
  });

  it("trains by a file's method, goes on by the run's own, and refuses another", async () => {
    await writeFile(at('mae.yaml'), 'method: mae\ndata: { heldOut: 2 }\njudgement: { examples: 2, probeSubjects: 2 }\n');
    const begun = await pretrain('mae', '--config', at('mae.yaml'), '--steps', '1', ...SMALL);
    expect(begun.code, begun.stderr).toBe(0);
    const result = JSON.parse(begun.stdout);
    expect(result).toMatchObject({ method: 'mae', step: 1, finished: true, evaluation: { chosenBy: 'probe' } });
    expect(result.evaluationText).toMatch(/^step 1: held-out loss .*, linear probe: Dice/);
    expect(begun.stderr).toMatch(/memory .*\n.*computing .*\n.*time +about .* per step/);
    expect(JSON.parse(await readFile(at('mae', 'run.json'), 'utf8'))).toMatchObject({ method: 'mae' });
    const resumed = await pretrain('mae', '--resume', '--steps', '2');
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ method: 'mae', step: 2, newSteps: 1 });
    const again = await gvsl('pretrain', at('cohort'), '--out', at('mae'), '--resume');
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining('2 steps done before: nothing was left to train')]);
    for (const method of ['rotation', 'gvsl', 'without-affine']) {
      const { code, stderr } = await pretrain('mae', '--resume', '--method', method);
      expect([code, stderr]).toEqual([
        2,
        expect.stringContaining(
          `mae is a run of the method mae, not of ${method}; continue it with --method mae, or choose another --out`,
        ),
      ]);
    }
  });

  it('goes on with an ablation by its name, its base, or no name, but not as another', async () => {
    expect((await pretrain('ablation', '--method', 'without-affine', '--steps', '1', ...SMALL)).code).toBe(0);
    for (const [steps, args] of [
      ['2', ['--method', 'without-affine']],
      ['3', ['--method', 'gvsl']],
      ['4', []],
    ] as const) {
      const { code, stdout, stderr } = await pretrain('ablation', '--resume', '--steps', steps, ...args);
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ method: 'without-affine', step: Number(steps) });
    }
    const { code, stderr } = await pretrain('ablation', '--resume', '--method', 'restoration-only');
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining('is a run of the method without-affine, not of restoration-only'),
    ]);
  });
});

describe('gvsl methods', () => {
  it('lists what each sees, trains, needs and costs', async () => {
    const { stdout } = await gvsl('methods');
    for (const { name, sees, needs, paper } of METHODS)
      for (const text of [name, sees, needs, paper]) expect(stdout).toContain(text);
    const listed = JSON.parse((await gvsl('methods', '--json')).stdout);
    expect(listed.map(({ name }: { name: string }) => name)).toEqual(METHODS.map(({ name }) => name));
    expect(listed[0]).toEqual({
      name: 'denoising',
      title: 'denoising',
      summary: 'removes Gaussian noise',
      sees: 'the image with noise',
      trains: 'network',
      needs: 'any images',
      labels: false,
      passes: 1,
      paper: 'Vincent et al., ICML 2008',
    });
  });
});
