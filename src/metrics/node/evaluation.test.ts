import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { registerEvaluate } from '../../cli/commands/evaluate.ts';
import { SILENT } from '../../common/progress.ts';
import { randomStream } from '../../common/random.ts';
import { IDENTITY_3, type Matrix3, type Xyz } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import { bootstrapMean } from '../statistics.ts';
import { scoreClassifications } from './classifications.ts';
import { scoreSegmentations } from './segmentations.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

const SIZE: Xyz = [6, 5, 4];
const geometry = (spacing = 1, origin = 0, direction: Matrix3 = IDENTITY_3) => ({
  size: SIZE,
  spacingMm: [spacing, 1, 2] as Xyz,
  originMm: [origin, 0, 0] as Xyz,
  direction,
});
const map = (codeAt: (x: number, y: number, z: number) => number) => {
  const data = new Int16Array(SIZE[0] * SIZE[1] * SIZE[2]);
  for (let z = 0, i = 0; z < SIZE[2]; z++)
    for (let y = 0; y < SIZE[1]; y++) for (let x = 0; x < SIZE[0]; x++, i++) data[i] = codeAt(x, y, z);
  return data;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-evaluation-'));
  const left = map((x) => (x < 3 ? 205 : 0));
  await writeImage(at('truth', 'a.nii.gz'), { geometry: geometry(), data: left });
  await writeImage(at('truth', 'b.nii.gz'), { geometry: geometry(), data: map((x, y) => (x < 3 ? 205 : y < 2 ? 850 : 0)) });
  await writeImage(at('found', 'a_0000.nii.gz'), { geometry: geometry(), data: map((x) => (x < 2 ? 205 : 0)) });
  await writeImage(at('found', 'b.nii.gz'), { geometry: geometry(), data: left });
  await writeImage(at('found', 'probabilities', 'b_probability.nii.gz'), { geometry: geometry(), data: left });
  await writeImage(at('found', 'uncertainty', 'b_entropy.nii.gz'), { geometry: geometry(), data: left });
  await writeImage(at('moved', 'a.nii.gz'), { geometry: geometry(1, 3), data: left });
  await writeImage(at('coarse', 'a.nii.gz'), { geometry: geometry(1.5), data: left });
  await writeImage(at('grey', 'a.nii.gz'), { geometry: geometry(), data: Float32Array.from(left, (v) => v / 3) });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const score = (predictions: string, references: string, changes: object = {}) =>
  scoreSegmentations({
    predictions: at(predictions),
    references: at(references),
    toleranceMm: 1,
    skipMissing: false,
    progress: SILENT,
    ...changes,
  });

/** What `gvsl evaluate` writes to stdout. */
async function printed(args: readonly string[]): Promise<string> {
  const said: string[] = [];
  const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  try {
    const program = new Command();
    registerEvaluate(program);
    await program.parseAsync(['evaluate', ...args], { from: 'user' });
  } finally {
    stdout.mockRestore();
  }
  return said.join('');
}

describe('scoreSegmentations', () => {
  it('pairs cases by name, scores the codes that occur, and counts what is absent', async () => {
    const report = await score('found', 'truth');
    expect(report.cases.map(({ case: name }) => name)).toEqual(['a', 'b']);
    const [first, second] = report.cases;
    expect(first.labels.map(({ label, dice }) => [label, dice])).toEqual([[205, 0.8]]);
    expect(second.labels.map(({ label, dice, hd95Mm }) => [label, dice, hd95Mm])).toEqual([
      [205, 1, 0],
      [850, 0, null],
    ]);
    expect(report.summary.find(({ label }) => label === 850)).toMatchObject({ absentFromBoth: 1, missed: 1, spurious: 0 });
    expect(report.summary.find(({ label }) => label === 205)!.measures.dice!.mean).toBeCloseTo(0.9, 12);
    expect(report.mean.dice!.mean).toBeCloseTo((0.8 + 0.5) / 2, 12);
    expect((await score('found', 'truth', { labels: [205] })).mean.dice!.mean).toBeCloseTo(0.9, 12);
    const left = await score('found', 'truth', { labels: [205, 850], ignore: [850] });
    expect(left.summary.map(({ label }) => label)).toEqual([205]);
    expect((await score('found/b.nii.gz', 'truth/a.nii.gz')).cases[0]).toMatchObject({
      case: 'a',
      labels: [{ label: 205, dice: 1 }],
    });
  });

  it('draws patients, not scans, where names say that some have several', async () => {
    const shares = [0.9, 0.85, 0.4, 0.45, 0.7];
    const names = ['sub-01_ses-1', 'sub-01_ses-2', 'sub-02_ses-1', 'sub-02_ses-2', 'sub-03_ses-1'];
    for (const [k, name] of names.entries()) {
      await writeImage(at('sessions', 'truth', `${name}.nii.gz`), { geometry: geometry(), data: map(() => 205) });
      const found = map((x, y, z) => ((x + 6 * y + 30 * z) / 120 < shares[k] ? 205 : 0));
      await writeImage(at('sessions', 'found', `${name}.nii.gz`), { geometry: geometry(), data: found });
    }
    const report = await score('sessions/found', 'sessions/truth');
    expect(report.patients).toBe(3);
    expect(report.cases.map(({ patient }) => patient)).toEqual(['sub-01', 'sub-01', 'sub-02', 'sub-02', 'sub-03']);
    const dice = report.cases.map(({ labels }) => labels[0].dice!);
    const expected = bootstrapMean([dice.slice(0, 2), dice.slice(2, 4), [dice[4]]]);
    expect(report.mean.dice).toEqual(expected);
    expect(report.summary[0].measures.dice).toEqual(expected);
    expect(report.mean.dice).toMatchObject({ count: 5, patients: 3 });
    expect((await score('found', 'truth')).mean.dice).not.toHaveProperty('patients');
    expect(await printed([at('sessions', 'found'), at('sessions', 'truth')])).toContain(
      '5 cases of 3 patients; means with 95 % bootstrap intervals over patients',
    );
  });

  it('scores the others where a case of a folder cannot be scored, and says which and why', async () => {
    await writeImage(at('mixed', 'b.nii.gz'), { geometry: geometry(), data: map((x) => (x < 3 ? 205 : 0)) });
    await writeFile(at('mixed', 'a.nii.gz'), 'no image');
    const report = await score('mixed', 'truth');
    expect(report.cases.map(({ case: name }) => name)).toEqual(['b']);
    expect(report.failed).toEqual([{ path: at('mixed', 'a.nii.gz'), reason: expect.stringMatching(/./) }]);
    expect(report.summary.find(({ label }) => label === 205)!.measures.dice!.mean).toBe(1);
  });

  it.skipIf(process.platform === 'win32')('says what cannot be opened, on both sides too', async () => {
    const gone = (...names: string[]): Promise<void> => symlink(at('no-such-file'), at(...names));
    for (const name of ['linked', 'linked-truth']) {
      await writeImage(at(name, 'b.nii.gz'), { geometry: geometry(), data: map((x) => (x < 3 ? 205 : 0)) });
      await gone(name, 'a.nii.gz');
    }
    const { cases, failed } = await score('linked', 'linked-truth');
    expect(cases.map(({ case: name }) => name)).toEqual(['b']);
    expect(failed).toEqual(
      ['linked', 'linked-truth'].map((name) => ({ path: at(name, 'a.nii.gz'), reason: expect.stringContaining('broken link') })),
    );
    await rm(at('linked', 'b.nii.gz'));
    await expect(score('linked', 'linked-truth')).rejects.toThrow(/no label map in this folder; not read: .*a\.nii\.gz/);
  });

  it('leaves out what lies beside predictions, whatever the folders above are called', async () => {
    const above = join('probabilities', 'uncertainty', 'mine');
    await writeImage(at(above, 'a.nii.gz'), { geometry: geometry(), data: map((x) => (x < 3 ? 205 : 0)) });
    await writeImage(at(above, 'uncertainty', 'a_entropy.nii.gz'), { geometry: geometry(), data: map(() => 0) });
    expect((await score(above, 'truth', { skipMissing: true })).skipped).toEqual(['b: no prediction']);
  });

  it('says what is unusual about the files: a voxel size that is assumed makes no millimetres', async () => {
    const header = 'NRRD0004\ntype: uint8\ndimension: 3\nsizes: 6 5 4\nencoding: raw\n\n';
    const bytes = Uint8Array.from(map((x) => (x < 3 ? 1 : 0)));
    await writeFile(at('bare.nrrd'), Buffer.concat([Buffer.from(header), bytes]));
    const { warnings, cases } = await score('bare.nrrd', 'bare.nrrd');
    expect(cases[0].labels[0].dice).toBe(1);
    expect(warnings.filter((said) => said.startsWith(`${at('bare.nrrd')}: `))).toEqual(warnings);
    expect(warnings.join()).toContain('no voxel size in its header');
    expect((await score('found', 'truth')).warnings).toEqual([]);
  });

  it('takes labels that lie anywhere by their codes, those of another case too, on either side', async () => {
    const codes = [205, 0, 850, 205, 850, 0, 850];
    const speckled = map((x, y, z) => codes[(x + 2 * y + 3 * z) % codes.length]);
    await writeImage(at('speckled', 'a.nii.gz'), { geometry: geometry(), data: speckled });
    await writeImage(at('speckled', 'b.nii.gz'), { geometry: geometry(), data: speckled });
    for (const [a, b] of [
      ['speckled', 'truth'],
      ['truth', 'speckled'],
    ]) {
      const { cases, failed } = await score(a, b);
      expect(failed).toEqual([]);
      expect(cases.map(({ labels }) => labels.map(({ label }) => label))).toEqual([
        [205, 850],
        [205, 850],
      ]);
    }
    // a part's cases are judged by the codes of all
    const parts = await Promise.all([1, 2].map((index) => score('speckled', 'truth', { part: { index, of: 2 } })));
    expect(parts.flatMap(({ failed }) => failed)).toEqual([]);
    // alone, it is not known to be a label map
    await expect(score('speckled/a.nii.gz', 'truth/a.nii.gz')).rejects.toThrow(
      /a\.nii\.gz: its values look like an image, not a label map, and no label map of the other side has 850; .*`labels`/,
    );
    expect((await score('speckled/a.nii.gz', 'truth/a.nii.gz', { labels: [205] })).cases).toHaveLength(1);
  });

  it('takes a map that was cut to what it marks for one with background around it, on either side', async () => {
    const cut = { ...geometry(), size: [3, SIZE[1], SIZE[2]] as Xyz };
    await writeImage(at('cut', 'a.nii.gz'), { geometry: cut, data: new Uint8Array(3 * SIZE[1] * SIZE[2]).fill(205) });
    for (const [predictions, references] of [
      ['cut', 'truth'],
      ['truth', 'cut'],
    ]) {
      const { cases, warnings } = await score(`${predictions}/a.nii.gz`, `${references}/a.nii.gz`);
      expect(cases[0].labels).toMatchObject([{ label: 205, dice: 1 }]);
      expect(warnings.join()).toMatch(
        /cut\/a\.nii\.gz: covers a box of the grid of .*truth\/a\.nii\.gz alone; background around it/,
      );
    }
  });

  it('refuses other grids saying how they differ, maps that are none, and cases on one side', async () => {
    await expect(score('moved/a.nii.gz', 'truth/a.nii.gz')).rejects.toThrow('on a different grid than its reference');
    await expect(score('coarse/a.nii.gz', 'truth/a.nii.gz')).rejects.toThrow('spacing 1.5 x 1 x 2 mm, expected 1 x 1 x 2 mm');
    await expect(score('grey/a.nii.gz', 'truth/a.nii.gz')).rejects.toThrow('not a label map: expected whole numbers, found 68.3');
    await expect(score('moved', 'truth')).rejects.toThrow('b: no prediction');
    await writeImage(at('other', 'c.nii.gz'), { geometry: geometry(), data: map(() => 205) });
    await expect(score('other', 'moved')).rejects.toThrow('a: no prediction, c: no reference');
    await expect(score('nowhere', 'truth')).rejects.toThrow('no such file or folder');
  });
});

describe('gvsl evaluate', () => {
  const evaluate = async (...args: string[]): Promise<void> => {
    const program = new Command();
    registerEvaluate(program);
    await program.parseAsync(['evaluate', ...args], { from: 'user' });
  };

  it('writes tables as CSV where the file is called so', async () => {
    const silent = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    try {
      await evaluate(at('found'), at('truth'), '--out', at('scores.csv'));
      await writeFile(at('p.csv'), 'case,0,"1, ill"\na,0.9,0.1\nb,0.4,0.6\n');
      await writeFile(at('r.csv'), 'case,label\na,0\nb,"1, ill"\n');
      await evaluate(at('p.csv'), at('r.csv'), '--out', at('classes.csv'));
    } finally {
      silent.mockRestore();
    }
    const [header, first] = (await readFile(at('scores.csv'), 'utf8')).split('\n');
    expect(header).toBe('case,label,dice,jaccard,hd95Mm,surfaceDistanceMm,surfaceDice,volumeError,predictedMl,referenceMl');
    expect(first).toMatch(/^a,205,0\.8,/);
    const lines = (await readFile(at('classes.csv'), 'utf8')).split('\n');
    expect(lines[0]).toMatch(/^class,auc,aucLow,aucHigh,/);
    expect(lines[1]).toBe('"1, ill",1,1,1,1,1,1,1,0.5,1,2');
  });

  it('refuses options that say nothing of what is scored', async () => {
    const said: string[] = [];
    const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
    try {
      for (const [flag, value] of Object.entries({ '--labels': '1', '--ignore': '1', '--tolerance': '2', '--part': '1/2' })) {
        await evaluate('p.csv', 'r.tsv', flag, value);
        expect([said.pop(), process.exitCode]).toEqual([expect.stringContaining(`${flag}: only valid with label maps`), 2]);
      }
      for (const [flag, value] of Object.entries({ '--threshold': '0.4', '--class-column': 'ill' })) {
        await evaluate(at('found'), at('truth'), flag, value);
        expect([said.pop(), process.exitCode]).toEqual([expect.stringContaining(`${flag}: only valid with tables`), 2]);
      }
    } finally {
      stderr.mockRestore();
      process.exitCode = 0;
    }
  });
});

describe('scoreClassifications', () => {
  const classify = async (predictions: string, references: string, skipMissing = false) => {
    await writeFile(at('p.csv'), predictions);
    await writeFile(at('r.csv'), references);
    return scoreClassifications(at('p.csv'), at('r.csv'), { threshold: 0.5, skipMissing });
  };
  const truth = 'filename,label\na_0000.nii.gz,0\nb.nii.gz,1\nc,1\n';

  it('scores the second of two classes', async () => {
    const report = await classify('case,0,1,prediction\na,0.9,0.1,0\nb,0.4,0.6,1\nc,0.95,0.05,0\n', truth);
    expect(report.summary).toHaveLength(1);
    expect([report.accuracy, report.balancedAccuracy]).toEqual([2 / 3, 0.75]);
    const three = 'case,x,y,z\na,0.5,0.3,0.2\nb,0.1,0.4,0.5\nc,0.2,0.2,0.6\nd,0.4,0.4,0.2\n';
    expect(await classify(three, 'case,class\na,x\nb,y\nc,z\nd,x\n')).toMatchObject({ accuracy: 0.75, balancedAccuracy: 2 / 3 });
    expect(report.summary[0]).toMatchObject({
      class: '1',
      positives: 2,
      negatives: 1,
      auc: 0.5,
      sensitivity: 0.5,
      specificity: 1,
    });
  });

  it('draws patients where a column of the references, or names, say whose cases they are', async () => {
    const random = randomStream(3, 'patients');
    const cases = Array.from({ length: 24 }, (_, k) => ({ name: `c${k}`, patient: k >> 2, ill: (k >> 2) % 2 }));
    const said = cases.map(({ name, ill }) => `${name},${(0.3 * ill + 0.6 * random.uniform(0, 1)).toFixed(3)}`);
    const predictions = (named: (k: number) => string): string =>
      [
        'case,0,1',
        ...said.map((line, k) => `${named(k)},${(1 - Number(line.split(',')[1])).toFixed(3)},${line.split(',')[1]}`),
      ].join('\n');
    const alone = await classify(
      predictions((k) => `c${k}`),
      ['case,label', ...cases.map(({ name, ill }) => `${name},${ill}`)].join('\n'),
    );
    expect(alone).not.toHaveProperty('patients');
    const column = await classify(
      predictions((k) => `c${k}`),
      ['case,label,Patient', ...cases.map(({ name, ill, patient }) => `${name},${ill},${patient}`)].join('\n'),
    );
    const bids = (k: number): string => `sub-${cases[k].patient}_ses-${k % 4}`;
    const named = await classify(predictions(bids), ['case,label', ...cases.map(({ ill }, k) => `${bids(k)},${ill}`)].join('\n'));
    expect([column.patients, named.patients]).toEqual([6, 6]);
    expect(column.summary).toEqual(named.summary);
    expect(column.summary[0].auc).toBe(alone.summary[0].auc);
    const [[low, high], [lowAlone, highAlone]] = [column, alone].map(({ summary }) => summary[0].aucInterval!);
    expect([low, high]).not.toEqual([lowAlone, highAlone]);
    expect(await printed([at('p.csv'), at('r.csv')])).toContain(
      '24 cases of 6 patients; the bootstrap interval of the AUC is over patients',
    );
  });

  it('reads tables as spreadsheets write them', async () => {
    const predictions = '\ufeffcase;0;1\r\n"a";0.9;0.1\r\nb;0.4;0.6\r\nc;0.95;0.05\r\n';
    expect((await classify(predictions, truth.replaceAll(',', '\t'))).summary[0]).toMatchObject({ auc: 0.5, positives: 2 });
    await expect(classify(predictions.replace('0.9;', '0,9;'), truth)).rejects.toThrow("from 0 to 1; found '0,9'");
    await writeFile(at('wide.csv'), Buffer.from(truth, 'utf16le'));
    await expect(scoreClassifications(at('wide.csv'), at('wide.csv'), { threshold: 0.5, skipMissing: false })).rejects.toThrow(
      'wide.csv: not a table in CSV: expected text in UTF-8',
    );
  });

  it('refuses what cannot be scored, naming file and line', async () => {
    await expect(classify('case,0,1\na,0.9,0.1\n', truth)).rejects.toThrow('b: no prediction');
    await expect(classify('case,0,1\na,0.9,1.1\nb,0,1\nc,0,1\n', truth)).rejects.toThrow(
      "p.csv, line 2: 1: expected a probability from 0 to 1; found '1.1'",
    );
    await expect(classify('case,0,2\na,0.9,0.1\n', truth)).rejects.toThrow("class '1' has no column");
    await expect(classify('case,0,1\na,0.9,0.1\na,0.9,0.1\n', truth)).rejects.toThrow('duplicate case');
    await expect(classify('case,0,1\n,0.9,0.1\n', truth)).rejects.toThrow("p.csv, line 2: no case is named in column 'case'");
    await expect(classify('case,0,1\na,0.9,0.1\n', 'id,label\na,0\n,1\n')).rejects.toThrow('r.csv, line 3: no case is named');
    await expect(classify('nothing\n', truth)).rejects.toThrow('expected a header with at least two columns');
    await expect(classify('case,0,1\na,1,0\n', 'case,label\na,0\na,1\n')).rejects.toThrow(
      "r.csv, line 3: case 'a' is '1', but was '0' earlier",
    );
    await expect(classify('case,0,1\na,1,0\n', 'name,label\na,0\n')).rejects.toThrow('no column names the case');
  });
});
