import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Subject } from '../cohort/cohort.ts';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { writeCohort } from '../cohort/node/write-cohort.ts';
import { SILENT } from '../common/progress.ts';
import { writeTinyCohort } from '../training/testing/tiny-cohort.ts';
import { checkStudy } from './check.ts';
import { compare } from './compare.ts';
import { readStudy } from './run.ts';
import { labelsInOrder, runsOf } from './runs.ts';
import { seenTestSubjects } from './seen.ts';
import { studyCsv, studyMarkdown, studyRows } from './tables.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-study-'));
  await writeTinyCohort(at('cohort'), 8);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const DOCUMENT = {
  cohort: '',
  methods: ['scratch', 'restoration-only'],
  modes: ['linear', 'finetune'],
  labels: [2, 'all'],
  seeds: [1, 2],
  pretraining: {
    configuration: {
      steps: 2,
      threads: 1,
      model: { width: 0.125 },
      data: { patch: 16, heldOut: 0, damage: { shufflingBoxes: 5 } },
    },
  },
  transfer: {
    configuration: {
      steps: 2,
      threads: 1,
      model: { width: 0.125 },
      data: { patch: 16, validation: 2, test: 3 },
      log: { evaluateEverySteps: 2, picturesEverySteps: 0 },
    },
    linear: { learningRate: 0.01 },
  },
};
const study = async (changes: object = {}) => {
  await writeFile(at('study.json'), JSON.stringify({ ...DOCUMENT, cohort: at('cohort'), ...changes }));
  return readStudy(at('study.json'));
};

describe('compare', () => {
  it('names the file and the key where a training of it is configured wrongly, before any begins', async () => {
    const wrong = { ...DOCUMENT.transfer, linear: { learningRate: 'fast' } };
    await expect(study({ transfer: wrong })).rejects.toThrow(/study\.json: transfer \(linear\): learningRate: expected/);
    await expect(study({ pretraining: { configuration: { steps: -1 } } })).rejects.toThrow(
      /study\.json: pretraining\.configuration: steps: expected/,
    );
  });

  it('refuses what is named twice, which would count twice', async () => {
    for (const key of ['methods', 'modes', 'labels', 'seeds'] as const) {
      const [first] = DOCUMENT[key];
      await expect(study({ [key]: [...DOCUMENT[key], first] })).rejects.toThrow(
        `study.json: ${key}: each may be named only once; found [`,
      );
    }
  });

  it('refuses what a later training would be refused for before the first, and writes nothing', async () => {
    const { pretraining, transfer } = DOCUMENT;
    const withTransfer = (configuration: object) => ({
      transfer: { ...transfer, configuration: { ...transfer.configuration, ...configuration } },
    });
    const withData = (data: object) => withTransfer({ data: { ...transfer.configuration.data, ...data } });
    const wrong: [changes: object, message: string][] = [
      [{ labels: [2, 100] }, '`data.labels` 100: only 3 labelled subjects'],
      [withData({ test: 0 }), 'no test subjects'],
      [withData({ folds: 2 }), 'transfer (linear): data.folds 2: each training of a study is of one split'],
      [withTransfer({ model: { width: 0.25 } }), 'model.width 0.25: restoration-only is pre-trained with width 0.125'],
      [
        withTransfer({ model: { width: 'auto' } }),
        'scratch would have width 1, but restoration-only is pre-trained with width 0.125',
      ],
      [{ pretraining: { ...pretraining, models: { 'restoration-only': at('nowhere') } } }, `${at('nowhere')}: no such folder`],
      [{ pretraining: { configuration: { ...pretraining.configuration, data: { heldOut: 7 } } } }, 'leave 1 for training'],
    ];
    for (const [changes, message] of wrong)
      await expect(compare({ study: await study(changes), out: at('refused'), progress: SILENT })).rejects.toThrow(message);
    await expect(compare({ study: await study(), out: at('cohort', 'study'), progress: SILENT })).rejects.toThrow(
      `results would be written into the cohort ${at('cohort')}`,
    );
    for (const place of [at('refused'), at('cohort', 'study')]) await expect(stat(place)).rejects.toThrow('ENOENT');
  });

  it('takes the numbers of labels in their order, however they are written', async () => {
    expect(labelsInOrder(await study({ labels: ['all', 16, 2, 4] }))).toEqual([2, 4, 16, 'all']);
  });

  it('runs what is declared, tests against the baseline, and does nothing twice', async () => {
    const declared = await study();
    expect(runsOf(declared)).toHaveLength(16);
    const report = await compare({ study: declared, out: at('out'), progress: SILENT });
    expect(report.rows).toHaveLength(8);
    const row = report.rows.find(
      ({ method, mode, labels }) => method === 'restoration-only' && mode === 'linear' && labels === 2,
    )!;
    expect(row).toMatchObject({ seeds: 2, difference: { count: 3 } });
    expect(row.mean).toBeGreaterThanOrEqual(0);
    expect(report.rows.find(({ method }) => method === 'scratch')!.difference).toBeNull();
    expect(report.files).toEqual([
      ...['table.md', 'table.csv', 'scores.csv', 'study.json', 'labels.svg', 'learning.svg', 'ranks.svg', 'features.svg'],
    ]);
    const corrected = report.rows.flatMap(({ p, pHolm }) => (p === null ? [] : [[p, pHolm!] as const]));
    expect(report.rows.filter(({ p, pHolm }) => (p === null) !== (pHolm === null))).toEqual([]);
    for (const [p, pHolm] of corrected) expect(pHolm).toBeGreaterThanOrEqual(p);
    const table = await readFile(at('out', 'table.md'), 'utf8');
    expect(table).toContain('| restoration only |');
    expect(table).toContain(`corrected for the ${corrected.length} comparisons`);
    const checked = await checkStudy(at('out'));
    expect(checked).toMatchObject({ name: 'study', trainings: 16, scores: 16 * 3, differences: [] });
    const before = await stat(at('out', 'runs', 'scratch-linear-2-seed1', 'test.json'));
    expect(await compare({ study: declared, out: at('out'), progress: SILENT })).toEqual(report);
    expect((await stat(at('out', 'runs', 'scratch-linear-2-seed1', 'test.json'))).mtimeMs).toBe(before.mtimeMs);
  });

  it('is checked by the scores of its subjects: what differs is named, and so is a damaged file', async () => {
    const files = ['study.json', 'scores.csv', 'table.md', 'table.csv'];
    const checked = at('checked');
    const texts = Object.fromEntries(
      await Promise.all(files.map(async (name) => [name, await readFile(at('out', name), 'utf8')] as const)),
    );
    const check = async (changes: Readonly<Record<string, string>> = {}) => {
      await mkdir(checked, { recursive: true });
      for (const name of files) await writeFile(join(checked, name), changes[name] ?? texts[name]);
      return checkStudy(checked);
    };
    expect((await check()).differences).toEqual([]);
    const lines = texts['scores.csv'].split('\n');
    expect(lines[0]).toBe('method,mode,labels,seed,subject,dice 500');
    const [subject] = lines.slice(1);
    const changed = await check({ 'scores.csv': texts['scores.csv'].replace(subject, subject.replace(/[^,]*$/, '0.75')) });
    expect(changed.differences.join('\n')).toMatch(
      /^study\.json: scratch, linear, 2 labels, seed 1\.dice: .*; the scores give .*[\s\S]*table\.md: [\s\S]*table\.csv: /,
    );
    const table = await check({ 'table.csv': texts['table.csv'].replace(/(scratch,linear,2,2,)[^,]*/, '$10.9') });
    expect(table.differences).toEqual([
      expect.stringMatching(/^table\.csv: scratch,linear,2,2,0\.9,.*; the scores give scratch,/),
    ]);
    const fewer = await check({ 'scores.csv': lines.filter((line) => !line.startsWith('scratch,linear,2,2,')).join('\n') });
    expect(fewer.differences[0]).toBe('scores.csv: no scores of scratch, linear, 2 labels, seed 2, which the study declares');
    await expect(check({ 'scores.csv': `${texts['scores.csv']}${subject}\n` })).rejects.toThrow(/scores\.csv: .* is there twice/);
    await expect(check({ 'scores.csv': texts['scores.csv'].replace(subject, `${subject}x`) })).rejects.toThrow(
      /scores\.csv: subject 1: expected a number, found/,
    );
    await expect(check({ 'scores.csv': 'a,b\n' })).rejects.toThrow(/expected the columns method, mode, .*; found a, b/);
    await expect(check({ 'study.json': '{}' })).rejects.toThrow(/study\.json: study: /);
    await rm(join(checked, 'scores.csv'));
    await expect(checkStudy(checked)).rejects.toThrow(/checked: no scores\.csv in it; expected the folder of a study/);
  });

  it('takes trainings over from a published study by their scores alone, and does what is added', async () => {
    const published = at('published');
    await mkdir(published, { recursive: true });
    for (const name of ['study.json', 'scores.csv']) await cp(at('out', name), join(published, name));
    const keys = { ...DOCUMENT.pretraining, methods: { 'matching-only': { learningRate: 0.002 } } };
    const longer = { methods: [...DOCUMENT.methods, 'matching-only'], modes: ['finetune'], labels: [2], pretraining: keys };
    const extended = await compare({ study: await study(longer), out: at('extended'), reuse: published, progress: SILENT });
    expect(await readdir(at('extended', 'pretrained'))).toEqual(['matching-only']);
    expect(await readdir(at('extended', 'runs'))).toEqual(['matching-only-finetune-2-seed1', 'matching-only-finetune-2-seed2']);
    const whole = await compare({ study: await study(longer), out: at('whole'), progress: SILENT });
    expect(extended.rows).toEqual(whole.rows);
    for (const name of ['table.csv', 'scores.csv', 'labels.svg', 'learning.svg'])
      expect(await readFile(at('extended', name), 'utf8')).toBe(await readFile(at('whole', name), 'utf8'));
    const written = async (out: string) => JSON.parse(await readFile(at(out, 'study.json'), 'utf8'));
    expect((await written('extended')).inputs).toEqual((await written('whole')).inputs);
    expect(extended.pretraining.map(({ method, steps }) => [method, steps])).toEqual(
      whole.pretraining.map(({ method, steps }) => [method, steps]),
    );
    expect(await checkStudy(at('extended'))).toMatchObject({ trainings: 6, differences: [] });

    // a seed more: pre-trained again, which gives the same model, and must
    const seeds = { modes: ['finetune'], labels: [2], seeds: [1, 3] };
    const reuse = async (changes: object, out: string) =>
      compare({ study: await study({ ...seeds, ...changes }), out: at(out), reuse: published, progress: SILENT });
    await reuse({}, 'seeds');
    expect(await readdir(at('seeds', 'runs'))).toEqual(['restoration-only-finetune-2-seed3', 'scratch-finetune-2-seed3']);
    const document = JSON.parse(await readFile(join(published, 'study.json'), 'utf8'));
    const changed = { ...document, inputs: { ...document.inputs, models: { 'restoration-only': 'f'.repeat(64) } } };
    await writeFile(join(published, 'study.json'), JSON.stringify(changed));
    await expect(reuse({}, 'seeds-of-another')).rejects.toThrow(
      /^restoration-only: pre-training gave another model here than in .*published \(SHA-256 [0-9a-f]{12}, there f{12}\)/,
    );
    const transfer = { ...DOCUMENT.transfer, configuration: { ...DOCUMENT.transfer.configuration, steps: 3 } };
    await expect(reuse({ transfer }, 'longer')).rejects.toThrow(
      /published: holds the results of a different study[\s\S]*transfer\.configuration\.steps: was 2, now 3[\s\S]*Leave out `reuse`/,
    );
    const nowhere = compare({ study: await study(seeds), out: at('nowhere-out'), reuse: at('nowhere'), progress: SILENT });
    await expect(nowhere).rejects.toThrow(/nowhere: no such folder; expected that of a study/);
    await writeTinyCohort(at('others'), 9);
    await expect(reuse({ cohort: at('others') }, 'others-out')).rejects.toThrow('cohort: other images, labels or options');
    await expect(
      reuse(
        { pretraining: { ...DOCUMENT.pretraining, models: { 'restoration-only': at('out', 'pretrained', 'restoration-only') } } },
        'given-out',
      ),
    ).rejects.toThrow('pretraining.models.restoration-only: another model');
  });

  it('is shared by processes: the same scores and weights, each training made once', async () => {
    const declared = await study({ seeds: [1], modes: ['linear', 'probe', 'finetune'] });
    const call = {
      study: declared,
      out: at('shared'),
      progress: SILENT,
      timing: { beatMs: 1000, silenceMs: 60_000, waitMs: 20 },
    };
    await expect(compare({ ...call, table: true })).rejects.toThrow(
      /shared: 12 trainings are not done \(first runs\/scratch-linear-2-seed1, .*run the command without `table`/,
    );
    await compare({ ...call, part: { index: 2, of: 3 } });
    const reports = await Promise.all([compare(call), compare(call), compare(call)]);
    const written = reports.filter(({ files }) => files.length > 0);
    expect(written.length).toBeGreaterThan(0);
    expect(await readdir(at('shared'))).not.toContain('working');
    expect(await readdir(at('shared', 'runs'))).toHaveLength(12);
    const alone = await compare({ study: declared, out: at('alone'), progress: SILENT });
    for (const { rows } of reports) expect(rows).toEqual(alone.rows);
    expect((await compare({ ...call, table: true })).rows).toEqual(alone.rows);
    for (const path of ['pretrained/restoration-only', 'runs/restoration-only-finetune-all-seed1', 'runs/scratch-linear-2-seed1'])
      expect(
        (await readFile(at('shared', path, 'last', 'model.safetensors'))).equals(
          await readFile(at('alone', path, 'last', 'model.safetensors')),
        ),
      ).toBe(true);
    expect(await readFile(at('shared', 'table.csv'), 'utf8')).toBe(await readFile(at('alone', 'table.csv'), 'utf8'));
  });

  it('warns where pre-training sees who is tested on, and a split leaves them out', async () => {
    const declared = await study();
    const cohort = await openCohort(at('cohort'));
    const seen = await seenTestSubjects(declared, cohort);
    expect(seen).toEqual([
      '3 of 3 test subjects, or other scans of their patients, are among the images for pre-training (restoration-only); `pretraining.configuration.data.split` leaves them out',
    ]);
    const judged = (keys: object) => ({
      ...DOCUMENT.pretraining,
      configuration: { ...DOCUMENT.pretraining.configuration, data: { patch: 16, heldOut: 2 }, ...keys },
    });
    // the probe is fitted on labels of those that are trained with, and scored on those that are held out
    expect((await seenTestSubjects(await study({ pretraining: judged({}) }), cohort)).at(-1)).toMatch(
      /^labels of 3 of 3 test subjects, or of other scans of their patients, are among those by which pre-training chooses its best state/,
    );
    for (const keys of [{ judgement: { probe: false } }, { log: { evaluateEverySteps: 0 } }])
      expect((await seenTestSubjects(await study({ pretraining: judged(keys) }), cohort)).join()).not.toContain('labels of');
    const ids = cohort.subjects.map(({ id }) => id);
    await writeFile(at('split.json'), JSON.stringify({ training: ids.slice(0, 4), validation: [ids[4]], test: ids.slice(5) }));
    const [pretraining, transfer] = [DOCUMENT.pretraining, DOCUMENT.transfer].map(({ configuration, ...rest }) => ({
      ...rest,
      configuration: { ...configuration, data: { ...configuration.data, split: at('split.json') } },
    }));
    expect(await seenTestSubjects(await study({ pretraining, transfer }), cohort)).toEqual([]);
    // a model that is given, by the record of its run; of a copy nobody knows. The study keeps what is said
    const given = { ...DOCUMENT.pretraining, models: { 'restoration-only': at('out', 'pretrained', 'restoration-only') } };
    expect(await seenTestSubjects(await study({ pretraining: given }), cohort)).toEqual(seen);
    await cp(given.models['restoration-only'], at('elsewhere'), { recursive: true });
    await rm(at('elsewhere', 'run.json'));
    const copied = { ...given, models: { 'restoration-only': at('elsewhere') } };
    expect(await seenTestSubjects(await study({ pretraining: copied }), cohort)).toEqual([]);
    expect(JSON.parse(await readFile(at('out', 'study.json'), 'utf8')).warnings).toEqual(seen);
    expect(await readFile(at('out', 'table.md'), 'utf8')).toContain(`Warning: ${seen[0]}.`);
  });

  it('warns where pre-training sees other scans of who is tested on, in another cohort of the same source', async () => {
    const cohort = await openCohort(at('cohort'));
    const sessions = (session: number, root = '/data'): Subject[] =>
      cohort.subjects.map((subject, k) => ({
        ...subject,
        id: `${subject.id}_ses-${session}`,
        source: `${root}/sub-0${k}/ses-${session}/anat/sub-0${k}_T1w.nii.gz`,
        patient: `sub-0${k}`,
      }));
    const declared = await study({ pretraining: { ...DOCUMENT.pretraining, cohort: at('second') } });
    await cp(at('cohort'), at('second'), { recursive: true });
    await writeCohort({ ...cohort, folder: at('second'), subjects: sessions(2) });
    const first = { ...cohort, subjects: sessions(1) };
    expect((await seenTestSubjects(declared, first))[0]).toContain('3 of 3 test subjects, or other scans of their patients');
    // patients of another data set, numbered alike
    expect(await seenTestSubjects(declared, { ...cohort, subjects: sessions(1, '/others') })).toEqual([]);
  });

  it('takes no result that another study, cohort or model made, and names what differs', async () => {
    const small = { methods: ['scratch'], modes: ['finetune'], labels: ['all'], seeds: [1] };
    const other = (transfer: object) => ({
      ...DOCUMENT.transfer,
      configuration: { ...DOCUMENT.transfer.configuration, ...transfer },
    });
    const run = async (changes: object, out = 'small') =>
      compare({ study: await study({ ...small, ...changes }), out: at(out), progress: SILENT });
    const first = await run({});
    await expect(run({ transfer: other({ steps: 100_000 }) })).rejects.toThrow(
      /contains the results of a different study[\s\S]*transfer\.configuration\.steps: was 2, now 100000[\s\S]*Choose another `out`, or delete/,
    );
    await expect(run({ transfer: other({ backend: 'reference' }) })).rejects.toThrow(
      'transfer.configuration.backend: was absent, now "reference"',
    );
    await expect(run({ task: 'classification' })).rejects.toThrow('task: was "segmentation", now "classification"');
    await writeTinyCohort(at('fewer'), 7);
    await expect(run({ cohort: at('fewer') })).rejects.toThrow(/cohort subjects: was 8, now 7/);
    await writeTinyCohort(at('larger'), 8, 20);
    await expect(run({ cohort: at('larger') })).rejects.toThrow(/cohort subjects .*tiny_0/);
    // what shapes nothing may change, and the cohort may move
    await rename(at('cohort'), at('moved'));
    expect((await run({ cohort: at('moved'), name: 'renamed', transfer: other({ threads: 2 }) })).rows).toEqual(first.rows);
    await rename(at('moved'), at('cohort'));

    // another model to start from, under the same name
    const given = {
      methods: ['scratch', 'restoration-only'],
      pretraining: { ...DOCUMENT.pretraining, models: { 'restoration-only': at('given') } },
    };
    await cp(at('out', 'pretrained', 'restoration-only', 'last'), at('given'), { recursive: true });
    await run(given);
    const weights = await readFile(at('given', 'model.safetensors'));
    weights[weights.length - 2] ^= 1;
    await writeFile(at('given', 'model.safetensors'), weights);
    await expect(run(given)).rejects.toThrow(
      /restoration-only-finetune-all-seed1: contains the result of a different training[\s\S]*init: was .*given \(SHA-256 .*now .*given \(SHA-256/,
    );

    // a result that was put there from elsewhere, and one that an older version made
    const scratch = at('small', 'runs', 'scratch-finetune-all-seed1');
    await rm(scratch, { recursive: true });
    await cp(at('out', 'runs', 'scratch-finetune-all-seed2'), scratch, { recursive: true });
    await expect(run({})).rejects.toThrow(
      /scratch-finetune-all-seed1: contains the result of a different training[\s\S]*seed: was 2, now 1/,
    );
    const record = JSON.parse(await readFile(join(scratch, 'run.json'), 'utf8'));
    await writeFile(join(scratch, 'run.json'), JSON.stringify({ ...record, identity: undefined }));
    await expect(run({})).rejects.toThrow(/an older version of gvsl made it/);
    await rm(at('small', 'declared.json'));
    await expect(run({})).rejects.toThrow(/holds a study \(runs\) without declared\.json/);
  });

  it('tests areas under curves by DeLong', () => {
    const declared = {
      ...DOCUMENT,
      cohort: 'c',
      task: 'classification',
      baseline: 'scratch',
      modes: ['finetune'],
      labels: ['all'],
      pretraining: { variants: {} },
    };
    const result = (method: string, seed: number, probabilities: number[]) => ({
      method,
      mode: 'finetune',
      labels: 'all',
      seed,
      folder: '',
      version: '0',
      curve: [],
      task: { kind: 'classification', classes: ['healthy', 'ill'], patch: [16, 16, 16] },
      summary: { subjects: 8, dice: null, dicePerClass: null, auc: 0.5, accuracy: null },
      subjects: probabilities.map((p, i) => ({ id: `s${i}`, class: i % 2 === 0 ? 'healthy' : 'ill', probabilities: [p] })),
    });
    const results = [
      result('scratch', 1, [0.1, 0.2, 0.5, 0.4, 0.6, 0.3, 0.7, 0.8]),
      result('restoration-only', 1, [0.1, 0.7, 0.2, 0.9, 0.6, 0.5, 0.3, 0.8]),
    ];
    const rows = studyRows(declared as never, results as never);
    const row = rows.find(({ method }) => method === 'restoration-only')!;
    // of 16 pairs 7 and 15 are in the right order
    expect(row.difference).toMatchObject({ mean: 8 / 16, count: 8 });
    expect(row.p).toBeGreaterThan(0);
    expect(row.p).toBeLessThan(0.5);
    expect(row.pHolm).toBe(row.p);
    expect(studyMarkdown(declared as never, rows)).toContain("DeLong's 95 % interval");
  });

  it('gives the difference of one test subject without an interval, which would have no width', () => {
    const declared = {
      ...DOCUMENT,
      cohort: 'c',
      task: 'segmentation',
      baseline: 'scratch',
      methods: ['scratch', 'restoration-only'],
      modes: ['finetune'],
      labels: ['all'],
      pretraining: { variants: {} },
    };
    const result = (method: string, dice: number) => ({
      method,
      mode: 'finetune',
      labels: 'all',
      seed: 1,
      summary: { dice, auc: null },
      subjects: [{ id: 's', dice: [dice] }],
    });
    const rows = studyRows(declared as never, [result('scratch', 0.5), result('restoration-only', 0.75)] as never);
    expect(rows[1].difference).toEqual({ mean: 0.25, low: null, high: null, count: 1 });
    expect(studyMarkdown(declared as never, rows)).toContain('0.750<br>+0.250, p 1.000, Holm 1.000');
    expect(studyCsv(rows)).toContain('restoration-only,finetune,all,1,0.75,,0.25,,,1,1');
  });

  it('refuses a study that cannot be meant', async () => {
    await expect(study({ methods: ['jigsaw'] })).rejects.toThrow('methods');
    await expect(study({ methods: ['gvsl'] })).rejects.toThrow("baseline 'scratch' is not among the methods gvsl");
    await expect(study({ pretraining: { models: { gvsl: 'x' } } })).rejects.toThrow(
      'pretraining.models.gvsl: not among the methods',
    );
    await expect(study({ transfer: { configuration: { stepz: 3 } } })).rejects.toThrow('did you mean steps?');
    // these would be overridden in silence
    await expect(study({ transfer: { linear: { seed: 4 } } })).rejects.toThrow(
      'transfer.linear.seed: set by `seeds` of the study',
    );
    await expect(study({ transfer: { configuration: { data: { labels: 4 } } } })).rejects.toThrow(
      'transfer.configuration.data.labels: set by `labels` of the study',
    );
  });
});
