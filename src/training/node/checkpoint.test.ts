import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RunError, UsageError } from '../../common/errors.ts';
import { DEFAULT_CONFIGURATION } from '../../methods/gvsl/configuration.ts';
import { readModel, resolveModel } from '../../model/node/model-folder.ts';
import { type Checkpoint, INITIAL_STATE, openRun, readCheckpoint, writeCheckpoint } from './checkpoint.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-run-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A checkpoint of a network with two parameters, all its numbers made from the step. */
function checkpointAt(step: number): Checkpoint {
  const tensors = (from: number): Checkpoint['parameters'] =>
    new Map([
      [
        'unet.inc.weight',
        { name: 'unet.inc.weight', shape: [2, 3], data: Float32Array.from({ length: 6 }, (_, i) => from + i / 3) },
      ],
      ['out_flow.bias', { name: 'out_flow.bias', shape: [3], data: new Float32Array(3).fill(-from) }],
    ]);
  return {
    configuration: {
      format: 'gvsl-model',
      formatVersion: 1,
      architecture: { width: 0.25, channels: [8, 16, 32, 64, 128], heads: { affine: true, matching: true, restoration: true } },
      preprocessing: { modality: 'mr', spacingMm: [1, 1, 1], intensity: 'minmax' },
      task: null,
      training: null,
      pretraining: DEFAULT_CONFIGURATION,
      seed: 1,
      step,
      versions: { gvsl: '0.1.0' },
    },
    parameters: tensors(step),
    carried: new Map([['memory.assignment', { name: 'memory.assignment', shape: [2], data: Float32Array.of(0, 1) }]]),
    moments: { first: tensors(step + 0.1), second: tensors(step + 0.2) },
    state: { ...INITIAL_STATE, step, adamSteps: step, best: step > 0 ? { step, score: 0.1 + 0.2 } : null },
  };
}
const files = ['config.json', 'model.safetensors', 'state.json', 'state.safetensors'];

describe('checkpoint', () => {
  it('comes back as it was written, and the same checkpoint is the same bytes', async () => {
    await writeCheckpoint(folder, 'last', checkpointAt(7));
    await writeCheckpoint(folder, 'best', checkpointAt(7));
    expect(await readCheckpoint(folder, 'last')).toEqual(checkpointAt(7));
    expect(readdirSync(join(folder, 'last')).sort()).toEqual(files);
    for (const file of files)
      expect(readFileSync(join(folder, 'last', file)).equals(readFileSync(join(folder, 'best', file)))).toBe(true);
    expect(await readCheckpoint(folder, 'last')).toEqual(await readCheckpoint(folder, 'best'));
  });

  it('says which part is missing, damaged, or of another checkpoint', async () => {
    const last = join(folder, 'last');
    const spoil = async (file: string, content: string | Buffer | undefined, message: string | RegExp): Promise<void> => {
      await writeCheckpoint(folder, 'last', checkpointAt(7));
      if (content === undefined) await rm(join(last, file));
      else writeFileSync(join(last, file), content);
      const failure = await readCheckpoint(folder, 'last').catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(RunError);
      expect((failure as Error).message).toMatch(message);
    };
    await writeCheckpoint(folder, 'best', checkpointAt(8));
    await spoil('model.safetensors', undefined, /last\/model.safetensors: no such file/);
    await spoil('model.safetensors', readFileSync(join(folder, 'best', 'model.safetensors')).subarray(0, -4), /truncated/);
    await spoil('config.json', '{', /last\/config.json: cannot be read as JSON/);
    await spoil(
      'config.json',
      '{"format":"gvsl-model","formatVersion":2}',
      /config.json: formatVersion 2: made by a newer gvsl \(this is gvsl .*, which reads 1\); update gvsl/,
    );
    await spoil(
      'state.json',
      readFileSync(join(folder, 'best', 'state.json')),
      /state.json is of step 8, but config.json of step 7/,
    );
    await spoil(
      'state.safetensors',
      readFileSync(join(last, 'model.safetensors')),
      /expected m.unet.inc.weight \[2, 3\]; found none/,
    );
    // no reader of the format would mind, and a network computes with it: the label maps would be empty
    for (const file of ['model.safetensors', 'state.safetensors']) {
      const bytes = readFileSync(join(folder, 'best', file));
      bytes.writeFloatLE(Number.NaN, bytes.length - 4);
      await spoil(file, bytes, new RegExp(`last/${file}: .* holds NaN at index \\d+: the file is damaged`));
    }
  });

  it('refuses to write a configuration that could not be read back, and keeps the checkpoint there is', async () => {
    await writeCheckpoint(folder, 'last', checkpointAt(1));
    const bad = checkpointAt(2);
    await expect(
      writeCheckpoint(folder, 'last', { ...bad, state: { ...bad.state, best: { step: 2, score: Number.NaN } } }),
    ).rejects.toThrow();
    expect(await readCheckpoint(folder, 'last')).toEqual(checkpointAt(1));
    expect(readdirSync(folder)).toEqual(['last']);
  });
});

describe('resolveModel', () => {
  it('takes a model folder, its file, or a run: the best, else the last', async () => {
    await writeCheckpoint(folder, 'last', checkpointAt(9));
    expect(await resolveModel(folder)).toBe(join(folder, 'last'));
    await writeCheckpoint(folder, 'best', checkpointAt(4));
    expect(await resolveModel(folder)).toBe(join(folder, 'best'));
    expect(await resolveModel(join(folder, 'last'))).toBe(join(folder, 'last'));
    expect(await resolveModel(join(folder, 'last', 'model.safetensors'))).toBe(join(folder, 'last'));
    expect((await readModel(await resolveModel(folder))).configuration.step).toBe(4);
  });

  it('finds what a run that was killed between two renames left', async () => {
    await writeCheckpoint(folder, 'last', checkpointAt(9));
    renameSync(join(folder, 'last'), join(folder, '.last.ready'));
    expect(await resolveModel(folder)).toBe(join(folder, '.last.ready'));
    expect(await resolveModel(join(folder, 'last'))).toBe(join(folder, '.last.ready'));
  });

  it('says what is there instead', async () => {
    await expect(resolveModel(join(folder, 'none'))).rejects.toThrow('none: no such folder');
    await expect(resolveModel(folder)).rejects.toThrow('neither a model folder');
    writeFileSync(join(folder, 'metrics.jsonl'), '');
    await expect(resolveModel(folder)).rejects.toThrow('a run without a checkpoint');
    await expect(resolveModel(join(folder, 'metrics.jsonl'))).rejects.toThrow('metrics.jsonl: is a file; expected a folder');
  });
});

describe('openRun', () => {
  it('begins, saves, and goes on from the last', async () => {
    const path = join(folder, 'deep', 'run');
    const first = await openRun(path, { resume: false });
    expect(first.checkpoint).toBeUndefined();
    await first.save('last', checkpointAt(3));
    await expect(openRun(path, { resume: true })).rejects.toThrow('another process is writing there');
    first.close();
    await expect(openRun(path, { resume: false })).rejects.toThrow('continue it with `resume`');
    writeFileSync(join(path, 'warnings.txt'), '');
    const second = await openRun(path, { resume: true });
    expect(second.checkpoint).toEqual(checkpointAt(3));
    expect(second.state).toEqual(checkpointAt(3).state);
    second.release();
    expect(second.checkpoint).toBeUndefined();
    expect(second.state).toEqual(checkpointAt(3).state);
    second.close();
  });

  it('repairs a replacement that was killed: the complete new checkpoint counts', async () => {
    await writeCheckpoint(folder, 'last', checkpointAt(1));
    await cp(join(folder, 'last'), join(folder, '.last.01234567.part'), { recursive: true });
    renameSync(join(folder, 'last'), join(folder, '.last.old'));
    await writeCheckpoint(join(folder, 'aside'), 'last', checkpointAt(2));
    renameSync(join(folder, 'aside', 'last'), join(folder, '.last.ready'));
    await rm(join(folder, 'aside'), { recursive: true });
    const run = await openRun(folder, { resume: true });
    expect(run.checkpoint?.state.step).toBe(2);
    run.close();
    expect(readdirSync(folder)).toEqual(['last']);
  });

  it('begins again where a run was killed before its first checkpoint', async () => {
    writeFileSync(join(folder, 'metrics.jsonl'), '{"step":1}\n');
    mkdirSync(join(folder, '.last.01234567.part'));
    // without run.json it is not known with what it was begun
    await expect(openRun(folder, { resume: true })).rejects.toThrow('no run.json and no checkpoint in it');
    const record = { cohort: {}, configuration: { steps: 3 } };
    for (const resume of [false, true]) {
      const run = await openRun(folder, { resume });
      expect(run.checkpoint).toBeUndefined();
      expect(run.record).toEqual(resume ? record : undefined);
      run.close();
      writeFileSync(join(folder, 'run.json'), JSON.stringify(record));
    }
    expect(existsSync(join(folder, '.last.01234567.part'))).toBe(false);
  });

  it('refuses to resume nothing, and to begin among other things', async () => {
    await expect(openRun(join(folder, 'none'), { resume: true })).rejects.toThrow(UsageError);
    writeFileSync(join(folder, 'thesis.tex'), '');
    await expect(openRun(folder, { resume: false })).rejects.toThrow('thesis.tex');
    await expect(openRun(join(folder, 'thesis.tex'), { resume: false })).rejects.toThrow(UsageError);
    expect(readdirSync(folder)).toEqual(['thesis.tex']);
  });
});
