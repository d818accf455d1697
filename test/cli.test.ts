/** The built command line as a user meets it: exit codes, one JSON document, kill -9. Needs `npm run build`, which `npm test` does. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imagePath } from '../src/cohort/node/open-cohort.ts';
import { version } from '../src/common/version.ts';
import { writeTinyCohort } from '../src/training/testing/tiny-cohort.ts';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
const gvsl = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-cli-'));
  await writeTinyCohort(at('cohort'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const SMALL = ['--patch', '16', '--width', '0.125', '--batch', '1', '--lr', '1e-3', '--threads', '1'];

describe('gvsl', () => {
  it('tells the version of package.json', async () => {
    expect(JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')).version).toBe(version);
    expect(gvsl('--version').stdout.trim()).toBe(version);
  });

  it('has the reference that docs/cli.md shows', async () => {
    const script = fileURLToPath(new URL('../scripts/make-cli-reference.mjs', import.meta.url));
    const { stdout } = spawnSync(process.execPath, [script, '--print'], { encoding: 'utf8' });
    expect(await readFile(new URL('../docs/cli.md', import.meta.url), 'utf8')).toBe(stdout);
  });

  it.each([
    [['pretrian'], /unknown command/],
    [['pretrain'], /required option '--out <run>' not specified/],
    [['pretrain', 'nowhere', '--out', 'x', '--patsh', '3'], /unknown option '--patsh'/],
    [['pretrain', 'nowhere', '--out', 'x', '--width', '0.3'], /--width/],
    [['doctor', '--fast'], /unknown option '--fast'/],
    [['bench', 'stp'], /what to measure: expected step, forward, train, ratios, ops, data, peaks, bound, all, got 'stp'/],
    [['bench', 'step', '--size', '7'], /--size: expected a whole number of at least 8, got '7'/],
    [['bench', 'step', '--size', '513'], /--size: expected 8 to 512/],
    [['bench', 'step', '--width', '0.3'], /--width: expected 1, 0\.5, 0\.25 or 0\.125/],
    [['bench', 'step', '--threads', '257'], /--threads: expected 1 to 256/],
    [['bench', 'step', '--build', 'sse'], /Allowed choices are avx2, relaxed, portable/],
    [['bench', '--size', '32'], /--size: only valid with step, forward, train, ops, data, bound; got all/],
    [['bench', 'step', '--full'], /--full: only valid with all; got step/],
    [['verify', 'x.safetensors', '--backend', 'cuda'], /Allowed choices are cpu, webgpu, webgpu-f16, auto, reference/],
  ])('%j is wrong usage: exit code 2', (args, message) => {
    const { status, stdout, stderr } = gvsl(...args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/at .*\.js:\d+/);
  });

  it.skipIf(!existsSync('/dev/full'))('what it prints to a full disk is told: exit code 1 (skipped without /dev/full)', () => {
    for (const args of [['--help'], ['inspect', at('nothing.nii')], ['inspect', at('nothing.nii'), '--json']]) {
      const full = openSync('/dev/full', 'w');
      const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', full, 'pipe'],
      });
      closeSync(full);
      expect(status).toBe(1);
      expect(stderr).toContain('gvsl: cannot write output: ENOSPC');
    }
  });

  it.skipIf(process.platform === 'win32')('ends quietly where nobody reads on', () => {
    const shell = `"${process.execPath}" "${MAIN}" bench --memory --size 16 --width 0.125 --json | head -c 1; exit \${PIPESTATUS[0]}`;
    const { status, stdout, stderr } = spawnSync('bash', ['-c', shell], { encoding: 'utf8' });
    expect([0, 141]).toContain(status);
    expect(stdout).toBe('{');
    expect(stderr).toBe('');
  });

  it.skipIf(process.platform === 'win32')('Ctrl-C in the middle of a file: exit code 130, and no half file is left', async () => {
    const child = spawn(process.execPath, [MAIN, 'phantom', at('patients'), '--kind', 'heart-ct', '--subjects', '9'], {
      stdio: 'ignore',
    });
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    for (let found = false; !found; ) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      const names: string[] = await readdir(at('patients', 'imagesTr')).catch(() => []);
      found = names.some((name) => name.endsWith('.part'));
    }
    // the first is a wish, the second an order
    child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGINT');
    expect([130, 1]).toContain(await ended);
    expect((await readdir(at('patients'), { recursive: true })).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('fails with exit code 1 and one JSON document where the work cannot be done', () => {
    const { status, stdout } = gvsl('verify', at('missing.safetensors'), '--json');
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ exitCode: 1, error: expect.stringContaining('missing.safetensors') });
  });

  it('bench step prints one JSON document, and writes it where it is told to', async () => {
    const small = ['--size', '16', '--width', '0.125', '--threads', '1', '--steps', '2', '--build', 'portable'];
    const { status, stdout } = gvsl(
      'bench',
      'step',
      ...small,
      '--profile',
      '--no-peer',
      '--json',
      '--out',
      at('made', 'bench.json'),
    );
    expect(status).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      kind: 'step',
      seconds: [expect.any(Number), expect.any(Number)],
      medianS: expect.any(Number),
      peakBytes: expect.any(Number),
      planBytes: expect.any(Number),
      machine: { build: 'portable', threads: 1, node: process.version, gvsl: version },
      command: expect.stringMatching(/^gvsl bench step --size 16/),
      peer: null,
      ratios: null,
    });
    expect(result.profile.length).toBeGreaterThan(10);
    expect(JSON.parse(await readFile(at('made', 'bench.json'), 'utf8'))).toEqual(result);
  });

  it('makes the tables of docs/benchmarks.md from the committed results', async () => {
    const script = fileURLToPath(new URL('../scripts/make-benchmarks.mjs', import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, [script, '--print'], { encoding: 'utf8' });
    expect(status).toBe(0);
    const [before] = (await readFile(new URL('../docs/benchmarks.md', import.meta.url), 'utf8')).split('<!-- results -->');
    expect(stdout.startsWith(before)).toBe(true);
    expect(stdout).toMatch(/## Node 24\n\ngvsl .*Node v24[\s\S]*## Node 20\n\ngvsl .*Node v20[\s\S]*<!-- end of results -->/);
  });

  it('bench refuses what does not fit before it starts, with what would', () => {
    const { status, stdout, stderr } = gvsl('bench', 'step', '--size', '256', '--no-peer', '--json');
    expect(status).toBe(1);
    expect(stderr).toMatch(/not enough memory: size 256.*These would fit: --size \d+/);
    expect(JSON.parse(stdout)).toMatchObject({ exitCode: 1 });
  });

  it('bench --memory prints the plan without computing', () => {
    const { status, stdout } = gvsl('bench', '--memory', '--size', '16', '--width', '0.125', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'step', size: 16, peak: { alive: expect.any(Array) } });
  });

  it('doctor fails with exit code 1 and one JSON document that says what to do', () => {
    const { status, stdout } = spawnSync(process.execPath, [MAIN, 'doctor', '--json'], {
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: at('missing') },
    });
    expect(status).toBe(1);
    const { ok, environment, checks, build, gflops } = JSON.parse(stdout);
    expect(ok).toBe(false);
    expect(environment).toMatchObject({ node: process.version, platform: process.platform });
    expect(build).toMatch(/^(avx2|relaxed|portable)$/);
    expect(gflops).toBeGreaterThan(0);
    expect(checks).toContainEqual({
      name: 'temp folder',
      status: 'fail',
      found: expect.stringContaining('ENOENT'),
      advice: expect.stringContaining('TMPDIR'),
    });
  });

  it('continues a run only with what it was begun with, and says by name what differs', async () => {
    const { cp, truncate, writeFile } = await import('node:fs/promises');
    const args = ['--out', at('begun')];
    expect(gvsl('pretrain', at('cohort'), ...args, ...SMALL, '--steps', '2').status).toBe(0);
    await cp(at('cohort'), at('changed'), { recursive: true });
    const text = await readFile(at('cohort', 'subjects.jsonl'), 'utf8');
    await writeFile(at('changed', 'subjects.jsonl'), text.replaceAll('"tiny_3"', '"tiny_9"'));
    const refused: [cohort: string, more: string[], message: RegExp][] = [
      ['changed', [], /cohort subjects added: tiny_9\n {2}cohort subjects removed: tiny_3/],
      ['cohort', ['--lr', '1'], /learningRate: was 0\.001, now 1/],
      ['cohort', ['--steps', '1'], /has already done 2 steps/],
    ];
    for (const [cohort, more, message] of refused) {
      const { status, stderr } = gvsl('pretrain', at(cohort), ...args, '--resume', ...more);
      expect(stderr).toMatch(message);
      expect(status).toBe(2);
    }
    // nothing to go on from: never 200,000 steps with the defaults
    await mkdir(at('nothing'));
    for (const command of [
      ['pretrain', at('cohort')],
      ['train', 'segmentation', '--data', at('cohort')],
    ]) {
      const { status, stderr } = gvsl(...command, '--out', at('nothing'), '--resume');
      expect(stderr).toContain('run.json is missing');
      expect(status).toBe(2);
    }
    const other = gvsl('train', 'segmentation', '--data', at('cohort'), ...args, '--resume');
    expect(other.stderr).toContain('contains a run of pre-training, which gvsl train cannot continue');
    // a cohort that is damaged while it trains is bad input, named, whatever thread reads it; the last checkpoint is named too
    for (const id of [0, 1, 2, 3, 4, 5]) await truncate(imagePath({ folder: at('cohort') }, { id: `tiny_${id}` }), 3000);
    const damaged = gvsl('pretrain', at('cohort'), ...args, '--resume', '--steps', '4');
    expect(damaged.stderr).toMatch(
      /tiny_\d\.npy: .*prepare the cohort again; .*the last checkpoint is in .*last; continue from it with --resume/,
    );
    expect(damaged.stderr).not.toContain('internal error');
    expect(damaged.status).toBe(1);
    await writeTinyCohort(at('cohort'));
    expect(gvsl('pretrain', at('cohort'), ...args, '--resume', '--steps', '4').status).toBe(0);
  });

  it('compares a study with what its folder was begun with', async () => {
    const { writeFile } = await import('node:fs/promises');
    const study = (steps: number) =>
      writeFile(
        at('study.yaml'),
        `cohort: ${at('cohort')}\nmethods: [scratch]\nmodes: [finetune]\nseeds: [1]\ntransfer: { configuration: { steps: ${steps}, threads: 1, model: { width: 0.125 }, data: { patch: 16, validation: 1, test: 2 } } }\n`,
      );
    await study(1);
    expect(gvsl('compare', at('study.yaml'), '--out', at('study')).status).toBe(0);
    await study(100_000);
    const { status, stderr } = gvsl('compare', at('study.yaml'), '--out', at('study'));
    expect(stderr).toMatch(/contains the results of a different study[\s\S]*transfer\.configuration\.steps: was 1, now 100000/);
    expect(status).toBe(2);
  });

  it('goes on after kill -9 to the same bytes', async () => {
    const args = (out: string): string[] => [
      'pretrain',
      at('cohort'),
      '--out',
      at(out),
      '--steps',
      '12',
      ...SMALL,
      '--config',
      at('often.yaml'),
    ];
    const { writeFile } = await import('node:fs/promises');
    await writeFile(
      at('often.yaml'),
      'log: { everySteps: 1, evaluateEverySteps: 4, evaluatePairs: 1, checkpointEverySteps: 1 }\ndata: { heldOut: 2 }\n',
    );
    expect(gvsl(...args('whole')).status).toBe(0);
    // killed at three different moments, then finished
    for (const [kill, step] of [3, 5, 9].entries()) {
      await new Promise<void>((resolve) => {
        const child = spawn(process.execPath, [MAIN, ...args('killed'), ...(kill > 0 ? ['--resume'] : [])], { stdio: 'ignore' });
        const timer = setInterval(async () => {
          const log = await readFile(at('killed', 'metrics.jsonl'), 'utf8').catch(() => '');
          if (log.includes(`"kind":"step","step":${step},`)) child.kill('SIGKILL');
        }, 5);
        child.on('exit', () => {
          clearInterval(timer);
          resolve();
        });
      });
    }
    expect(gvsl(...args('killed'), '--resume').status).toBe(0);
    for (const name of ['model.safetensors', 'state.safetensors', 'config.json', 'state.json']) {
      expect((await readFile(at('killed', 'last', name))).equals(await readFile(at('whole', 'last', name)))).toBe(true);
    }
    const steps = (text: string): number[] =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .filter(({ kind }) => kind === 'step')
        .map(({ step }) => step);
    expect(steps(await readFile(at('killed', 'metrics.jsonl'), 'utf8'))).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
  });
});
