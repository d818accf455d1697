/** Trainings that ranks share: the same bytes as on one, for every number of ranks. The ranks are in this process, each with a session of its own. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OtherRankError } from '../../common/errors.ts';
import { SILENT } from '../../common/progress.ts';
import { randomStream } from '../../common/random.ts';
import { ALONE, type Ranks } from '../../platform/node/ranks/ranks.ts';
import { memoryRanks } from '../../platform/node/ranks/testing/memory-transport.ts';
import { halvesOf, type Part, partsWithin, rangeOf } from '../gradient-tree.ts';
import { writeTinyCohort } from '../testing/tiny-cohort.ts';
import { pretrain } from './pretrain.ts';
import { openExchange, shareSteps } from './shared-step.ts';
import { crossValidate } from './task/cross-validate.ts';
import { train } from './task/train.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-shared-'));
  await writeTinyCohort(at('cohort'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const onRanks = async <Result>(size: number, work: (ranks: Ranks) => Promise<Result>): Promise<Result[]> =>
  Promise.all((size === 1 ? [ALONE] : await memoryRanks(size)).map(work));

/** All that does not depend on how a run came about. */
async function stateOf(out: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (const which of (await readdir(at(out))).filter((name) => ['last', 'best'].includes(name)))
    for (const name of (await readdir(at(out, which))).sort()) parts.push(await readFile(at(out, which, name)));
  return Buffer.concat(parts);
}

const TINY = {
  threads: 1,
  model: { width: 0.125 },
  learningRate: 1e-3,
  log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 0, checkpointEverySteps: 2 },
} as const;

interface Wanted {
  readonly size: number;
  readonly out: string;
  readonly method: string;
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly resume?: boolean;
  readonly signal?: (rank: number) => AbortSignal | undefined;
}
const run = ({ size, out, method, configuration, resume = false, signal }: Wanted) =>
  onRanks(size, (ranks) => {
    const stop = signal?.(ranks.rank);
    const given = { cohort: at('cohort'), out: at(out), method, resume, progress: SILENT, ranks, ...(stop && { signal: stop }) };
    return pretrain({ ...given, configuration: { ...TINY, data: { patch: 16, heldOut: 2 }, ...configuration } });
  });

describe('a shared sum of gradients', () => {
  it.each([
    [2, 2],
    [5, 3],
    [8, 3],
    [7, 4],
    [3, 5],
  ])('of %i runs on %i ranks has the bits of the tree', async (runs, size) => {
    const length = 1003;
    const gradients = Array.from({ length: runs }, (_, k) => {
      const stream = randomStream(1, 'gradient', k);
      return Float32Array.from({ length }, () => stream.normal());
    });
    const total = (part: Part): Float32Array => {
      if (part.to - part.from === 1) return gradients[part.from];
      const [first, second] = halvesOf(part).map(total);
      return first.map((value, i) => value + second[i]);
    };
    const parts = Array.from({ length: size }, (_, rank) => partsWithin(runs, rangeOf(runs, rank, size)));
    const sums = await onRanks(size, async (ranks) => {
      const own = parts[ranks.rank].map((part) => total(part).slice());
      const sum = own.at(-1) ?? new Float32Array(length);
      const exchange = openExchange(ranks, runs, parts, own, sum, [0, 16, 500, 501, length]);
      exchange.begin(2);
      await exchange.finish();
      return sum;
    });
    for (const sum of sums) expect(sum).toEqual(total({ from: 0, to: runs }));
  });
});

it('where a session cannot show its states, they are read, and the sum is written', async () => {
  const length = 40;
  const sums = await onRanks(3, async (ranks) => {
    const { rank } = ranks;
    // seven runs on three ranks: each has two parts of the tree
    const states = new Map<string, Float32Array>([
      ['gradients', new Float32Array(length).fill(10 ** rank)],
      ['parked.0', new Float32Array(length).fill(0.5)],
    ]);
    const session = {
      memoryBytes: 0,
      run: async () => ({}),
      readState: async (name: string) => states.get(name)!.slice(),
      writeState: async (name: string, values: Float32Array) => void states.set(name, values),
      close: async () => {},
    };
    const shared = shareSteps(ranks, session, length, 7, () => rank === 2);
    shared.beforeLast();
    await shared.session.run('gradient', {});
    const outputs = await shared.outputsOfAll([{ 'loss.total': Float32Array.of(rank) }]);
    expect(outputs).toEqual([0, 1, 2].map((each) => ({ 'loss.total': Float32Array.of(each) })));
    expect(shared.stopping).toBe(true);
    await shared.addUp();
    expect(shared.time.sentBytes).toBeGreaterThan(0);
    return states.get('gradients')!;
  });
  for (const sum of sums) expect(sum).toEqual(new Float32Array(length).fill(1 + 10 + 100 + 3 * 0.5));
});

describe('a shared training', () => {
  const gvsl = { steps: 3, batch: 5, log: { ...TINY.log, evaluatePairs: 1 } };
  it('by GVSL has the same bytes on 1, 2, 3 and 6 ranks, resumed on another number, with clipping and an average', async () => {
    const configuration = { ...gvsl, gradientClip: 0.5, emaDecay: 0.9 };
    for (const size of [1, 2, 3, 6]) await run({ size, out: `gvsl-${size}`, method: 'gvsl', configuration });
    const expected = await stateOf('gvsl-1');
    for (const size of [2, 3, 6]) expect((await stateOf(`gvsl-${size}`)).equals(expected), `${size} ranks`).toBe(true);
    await run({ size: 3, out: 'gvsl-parts', method: 'gvsl', configuration: { ...configuration, steps: 2 } });
    await run({ size: 2, out: 'gvsl-parts', method: 'gvsl', configuration, resume: true });
    expect((await stateOf('gvsl-parts')).equals(expected)).toBe(true);
    const lines = (await readFile(at('gvsl-3', 'metrics.jsonl'), 'utf8')).trim().split('\n');
    const steps = lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === 'step');
    expect(steps).toHaveLength(3);
    for (const { sharing } of steps)
      expect(sharing).toMatchObject({ ranks: 3, waitSeconds: expect.any(Number), sentBytes: expect.any(Number) });
  });

  it.each([
    ['byol', { steps: 2, batch: 4 }],
    ['deep-cluster', { steps: 2, batch: 4 }],
    ['simclr', { steps: 2, batch: 2, accumulate: 3 }],
  ])('by %s has the same bytes on 1 and 3 ranks', async (method, configuration) => {
    const log = { ...TINY.log, evaluateEverySteps: 0 };
    for (const size of [1, 3]) await run({ size, out: `${method}-${size}`, method, configuration: { ...configuration, log } });
    expect((await stateOf(`${method}-3`)).equals(await stateOf(`${method}-1`))).toBe(true);
  });

  it('on a task has the same bytes and the same test on 1 and 2 ranks, also with features of whole volumes', async () => {
    for (const mode of ['finetune', 'linear'] as const) {
      for (const size of [1, 2])
        await onRanks(size, (ranks) =>
          train({
            cohort: at('cohort'),
            out: at(`${mode}-${size}`),
            configuration: {
              ...TINY,
              task: 'segmentation',
              mode,
              steps: 3,
              batch: 2,
              data: { patch: 16, validation: 1, test: 1 },
            },
            progress: SILENT,
            ranks,
          }),
        );
      expect((await stateOf(`${mode}-2`)).equals(await stateOf(`${mode}-1`)), mode).toBe(true);
      const tests = await Promise.all([1, 2].map((size) => readFile(at(`${mode}-${size}`, 'test.json'), 'utf8')));
      expect(tests[1]).toBe(tests[0]);
    }
  });

  it('of every fold has the same scores on 1 and 2 ranks', async () => {
    const data = { patch: 16, folds: 2, fold: 'all', test: 0 } as const;
    const configuration = { ...TINY, task: 'segmentation', steps: 2, batch: 2, data } as const;
    for (const size of [1, 2])
      await onRanks(size, (ranks) =>
        crossValidate({ cohort: at('cohort'), out: at(`folds-${size}`), configuration, progress: SILENT, ranks }),
      );
    for (const file of ['cross-validation.csv', join('fold-2', 'last', 'model.safetensors')]) {
      const [one, two] = await Promise.all([1, 2].map((size) => readFile(at(`folds-${size}`, file))));
      expect(two.equals(one), file).toBe(true);
    }
  });

  it('stops on all ranks when one is asked to, with a checkpoint that any number goes on from', async () => {
    const stopped = new AbortController();
    stopped.abort();
    const results = await run({
      size: 2,
      out: 'stopped',
      method: 'gvsl',
      configuration: gvsl,
      signal: (rank) => (rank === 1 ? stopped.signal : undefined),
    });
    expect(results.map(({ step, finished }) => [step, finished])).toEqual([
      [1, false],
      [1, false],
    ]);
    await run({ size: 1, out: 'stopped', method: 'gvsl', configuration: gvsl, resume: true });
    await run({ size: 1, out: 'unstopped', method: 'gvsl', configuration: gvsl });
    expect((await stateOf('stopped')).equals(await stateOf('unstopped'))).toBe(true);
  });

  it('ends on all ranks with one message, when ranks have different inputs, or one fails', async () => {
    const errors = await onRanks(2, (ranks) =>
      pretrain({
        cohort: at('cohort'),
        out: at('different'),
        method: 'gvsl',
        configuration: { ...TINY, steps: 2, data: { patch: 16, heldOut: ranks.rank + 1 } },
        progress: SILENT,
        ranks,
      }).catch((error: unknown) => error as Error),
    );
    expect((errors[0] as Error).message).toMatch(
      /the ranks have different inputs \(cohort, split, initial model or configuration\): rank 0 has/,
    );
    expect(errors[1]).toBeInstanceOf(OtherRankError);
    const failing = await onRanks(2, (ranks) =>
      pretrain({
        cohort: at(ranks.rank === 1 ? 'nowhere' : 'cohort'),
        out: at('failing'),
        method: 'gvsl',
        configuration: TINY,
        progress: SILENT,
        ranks,
      }).catch((error: unknown) => error as Error),
    );
    expect((failing[1] as Error).message).toMatch(/nowhere: no such folder/);
    expect((failing[0] as Error).message).toMatch(/rank 1 of 2: .*nowhere: no such folder/);
  });
});
