import { describe, expect, it } from 'vitest';
import { RunError } from '../common/errors.ts';
import { version } from '../common/version.ts';
import { DEFAULT_CONFIGURATION } from '../methods/gvsl/configuration.ts';
import { parseModelConfiguration, trainedPatch } from './configuration.ts';

const document = (changes: object = {}): Record<string, unknown> => ({
  format: 'gvsl-model',
  formatVersion: 1,
  architecture: { width: 0.25, channels: [8, 16, 32, 64, 128], heads: { affine: true, matching: true, restoration: true } },
  preprocessing: { modality: 'ct', spacingMm: [1, 1, 1], intensity: 'minmax', crop: 'foreground' },
  task: null,
  pretraining: DEFAULT_CONFIGURATION,
  training: null,
  seed: 1,
  step: 7,
  versions: { gvsl: '99.1.0' },
  ...changes,
});
const heads = (more: object) => ({
  architecture: { ...(document().architecture as object), heads: { affine: true, matching: true, restoration: true, ...more } },
});
const read = (changes: object = {}) => parseModelConfiguration(JSON.parse(JSON.stringify(document(changes))), 'm/config.json');
const failure = (work: () => unknown): Error => {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
};

describe('a model of another version', () => {
  it('is read where its architecture is known, whatever else it holds', () => {
    const newer = read({
      ...heads({ detection: false, tracking: null }),
      pretraining: { ...DEFAULT_CONFIGURATION, loss: { brandNew: 3 }, optimiser: { kind: 'lion' }, steps: 'many' },
      training: { anything: [1, 2] },
      preprocessing: { modality: 'ct', spacingMm: [1, 1, 1], intensity: 'minmax', crop: 'foreground', bias: 'n4' },
      licence: 'CC-BY',
      backends: ['cpu', 'npu'],
    });
    expect(newer.architecture.heads).toEqual({ affine: true, matching: true, restoration: true });
    expect(newer.pretraining).toMatchObject({ optimiser: { kind: 'lion' } });
    expect(trainedPatch(newer)).toEqual([96, 96, 96]);
    expect(trainedPatch(read({ patch: [8, 16, 24], pretraining: { data: 'elsewhere' } }))).toEqual([8, 16, 24]);
    expect(trainedPatch(read({ pretraining: { data: { patch: [16, 0, 16] } } }))).toBeNull();
    expect(trainedPatch(read({ pretraining: null }))).toBeNull();
  });

  it.each([
    [
      'another form',
      { formatVersion: 2, architecture: 'unknown' },
      /formatVersion 2: made by a newer gvsl \(made by gvsl 99\.1\.0, this is .*, which reads 1\); update gvsl/,
    ],
    [
      'a head that is not known',
      heads({ detection: 3 }),
      /architecture\.heads: detection: unknown heads; this version supports affine, .*made by gvsl 99\.1\.0.*update gvsl/,
    ],
    [
      'a modality that is not known',
      { preprocessing: { modality: 'pet', spacingMm: [1, 1, 1], intensity: 'suv' } },
      /preprocessing\.modality: .*newer version \(made by gvsl 99\.1\.0/,
    ],
    ['a task that is not known', { task: { kind: 'detection' } }, /task\.kind: .*newer version/],
    ['something else', { format: 'onnx' }, /expected "format": "gvsl-model"; found "onnx"/],
  ])('with %s is refused, naming it', (_, changes, message) => {
    const error = failure(() => read(changes));
    expect(error).toBeInstanceOf(RunError);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^m\/config\.json: /);
  });

  it('says what this is where the model does not say what made it', () => {
    expect(failure(() => read({ formatVersion: 3, versions: {} })).message).toContain(`this is gvsl ${version}`);
    expect(failure(() => parseModelConfiguration([], 'm/config.json')).message).toContain('found no object');
  });
});
