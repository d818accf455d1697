import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runningMean } from '../charts.ts';
import { change, grouped, percent, short } from '../figures.ts';
import { html, jsonScript } from '../html.ts';
import { type FakeRun, writeFakeRun } from '../testing/run-folder.ts';
import { word } from './commands.ts';
import { writeReport } from './write-report.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gvsl-report-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The report of a made-up run, as text. */
async function reportOf(fake: FakeRun = {}): Promise<string> {
  writeFakeRun(folder, fake);
  const { out } = await writeReport({ run: folder });
  return readFileSync(out, 'utf8');
}
/** The page as read without scripts: no scripts, styles, pictures or markup, spaces as one. */
const textOf = (page: string): string =>
  page
    .replace(/<(script|style)\b.*?<\/\1>/gs, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');

describe('the report', () => {
  it('is one file that loads nothing', async () => {
    const page = await reportOf();
    const markup = page.replace(/<(script|style)\b.*?<\/\1>/gs, '');
    expect([...markup.matchAll(/\b(?:src|href|srcset|action|poster|data)="([^"]{0,30})/g)].map(([, address]) => address)).toEqual(
      expect.arrayContaining(['data:,']),
    );
    for (const [, address] of markup.matchAll(/\b(?:src|href|srcset)="([^"]{0,30})/g)) expect(address).toMatch(/^data:/);
    expect(markup).not.toMatch(/https?:|@import|url\(/);
    expect(page.match(/<style>.*?<\/style>/s)![0]).not.toMatch(/@import|url\(/);
    expect(page).toContain("default-src 'none'");
    expect(page.match(/data:image\/png;base64,/g)).toHaveLength(3);
    expect(page).toContain('uPlot');
  });

  it('says what the run is and what it achieved, in the markup', async () => {
    const text = textOf(await reportOf());
    for (const fact of [
      '24 (20 for training, 4 held out)',
      'CT, 4 × 4 × 4 mm',
      '32 × 48 × 48 voxels (z, y, x)',
      'width 0.25, 2 032 211 parameters',
      'affine, matching, restoration',
      '600 of 600, batch 2',
      '1 (non-finite loss or gradient)',
      '0.001',
      '0.42 s per step, about 4 min 12 s; 1.3 % waiting for input',
      'Some processor, Node 20.19.1, WebAssembly, relaxed SIMD, 2 threads',
    ])
      expect(text).toContain(fact);
    // From the last evaluation: 12.5 mm, a third of 40 % less, 40 % less; Dice and NCC that much more.
    expect(text).toMatch(/Landmark error mm 12\.50 10\.83 7\.50 −40 % 3 of 3/);
    expect(text).toMatch(/Label overlap Dice 0\.500 0\.567 0\.700 \+40 % 3 of 3/);
    expect(text).toMatch(/Image similarity local NCC 0\.250 0\.333 0\.500 \+100 % 3 of 3/);
    expect(text).toMatch(/Folded voxels – 0\.00 % 0\.42 %/);
    expect(text).toContain('decreases from 12.50 mm to 7.50 mm (40 %), better in 3 of 3 pairs.');
    // The mean over pairs k = 0, 1, 2 of 6 + k, and a landmark that gets worse.
    expect(text).toMatch(/mitral valve 7\.00 6\.07 4\.20 −40 %/);
    expect(text).toMatch(/apex 11\.40 11\.59 11\.97 \+5\.0 %/);
    expect(text).toMatch(/label 420 0\.360 0\.408 0\.504 \+40 %/);
    expect(text).toContain('heart_002 to heart_012');
    // Pair 0: 6 + 2.2 i, of which one landmark is 5 % worse and the others 40 % better.
    expect(text).toContain('landmark error 11.50 → 7.68 mm');
    expect(text).toContain('pretrain cohort --out');
    expect(text).toContain('--resume --steps 1200');
    expect(text).toContain('--patch 32,48,48 --batch 2 --width 0.25 --lr 0.001');
  });

  it('names labels and source files from the cohort, if they are still there', async () => {
    const cohortFolder = join(folder, 'its cohort');
    const images = join(folder, 'images');
    const geometry = { size: [1, 1, 1], spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
    const subject = (id: string): object => ({
      ...{
        id,
        source: join(images, `${id}.nii.gz`),
        labelSource: join(images, 'labelsTr', `${id}.nii.gz`),
        labelCodes: [0, 420],
        class: null,
      },
      ...{
        sourceGeometry: geometry,
        sourceOrientation: 'LPS',
        geometry,
        content: null,
        patient: null,
        landmarks: [],
        split: 'train',
        problems: [],
      },
      intensity: { kind: 'hounsfield', low: -1024, high: 1024 },
    });
    const options = { modality: 'ct', spacingMm: [4, 4, 4], size: null, crop: 'none', intensity: 'minmax' };
    const { mkdirSync } = await import('node:fs');
    mkdirSync(cohortFolder);
    mkdirSync(images);
    const subjects = [subject('heart_000'), subject('heart_010')];
    writeFileSync(join(cohortFolder, 'cohort.json'), JSON.stringify({ format: 1, options, subjects, problems: [] }));
    writeFileSync(join(images, 'dataset.json'), JSON.stringify({ labels: { background: 0, left_atrium: 420 } }));
    const text = textOf(await reportOf({ cohortFolder }));
    expect(text).toContain('left atrium (420)');
    expect(text).toContain('label 500');
    expect(text).toContain(`--moving ${join(images, 'heart_000.nii.gz')} --fixed ${join(images, 'heart_010.nii.gz')}`);
    expect(text).toContain(`pretrain &#39;${cohortFolder}&#39; --out`);
  });

  it('names the terms of the loss that there are, and a part that gets no gradient', async () => {
    writeFakeRun(folder, { steps: 20 });
    const path = join(folder, 'metrics.jsonl');
    const lines = readFileSync(path, 'utf8').trim().split('\n').slice(0, -1);
    const changed = lines.map((line) => {
      const record = JSON.parse(line);
      if (record.kind !== 'step') return line;
      const { mse: _, ...loss } = record.loss;
      const [step, gradientNorm] = [record.step, { ...record.gradientNorm, affine: 0, deformable: record.step === 10 ? 0.3 : 0 }];
      return JSON.stringify({ ...record, loss: { ...loss, reverseNcc: 0.6, inverse: 0.01 * step }, gradientNorm });
    });
    writeFileSync(path, changed.join('\n'));
    const { out } = await writeReport({ run: folder });
    const text = textOf(readFileSync(out, 'utf8'));
    expect(text).toContain(
      'The total is the weighted sum of 1 − NCC, smoothness of the flow, 1 − NCC, the other way and inverse consistency; the curves',
    );
    expect(text).not.toMatch(/restored|restoration \(|reverseNcc/);
    expect(text).toMatch(/affine head 0 → 0; deformable head 0\.3 → 0; restoration head/);
    const charts = JSON.parse(/id="charts">(.*?)<\/script>/.exec(readFileSync(out, 'utf8'))![1]) as {
      title: string;
      logarithmic: boolean;
      series: { label: string; values: (number | null)[] }[];
    }[];
    const norms = charts.find(({ title }) => title === 'Gradient norms')!;
    const valuesOf = (label: string): (number | null)[] => norms.series.find((each) => each.label === label)!.values;
    expect([norms.logarithmic, valuesOf('affine head'), valuesOf('deformable head')]).toEqual([true, [null, null], [0.3, null]]);
  });

  it('escapes names', async () => {
    const page = await reportOf({ name: '</script><script>alert("x")</script>&' });
    expect(page).not.toContain('<script>alert');
    expect(page).toContain('heart_000&lt;/script&gt;&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;');
  });

  it.each<[string, FakeRun, string[], string[]]>([
    ['no landmarks', { landmarks: false }, ['increases from 0.500 to 0.700'], ['Landmark error', 'Results by landmark']],
    [
      'neither landmarks nor labels',
      { landmarks: false, labels: false },
      ['image similarity alone does not show'],
      ['Results by structure', 'Label overlap'],
    ],
    ['no affine head', { affine: false }, ['after matching'], ['after affine', 'affine head']],
    ['no evaluation yet', { evaluations: false }, ['No evaluation yet', 'Training curves'], ['Landmark error', 'NaN']],
    ['the evaluation before training only', { steps: 0 }, ['the network is untrained', 'No curves yet'], ['NaN']],
  ])('stands with %s', async (_, fake, there, absent) => {
    const text = textOf(await reportOf(fake));
    for (const part of there) expect(text).toContain(part);
    for (const part of [...absent, 'undefined', 'null', 'Infinity']) expect(text).not.toContain(part);
  });

  it('calls worse worse', async () => {
    writeFakeRun(folder);
    const path = join(folder, 'metrics.jsonl');
    const line = { kind: 'evaluation', step: 600, pairs: 1, landmarkErrorMm: { before: 10, affine: 10, after: 11 } };
    writeFileSync(path, `${JSON.stringify(line)}\n`);
    rmSync(join(folder, 'evaluation.json'));
    const { out, evaluation } = await writeReport({ run: folder });
    expect(evaluation?.landmarkErrorMm?.after).toBe(11);
    expect(textOf(readFileSync(out, 'utf8'))).toContain(
      'Matching did not reduce the landmark error: 10.00 mm before, 11.00 mm after.',
    );
  });

  it('stands without its other files, and shows the best, middle and worst of many pairs', async () => {
    writeFakeRun(folder, { pairs: 7 });
    rmSync(join(folder, 'run.json'));
    writeFileSync(join(folder, 'pictures', 'step-000600-pair-3.png'), 'no picture');
    const { out } = await writeReport({ run: folder, out: join(folder, 'new', 'r.html'), title: 'A title' });
    const page = readFileSync(out, 'utf8');
    expect(page).toContain('<h1>A title</h1>');
    expect(page.match(/data:image\/png/g)).toHaveLength(3);
    expect(page).toContain('(the worst of 6 by landmark error after matching)');
  });

  it('refuses a folder that is no run, and a folder as its file', async () => {
    await expect(writeReport({ run: join(folder, 'nowhere') })).rejects.toThrow('no such folder');
    await expect(writeReport({ run: folder })).rejects.toThrow('no metrics.jsonl');
    const parent = mkdtempSync(join(folder, 'folds-'));
    writeFakeRun(join(parent, 'fold-1'));
    await expect(writeReport({ run: parent })).rejects.toThrow(
      `a cross-validation; a report is of one run: that of a fold, such as ${join(parent, 'fold-1')}`,
    );
    writeFakeRun(folder);
    await expect(writeReport({ run: folder, out: folder })).rejects.toThrow('expected a file');
    // GVSL_PICTURES=FOLDER keeps a report, to look at.
    const keep = process.env.GVSL_PICTURES;
    if (keep && existsSync(keep)) await writeReport({ run: folder, out: join(keep, 'report.html') });
  });
});

describe('its parts', () => {
  it('escape what is put into templates, and keep JSON inside its element', () => {
    expect(html`<b title="${'"'}">${'<&>'}${null}${false}${[1, html`<i>${"'"}</i>`]}</b>`.html).toBe(
      '<b title="&quot;">&lt;&amp;&gt;1<i>&#39;</i></b>',
    );
    expect(jsonScript('</script>').html).toBe('"\\u003c/script>"');
  });

  it('write numbers as people read them', () => {
    expect([short(0), short(0.00012345), short(12.34567), short(-2e-5)]).toEqual(['0', '1.23e−4', '12.35', '−2.00e−5']);
    expect([grouped(999), grouped(1234567), percent(0.00421), percent(0.253)]).toEqual([
      '999',
      '1\u202f234\u202f567',
      '0.42\u202f%',
      '25.3\u202f%',
    ]);
    expect(change({ before: 10, affine: null, after: 6 })).toBeCloseTo(-0.4);
    expect(change({ before: null, affine: null, after: 6 })).toBeNull();
  });

  it('smooth without a lag, and over gaps', () => {
    expect(runningMean([1, 2, 3])).toEqual([1, 2, 3]);
    const line = Array.from({ length: 61 }, (_, k) => k);
    runningMean(line).forEach((value, k) => {
      // Two on either side; at the ends, what there is of them.
      expect(value).toBeCloseTo(k < 2 ? 1 + k / 2 : k > 58 ? 29 + k / 2 : k);
    });
    expect(runningMean(line.map((k) => (k === 30 ? null : k)))[30]).toBeCloseTo(30);
    // a loss that once exploded leaves nothing behind
    const spiked = runningMean(line.map((k) => (k === 30 ? 1e20 : 0.5)));
    expect([spiked[27], spiked[33], spiked[60]]).toEqual([0.5, 0.5, 0.5]);
    expect(runningMean(Array.from({ length: 1000 }, (_, k) => Math.sin(k)))[500]).toBeCloseTo(
      Array.from({ length: 67 }, (_, k) => Math.sin(467 + k)).reduce((sum, value) => sum + value, 0) / 67,
      12,
    );
  });

  it('quote words for the shell', () => {
    expect(['a/b-1.nii.gz', '24,32,32', "it's here"].map((text) => word(text, 'linux'))).toEqual([
      'a/b-1.nii.gz',
      '24,32,32',
      "'it'\\''s here'",
    ]);
    expect(['C:\\a\\b-1.nii.gz', '24,32,32', "it's here"].map((text) => word(text, 'win32'))).toEqual([
      'C:\\a\\b-1.nii.gz',
      '"24,32,32"',
      '"it\'s here"',
    ]);
  });
});

describe('the report of a training on a task', () => {
  const write = (name: string, value: object | string): void =>
    writeFileSync(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
  const evaluation = (step: number, scores: object): string =>
    JSON.stringify({ kind: 'evaluation', step, subjects: 2, ...scores });
  const step = (at: number, loss: number): string =>
    JSON.stringify({ kind: 'step', step: at, loss: { total: loss, dice: loss }, gradientNorm: { head: 1 }, learningRate: 0.001 });
  const pageOf = async (): Promise<{ page: string; text: string }> => {
    const { out } = await writeReport({ run: folder });
    const page = readFileSync(out, 'utf8');
    return { page, text: textOf(page) };
  };

  it('shows Dice by class: the best step, the last, the test; subjects, pictures, curves and what to do next', async () => {
    writeFakeRun(folder, { pairs: 1 });
    const picture = readFileSync(join(folder, 'pictures', readdirSync(join(folder, 'pictures'))[0]));
    writeFileSync(join(folder, 'pictures', 'step-000020-subject-1.png'), picture);
    const labels = [
      { code: 0, name: 'background' },
      { code: 7, name: 'heart <b>' },
      { code: 9, name: 'aorta' },
    ];
    write('run.json', {
      task: { kind: 'segmentation', labels },
      configuration: { init: 'runs/pre', mode: 'linear', steps: 20 },
      cohort: { folder: 'c' },
    });
    write(
      'metrics.jsonl',
      [
        evaluation(0, { dice: 0.1, dicePerClass: [0.1, 0.1] }),
        step(10, 0.9),
        evaluation(10, { dice: 0.7, dicePerClass: [0.8, 0.6] }),
        step(20, 0.5),
        evaluation(20, { dice: 0.65, dicePerClass: [0.65, null] }),
      ].join('\n'),
    );
    const subjects = [
      { id: 'one', dice: [0.61, null] },
      { id: 'two', dice: [0.69, null] },
    ];
    write('evaluation.json', { step: 20, subjects });
    write('test.json', {
      step: 10,
      summary: { subjects: 1, dice: 0.555, dicePerClass: [0.6, 0.51] },
      subjects: [{ id: 'three', dice: [0.6, 0.51] }],
    });
    const { page, text } = await pageOf();
    expect(text).toContain('Report of a training on a task');
    expect(text).toContain('Dice on 1 held-out test subject (not used for selection): 0.555.');
    expect(text).toMatch(/Mean Dice 0\.700 0\.650 0\.555/);
    expect(text).toMatch(/aorta \(9\) 0\.600 – 0\.510/);
    expect(text).toContain('one 0.610 0.610 –');
    expect(text).toContain('runs/pre, backbone frozen');
    expect(text).toContain('mean over classes 0.100 → 0.650');
    expect(text).toContain(`segment SCANS --model ${folder}`);
    expect(page).toContain('heart &lt;b&gt;');
    expect(page.match(/data:image\/png;base64,/g)).toHaveLength(1);

    // what the model does to its label maps counts in the table and in the sentence
    const scored = (dice: number, ...dicePerClass: number[]) => ({ summary: { subjects: 1, dice, dicePerClass }, subjects: [] });
    const test = JSON.parse(readFileSync(join(folder, 'test.json'), 'utf8'));
    write('test.json', { ...test, postProcessed: scored(0.58, 0.62, 0.54) });
    write('validation.json', { ...test, postProcessed: scored(0.72, 0.81, 0.63) });
    const processed = (await pageOf()).text;
    expect(processed).toContain('(not used for selection): 0.580 with post-processing, 0.555 without.');
    expect(processed).toMatch(/best, step 10 best, post-processed last, step 20 test, step 10 test, post-processed/);
    expect(processed).toMatch(/Mean Dice 0\.700 0\.720 0\.650 0\.555 0\.580/);
    rmSync(join(folder, 'test.json'));
    expect((await pageOf()).text).toContain(
      'validation subjects, best checkpoint: 0.720 with post-processing, 0.700 without. These subjects selected the checkpoint and its post-processing,',
    );
  });

  it('shows AUC and accuracy, and says when nothing was validated', async () => {
    writeFakeRun(folder, { pairs: 1 });
    write('run.json', { task: { kind: 'classification', classes: ['0', '1'] } });
    write('evaluation.json', { step: 10, subjects: [{ id: 'one', probabilities: [0.25], class: '1' }] });
    write('metrics.jsonl', [step(10, 0.6), evaluation(10, { auc: 0.75, accuracy: 0.5 })].join('\n'));
    const { text } = await pageOf();
    expect(text).toContain('Area under the ROC curve on 2 validation subjects, best checkpoint: 0.750.');
    expect(text).toContain('one 1 0.250');
    // of equal areas training took the one of greater accuracy
    const evaluations = [evaluation(10, { auc: 0.75, accuracy: 0.5 }), evaluation(20, { auc: 0.75, accuracy: 1 })];
    write('metrics.jsonl', [...evaluations, evaluation(30, { auc: 0.5, accuracy: 1 })].join('\n'));
    expect((await pageOf()).text).toMatch(/best, step 20 last, step 30/);
    write('metrics.jsonl', [evaluation(10, { auc: null, accuracy: 1 }), evaluation(20, { auc: null, accuracy: 0 })].join('\n'));
    const ofOneClass = (await pageOf()).text;
    expect(ofOneClass).toContain('Accuracy on 2 validation subjects, best checkpoint: 1.000. They lack a class');
    expect(ofOneClass).toMatch(/best, step 10 last, step 20/);
    // steps that were not logged are done all the same
    expect(ofOneClass).toContain('Steps 20');
    write('metrics.jsonl', step(10, 0.6));
    expect((await pageOf()).text).toContain('No evaluation yet');
  });
});
