import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { overridesOf, pretrainOptions } from '../cli/configuration-options.ts';
import { UsageError } from '../common/errors.ts';
import { type DamageOptions, DEFAULT_DAMAGE } from '../methods/augmentation/damage/damage.ts';
import { DEFAULT_SPATIAL, type SpatialOptions } from '../methods/augmentation/spatial/spatial.ts';
import { DEFAULT_CONFIGURATION, patchSize } from '../methods/gvsl/configuration.ts';
import { METHODS } from '../methods/registry.ts';
import { configurationKeys, configurationMarkdown, configurationYaml, type KeyDescription } from './configuration-reference.ts';
import { parseConfiguration, readConfiguration, readRunConfiguration } from './node/read-configuration.ts';
import { changedKeys } from './node/run-record.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-configuration-'));
});
afterAll(() => rm(folder, { recursive: true }));
const file = async (name: string, text: string): Promise<string> => {
  await writeFile(join(folder, name), text);
  return join(folder, name);
};
const failure = (work: () => unknown): Error => {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return error as Error;
  }
  throw new Error('nothing was refused');
};

/** What each other method can be told that GVSL cannot, or is by default otherwise. */
const otherMethods = (): Promise<string[]> =>
  Promise.all(
    METHODS.filter(({ name, preset }) => name !== 'gvsl' && !preset).map(async ({ name, title, load }) => {
      const { schema } = await load();
      const of = new Map(configurationKeys().map((key) => [key.path, key]));
      const isOwn = ({ path, section, description, default: value }: KeyDescription): boolean =>
        of.get(path)?.description !== description ||
        (!section && JSON.stringify(of.get(path)?.default) !== JSON.stringify(value));
      return `\n## ${title}\n\n\`method: ${name}\`: all top-level keys, \`model.width\`, \`data.patch\`, \`data.heldOut\` and \`log\` as above, but:\n\n${configurationMarkdown(schema, isOwn)}\n`;
    }),
  );

describe('pre-training configuration', () => {
  it('defaults to the published protocol', () => {
    expect(DEFAULT_CONFIGURATION).toMatchObject({
      steps: 200_000,
      batch: 2,
      learningRate: 1e-4,
      loss: { ncc: 1, smooth: 1, mse: 1, nccWindow: 9 },
    });
    const spatial: SpatialOptions = DEFAULT_CONFIGURATION.data.spatial;
    const damage: DamageOptions = DEFAULT_CONFIGURATION.data.damage;
    expect(spatial).toMatchObject(DEFAULT_SPATIAL);
    expect(damage).toMatchObject(DEFAULT_DAMAGE);
    expect(patchSize(DEFAULT_CONFIGURATION)).toEqual([96, 96, 96]);
  });

  it('describes every key, and its YAML reference reads back as the defaults', () => {
    expect(configurationKeys().filter((key) => key.description === '')).toEqual([]);
    expect(configurationKeys().filter((key) => !key.section && key.default === undefined)).toEqual([]);
    expect(parseConfiguration(parse(configurationYaml()))).toEqual(DEFAULT_CONFIGURATION);
    expect(configurationMarkdown()).toContain(
      '| `data.patch` | `96` | a whole number from 8 to 512, or a list of 3, each a whole number from 8 to 512 |',
    );
    expect(configurationMarkdown()).toContain('| `model.width` | `1` | one of 1, 0.5, 0.25, 0.125 |');
  });

  it('has a page in the documentation that says what the schema says (npx vitest run -u renews it)', async () => {
    const page = `# Configuration of pre-training\n\n\`gvsl pretrain --config FILE\` takes YAML or JSON. Every key may be left out; the defaults are the published protocol.
Options of the command line go before the file. The key \`method\` may name another method than GVSL, as \`--method\` does. Written from the schemas of src/methods.\n\n## GVSL\n\n${configurationMarkdown()}\n${(await otherMethods()).join('')}`;
    await expect(page).toMatchFileSnapshot('../../docs/configuration.md');
  });

  it('reads YAML and JSON; options go before the file', async () => {
    const yaml = await file('a.yaml', 'steps: 50\nlearningRate: 1e-3\ndata:\n  patch: [32, 48, 32]\n');
    const json = await file('a.json', '{\t"steps": 50, "learningRate": 0.001, "data": {"patch": [32, 48, 32]}}');
    expect(await readConfiguration(yaml)).toEqual(await readConfiguration(json));
    const options = { steps: '7', patch: '16x24x20', width: '0.25', lr: '1e-2', without: 'affine', json: true };
    const configuration = await readConfiguration(yaml, overridesOf(options));
    expect(configuration).toMatchObject({
      steps: 7,
      learningRate: 0.01,
      model: { width: 0.25, heads: { affine: false, matching: true } },
    });
    expect(patchSize(configuration)).toEqual([16, 24, 20]);
    expect(await readConfiguration(await file('empty.yml', ''))).toEqual(DEFAULT_CONFIGURATION);
    expect(await readConfiguration(undefined)).toEqual(DEFAULT_CONFIGURATION);
  });

  it('refuses unknown keys with the nearest known name, and says every problem at once', () => {
    const document = {
      step: 5,
      data: { patchh: 3, damage: { shuffleBoxes: 1, heldOut: 0 } },
      patch: 64,
      wholly: 1,
      loss: { nccWindow: 4 },
      log: 3,
    };
    const lines = failure(() => parseConfiguration(document, [], 'run.yaml')).message.split('\n');
    expect(lines.sort()).toEqual([
      'run.yaml: data.damage.heldOut: unknown key; did you mean data.heldOut?',
      'run.yaml: data.damage.shuffleBoxes: unknown key; did you mean data.damage.shufflingBoxes?',
      'run.yaml: data.patchh: unknown key; did you mean data.patch?',
      'run.yaml: log: expected a section with some of the keys everySteps, evaluateEverySteps, picturesEverySteps, checkpointEverySteps, checkpointEveryMinutes, evaluatePairs; found 3',
      'run.yaml: loss.nccWindow: the window must be odd, so that it has a central voxel; found 4',
      'run.yaml: patch: unknown key; did you mean data.patch?',
      'run.yaml: step: unknown key; did you mean steps?',
      'run.yaml: wholly: unknown key; gvsl pretrain --print-config lists all keys',
    ]);
  });

  it.each<[unknown, string]>([
    [{ steps: 0 }, 'x: steps: expected a whole number of at least 1; found 0'],
    [{ steps: 1.5 }, 'x: steps: expected a whole number of at least 1; found 1.5'],
    [{ learningRate: Number.POSITIVE_INFINITY }, 'x: learningRate: expected a number above 0; found Infinity'],
    [
      { data: { patch: [1, 2] } },
      'x: data.patch: expected a whole number from 8 to 512, or a list of 3, each a whole number from 8 to 512; found [1,2]',
    ],
    [{ model: { width: 0.3 } }, 'x: model.width: expected one of 1, 0.5, 0.25, 0.125; found 0.3'],
    [{ data: { spatial: { scale: [2, 1] } } }, 'x: data.spatial.scale: the first number must not exceed the second; found [2,1]'],
    [{ data: { heldOut: 2.5 } }, 'x: data.heldOut: expected a fraction below 1 or a whole number of subjects; found 2.5'],
    [{ model: { heads: { matching: false, restoration: false } } }, 'nothing to learn'],
    [{ loss: { ncc: 0, mse: 0 } }, 'nothing to learn: give ncc'],
    [{ loss: { mse: 0 }, model: { heads: { matching: false } } }, 'nothing to learn: give mse a weight'],
    [[1], 'x: expected sections and keys (a mapping); found [1]'],
    ['text', 'x: expected sections and keys (a mapping); found "text"'],
    [JSON.parse('{"__proto__": {"steps": 3}}'), 'unknown key'],
  ])('refuses %j', (document, message) => {
    expect(failure(() => parseConfiguration(document, [], 'x')).message).toContain(message);
  });

  it('names the option where an option is wrong', () => {
    const refused = (options: Record<string, unknown>): string =>
      failure(() => parseConfiguration({}, overridesOf(options))).message;
    expect(refused({ steps: 'many' })).toBe('--steps: expected a whole number of at least 1; found "many"');
    expect(refused({ patch: '32,x' })).toMatch(/^--patch: expected .* found \[32,"",""\]$/);
    expect(refused({ without: 'afine' })).toBe(
      '--without: expected affine, restoration, matching (comma-separated); found "afine"',
    );
    expect(pretrainOptions()[1].flags).toBe('--patch <size>');
  });

  it('refuses Gaussians that would take no end of memory or time', async () => {
    const sigma = (bounds: readonly number[]) => () =>
      parseConfiguration({ data: { spatial: { elasticSigmaVoxels: bounds } } }, [], 'run.yaml');
    expect(failure(sigma([0.01, 13])).message).toContain('elasticSigmaVoxels: expected a list of 2, each a number from 1 to 100');
    expect(sigma([1, 100])).not.toThrow();
    const { schema } = await METHODS.find(({ name }) => name === 'simclr')!.load();
    expect(schema.safeParse({ views: { blurSigmaVoxels: [0.5, 1e6] } }).success).toBe(false);
  });

  it('refuses what is no configuration file', async () => {
    await expect(readConfiguration(join(folder, 'none.yaml'))).rejects.toThrow('none.yaml: no such file');
    await expect(readConfiguration(await file('bad.yaml', 'a: [1\nb: 2'))).rejects.toThrow(
      /bad.yaml: not readable as YAML: .*line/s,
    );
    await expect(readConfiguration(await file('twice.yaml', 'steps: 1\nsteps: 2'))).rejects.toThrow('twice.yaml');
    await expect(readConfiguration(await file('bad.json', '{'))).rejects.toThrow(UsageError);
    await expect(
      readConfiguration(
        await file(
          'bomb.yaml',
          `a: &a [1,1]\n${'bcdefgh'
            .split('')
            .map((c, i) => `${c}: &${c} [${`*${'abcdefg'[i]},`.repeat(9)}]\n`)
            .join('')}`,
        ),
      ),
    ).rejects.toThrow(UsageError);
  });

  it('resumes with what a run began with, and what the options change', async () => {
    await file('run.json', JSON.stringify({ cohort: {}, configuration: parseConfiguration({ seed: 5, steps: 10 }) }));
    const steps = { path: 'steps', option: '--steps', value: 20 };
    expect(await readRunConfiguration(folder, [steps])).toEqual(parseConfiguration({ seed: 5, steps: 20 }));
    await file('run.json', '{"configuration":');
    await expect(readRunConfiguration(folder)).rejects.toThrow('run.json: cannot be read as JSON');
    await file('run.json', `{"configuration": ${'['.repeat(20_000)}${']'.repeat(20_000)}}`);
    await expect(readRunConfiguration(folder)).rejects.toThrow(
      /run.json: cannot be read as JSON: objects and lists nested more than 64 deep/,
    );
    await file('run.json', JSON.stringify({ formatVersion: 2 }));
    await expect(readRunConfiguration(folder)).rejects.toThrow(
      'formatVersion 2: made by a different, probably newer version of gvsl',
    );
    await rm(join(folder, 'run.json'));
    await expect(readRunConfiguration(folder)).rejects.toThrow('run.json is missing, so the configuration of the run is unknown');
    await expect(readRunConfiguration(join(folder, 'nowhere'))).rejects.toThrow('there is no run at');
  });

  it('lets a run go on longer, with other threads and other logging, and nothing else', () => {
    const begun = parseConfiguration({ steps: 10 });
    const free = {
      steps: 20,
      threads: 1,
      backend: 'auto',
      log: { everySteps: 1, picturesEverySteps: 0, checkpointEverySteps: 3 },
    };
    expect(changedKeys(begun, parseConfiguration(free), undefined)).toEqual([]);
    // of an older version: a key that it did not know was the default
    expect(changedKeys({}, parseConfiguration({}), undefined)).toEqual([]);
    expect(
      changedKeys(
        begun,
        parseConfiguration({ seed: 2, data: { patch: 64 }, log: { evaluateEverySteps: 7, evaluatePairs: 3 } }),
        undefined,
      ),
    ).toEqual([
      'seed: was 1, now 2',
      'data.patch: was 96, now 64',
      'log.evaluateEverySteps: was 1000, now 7',
      'log.evaluatePairs: was 10, now 3',
    ]);
  });
});
