import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IDENTITY_3, type Volume, type Xyz } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import type { Cohort } from '../cohort.ts';
import { imageOfLabel, withoutLabelWords } from '../label-words.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { findSubjects } from './find-subjects.ts';
import { readLabelNames } from './label-names.ts';
import { bidsName, describes, isLabelName, modalityOfName, patientsOf } from './names.ts';
import { openCohort } from './open-cohort.ts';
import { prepareCohort } from './prepare.ts';
import { EVERYTHING, type Selection } from './selection.ts';
import type { FoundSubjects } from './subject-task.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gvsl-find-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const size: Xyz = [12, 10, 8];
const grid = { size, spacingMm: [1, 1, 1] as Xyz, originMm: [0, 0, 0] as Xyz, direction: IDENTITY_3 };
const volume = (data: Volume['data']): Volume => ({ geometry: grid, data });
/** Positive intensities with a background, as MR has; different for every seed. */
const mr = (seed: number): Volume =>
  volume(
    Int16Array.from({ length: 960 }, (_, i) => (i % 12 < 4 ? (i * 7 + seed) % 5 : 200 + ((i * (37 + 2 * seed) + seed) % 700))),
  );
const ct = (seed: number): Volume =>
  volume(Int16Array.from({ length: 960 }, (_, i) => ((i * (37 + 2 * seed) + seed) % 1500) - 1000));
const labels = (code = 1): Volume =>
  volume(Uint8Array.from({ length: 960 }, (_, i) => (i % 12 < 5 ? 0 : i % 12 < 9 ? code : code + 1)));

/** Writes a source of images, by path, and returns its folder. */
async function source(name: string, files: Readonly<Record<string, Volume>>): Promise<string> {
  const folder = join(root, name);
  for (const [path, content] of Object.entries(files)) await writeImage(join(folder, path), content);
  return folder;
}
/** Empty files are enough where nothing is read. */
function names(name: string, paths: readonly string[]): string {
  const folder = join(root, name);
  for (const path of paths) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), 'x'.repeat(200));
  }
  return folder;
}
const labelsOf = ({ tasks }: FoundSubjects): Record<string, string[]> =>
  Object.fromEntries(tasks.map((task) => [task.id, task.labels.map((path) => basename(path))]));
const leftOut = ({ problems }: Pick<FoundSubjects, 'problems'>): string[] =>
  problems.filter(({ kind }) => kind === 'left-out').map(({ source: path, what }) => `${basename(path)}: ${what}`);
const choosing = (selection: Partial<Selection>): Selection => ({ ...EVERYTHING, ...selection });
const OPTIONS: PrepareOptions = { modality: 'mr', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'minmax' };
const prepare = async (folder: string, selection: Partial<Selection> = {}, modality: 'ct' | 'mr' = 'mr'): Promise<Cohort> =>
  (
    await prepareCohort({
      source: folder,
      out: `${folder}-${modality}-${JSON.stringify(selection).replace(/\W+/g, '_')}`,
      options: { ...OPTIONS, modality },
      selection: choosing(selection),
    })
  ).cohort;
const idsOf = ({ subjects }: Cohort): string[] => subjects.map(({ id }) => id);

describe('names', () => {
  it('say what is a label map', () => {
    const label =
      'a_seg b_dseg c_mask d-label e_labels seg mask label x_label_lung aparc+aseg wmparc a_probseg a_gt t1_labels x.seg Segmentation'.split(
        ' ',
      );
    const image = 'a masked segmental t1 heart-ct labelle a_contrast gtx case_0000 roislin'.split(' ');
    expect(label.filter((name) => !isLabelName(`${name}.nii.gz`))).toEqual([]);
    expect(image.filter((name) => isLabelName(`${name}.nii.gz`))).toEqual([]);
    expect(['BraTS_001_seg', 'seg', 'sub-01_T1w_dseg', 'a_label_1', 'a'].map(withoutLabelWords)).toEqual([
      'BraTS_001',
      '',
      'sub-01_T1w',
      'a_label_1',
      'a',
    ]);
  });

  it('say of which image a label map is, and nothing where they fit several', () => {
    const images = ['case_1', 'case_10', 'volume-7', 'Heart_CT', 'twice', 'twice'];
    const of = (stem: string): string | undefined => images[imageOfLabel(stem, images) ?? -1];
    expect(['case_1', 'case_10_seg', 'case_1_labels', 'segmentation-7', 'heart_ct_mask'].map(of)).toEqual([
      'case_1',
      'case_10',
      'case_1',
      'volume-7',
      'Heart_CT',
    ]);
    expect(['case_2', 'seg', 'twice', 'twice_seg', 'labels'].map(of)).toEqual(Array(5).fill(undefined));
  });

  it('of BIDS say whose a label map is', () => {
    const fits = (label: string, image: string): boolean => describes(bidsName(`${label}.nii.gz`)!, bidsName(`${image}.nii.gz`)!);
    expect(fits('sub-01_ses-1_T1w_dseg', 'sub-01_ses-1_T1w')).toBe(true);
    expect(fits('sub-01_ses-1_T1w_dseg', 'sub-01_ses-1_T2w')).toBe(false);
    expect(fits('sub-01_ses-1_dseg', 'sub-01_ses-1_T2w')).toBe(true);
    expect(fits('sub-01_ses-1_space-orig_desc-brain_mask', 'sub-01_ses-1_T1w')).toBe(true);
    expect(fits('sub-01_ses-2_dseg', 'sub-01_ses-1_T1w')).toBe(false);
    expect(fits('sub-01_dseg', 'sub-01_ses-1_T1w')).toBe(false);
    expect(fits('sub-02_dseg', 'sub-01_T1w')).toBe(false);
    expect(bidsName('subject-01_T1w.nii.gz')).toBeNull();
  });

  it('say a modality only where they mean nothing else', () => {
    const of = (path: string): string | undefined => modalityOfName('/data', `/data/${path}.nii.gz`);
    expect(
      ['sub-1_T1w', 'sub-1_bold', 'sub-1_pet', 'p1/SUV', 'p1/CTres', 'p1/PET', 'a_flair', 'T1w/x', 'rtdose'].map(of),
    ).toEqual(['MR', 'MR', 'PT', 'PT', 'CT', 'PT', 'MR', 'MR', 'RTDOSE']);
    expect(['a', 'pt_001', 'a_t2', 'ct_001', 'mr_smith', 'pet_ct', 'b/a'].map(of)).toEqual(Array(7).fill(undefined));
  });

  it('say which images are of one patient', () => {
    const of = (...paths: string[]): (string | null)[] =>
      patientsOf(
        '/d',
        paths.map((path) => `/d/${path}.nii.gz`),
      );
    expect(of('sub-01/ses-1/anat/sub-01_ses-1_T1w', 'x/sub-01_T2w')).toEqual(['sub-01', 'sub-01']);
    expect(of('B1/B1_t1', 'B1/B1_t2', 'B2/B2_t1')).toEqual(['B1', 'B1', 'B2']);
    expect(of('train/p1/t1', 'train/p1/t2', 'train/p2/t1')).toEqual(['train/p1', 'train/p1', 'train/p2']);
    expect(of('p1/s1/t1', 'p1/s2/t1', 'p2/s1/t1')).toEqual(['p1', 'p1', 'p2']);
    expect(of('spleen/spleen_01', 'spleen/spleen_02', 'spleen/spleen_03')).toEqual([null, null, null]);
    expect(of('P01/P01_01', 'P01/P01_02', 'P02/P02_01')).toEqual(['P01', 'P01', 'P02']);
    expect(of('P01_t1', 'P01_flair', 'P02_t1', 'P03')).toEqual(['P01', 'P01', null, null]);
    expect(of('a', 'b', 'site/c', 'site/d')).toEqual([null, null, null, null]);
    expect(of('siteA/case_01', 'siteA/case_02', 'siteB/case_01')).toEqual([null, null, null]);
    expect(of('train/01/t1', 'test/01/t1', 'test/01/t2')).toEqual(['train/01', 'test/01', 'test/01']);
  });
});

describe('BIDS', () => {
  const files = [1, 2].flatMap((s) => ['T1w', 'T2w'].map((suffix) => `sub-0${s}/anat/sub-0${s}_${suffix}.nii.gz`));
  it('derivatives: label maps go to their images, everything else stays out', async () => {
    const folder = names('bids', [
      ...files,
      'derivatives/seg/sub-01/anat/sub-01_T1w_dseg.nii.gz',
      'derivatives/seg/sub-02/anat/sub-02_dseg.nii.gz',
      'derivatives/seg/sub-09/anat/sub-09_dseg.nii.gz',
      'derivatives/fmriprep/sub-01/anat/sub-01_space-MNI_T1w.nii.gz',
    ]);
    const found = await findSubjects(folder, 'mr');
    expect(labelsOf(found)).toEqual({
      'sub-01_T1w': ['sub-01_T1w_dseg.nii.gz'],
      'sub-01_T2w': [],
      'sub-02_T1w': ['sub-02_dseg.nii.gz'],
      'sub-02_T2w': ['sub-02_dseg.nii.gz'],
    });
    expect(found.tasks.map(({ patient, contrast }) => `${patient} ${contrast}`)).toEqual([
      'sub-01 T1w',
      'sub-01 T2w',
      'sub-02 T1w',
      'sub-02 T2w',
    ]);
    expect(leftOut(found).sort()).toEqual(['sub-01_space-MNI_T1w.nii.gz: derivative', 'sub-09_dseg.nii.gz: label map']);
    const all = await findSubjects(folder, 'mr', choosing({ allow: ['label-maps', 'derived'] }));
    expect(all.tasks.map(({ id }) => id)).toEqual(expect.arrayContaining(['sub-09_dseg', 'sub-01_space-MNI_T1w']));
  });

  it('patterns choose images, and their label maps come along', async () => {
    const folder = join(root, 'bids');
    const found = await findSubjects(folder, 'mr', choosing({ match: ['*_T1w.nii.gz'], exclude: ['sub-02/**'] }));
    expect(labelsOf(found)).toEqual({ 'sub-01_T1w': ['sub-01_T1w_dseg.nii.gz'] });
    expect(found.unmatched).toBe(1);
    expect((await findSubjects(folder, 'mr', choosing({ match: ['sub-02/**'] }))).tasks.map(({ id }) => id)).toEqual([
      'sub-02_T1w',
      'sub-02_T2w',
    ]);
    await expect(prepare(folder, { match: ['*.mha'] })).rejects.toThrow('5 that do not match `match` *.mha');
  });

  it('by its names MR is no CT, unless its values are', async () => {
    const folder = await source('bids-values', {
      'sub-1_T1w.nii.gz': mr(1),
      'sub-2_T1w.nii.gz': ct(1),
      'sub-3_ct.nii.gz': ct(2),
    });
    const cohort = await prepare(folder, {}, 'ct');
    expect(idsOf(cohort)).toEqual(['sub-2_T1w', 'sub-3_ct']);
    expect(leftOut(cohort)).toEqual(['sub-1_T1w.nii.gz: MR']);
    expect(cohort.subjects[0].problems).toContain(
      'its name says it is MR, not CT, but its values are in Hounsfield units: included',
    );
  });
});

describe('folders of patients', () => {
  it('BraTS: the segmentation is that of every image beside it, and contrasts are counted', async () => {
    const file = (name: string): string => `B1/B1_${name}.nii.gz`;
    const folder = await source('brats', {
      ...Object.fromEntries(['t1', 't1ce', 't2', 'flair'].map((name, k) => [file(name), mr(k)])),
      [file('seg')]: labels(),
    });
    const cohort = await prepare(folder);
    expect(idsOf(cohort)).toEqual(['B1_flair', 'B1_t1', 'B1_t1ce', 'B1_t2']);
    for (const { labelCodes, patient } of cohort.subjects) expect([labelCodes, patient]).toEqual([[0, 1, 2], 'B1']);
    expect(cohort.problems.map(({ message }) => message).join()).toContain('several contrasts (1 flair, 1 t1, 1 t1ce, 1 t2)');
  });

  it('label maps without a name of their own, folders of them, and those that only their content shows', async () => {
    const folder = await source('mixed', {
      'p1/imaging.nii.gz': mr(1),
      'p1/segmentation.nii.gz': labels(),
      'p2/imaging.nii.gz': mr(2),
      'p2/segmentations/liver.nii.gz': labels(),
      'p3/structures.nii.gz': labels(),
    });
    const cohort = await prepare(folder);
    expect(cohort.subjects.map(({ id, labelCodes }) => [id, labelCodes])).toEqual([
      ['imaging', [0, 1, 2]],
      ['p2_imaging', null],
    ]);
    expect(leftOut(cohort).sort()).toEqual(['liver.nii.gz: label map', 'structures.nii.gz: label map']);
    expect(idsOf(await prepare(folder, { allow: ['label-maps'] }))).toEqual(['imaging', 'p2_imaging', 'liver', 'structures']);
  });

  it('label maps cut to what they mark have background around it; several in one file are refused as label maps', async () => {
    const folder = await source('cut', { 'a.nii.gz': mr(1), 'b.nii.gz': mr(2) });
    const box = { ...grid, size: [4, 5, 6] as Xyz, originMm: [3, 2, 1] as Xyz };
    await writeImage(join(folder, 'a.seg.nrrd'), { geometry: box, data: new Uint8Array(120).fill(7) });
    const header = 'NRRD0004\ntype: uchar\ndimension: 4\nsizes: 2 12 10 8\nspace: lps\nkinds: list domain domain domain\n';
    const directions = 'space directions: none (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\n\n';
    writeFileSync(join(folder, 'b.seg.nrrd'), Buffer.concat([Buffer.from(header + directions), new Uint8Array(1920)]));
    const { subjects } = await prepare(folder);
    expect(subjects.map(({ labelCodes }) => labelCodes)).toEqual([[0, 7], null]);
    expect(subjects.map(({ problems }) => problems.join())).toEqual([
      expect.stringMatching(/a\.seg\.nrrd: covers 4 x 5 x 6 of the image's 12 x 10 x 8 voxels/),
      expect.stringMatching(/b\.seg\.nrrd: it holds 2 volumes, expected one label map/),
    ]);
  });

  it('with the longest names that there can be', async () => {
    const long = `${'ä'.repeat(100)}${'n'.repeat(50)}`;
    const folder = await source('long', { [`${long}1.nii`]: mr(1), [`${long}2.nii`]: mr(2) });
    const ids = idsOf(await prepare(folder));
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id).toMatch(/^ä{100}n{11}-[0-9a-f]{8}$/);
  });

  it('label maps in a folder beside that of the images, where one image alone can be meant', async () => {
    const folder = names('beside', [
      'images/a.nii.gz',
      'labels/a.nii.gz',
      'images/p1/b.nii.gz',
      'labels/p1/b_seg.nii.gz',
      'ct/c.nii.gz',
      'mr/c.nii.gz',
      'labels/c.nii.gz',
      'labels/p2/a.nii.gz',
    ]);
    const found = await findSubjects(folder);
    expect(labelsOf(found)).toEqual({ a: ['a.nii.gz'], b: ['b_seg.nii.gz'], c: [], mr_c: [] });
    expect(found.problems.map(({ source: path }) => relative(folder, path)).sort()).toEqual([
      'labels/c.nii.gz',
      'labels/p2/a.nii.gz',
    ]);
  });

  it('label maps and images that each have a word of their own', async () => {
    const folder = names('words', [
      'lits/volume-7.nii',
      'lits/volume-17.nii',
      'lits/segmentation-7.nii',
      'lits/segmentation-17.nii',
      'img/img0002.nii.gz',
      'label/label0002.nii.gz',
      'both/img-3.nii.gz',
      'both/ct-3.nii.gz',
      'both/label-3.nii.gz',
    ]);
    expect(labelsOf(await findSubjects(folder))).toEqual({
      'volume-7': ['segmentation-7.nii'],
      'volume-17': ['segmentation-17.nii'],
      img0002: ['label0002.nii.gz'],
      'img-3': [],
      'ct-3': [],
    });
  });

  it('are searched quickly, though they hold thousands of files', async () => {
    const folder = names(
      'many',
      Array.from({ length: 3000 }, (_, k) => `case${k}_${k % 2 ? 'seg' : 'x'}.nii.gz`),
    );
    expect((await findSubjects(folder, 'mr')).tasks).toHaveLength(1500);
  }, 30_000);

  it('with links, spaces and other scripts in their names', async () => {
    const folder = await source('wege und straßen', { 'é ü/Aufnahme 1.nii.gz': mr(1), '患者/画像.nii.gz': mr(2) });
    symlinkSync(folder, join(root, 'link'));
    const cohort = await prepare(join(root, 'link'));
    expect(idsOf(cohort).sort()).toEqual(['Aufnahme 1', '画像']);
    const fromInside = relative(process.cwd(), folder);
    expect(idsOf(await prepare(fromInside)).sort()).toEqual(['Aufnahme 1', '画像']);
  });
});

describe('names of labels', () => {
  it.each([
    ['nnU-Net 2', { labels: { background: 0, aorta: 2, atrium: 1, whole: [1, 2] } }],
    ['the Decathlon', { labels: { 0: 'background', 1: 'atrium', 2: 'aorta', '': 'odd', x: 'odd' } }],
  ])('are kept as %s writes them', async (name, dataset) => {
    const folder = await source(`named ${name}`, { 'imagesTr/a_0000.nii.gz': mr(1), 'labelsTr/a.nii.gz': labels() });
    writeFileSync(join(folder, 'dataset.json'), JSON.stringify({ ...dataset, channel_names: { 0: 'T1' } }));
    writeFileSync(
      join(folder, 'list.json'),
      JSON.stringify({ ...dataset, training: [{ image: 'imagesTr/a_0000.nii.gz', label: 'labelsTr/a.nii.gz' }] }),
    );
    for (const list of [folder, join(folder, 'list.json')]) {
      const out = `${folder}-${basename(list)}`;
      const { cohort } = await prepareCohort({ source: list, out, options: OPTIONS });
      expect(cohort.labelNames).toEqual({ 0: 'background', 1: 'atrium', 2: 'aorta' });
      expect((await openCohort(out)).labelNames).toEqual(cohort.labelNames);
    }
    // a cohort is used where its source is not
    const cohort = await openCohort(`${folder}-list.json`);
    rmSync(folder, { recursive: true });
    expect((await readLabelNames(cohort)).get(2)).toBe('aorta');
    expect((await readLabelNames({ ...cohort, labelNames: undefined })).size).toBe(0);
  });

  it('are looked for beside the sources of cohorts that keep none', async () => {
    const folder = await source('named of old', { 'imagesTr/a_0000.nii.gz': mr(1), 'labelsTr/a.nii.gz': labels() });
    const cohort = await prepare(folder);
    expect(cohort.labelNames).toBeUndefined();
    writeFileSync(join(folder, 'dataset.json'), '{"labels": {"aorta": 2}}');
    expect(await readLabelNames(cohort)).toEqual(new Map([[2, 'aorta']]));
    writeFileSync(join(folder, 'dataset.json'), '{');
    expect(await readLabelNames(cohort)).toEqual(new Map());
  });
});

describe('lists', () => {
  const list = (folder: string, document: unknown, before = ''): string => {
    const path = join(folder, `list${Math.random()}.json`);
    writeFileSync(path, before + JSON.stringify(document));
    return path;
  };
  const entry = (k: number): object => ({ image: `im/${k}.nii.gz`, label: `lb/${k}.nii.gz` });
  const folderOf = (name: string): string =>
    names(
      name,
      [0, 1, 2].flatMap((k) => [`im/${k}.nii.gz`, `lb/${k}.nii.gz`]),
    );
  const splitsOf = ({ tasks }: FoundSubjects): string[] =>
    tasks.map(({ id, split, labels: [label] }) => `${id} ${split} ${basename(label ?? '-')}`);
  const messagesOf = ({ problems }: FoundSubjects): string => problems.map(({ message }) => message).join('\n');

  it('have several names, stand alone, come from Windows', async () => {
    const folder = folderOf('lists');
    const both = ['0 train 0.nii.gz', '1 train 1.nii.gz'];
    for (const document of [
      { training: [entry(0)], val: [entry(1)] },
      { train: [entry(0)], valid: [entry(1)] },
      [entry(0), entry(1)],
    ])
      expect(splitsOf(await findSubjects(list(folder, document)))).toEqual(both);
    const windows = [{ image: '.\\im\\0.nii.gz', label: 'lb\\0.nii.gz' }];
    expect(splitsOf(await findSubjects(list(folder, { training: windows }, '\uFEFF')))).toEqual(both.slice(0, 1));
  });

  it('name patients by BIDS names and by folders, as plain folders do', async () => {
    const folder = names(
      'listsOfPatients',
      [1, 2].map((k) => `sub-01/ses-${k}/anat/sub-01_ses-${k}_T1w.nii.gz`).concat('x/a.nii.gz'),
    );
    const [training, test] = [1, 2].map((k) => [{ image: `sub-01/ses-${k}/anat/sub-01_ses-${k}_T1w.nii.gz` }]);
    const found = await findSubjects(list(folder, { training: [...training, { image: 'x/a.nii.gz' }], test }));
    expect(found.tasks.map(({ split, patient }) => `${split} ${patient}`)).toEqual(['train sub-01', 'train null', 'test sub-01']);
  });

  it('say what of them is not read', async () => {
    const folder = folderOf('lists2');
    const found = await findSubjects(
      list(folder, {
        training: [entry(0), { image: 'im/1.nii.gz', mask: 'lb/1.nii.gz' }],
        unlabelled: ['im/2.nii.gz'],
        tags: ['a'],
      }),
    );
    expect(splitsOf(found)).toEqual(['0 train 0.nii.gz', '1 train -']);
    expect(messagesOf(found)).toContain('its list "unlabelled" is not read');
    expect(messagesOf(found)).toContain('1 entry without a "label" but with "mask"');
    expect(messagesOf(found)).not.toContain('tags');
  });

  it('of cases in a dataset.json of nnU-Net 2', async () => {
    const folder = folderOf('listed');
    process.env.GVSL_TEST_ROOT = folder;
    writeFileSync(
      join(folder, 'dataset.json'),
      JSON.stringify({
        channel_names: { 0: 'CT' },
        dataset: {
          A: { images: ['im/0.nii.gz'], label: 'lb/0.nii.gz' },
          // biome-ignore lint/suspicious/noTemplateCurlyInString: a name of the environment, as nnU-Net replaces it
          B: { images: ['${GVSL_TEST_ROOT}/im/1.nii.gz'], label: '$GVSL_TEST_ROOT/lb/1.nii.gz' },
        },
      }),
    );
    const found = await findSubjects(folder);
    expect([found.layout, ...splitsOf(found)]).toEqual(['nnU-Net', 'A train 0.nii.gz', 'B train 1.nii.gz']);
    delete process.env.GVSL_TEST_ROOT;
  });
});

describe("nnU-Net's layout", () => {
  it('names folders and files in it that are not read', async () => {
    const folder = names('unread', [
      'imagesTr/a_0000.nii.gz',
      'imagesTr/b/1.dcm',
      'imagesVa/c_0000.nii.gz',
      'imagesTr/a_0000.json',
    ]);
    const { tasks, problems } = await findSubjects(folder);
    expect(tasks.map(({ id }) => id)).toEqual(['a']);
    expect(problems.map(({ source: path, message }) => `${basename(path)}: ${message.slice(0, 30)}`)).toEqual([
      'imagesVa: not read: nnU-Net has its imag',
      'imagesTr: one entry is not read (b): exp',
    ]);
  });
});

it("nnU-Net's cases with BIDS names are of their patients, training and test cases alike", async () => {
  for (const channel of ['_0000', '']) {
    const folder = names(`bidsCases${channel}`, [
      `imagesTr/sub-01_ses-1${channel}.nii.gz`,
      `imagesTr/sub-02${channel}.nii.gz`,
      `imagesTr/la_003${channel}.nii.gz`,
      `imagesTs/sub-01_ses-2${channel}.nii.gz`,
    ]);
    const { tasks } = await findSubjects(folder);
    expect(tasks.map(({ id, patient }) => `${id}: ${patient}`)).toEqual([
      'la_003: null',
      'sub-01_ses-1: sub-01',
      'sub-02: sub-02',
      'sub-01_ses-2: sub-01',
    ]);
  }
});

describe('data sets with channels', () => {
  it("nnU-Net 1 lists names without the channels' numbers", async () => {
    const folder = await source('nnunet1', {
      'imagesTr/A_0000.nii.gz': mr(1),
      'imagesTr/A_0001.nii.gz': mr(2),
      'labelsTr/A.nii.gz': labels(),
      'imagesTs/B_0000.nii.gz': mr(3),
      'imagesTs/B_0001.nii.gz': mr(4),
    });
    const write = (modality: object): void =>
      writeFileSync(
        join(folder, 'dataset.json'),
        JSON.stringify({
          modality,
          training: [{ image: './imagesTr/A.nii.gz', label: './labelsTr/A.nii.gz' }],
          test: ['./imagesTs/B.nii.gz'],
        }),
      );
    write({ 0: 'T1', 1: 'T2' });
    const first = await prepare(folder);
    expect(first.subjects.map(({ id, split, labelCodes }) => [id, split, labelCodes])).toEqual([
      ['A', 'train', [0, 1, 2]],
      ['B', 'test', null],
    ]);
    expect(first.problems.map(({ message }) => message).join()).toContain('several channels (0 T1, 1 T2): using the first');
    const second = await prepare(folder, { channel: 't2' });
    expect(second.subjects.map(({ source: path }) => basename(path))).toEqual(['A_0001.nii.gz', 'B_0001.nii.gz']);
    await expect(prepare(folder, { channel: 'FLAIR' })).rejects.toThrow('`channel` FLAIR: expected one of 0 T1, 1 T2');
    write({ 0: 'CT' });
    await expect(prepare(folder)).rejects.toThrow('2 skipped (2 CT)');
  });

  it('names a folder of label maps that cannot be listed, instead of taking it for an empty one', async () => {
    const folder = names('unlisted', ['imagesTr/a_0000.nii.gz', 'labelsTr']);
    await expect(findSubjects(folder)).rejects.toThrow(`${join(folder, 'labelsTr')}: part of this path is a file`);
  });
});
