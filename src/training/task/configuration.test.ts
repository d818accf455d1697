import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { commandOptions, overridesBy } from '../../cli/configuration-options.ts';
import { TRAIN_OPTIONS } from '../../cli/train-options.ts';
import { configurationKeys, configurationMarkdown, configurationYaml } from '../configuration-reference.ts';
import { parseConfigurationOf, readPresetConfiguration } from '../node/read-configuration.ts';
import { isAugmented, TRANSFER, transferConfigurationSchema, transferPatch } from './configuration.ts';
import { PRESET_NAMES, PRESETS } from './presets.ts';

const read = (document: unknown) => parseConfigurationOf(TRANSFER, document, [], 'run.yaml');

describe('configuration of training on tasks', () => {
  it("has the paper's protocol as defaults, each key described", () => {
    const defaults = read({});
    expect(defaults).toMatchObject({
      task: 'segmentation',
      mode: 'finetune',
      steps: 40_000,
      batch: 1,
      learningRate: 1e-4,
      loss: { kind: 'dice' },
    });
    expect(transferPatch(defaults)).toEqual([128, 128, 128]);
    expect(isAugmented(defaults)).toBe(true);
    expect(isAugmented(read({ mode: 'linear' }))).toBe(false);
    expect(configurationKeys(transferConfigurationSchema).filter((key) => key.description === '')).toEqual([]);
    expect(read(parse(configurationYaml(transferConfigurationSchema)))).toEqual(defaults);
  });

  it('has a page in the documentation that says what the schema says (npx vitest run -u renews it)', async () => {
    const page = `# Configuration of training on tasks\n\n\`gvsl train --config FILE\` takes YAML or JSON. Every key may be left out; the defaults are the published protocol.
Options of the command line go before the file. Written from src/training/task/configuration.ts.\n\n${configurationMarkdown(transferConfigurationSchema)}\n`;
    await expect(page).toMatchFileSnapshot('../../../docs/configuration-train.md');
  });

  it('says what is wrong with a key, and which one was meant', () => {
    expect(() => read({ data: { label: 4 } })).toThrow('run.yaml: data.label: unknown key; did you mean data.labels?');
    expect(() => read({ mode: 'probe' })).toThrow('mode: expected one of finetune, linear; found "probe"');
    expect(() => read({ data: { labelCodes: [] } })).toThrow('data.labelCodes: expected');
    expect(() => read({ nonsense: 1 })).toThrow('gvsl train --print-config lists all keys');
  });

  it('has options for what is set most often', () => {
    const overrides = overridesBy(TRAIN_OPTIONS, {
      labels: '8',
      labelCodes: '205,420',
      flips: 'x',
      splitSeed: '3',
      patch: '16x24x20',
    });
    expect(parseConfigurationOf(TRANSFER, {}, overrides)).toMatchObject({
      data: { labels: 8, labelCodes: [205, 420], splitSeed: 3, patch: [16, 24, 20], augmentation: { flips: ['x'] } },
    });
    expect(commandOptions(TRAIN_OPTIONS, transferConfigurationSchema).map(({ flags }) => flags)).toContain('--split-seed <n>');
  });

  it('has presets in the place of the defaults: file and options go first, the rate falls over all steps', async () => {
    for (const name of PRESET_NAMES) {
      const configuration = await readPresetConfiguration(name, undefined);
      expect(configuration).toMatchObject(PRESETS[name].configuration(PRESETS[name].steps, 0));
    }
    const overrides = [{ path: 'steps', option: '--steps', value: 100 }];
    const short = await readPresetConfiguration('few-labels', undefined, overrides);
    expect([short.steps, short.learningRateDecaySteps, short.batch]).toEqual([100, 100, 2]);
    const warm = [...overrides, { path: 'warmupSteps', option: '--warmup-steps', value: 30 }];
    expect((await readPresetConfiguration('few-labels', undefined, warm)).learningRateDecaySteps).toBe(70);
    const given = [...overrides, { path: 'learningRateDecaySteps', option: 'x', value: 0 }];
    expect((await readPresetConfiguration('few-labels', undefined, given)).learningRateDecaySteps).toBe(0);
  });
});
