/** Reports of pre-trainings by other methods than GVSL, of real runs on a tiny cohort. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SILENT } from '../../common/progress.ts';
import { METHODS, methodNamed } from '../../methods/registry.ts';
import { pretrain } from '../../training/node/pretrain.ts';
import { writeTinyCohort } from '../../training/testing/tiny-cohort.ts';
import { writeReport } from './write-report.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-report-methods-'));
  await writeTinyCohort(at('cohort'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const train = (method: string) =>
  pretrain({
    method,
    cohort: at('cohort'),
    out: at(method),
    configuration: {
      steps: 4,
      learningRate: 1e-3,
      threads: 1,
      model: { width: 0.125 },
      data: { patch: 16, heldOut: 2 },
      ...(methodNamed(method)!.preset ? {} : { judgement: { examples: 4, probeSubjects: 2 } }),
      log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 2 },
    },
    progress: SILENT,
  });
const reportOf = async (method: string): Promise<string> => {
  const { out } = await writeReport({ run: at(method) });
  const markup = (await readFile(out, 'utf8')).replace(/<(style|script)\b.*?<\/\1>/gs, '');
  expect(markup).toContain('<img src="data:image/png');
  // as many columns are named as the pictures have: of cubic patches in three rows all cells are squares
  const named = [
    ...markup.matchAll(/<div class="panels">(.*?)<\/div>\s*<div class="strip"><img [^>]* width="(\d+)" height="(\d+)"/g),
  ];
  for (const [, panels, width, height] of named)
    expect(panels.split('<span>')).toHaveLength(1 + (Number(width) - 4) / ((Number(height) - 4) / 3));
  const text = markup.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ');
  expect(text).not.toMatch(/undefined|NaN|\[object/);
  return text;
};

it('of GVSL without matching is that of a method that restores, with the curve of clipping where there is some', async () => {
  const { out } = await pretrain({
    method: 'restoration-only',
    cohort: at('cohort'),
    out: at('restoration-only'),
    configuration: {
      steps: 4,
      gradientClip: 0.01,
      learningRate: 1e-3,
      threads: 1,
      model: { width: 0.125 },
      data: { patch: 16, heldOut: 2 },
      judgement: { examples: 4, probeSubjects: 2 },
      log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 2 },
    },
    progress: SILENT,
  });
  expect(out).toBe(at('restoration-only'));
  const text = await reportOf('restoration-only');
  expect(text).toMatch(/linear probe of the frozen features reaches Dice 0\.\d+ on 2 held-out subjects/);
  expect(text).toContain('mean squared error of what the network sees');
  expect(text).toContain('Gradient clipping');
  expect(text).not.toContain('Folded voxels');
  expect(text).toContain('Held-out example 1 damaged restored by the network the image');
});

// GVSL's own report is tested beside this file
const OTHERS = METHODS.filter(({ name, preset }) => name !== 'gvsl' && preset === undefined);

describe.each(OTHERS.map((method) => [method.name, method] as const))('the report of %s', (name, { title, panels, sees }) => {
  it('says what it is, what it came to, and shows it', async () => {
    await train(name);
    const text = await reportOf(name);
    expect(text).toContain(`Pre-training by ${title} on cohort`);
    expect(text).toContain(`It is shown ${sees}.`);
    expect(text).toMatch(
      /A linear probe of the frozen features reaches Dice 0\.\d+ on 2 held-out subjects after 4 steps, 0\.\d+ before training/,
    );
    expect(text).toContain('The best checkpoint is chosen by the probe.');
    expect(text).toContain('held-out subjects training subjects');
    for (const panel of panels) expect(text).toContain(panel);
    expect(text).toContain('Held-out example 1');
    expect(text).toContain(`--method ${name}`);
    expect(text).toContain('gvsl train segmentation --data COHORT --init');
    expect(text).not.toMatch(/gvsl register|geometric visual|smoothness penalty/i);
  });
});

describe('the report', () => {
  it('of rotation has a table of confusions', async () => {
    const text = await reportOf('rotation');
    expect(text).toMatch(/\d of 4 held-out examples are right; chance is 1 in 10/);
    expect(text).toContain('270 about z');
  });

  it('of an ablation, of a cohort without labels, and of a run that has not been judged', async () => {
    await train('without-affine');
    expect(await reportOf('without-affine')).toContain('gvsl register');
    const record = JSON.parse(await readFile(at('mae', 'run.json'), 'utf8'));
    const lines = (await readFile(at('mae', 'metrics.jsonl'), 'utf8')).trim().split('\n');
    const unlabelled = lines.map((line) => {
      const one = JSON.parse(line);
      return JSON.stringify(one.kind === 'evaluation' ? { ...one, probe: null, chosenBy: 'held-out loss' } : one);
    });
    await writeFile(at('mae', 'metrics.jsonl'), `${unlabelled.join('\n')}\n`);
    expect(await reportOf('mae')).toMatch(
      /The loss on held-out subjects is [\d.e\u2212]+ after 4 steps\. The cohort has no labels/,
    );
    const diverged = lines
      .at(-1)!
      .replace(/"heldOut":.*/, '"heldOut":{"examples":4,"loss":{"mse":null,"total":null},"measures":{}}}');
    await writeFile(at('mae', 'metrics.jsonl'), `${[...lines, diverged].join('\n')}\n`);
    expect(await reportOf('mae')).toContain('The loss on held-out subjects is not finite after 4 steps: the training diverged.');
    await writeFile(at('mae', 'metrics.jsonl'), `${lines.filter((line) => !line.includes('"evaluation"')).join('\n')}\n`);
    expect(await reportOf('mae')).toContain('No evaluation yet');
    // a method from elsewhere has no description here
    await writeFile(at('mae', 'run.json'), JSON.stringify({ ...record, method: 'mine' }));
    expect(await reportOf('mae')).toContain('Pre-training by mine on cohort');
  });
});
