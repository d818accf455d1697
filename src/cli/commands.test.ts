/**
 * What holds for every command. The commands are listed by the program itself: a new one fails here until it says what it reads, what it
 * writes, and how it is called.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readStudy } from '../study/run.ts';
import { createProgram } from './program.ts';
import { gvsl } from './testing/run-in-process.ts';
import { writeWorkspace } from './testing/workspace.ts';

type Spell = (path: string) => string;

interface Facts {
  /** Calls that read something that is not there: exit code 1, or 2 where it is the configuration. */
  readonly missing?: readonly (readonly [args: string, code: 1 | 2])[];
  /** A call that does its work, every path spelled by `p`. Empty: covered elsewhere, or it serves until it is stopped. */
  readonly works: readonly ((p: Spell) => string[])[];
  /** Calls that would replace what they read, or what is not theirs. Empty: it writes nothing. */
  readonly replaces: readonly string[];
  /** Why a list is empty. */
  readonly because?: string;
}

const APPLY = '--threads 1';
const COMMANDS: Readonly<Record<string, Facts>> = {
  demo: { works: [], replaces: ['--out mine'], because: 'minutes of work: test/cli.test.ts and its parts' },
  phantom: {
    works: [(p) => [p('out/phantoms'), '--kind', 'brain-mr', '--subjects', '1', '--spacing', '8']],
    replaces: ['scans --kind brain-mr --subjects 1 --spacing 8', 'cohort --kind brain-mr --subjects 1 --spacing 8'],
  },
  inspect: {
    missing: [['none.nii', 1]],
    works: [(p) => [p('scans'), p('scans/p.nii.gz')]],
    replaces: [],
    because: 'it writes nothing',
  },
  prepare: {
    missing: [
      ['none out/cohort --modality mr', 1],
      ['scans out/cohort --modality mr --classes none.csv', 1],
    ],
    works: [(p) => [p('scans'), p('out/prepared'), '--modality', 'mr', '--spacing', '2', '--crop', 'none', '--workers', '1']],
    replaces: [
      'scans scans --modality mr',
      'scans to-scans --modality mr',
      'scans cohort --modality mr',
      'scans run --modality mr',
    ],
  },
  methods: { works: [() => []], replaces: [], because: 'it writes nothing' },
  models: { works: [() => []], replaces: [], because: 'it writes nothing' },
  pretrain: {
    missing: [
      ['none --out out/run', 1],
      ['cohort --out out/run --config none.yaml', 2],
      ['cohort --out out/run --method mae --config none.yaml', 2],
    ],
    works: [
      (p) => [
        p('cohort'),
        '--out',
        p('out/run'),
        '--patch',
        '16',
        '--width',
        '0.125',
        '--steps',
        '1',
        '--lr',
        '1e-3',
        '--threads',
        '1',
      ],
    ],
    replaces: ['cohort --out cohort --steps 1', 'cohort --out scans --steps 1', 'cohort --out run --steps 1'],
  },
  suggest: {
    missing: [
      ['none --model run --out out/next', 1],
      ['cohort --model run --n 1 --labelled none.txt --out out/next', 1],
    ],
    works: [
      (p) => [
        ...[p('cohort'), '--model', p('run'), '--labelled', 'none', '--n', '2'],
        ...['--out', p('out/next'), '--threads', '1'],
      ],
    ],
    replaces: [
      `cohort --model run --labelled none --n 1 --out cohort ${APPLY}`,
      `cohort --model run --labelled none --n 1 --out cohort/images ${APPLY}`,
    ],
  },
  train: {
    missing: [
      ['segmentation --data none --out out/task', 1],
      ['segmentation --data cohort --init none --out out/task', 1],
    ],
    works: [
      (p) => [
        ...['segmentation', '--data', p('cohort'), '--init', p('run'), '--out', p('out/task'), '--patch', '16'],
        ...['--steps', '1', '--lr', '1e-3', '--threads', '1'],
      ],
      (p) => [
        ...['segmentation', '--data', p('cohort'), '--folds', '2', '--out', p('out/folds'), '--patch', '16'],
        ...['--steps', '1', '--width', '0.125', '--threads', '1'],
      ],
    ],
    replaces: [
      'segmentation --data cohort --out cohort --patch 16 --width 0.125 --threads 1',
      'segmentation --data cohort --init run --out run --patch 16 --threads 1',
      'segmentation --data cohort --init models/matcher --out models/matcher --patch 16 --threads 1',
    ],
  },
  segment: {
    missing: [
      ['scans --model none --out out/labels', 1],
      [`none.nii --model models/segmenter --out out/labels ${APPLY}`, 1],
    ],
    works: [
      (p) => [p('scans'), '--model', p('models/segmenter'), '--out', p('out/labels'), '--threads', '1'],
      (p) => [
        ...['--threads', '1', '--mirror', 'x,z', '--uncertainty', 'disagreement', '--keep-largest', '--preview'],
        ...['--csv', p('out/volumes.csv'), '--out', p('out/several'), '--model', p('models/segmenter'), p('scans')],
      ],
    ],
    replaces: [
      `scans --model models/segmenter --out out/labels --csv scans/p.nii.gz ${APPLY}`,
      `scans --model models/segmenter --out scans ${APPLY}`,
      `scans --model models/segmenter --out to-scans --overwrite ${APPLY}`,
      `scans/p.nii.gz --model models/segmenter --out scans/../scans --overwrite ${APPLY}`,
      `scans --model models/segmenter --out labels ${APPLY}`,
      `labels/p.nii.gz --model models/segmenter --out labels --overwrite ${APPLY}`,
    ],
  },
  classify: {
    missing: [[`none.nii --model models/classifier --out out/classes ${APPLY}`, 1]],
    works: [(p) => [p('scans'), '--model', p('models/classifier'), '--out', p('out/classes'), '--threads', '1']],
    replaces: [`scans --model models/classifier --out . ${APPLY}`],
  },
  embed: {
    missing: [[`none.nii --model models/matcher --out out/features ${APPLY}`, 1]],
    works: [(p) => [p('scans/p.nii.gz'), '--model', p('models/matcher'), '--out', p('out/features'), '--threads', '1']],
    replaces: [`scans/p.nii.gz --model models/matcher --out mine ${APPLY}`],
  },
  evaluate: {
    missing: [
      ['none labels', 1],
      ['none.csv truth.csv', 1],
      ['classes.csv none.csv', 1],
    ],
    works: [
      (p) => [p('labels'), p('labels'), '--out', p('out/scores.csv')],
      (p) => [p('classes.csv'), p('truth.csv'), '--out', p('out/scores.json')],
    ],
    replaces: [
      'labels labels --out labels/p.nii.gz',
      'labels/p.nii.gz labels/q.nii.gz --out to-labels/q.nii.gz',
      'classes.csv truth.csv --out truth.csv',
      'classes.csv truth.csv --out ./scans/../classes.csv',
    ],
  },
  compare: {
    missing: [['none.yaml --out out/study', 2]],
    works: [(p) => [p('study.yaml'), '--out', p('out/study')]],
    replaces: ['table.csv --out .'],
  },
  report: {
    missing: [['none', 1]],
    works: [(p) => [p('run'), '--out', p('out/report.html')]],
    replaces: ['run --out run/run.json', 'run --out run/last/../metrics.jsonl', 'run --out run/last/model.safetensors'],
  },
  register: {
    missing: [[`--model models/matcher --moving none.nii --fixed scans/p.nii.gz --out out/register ${APPLY}`, 1]],
    works: [
      (p) => [
        ...['--model', p('models/matcher'), '--moving', p('scans/p.nii.gz'), '--fixed', p('scans/q_0000.nii.gz')],
        ...['--moving-labels', p('labels/p.nii.gz'), '--fixed-labels', p('labels/q.nii.gz')],
        ...['--moving-landmarks', p('points/p.mrk.json'), '--fixed-landmarks', p('points/q.mrk.json')],
        ...['--out', p('out/register'), '--threads', '1'],
      ],
    ],
    replaces: [
      `--model models/matcher --moving mine/warped.nii.gz --fixed scans/p.nii.gz --out mine --overwrite ${APPLY}`,
      `--model models/matcher --moving scans/q_0000.nii.gz --fixed scans/p.nii.gz --out mine ${APPLY}`,
    ],
  },
  warp: {
    missing: [['--transform none.tfm --grid scans/p.nii.gz --image scans/q_0000.nii.gz --out out/warp', 1]],
    works: [
      (p) => [
        ...['--transform', p('points/shift.tfm'), '--grid', p('scans/p.nii.gz'), '--image', p('scans/q_0000.nii.gz')],
        ...['--labels', p('labels/q.nii.gz'), '--points', p('points/q.mrk.json'), '--field', '--out', p('out/warp')],
      ],
    ],
    replaces: ['--transform points/shift.tfm --grid scans/p.nii.gz --image scans/q_0000.nii.gz --out scans/p.nii.gz'],
  },
  import: {
    missing: [['none.pth --out out/model', 1]],
    works: [
      (p) => [p('run'), '--out', p('out/model')],
      (p) => [p('models/matcher/model.safetensors'), '--out', p('out/model-2')],
    ],
    replaces: [
      'models/matcher/model.safetensors --out models/matcher',
      'models/matcher --out models',
      'models/matcher --out scans',
      'models/matcher --out truth.csv',
    ],
  },
  export: {
    missing: [['none --onnx out/x.onnx', 1]],
    works: [
      (p) => [p('run'), '--onnx', p('out/x.onnx'), '--pth', p('out/x.pth'), '--safetensors', p('out/x.safetensors')],
      (p) => [
        p('models/segmenter'),
        '--huggingface',
        p('out/published'),
        '--nnunet',
        p('out/for-nnunet'),
        '--monai',
        p('out/bundle'),
      ],
    ],
    replaces: [
      'models/matcher --onnx models/matcher/model.safetensors',
      'models/matcher --safetensors to-models/matcher/model.safetensors',
      'run --pth run/last/config.json',
      'models/matcher --huggingface models',
      'models/matcher --nnunet scans',
      'models/matcher --monai scans',
      'models/matcher --huggingface scans',
      'models/matcher --pth out/x --onnx ./out/x',
    ],
  },
  page: {
    works: [],
    replaces: [],
    because: 'it writes nothing, and serves until it is stopped: src/platform/node/page-server.test.ts',
  },
  verify: {
    missing: [['none.safetensors', 1]],
    works: [],
    replaces: [],
    because: 'it writes nothing; golden files are not at hand',
  },
  bench: {
    missing: [
      ['all --compare none.json', 1],
      ['train --cohort none', 1],
    ],
    works: [(p) => ['--memory', '--size', '16', '--width', '0.125', '--out', p('out/bench.json')]],
    replaces: ['all --compare truth.csv --out truth.csv'],
  },
  doctor: { works: [() => []], replaces: [], because: 'it writes nothing' },
};

let folder = '';
let home = '';
const at = (...names: string[]): string => join(folder, ...names);

/** Every file below a folder with its content's hash, but what the commands write. */
async function contentOf(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.startsWith(at('out')));
  return Object.fromEntries(
    await Promise.all(
      files.sort().map(
        async (path) =>
          [
            path,
            createHash('sha256')
              .update(await readFile(path))
              .digest('hex'),
          ] as const,
      ),
    ),
  );
}

beforeAll(async () => {
  home = process.cwd();
  folder = join(await mkdtemp(join(tmpdir(), 'gvsl-commands-')), 'a study.v1, naïve (köpfe)');
  await writeWorkspace(folder);
  for (const name of ['scans', 'labels', 'models']) await symlink(at(name), at(`to-${name}`));
  await symlink(folder, join(folder, '..', 'to-study'));
  await mkdir(at('mine'));
  for (const name of ['report.html', 'global.csv', 'table.csv']) await writeFile(at('mine', name), 'made by hand');
  await cp(at('scans', 'p.nii.gz'), at('mine', 'warped.nii.gz'));
  // a declaration under the name of a study's own table
  await cp(at('study.yaml'), at('table.csv'));
  process.chdir(folder);
});
afterAll(async () => {
  process.chdir(home);
  await rm(join(folder, '..'), { recursive: true, force: true });
});

afterEach(() => rm(at('out'), { recursive: true, force: true }));

const names = (await createProgram([])).commands.map((command) => command.name()).filter((name) => name !== 'help');

it('every command is described here', () => {
  expect(Object.keys(COMMANDS)).toEqual(names);
  for (const [name, { works, replaces, because }] of Object.entries(COMMANDS))
    if (works.length === 0 || replaces.length === 0) expect(because, name).toBeTruthy();
});

describe.each(names)('gvsl %s', (name) => {
  const { missing = [], works, replaces } = COMMANDS[name] ?? { works: [], replaces: [] };

  it('has help with an example', async () => {
    const { code, stdout } = await gvsl(name, '--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples?:\\n {2}gvsl ${name}`));
    expect(stdout).toContain('--json');
  });

  it('takes nonsense as wrong usage', async () => {
    const { code, stdout, stderr } = await gvsl(name, '--no-such-option');
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^error: /);
  });

  it.each(missing)('%s: nothing is there', async (args, code) => {
    const before = Object.keys(await contentOf(folder)).length;
    const ended = await gvsl(name, ...args.split(' '), '--json');
    const { stdout } = ended;
    expect(ended.code).toBe(code);
    expect(JSON.stringify(JSON.parse(stdout))).toMatch(/none(\.\w+)?(: |","(reason|refused)":")no such (file|folder)/);
    expect(ended.stderr + stdout).not.toMatch(/ENOENT|\n {4}at /);
    expect(Object.keys(await contentOf(folder)).length).toBe(before);
  });

  it.each(replaces)('%s: replaces nothing', async (args) => {
    const before = await contentOf(folder);
    const { code, stderr } = await gvsl(name, ...args.split(' '));
    expect(code, stderr).toBeGreaterThan(0);
    expect(stderr).not.toMatch(/internal error|\n {4}at /);
    expect(await contentOf(folder)).toEqual(before);
  });

  const writing = works.filter((args) => args((path) => path).some((arg) => arg.startsWith('out/')));
  it.each(writing.map((args) => [args]))('says by name where it cannot write', async (args) => {
    const before = await contentOf(folder);
    const { code, stderr } = await gvsl(name, ...args((path) => (path.startsWith('out/') ? `truth.csv/${path}` : path)));
    expect([1, 2], stderr).toContain(code);
    expect(stderr).toMatch(/truth\.csv\/out.*: .*(a file|is a file|found a file)/);
    expect(stderr).not.toMatch(/ENOTDIR|internal error|\n {4}at /);
    expect(await contentOf(folder)).toEqual(before);
  });

  const spellings: [string, (path: string) => string][] = [
    ['relative paths', (path) => path],
    ['paths by way of .. and a link', (path) => `../${basename(folder)}/../to-study/./${path}`],
  ];
  it.each(works.length > 0 ? spellings.slice(0, works[0].length + 1) : [])('works with %s', async (_, spell) => {
    for (const args of works) {
      const before = await contentOf(folder);
      const { code, stdout, stderr } = await gvsl(name, ...args(spell), '--json');
      expect(code, stderr + stdout).toBe(0);
      JSON.parse(stdout);
      expect(await contentOf(folder)).toMatchObject(before);
    }
    const left = (await readdir(folder, { recursive: true })).filter((path) => path.endsWith('.part'));
    expect(left).toEqual([]);
  });
});

it('takes names that begin with a dash after --, and names in any form of Unicode', async () => {
  for (const [name, result] of [
    ['-p.nii.gz', '-p'],
    ['ko\u0308pfe.nii.gz', 'ko\u0308pfe'],
    ['köpfe (2).v1.nii.gz', 'köpfe (2).v1'],
  ] as const) {
    await cp(at('scans', 'p.nii.gz'), at('odd', name));
    process.chdir(at('odd'));
    const { code, stdout, stderr } = await gvsl(
      'segment',
      '--json',
      '--model',
      '../models/segmenter',
      '--out',
      '.',
      '--threads',
      '1',
      '--',
      name,
    );
    process.chdir(folder);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain('would replace');
    expect(JSON.parse(stdout)).toMatchObject({ exitCode: 2 });
    const ok = await gvsl(
      'segment',
      '--json',
      '--model',
      'models/segmenter',
      '--out',
      'labels-odd',
      '--threads',
      '1',
      '--',
      `./odd/${name}`,
    );
    expect(ok.code, ok.stderr).toBe(0);
    expect(JSON.parse(ok.stdout)).toMatchObject({ images: [{ name: result, path: `./odd/${name}` }] });
    await rename(at('labels-odd', `${result}.nii.gz`), at('odd', 'gone'));
    await rm(at('odd', 'gone'));
  }
});

it('names the reports and tables of a part as they lie there', async () => {
  const calls = {
    segment: ['--model', 'models/segmenter', '--csv', 'out/volumes.csv'],
    classify: ['--model', 'models/classifier'],
    embed: ['--model', 'models/matcher', '--global-only'],
  };
  for (const [name, options] of Object.entries(calls)) {
    const { code, stdout, stderr } = await gvsl(
      name,
      'scans',
      ...options,
      '--out',
      `out/${name}`,
      '--part',
      '1/2',
      '--threads',
      '1',
    );
    expect(code, stderr).toBe(0);
    const files = (await readdir(at('out', name))).filter((file) => /(?<!^\..*)\.(csv|json)$/.test(file));
    expect(files.length, name).toBeGreaterThan(0);
    const told = stdout.slice(stdout.lastIndexOf(`out/${name}: `));
    for (const file of files) expect(told).toContain(file);
  }
  await stat(at('out', 'volumes-1-of-2.csv'));
});

it('declares in the help of compare a study that can be run', async () => {
  const { stdout } = await gvsl('compare', '--help');
  const [, document] = stdout.split(/^A study's file .*$\n/m);
  await mkdir(at('out'));
  await writeFile(at('out', 'study.yaml'), document.slice(0, document.indexOf('\n\n')));
  const { pretraining, transfer } = await readStudy(at('out', 'study.yaml'));
  expect(transfer.configuration.model).toEqual(pretraining.configuration.model);
});

it('gives the scores of one case without an interval, which one case does not have', async () => {
  const one = await gvsl('evaluate', 'labels/p.nii.gz', 'labels/q.nii.gz');
  expect(one.code, one.stderr).toBe(0);
  expect(one.stdout).toContain('1 case');
  expect(one.stdout).not.toMatch(/ to |interval/);
  expect((await gvsl('evaluate', 'labels', 'labels')).stdout).toMatch(/ to .*\n.*95 % bootstrap intervals/s);
});

it('takes no option for the value of the one before', async () => {
  const before = await contentOf(folder);
  for (const [name, args] of [
    ['segment', 'scans --model models/segmenter --out out/labels --csv --preview'],
    ['evaluate', 'labels labels --out --json'],
    ['embed', 'scans --model models/matcher --out --threads=1'],
  ]) {
    const { code, stderr } = await gvsl(name, ...args.split(' '));
    expect(code, stderr).toBe(2);
    expect(stderr).toMatch(/--(csv|out) <\w+>: expected a value; found the option --(preview|json|threads=1)\n$/);
  }
  expect(await contentOf(folder)).toEqual(before);
});

it('has failed where none of what a folder holds is an image for the model', async () => {
  await mkdir(at('out', 'only'), { recursive: true });
  await cp(at('labels', 'p.nii.gz'), at('out', 'only', 'p_seg.nii.gz'));
  for (const [name, model] of [
    ['segment', 'segmenter'],
    ['classify', 'classifier'],
    ['embed', 'matcher'],
  ]) {
    const call = [name, 'out/only', '--model', `models/${model}`, '--out', `out/${name}`, '--threads', '1'];
    const { code, stdout } = await gvsl(...call);
    expect(code, stdout).toBe(1);
    expect(stdout).toMatch(/p_seg\.nii\.gz: skipped: .*\n\nno image processed, 1 warning; /);
    // another part may have them
    expect((await gvsl(...call, '--part', '1/2')).code).toBe(0);
  }
});
